// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the user heap: pages of a program, pinned.
 *
 * They must be writable to their owner, whatever the direction: the buffer's file
 * could write them.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "heap/heap.h"

/* Whoever pins memory counts it in his pinned_vm, which takes no lock of a process's memory. */
static int devfs_charge_pinned(struct mm_struct *mm, size_t npages)
{
	u64 limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	u64 pinned = atomic64_add_return(npages, &mm->pinned_vm);

	if (pinned + READ_ONCE(mm->locked_vm) <= limit || capable(CAP_IPC_LOCK))
		return 0;
	atomic64_sub(npages, &mm->pinned_vm);
	return -ENOMEM;
}

static void devfs_uncharge_pinned(struct mm_struct *mm, size_t npages)
{
	atomic64_sub(npages, &mm->pinned_vm);
}

/* With no lock held: what the pages are of may be a file whose server hangs. */
static int devfs_pin_pages(struct page **pages, unsigned long start, size_t npages)
{
	size_t done = 0;

	while (done < npages) {
		int batch = min_t(size_t, npages - done, 1 << 16);
		int got = pin_user_pages_fast(start + (done << PAGE_SHIFT), batch,
					      FOLL_WRITE | FOLL_LONGTERM, pages + done);

		if (got <= 0) {
			unpin_user_pages(pages, done);
			return got ?: -EFAULT;
		}
		done += got;
	}
	return 0;
}

/* Makes pinned pages the buffer's, whose eviction frees the array. With i_rwsem held. */
static int devfs_pin_locked(struct devfs_buffer *buf, struct page **pages, size_t npages,
			    unsigned int offset, size_t size)
{
	struct devfs_device *dev = buf->base.dev;
	struct devfs_segment *segment = devfs_one_segment(buf);
	int err;

	if (!segment)
		return -ENOMEM;
	segment->npages = npages;
	err = devfs_map_segment(buf, segment, pages, offset, size);
	if (err) {
		kfree(segment);
		return err;
	}
	mmgrab(current->mm);
	filemap_invalidate_lock(buf->base.inode.i_mapping);
	buf->mm = current->mm;
	buf->pages = pages;
	buf->offset = offset;
	buf->npages = npages;
	buf->pages_room = npages;
	buf->capacity = size;
	buf->segments[buf->nsegments++] = segment;
	i_size_write(&buf->base.inode, size);
	inode_set_bytes(&buf->base.inode, npages << PAGE_SHIFT);
	filemap_invalidate_unlock(buf->base.inode.i_mapping);
	atomic_inc(&dev->heap_buffers[buf->heap]);
	if (devfs_is_bounced(buf))
		atomic64_inc(&dev->bounced);
	return 0;
}

/* The fill of PIN, @ctx an address: nothing is left of it if it fails, but what eviction frees. */
int devfs_pin(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why)
{
	u64 address = *(u64 *)ctx;
	unsigned int offset = offset_in_page(address);
	unsigned long start = address & PAGE_MASK;
	struct devfs_device *dev = buf->base.dev;
	struct page **pages;
	size_t npages;
	u64 end;
	int err;

	if (!size || check_add_overflow(address, size, &end) || end > ULONG_MAX ||
	    size > SIZE_MAX - 2 * PAGE_SIZE)
		return -EINVAL;
	if (!access_ok(u64_to_user_ptr(address), size))
		return -EFAULT;
	npages = DIV_ROUND_UP(offset + size, PAGE_SIZE);
	*why = DEVFS_DMA_WHY_LIMIT;
	err = devfs_charge(dev, buf->heap, npages << PAGE_SHIFT);
	if (err)
		return err;
	*why = DEVFS_DMA_WHY_MEMLOCK;
	err = devfs_charge_pinned(current->mm, npages);
	if (err)
		goto err_charge;
	*why = DEVFS_DMA_WHY_MEMORY;
	pages = kvmalloc_array(npages, sizeof(*pages), DEVFS_GFP);
	if (!pages) {
		err = -ENOMEM;
		goto err_pinned;
	}
	err = devfs_pin_pages(pages, start, npages);
	if (err)
		goto err_pages;
	err = devfs_lock(buf);
	if (err)
		goto err_unpin;
	err = devfs_pin_locked(buf, pages, npages, offset, size);
	inode_unlock(&buf->base.inode);
	if (err)
		goto err_unpin;
	*why = DEVFS_DMA_WHY_NONE;
	return 0;

err_unpin:
	if (err == -EIO)
		*why = DEVFS_DMA_WHY_MAPPING;
	unpin_user_pages(pages, npages);
err_pages:
	kvfree(pages);
err_pinned:
	devfs_uncharge_pinned(current->mm, npages);
err_charge:
	devfs_uncharge(dev, buf->heap, npages << PAGE_SHIFT);
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
	devfs_uncharge_pinned(buf->mm, buf->npages);
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
