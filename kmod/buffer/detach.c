// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - buffers whose device goes.
 *
 * Files and mappings of a buffer may outlive its device by far; what the DMA
 * layer made for the device may not. So each buffer is on its device's list
 * as long as it has any of that, and removal empties the list.
 */
#include <linux/device.h>
#include <linux/pagemap.h>

#include "buffer/buffer.h"
#include "buffer/object.h"
#include "core/revoke.h"
#include "heap/heap.h"

/* A new buffer, before it has memory. */
int devfs_buffer_attach(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;
	int err = -ENODEV;

	mutex_lock(&dev->lock);
	if (!devfs_dead(dev)) {
		/* Newest first: imports before what they import, if that is ours. */
		list_add(&buf->attached, &dev->attached);
		err = 0;
	}
	mutex_unlock(&dev->lock);
	return err;
}

/* It has nothing of the device's any more. */
void devfs_buffer_leave(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;

	mutex_lock(&dev->lock);
	list_del_init(&buf->attached);
	mutex_unlock(&dev->lock);
	wake_up_all(&dev->detached);
}

/* A fault that found a page before the detachment has it locked until it is mapped. */
static void devfs_wait_for_faults(struct devfs_buffer *buf)
{
	size_t i;

	for (i = 0; i < buf->npages && atomic_read(&buf->mappings); i++) {
		lock_page(buf->pages[i]);
		unlock_page(buf->pages[i]);
		cond_resched();
	}
}

/* Nobody gets at the memory any more, and who has it is told. With a reference to the inode. */
static void devfs_buffer_close(struct devfs_buffer *buf)
{
	struct address_space *mapping = buf->base.inode.i_mapping;

	inode_lock(&buf->base.inode);
	filemap_invalidate_lock(mapping);
	WRITE_ONCE(buf->life, DEVFS_DETACHED);
	filemap_invalidate_unlock(mapping);
	inode_unlock(&buf->base.inode);

	devfs_wait_for_faults(buf);
	unmap_mapping_range(mapping, 0, 0, 1);
	devfs_revoke(buf->base.dev, &buf->revocable);
}

/*
 * Importers have addresses of coherent memory, which has no other owner than
 * the device. Memory that they do not let go of is better lost than reused.
 */
static void devfs_buffer_detach(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;

	if (devfs_is_coherent(buf) && !devfs_wait_for_importers(dev, &buf->importers)) {
		dev_warn(dev->dev,
			 "buffer %llu: %zu bytes stay allocated for ever, as another device has them\n",
			 buf->id, buf->capacity);
		WRITE_ONCE(buf->life, DEVFS_LOST);
	}
	inode_lock(&buf->base.inode);
	buf->heap_ops->detach(buf);
	inode_unlock(&buf->base.inode);
}

/*
 * The exporter of imported memory wants it back: not even its lock can be waited
 * for there. The buffer keeps its name, which removal takes with it.
 */
void devfs_buffer_revoke(struct work_struct *work)
{
	struct devfs_buffer *buf = container_of(work, struct devfs_buffer, revoke);

	devfs_buffer_close(buf);
	devfs_buffer_detach(buf);
	iput(&buf->base.inode);
}

/* One that is not being evicted, or NULL; a reference goes with its place on `leaving`. */
static struct devfs_buffer *devfs_next_attached(struct devfs_device *dev)
{
	struct devfs_buffer *buf, *found = NULL;

	mutex_lock(&dev->lock);
	list_for_each_entry(buf, &dev->attached, attached) {
		if (igrab(&buf->base.inode)) {
			list_move_tail(&buf->attached, &dev->leaving);
			found = buf;
			break;
		}
	}
	mutex_unlock(&dev->lock);
	return found;
}

/* The device is dead: no buffer stays on its list. */
void devfs_buffers_detach(struct devfs_device *dev)
{
	struct devfs_buffer *buf, *next;

	/* All importers are told before any of them is waited for. */
	while ((buf = devfs_next_attached(dev))) {
		devfs_buffer_unlist(buf, NULL);
		devfs_buffer_close(buf);
	}
	list_for_each_entry_safe(buf, next, &dev->leaving, attached) {
		devfs_buffer_detach(buf);
		devfs_buffer_leave(buf);
		iput(&buf->base.inode);
	}
	/* The others are on their way out by themselves. */
	wait_event(dev->detached, list_empty_careful(&dev->attached));
}
