// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - streams: a buffer as a ring of periods.
 *
 * head and tail count bytes for ever; their place in the ring is the
 * remainder. The device fills the period after head, so at most periods - 1
 * can be read. In OVERWRITE the producer moves tail; a reader that finds tail
 * moved after it copied throws the bytes away and copies again.
 */
#include <linux/eventfd.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "internal.h"
#include "stream.h"

static void devfs_stream_release(struct kref *ref)
{
	struct devfs_stream *stream = container_of(ref, struct devfs_stream, ref);

	atomic_dec(&stream->buf->streams);
	iput(&stream->buf->base.inode);
	mutex_destroy(&stream->read_lock);
	mutex_destroy(&stream->run_lock);
	kfree(stream);
}

void devfs_stream_put(struct devfs_stream *stream)
{
	kref_put(&stream->ref, devfs_stream_release);
}

struct devfs_stream *devfs_stream_get(struct devfs_device *dev, u32 id)
{
	struct devfs_stream *stream;

	if (id >= DEVFS_DMA_MAX_STREAMS)
		return NULL;
	id = array_index_nospec(id, DEVFS_DMA_MAX_STREAMS);
	mutex_lock(&dev->lock);
	stream = dev->streams[id];
	if (stream)
		kref_get(&stream->ref);
	mutex_unlock(&dev->lock);
	return stream;
}

/* Bytes the ring can have ready. */
static u64 devfs_stream_room(struct devfs_stream *stream)
{
	return stream->ring - stream->period;
}

/* Whether one more period would be lost. With the lock held. */
bool devfs_stream_full(struct devfs_stream *stream)
{
	return stream->policy == DEVFS_DMA_STREAM_STOP &&
	       stream->head - stream->tail + stream->period > devfs_stream_room(stream);
}

/* One more period was made; not @filled, it was dropped. Any context. */
void devfs_stream_produced(struct devfs_stream *stream, bool filled)
{
	unsigned long flags;
	u64 room = devfs_stream_room(stream);

	spin_lock_irqsave(&stream->lock, flags);
	if (!(stream->flags & DEVFS_DMA_STREAM_ENABLED))
		goto out_unlock;
	stream->produced += stream->period;
	if (!filled || devfs_stream_full(stream)) {
		stream->overruns += stream->period;
	} else {
		stream->head += stream->period;
		if (stream->head - stream->tail > room) {
			u64 lost = stream->head - stream->tail - room;

			stream->tail += lost;
			stream->overruns += lost;
		}
	}
	if (stream->head - stream->tail >= stream->watermark)
		devfs_listeners_tell(&stream->listeners, &stream->listener_count);
out_unlock:
	spin_unlock_irqrestore(&stream->lock, flags);
	wake_up_interruptible(&stream->wait);
}

/* An event of a source, with events.lock held. */
void devfs_stream_event(struct list_head *streams)
{
	struct devfs_stream *stream;

	list_for_each_entry(stream, streams, by_source)
		devfs_stream_produced(stream, true);
}

static int devfs_stream_check(const struct devfs_dma_stream *arg)
{
	bool pattern = arg->flags & DEVFS_DMA_STREAM_PATTERN;

	if (!devfs_name_valid(arg->name) || arg->stream ||
	    arg->policy > DEVFS_DMA_STREAM_STOP ||
	    arg->flags & ~(DEVFS_DMA_STREAM_ENABLED | DEVFS_DMA_STREAM_PATTERN))
		return -EINVAL;
	if (!arg->period || arg->period % sizeof(u32) || arg->period > SIZE_MAX / 2)
		return -EINVAL;
	if (pattern ? !arg->rate || arg->rate > 1ULL << 32 : arg->rate)
		return -EINVAL;
	return 0;
}

