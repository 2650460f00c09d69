// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - reading a stream: in order, each byte once, what is lost counted.
 */
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include "compat.h"
#include "internal.h"
#include "stream.h"

/* Where a reader found the stream. */
struct devfs_window {
	u64 tail;
	u64 length;
	bool ended;
};

static struct devfs_window devfs_stream_look(struct devfs_stream *stream, u64 length)
{
	struct devfs_window window;

	spin_lock_irq(&stream->lock);
	window.tail = stream->tail;
	window.length = min(length, stream->head - stream->tail);
	window.ended = !(stream->flags & DEVFS_DMA_STREAM_ENABLED);
	spin_unlock_irq(&stream->lock);
	return window;
}

/* True once there is something to say: enough bytes, or an end. */
static bool devfs_stream_ready(struct devfs_stream *stream, u64 length)
{
	bool ready;

	if (devfs_dead(stream->dev))
		return true;
	spin_lock_irq(&stream->lock);
	ready = !(stream->flags & DEVFS_DMA_STREAM_ENABLED) ||
		stream->head - stream->tail >= min(length, stream->watermark);
	spin_unlock_irq(&stream->lock);
	return ready;
}

/* Bytes of [tail, tail + length) copied to the user. */
static u64 devfs_stream_copy(struct devfs_stream *stream, const struct devfs_window *window,
			     char __user *to)
{
	struct devfs_buffer *buf = stream->buf;
	u64 done = 0, start;

	if (devfs_lock_shared(buf))
		return 0;
	while (done < window->length) {
		struct iov_iter iter;
		size_t chunk;
		ssize_t copied;

		div64_u64_rem(window->tail + done, stream->ring, &start);
		chunk = min(window->length - done, stream->ring - start);
		iov_iter_ubuf(&iter, ITER_DEST, to + done, chunk);
		copied = devfs_copy(buf, start, chunk, &iter, false);
		if (copied > 0)
			done += copied;
		if (copied != chunk)
			break;
	}
	inode_unlock_shared(&buf->base.inode);
	return done;
}

/* Takes what was copied off the ring, unless the producer was there first. */
static bool devfs_stream_consume(struct devfs_stream *stream, const struct devfs_window *window,
				 u64 copied, u64 *lost)
{
	bool valid;

	spin_lock_irq(&stream->lock);
	valid = stream->tail == window->tail;
	if (valid) {
		stream->tail += copied;
		stream->consumed += copied;
		*lost = stream->overruns - stream->reported;
		stream->reported = stream->overruns;
	}
	spin_unlock_irq(&stream->lock);
	return valid;
}

/* Bytes read, 0 for nothing there yet, -ENODATA for nothing to come. */
static ssize_t devfs_stream_try(struct devfs_stream *stream, struct devfs_dma_stream_read *arg)
{
	struct devfs_window window;
	u64 copied, length = arg->length;

	/* Less each time, so that a fast producer is outrun in the end. */
	for (;; length = max(length / 2, min(length, stream->period))) {
		if (!devfs_stream_ready(stream, length))
			return 0;
		window = devfs_stream_look(stream, length);
		if (!window.length)
			return window.ended ? -ENODATA : 0;
		copied = devfs_stream_copy(stream, &window, u64_to_user_ptr(arg->address));
		if (!copied)
			return devfs_dead(stream->dev) ? -ENODEV : -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (devfs_stream_consume(stream, &window, copied, &arg->lost))
			return copied;
	}
}

static long devfs_stream_wait(struct devfs_stream *stream, struct devfs_dma_stream_read *arg)
{
	ssize_t done;

	for (;;) {
		if (devfs_dead(stream->dev))
			return -ENODEV;
		if (mutex_lock_interruptible(&stream->read_lock))
			return -ERESTARTSYS;
		done = devfs_stream_try(stream, arg);
		mutex_unlock(&stream->read_lock);
		if (done > 0) {
			arg->copied = done;
			return 0;
		}
		if (done == -ENODATA)
			return devfs_dead(stream->dev) ? -ENODEV : 0;
		if (done < 0)
			return done;
		if (arg->flags & DEVFS_DMA_STREAM_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(stream->wait,
					     devfs_stream_ready(stream, arg->length)))
			return -ERESTARTSYS;
	}
}

long devfs_stream_read(struct devfs_device *dev, void __user *user)
{
	struct devfs_dma_stream_read arg;
	struct devfs_stream *stream;
	long err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~DEVFS_DMA_STREAM_NONBLOCK || arg.copied || arg.lost || !arg.length)
		return -EINVAL;
	arg.length = min_t(u64, arg.length, MAX_RW_COUNT);
	stream = devfs_stream_get(dev, arg.stream);
	if (!stream)
		return devfs_dead(dev) ? -ENODEV : -ENOENT;
	err = inode_permission(devfs_nop_idmap, &stream->buf->base.inode, MAY_READ);
	/* What is taken off the ring can be told. */
	if (!err && put_user(arg.copied, &((struct devfs_dma_stream_read __user *)user)->copied))
		err = -EFAULT;
	if (!err)
		err = devfs_stream_wait(stream, &arg);
	devfs_stream_put(stream);
	if (!err && copy_to_user(user, &arg, sizeof(arg)))
		err = -EFAULT;
	return err;
}
