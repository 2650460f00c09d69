// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the user heap: pages of a program, pinned.
 *
 * They must be writable to their owner, whatever the direction: the buffer's file
 * could write them.
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "heap/heap.h"

static int devfs_pin_pages(struct devfs_buffer *buf, unsigned long start, size_t npages)
{
	size_t done = 0;

	buf->pages = kvmalloc_array(npages, sizeof(*buf->pages), GFP_KERNEL_ACCOUNT);
	if (!buf->pages)
		return -ENOMEM;
	while (done < npages) {
		int batch = min_t(size_t, npages - done, 1 << 16);
		int got = pin_user_pages_fast(start + (done << PAGE_SHIFT), batch,
					      FOLL_WRITE | FOLL_LONGTERM, buf->pages + done);

		if (got <= 0) {
			unpin_user_pages(buf->pages, done);
			return got ?: -EFAULT;
		}
		done += got;
	}
	return 0;
}

/* The fill of PIN, @ctx an address: nothing is left of it if it fails, but what eviction frees. */
int devfs_pin(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why)
{
	u64 address = *(u64 *)ctx;
	unsigned int offset = offset_in_page(address);
	unsigned long start = address & PAGE_MASK;
	struct devfs_device *dev = buf->base.dev;
	struct devfs_segment *segment;
	size_t npages, bytes;
	u64 end;
	int err;

	if (!size || check_add_overflow(address, size, &end) || end > ULONG_MAX ||
	    size > SIZE_MAX - 2 * PAGE_SIZE)
		return -EINVAL;
	if (!access_ok(u64_to_user_ptr(address), size))
		return -EFAULT;
	npages = DIV_ROUND_UP(offset + size, PAGE_SIZE);
	bytes = npages << PAGE_SHIFT;
	*why = DEVFS_DMA_WHY_LIMIT;
	err = devfs_charge(dev, buf->heap, bytes);
	if (err)
		return err;
	*why = DEVFS_DMA_WHY_MEMLOCK;
	err = account_locked_vm(current->mm, npages, true);
	if (err)
		goto err_charge;
	*why = DEVFS_DMA_WHY_MEMORY;
	segment = devfs_one_segment(buf);
	if (!segment) {
		err = -ENOMEM;
		goto err_locked;
	}
	err = devfs_pin_pages(buf, start, npages);
	if (err)
		goto err_segment;
	segment->npages = npages;
	*why = DEVFS_DMA_WHY_MAPPING;
	err = devfs_map_segment(buf, segment, buf->pages, offset, size);
	if (err)
		goto err_pages;

	mmgrab(current->mm);
	buf->mm = current->mm;
	buf->offset = offset;
	buf->npages = npages;
	buf->pages_room = npages;
	buf->capacity = size;
	buf->segments[buf->nsegments++] = segment;
	i_size_write(&buf->base.inode, size);
	inode_set_bytes(&buf->base.inode, bytes);
	atomic_inc(&dev->heap_buffers[buf->heap]);
	if (devfs_is_bounced(buf))
		atomic64_inc(&dev->bounced);
	*why = DEVFS_DMA_WHY_NONE;
	return 0;

err_pages:
	unpin_user_pages(buf->pages, npages);
err_segment:
	kfree(segment);
err_locked:
	account_locked_vm(current->mm, npages, false);
err_charge:
	devfs_uncharge(dev, buf->heap, bytes);
	return err;
}

static void devfs_unpin(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;
	struct devfs_segment *segment;

	if (!buf->nsegments)
		return;
	segment = buf->segments[--buf->nsegments];
	devfs_unmap_segment(buf, segment);
	kfree(segment);
	unpin_user_pages_dirty_lock(buf->pages, buf->npages, true);
	account_locked_vm(buf->mm, buf->npages, false);
	mmdrop(buf->mm);
	devfs_uncharge(dev, buf->heap, buf->npages << PAGE_SHIFT);
	atomic_dec(&dev->heap_buffers[buf->heap]);
	if (devfs_is_bounced(buf))
		atomic64_dec(&dev->bounced);
}

const struct devfs_heap_ops devfs_user_heap = {
	.name		= "user",
	.detach		= devfs_unpin,
	.release	= devfs_unpin,
};