/* Gives the new stream its buffer: one that is large enough and not streaming. */
static int devfs_stream_take_buffer(struct devfs_stream *stream, u64 id, u64 watermark)
{
	bool pattern = stream->flags & DEVFS_DMA_STREAM_PATTERN;
	struct devfs_buffer *buf = devfs_buffer_get(stream->dev, id);
	int err;
	u64 size;

	if (!buf)
		return -ENOENT;
	/* Its reader sees the buffer, and the generator writes it. */
	err = inode_permission(devfs_nop_idmap, &buf->base.inode,
			       MAY_READ | (pattern ? MAY_WRITE : 0));
	if (err) {
		iput(&buf->base.inode);
		return err;
	}
	err = -EINVAL;
	/* Under the lock that resizing takes: from now on it cannot shrink. */
	inode_lock(&buf->base.inode);
	size = i_size_read(&buf->base.inode);
	stream->ring = size - size % stream->period;
	if (size / stream->period < 2 || buf->direction == DMA_TO_DEVICE ||
	    buf->offset % sizeof(u32) ||
	    buf->heap == DEVFS_DMA_HEAP_IMPORTED || watermark > devfs_stream_room(stream))
		goto err_unlock;
	err = -EBUSY;
	if (atomic_cmpxchg(&buf->streams, 0, 1))
		goto err_unlock;
	inode_unlock(&buf->base.inode);
	stream->buf = buf;
	return 0;

err_unlock:
	inode_unlock(&buf->base.inode);
	iput(&buf->base.inode);
	return err;
}

/* Into the tables, with devfs_device.lock held. */
static int devfs_stream_enlist(struct devfs_stream *stream, u32 source)
{
	struct devfs_device *dev = stream->dev;
	u32 id, slot = DEVFS_DMA_MAX_STREAMS;

	for (id = 0; id < DEVFS_DMA_MAX_STREAMS; id++) {
		if (!dev->streams[id])
			slot = min(slot, id);
		else if (!strcmp(dev->streams[id]->name, stream->name))
			return -EEXIST;
	}
	if (slot == DEVFS_DMA_MAX_STREAMS)
		return -ENOSPC;
	if (source != DEVFS_DMA_NO_ID || !(stream->flags & DEVFS_DMA_STREAM_PATTERN)) {
		stream->source = devfs_source_find(dev, source);
		if (!stream->source)
			return -ENOENT;
		stream->source->users++;
	}
	stream->id = slot;
	dev->streams[slot] = stream;
	dev->stream_count++;
	if (stream->source && !(stream->flags & DEVFS_DMA_STREAM_PATTERN)) {
		spin_lock_irq(&dev->events.lock);
		list_add_tail(&stream->by_source, &stream->source->streams);
		spin_unlock_irq(&dev->events.lock);
	}
	return 0;
}

static int devfs_stream_create(struct devfs_device *dev, struct devfs_dma_stream *arg,
			       u64 *serial)
{
	struct devfs_stream *stream;
	int err = devfs_stream_check(arg);

	if (err)
		return err;
	stream = kzalloc(sizeof(*stream), GFP_KERNEL_ACCOUNT);
	if (!stream)
		return -ENOMEM;
	kref_init(&stream->ref);
	stream->dev = dev;
	stream->serial = atomic64_inc_return(&dev->next_id);
	*serial = stream->serial;
	memcpy(stream->name, arg->name, sizeof(stream->name));
	stream->period = arg->period;
	stream->rate = arg->rate;
	stream->policy = arg->policy;
	stream->flags = arg->flags;
	stream->watermark = arg->watermark ?: arg->period;
	mutex_init(&stream->run_lock);
	mutex_init(&stream->read_lock);
	spin_lock_init(&stream->lock);
	init_waitqueue_head(&stream->wait);
	INIT_LIST_HEAD(&stream->listeners);
	INIT_LIST_HEAD(&stream->by_source);
	devfs_pattern_init(stream);
	err = devfs_stream_take_buffer(stream, arg->buffer, stream->watermark);
	if (err) {
		mutex_destroy(&stream->read_lock);
		mutex_destroy(&stream->run_lock);
		kfree(stream);
		return err;
	}

	/* Held over the listing, so that nobody stops it before it started. */
	mutex_lock(&stream->run_lock);
	mutex_lock(&dev->lock);
	err = devfs_stream_enlist(stream, arg->source);
	/* Once the lock is gone it may be removed: this reference is for below. */
	if (!err)
		kref_get(&stream->ref);
	mutex_unlock(&dev->lock);
	if (!err) {
		arg->stream = stream->id;
		if (arg->flags & DEVFS_DMA_STREAM_ENABLED)
			devfs_pattern_start(stream);
	}
	mutex_unlock(&stream->run_lock);
	devfs_stream_put(stream);
	return err;
}

