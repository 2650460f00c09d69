// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - memory of others as a buffer: pinned user pages, foreign dma-bufs.
 *
 * Both have one segment that is never grown, and are read and written like any
 * other buffer. Pinned pages must be writable to their owner, whatever the
 * direction: the buffer's file could write them.
 */
#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "internal.h"

static struct devfs_segment *devfs_one_segment(struct devfs_buffer *buf)
{
	struct devfs_segment *segment;

	buf->segments = kzalloc(sizeof(*buf->segments), GFP_KERNEL_ACCOUNT);
	segment = kzalloc(sizeof(*segment), GFP_KERNEL_ACCOUNT);
	if (!buf->segments || !segment) {
		/* Eviction frees the array. */
		kfree(segment);
		return NULL;
	}
	return segment;
}

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

/* At eviction. */
void devfs_unpin(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;
	struct devfs_segment *segment = buf->segments[--buf->nsegments];

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

/* The fill of IMPORT, @ctx a descriptor. */
int devfs_import(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why)
{
	struct devfs_device *dev = buf->base.dev;
	struct dma_buf_attachment *attach;
	struct devfs_segment *segment;
	struct dma_buf *dmabuf;
	struct sg_table *sgt;
	struct iosys_map map;
	int err;

	if (size)
		return -EINVAL;
	dmabuf = dma_buf_get(*(int *)ctx);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	*why = DEVFS_DMA_WHY_LIMIT;
	err = devfs_charge(dev, buf->heap, dmabuf->size);
	if (err)
		goto err_put;
	*why = DEVFS_DMA_WHY_MEMORY;
	segment = devfs_one_segment(buf);
	if (!segment) {
		err = -ENOMEM;
		goto err_charge;
	}
	attach = dma_buf_attach(dmabuf, dev->dev);
	if (IS_ERR(attach)) {
		err = PTR_ERR(attach);
		goto err_segment;
	}
	*why = DEVFS_DMA_WHY_MAPPING;
	sgt = dma_buf_map_attachment_unlocked(attach, buf->direction);
	if (IS_ERR(sgt)) {
		err = PTR_ERR(sgt);
		goto err_attach;
	}
	err = devfs_dmabuf_vmap_unlocked(dmabuf, &map);
	if (err)
		goto err_unmap;
	if (map.is_iomem) {
		/* read and write of the file could not reach it. */
		err = -EOPNOTSUPP;
		goto err_vunmap;
	}

	/* A copy: what the exporter made stays its own, and is unmapped as such. */
	segment->sgt = *sgt;
	buf->attach = attach;
	buf->import_sgt = sgt;
	buf->vaddr = map.vaddr;
	buf->capacity = dmabuf->size;
	buf->segments[buf->nsegments++] = segment;
	i_size_write(&buf->base.inode, dmabuf->size);
	inode_set_bytes(&buf->base.inode, dmabuf->size);
	atomic_inc(&dev->heap_buffers[buf->heap]);
	*why = DEVFS_DMA_WHY_NONE;
	return 0;

err_vunmap:
	devfs_dmabuf_vunmap_unlocked(dmabuf, &map);
err_unmap:
	dma_buf_unmap_attachment_unlocked(attach, sgt, buf->direction);
err_attach:
	dma_buf_detach(dmabuf, attach);
err_segment:
	kfree(segment);
err_charge:
	devfs_uncharge(dev, buf->heap, dmabuf->size);
err_put:
	dma_buf_put(dmabuf);
	return err;
}

/* At eviction. */
void devfs_unimport(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;
	struct dma_buf *dmabuf = buf->attach->dmabuf;
	struct iosys_map map = IOSYS_MAP_INIT_VADDR(buf->vaddr);

	devfs_dmabuf_vunmap_unlocked(dmabuf, &map);
	dma_buf_unmap_attachment_unlocked(buf->attach, buf->import_sgt, buf->direction);
	dma_buf_detach(dmabuf, buf->attach);
	devfs_uncharge(dev, buf->heap, dmabuf->size);
	dma_buf_put(dmabuf);
	kfree(buf->segments[--buf->nsegments]);
	atomic_dec(&dev->heap_buffers[buf->heap]);
}

/* The exporter knows what its memory needs. It may sleep. */
void devfs_import_sync(struct devfs_buffer *buf, bool cpu)
{
	struct dma_buf *dmabuf = buf->attach->dmabuf;

	if (cpu)
		dma_buf_begin_cpu_access(dmabuf, buf->direction);
	else
		dma_buf_end_cpu_access(dmabuf, buf->direction);
}

int devfs_import_mmap(struct devfs_buffer *buf, struct vm_area_struct *vma)
{
	struct address_space *mapping = buf->base.inode.i_mapping;
	struct dma_buf *dmabuf = NULL;
	int err;

	/* The exporter's may be a buffer's lock like this one. */
	filemap_invalidate_lock_shared(mapping);
	if (!buf->detached) {
		dmabuf = buf->attach->dmabuf;
		get_dma_buf(dmabuf);
	}
	filemap_invalidate_unlock_shared(mapping);
	if (!dmabuf)
		return -ENODEV;
	err = dma_buf_mmap(dmabuf, vma, vma->vm_pgoff);
	dma_buf_put(dmabuf);
	return err;
}