/* Out of the tables and silent. With devfs_device.lock held. */
static void devfs_stream_delist(struct devfs_stream *stream, struct list_head *taken)
{
	struct devfs_device *dev = stream->dev;

	dev->streams[stream->id] = NULL;
	dev->stream_count--;
	spin_lock_irq(&dev->events.lock);
	list_del_init(&stream->by_source);
	spin_lock(&stream->lock);
	stream->flags &= ~DEVFS_DMA_STREAM_ENABLED;
	stream->removed = true;
	devfs_listeners_take(&stream->listeners, &stream->listener_count, NULL, DEVFS_TAKE_ALL,
			     NULL, taken);
	spin_unlock(&stream->lock);
	spin_unlock_irq(&dev->events.lock);
}

/* @serial 0 is whichever stream has the id. */
static int devfs_stream_remove(struct devfs_device *dev, u32 id, u64 serial)
{
	struct devfs_stream *stream = devfs_stream_get(dev, id);
	LIST_HEAD(taken);
	bool mine;

	if (!stream)
		return -ENOENT;
	mutex_lock(&stream->run_lock);
	mutex_lock(&dev->lock);
	mine = !stream->removed && (!serial || stream->serial == serial);
	if (mine)
		devfs_stream_delist(stream, &taken);
	mutex_unlock(&dev->lock);
	if (mine) {
		/* The generator fires the source: not before it stopped may it go. */
		devfs_pattern_stop(stream);
		mutex_lock(&dev->lock);
		if (stream->source)
			stream->source->users--;
		mutex_unlock(&dev->lock);
	}
	mutex_unlock(&stream->run_lock);
	wake_up_interruptible(&stream->wait);
	devfs_listeners_free(&taken);
	if (mine)
		devfs_stream_put(stream);
	devfs_stream_put(stream);
	return mine ? 0 : -ENOENT;
}

/* The device is dead: its streams end, and who reads them is told. */
void devfs_streams_end(struct devfs_device *dev)
{
	u32 id;

	for (id = 0; id < DEVFS_DMA_MAX_STREAMS; id++)
		devfs_stream_remove(dev, id, 0);
}

static int devfs_stream_set(struct devfs_device *dev, const struct devfs_dma_stream *arg)
{
	struct devfs_stream *stream;
	int err = 0;

	if (arg->flags & ~DEVFS_DMA_STREAM_ENABLED)
		return -EINVAL;
	stream = devfs_stream_get(dev, arg->stream);
	if (!stream)
		return -ENOENT;
	mutex_lock(&stream->run_lock);
	spin_lock_irq(&stream->lock);
	if (stream->removed)
		err = -ENOENT;
	else if (arg->watermark > devfs_stream_room(stream))
		err = -EINVAL;
	if (!err) {
		stream->flags &= ~DEVFS_DMA_STREAM_ENABLED;
		stream->flags |= arg->flags;
		if (arg->watermark)
			stream->watermark = arg->watermark;
	}
	spin_unlock_irq(&stream->lock);
	if (!err) {
		devfs_pattern_stop(stream);
		if (arg->flags)
			devfs_pattern_start(stream);
	}
	mutex_unlock(&stream->run_lock);
	wake_up_interruptible(&stream->wait);
	devfs_stream_put(stream);
	return err;
}

static void devfs_stream_describe(struct devfs_stream *stream, struct devfs_dma_stream *arg)
{
	arg->stream = stream->id;
	memcpy(arg->name, stream->name, sizeof(arg->name));
	arg->buffer = stream->buf->id;
	arg->period = stream->period;
	arg->rate = stream->rate;
	/* A listed stream counts among the source's users: it is not freed. */
	arg->source = stream->source ? stream->source->id : DEVFS_DMA_NO_ID;
	arg->policy = stream->policy;
	arg->periods = div64_u64(stream->ring, stream->period);
	spin_lock_irq(&stream->lock);
	arg->flags = stream->flags;
	arg->produced = stream->produced;
	arg->consumed = stream->consumed;
	arg->overruns = stream->overruns;
	arg->watermark = stream->watermark;
	arg->available = stream->head - stream->tail;
	spin_unlock_irq(&stream->lock);
}

static int devfs_stream_query(struct devfs_device *dev, struct devfs_dma_stream *arg, bool next)
{
	u32 id = arg->stream, last = next ? DEVFS_DMA_MAX_STREAMS : min(id, U32_MAX - 1) + 1;
	int err = -ENOENT;

	mutex_lock(&dev->lock);
	for (; id < min_t(u32, last, DEVFS_DMA_MAX_STREAMS); id++) {
		struct devfs_stream *stream;

		stream = dev->streams[array_index_nospec(id, DEVFS_DMA_MAX_STREAMS)];
		if (!stream)
			continue;
		devfs_stream_describe(stream, arg);
		err = 0;
		break;
	}
	mutex_unlock(&dev->lock);
	return err;
}

/* Fields that only some commands take. */
static bool devfs_stream_unused_zero(const struct devfs_dma_stream *arg)
{
	if (arg->periods || arg->produced || arg->consumed || arg->overruns || arg->available ||
	    memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return false;
	if (arg->op == DEVFS_DMA_STREAM_CREATE)
		return true;
	if (arg->op != DEVFS_DMA_STREAM_SET && (arg->flags || arg->watermark))
		return false;
	return !arg->buffer && !arg->period && !arg->rate && !arg->source && !arg->policy &&
	       !memchr_inv(arg->name, 0, sizeof(arg->name));
}

long devfs_stream_ctl(struct devfs_device *dev, void __user *user)
{
	struct devfs_dma_stream arg;
	u64 serial;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.op > DEVFS_DMA_STREAM_NEXT || !devfs_stream_unused_zero(&arg))
		return -EINVAL;
	switch (arg.op) {
	case DEVFS_DMA_STREAM_CREATE:
		err = devfs_stream_create(dev, &arg, &serial);
		if (!err && copy_to_user(user, &arg, sizeof(arg))) {
			/* The caller could not be told what was made. */
			devfs_stream_remove(dev, arg.stream, serial);
			err = -EFAULT;
		}
		return err;
	case DEVFS_DMA_STREAM_REMOVE:
		return devfs_stream_remove(dev, arg.stream, 0);
	case DEVFS_DMA_STREAM_SET:
		return devfs_stream_set(dev, &arg);
	default:
		err = devfs_stream_query(dev, &arg, arg.op == DEVFS_DMA_STREAM_NEXT);
		if (!err && copy_to_user(user, &arg, sizeof(arg)))
			err = -EFAULT;
		return err;
	}
}

int devfs_stream_listen(struct devfs_stream *stream, struct devfs_listener *listener)
{
	int err = 0;

	spin_lock_irq(&stream->lock);
	if (stream->removed) {
		err = -ENOENT;
	} else if (stream->listener_count >= DEVFS_LISTENERS_MAX) {
		err = -ENOSPC;
	} else {
		list_add_tail(&listener->entry, &stream->listeners);
		stream->listener_count++;
	}
	spin_unlock_irq(&stream->lock);
	return err;
}

void devfs_stream_unlisten(struct devfs_stream *stream, struct devfs_client *client,
			   struct list_head *taken)
{
	spin_lock_irq(&stream->lock);
	devfs_listeners_take(&stream->listeners, &stream->listener_count, client,
			     DEVFS_TAKE_ALL, NULL, taken);
	spin_unlock_irq(&stream->lock);
}
