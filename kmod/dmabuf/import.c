// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - memory of others as a buffer: pinned user pages, foreign dma-bufs.
 *
 * Both have one segment that is never grown, and are read and written like any
 * other buffer. Pinned pages must be writable to their owner, whatever the
 * direction: the buffer's file could write them.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core/compat.h"
#include "core/internal.h"

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

/* The reservation lock is held, within which nothing of the buffer's may be waited for. */
static void devfs_import_revoked(struct dma_buf_attachment *attach)
{
	struct devfs_buffer *buf = attach->importer_priv;

	/* What is not mapped yet may move as it likes. */
	if (!buf->import_sgt || buf->revoked)
		return;
	WRITE_ONCE(buf->revoked, true);
	/* One that is being evicted gives it back by itself. */
	if (igrab(&buf->base.inode))
		queue_work(devfs_workqueue, &buf->revoke);
}

static const struct dma_buf_attach_ops devfs_import_ops = {
	.allow_peer2peer	= true,
	.devfs_invalidate	= devfs_import_revoked,
};

/*
 * Only who can give memory back gets a device's. Of exporters that never take
 * any, kernels before 7.1 map it at once for such an importer, both ways.
 */
static struct dma_buf_attachment *devfs_import_attach(struct devfs_buffer *buf,
						      struct dma_buf *dmabuf)
{
	struct device *dev = buf->base.dev->dev;

	if (!dma_buf_is_dynamic(dmabuf))
		return dma_buf_attach(dmabuf, dev);
	return dma_buf_dynamic_attach(dmabuf, dev, &devfs_import_ops, buf);
}

/* Maps memory that its exporter may move: users have its addresses, so it is pinned. */
static int devfs_import_map_pinned(struct devfs_buffer *buf, struct dma_buf_attachment *attach)
{
	struct dma_resv *resv = attach->dmabuf->resv;
	struct sg_table *sgt;
	int err;

	dma_resv_lock(resv, NULL);
	err = dma_buf_pin(attach);
	/* Some exporters take it back, but never move it. */
	if (err && err != -EOPNOTSUPP)
		goto out_unlock;
	buf->pinned = !err;
	sgt = dma_buf_map_attachment(attach, buf->direction);
	err = PTR_ERR_OR_ZERO(sgt);
	if (!err) {
		buf->import_sgt = sgt;
		/* It may be on its way there. */
		dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, false, MAX_SCHEDULE_TIMEOUT);
	} else if (buf->pinned) {
		dma_buf_unpin(attach);
	}
out_unlock:
	dma_resv_unlock(resv);
	return err;
}

static int devfs_import_map(struct devfs_buffer *buf, struct dma_buf_attachment *attach)
{
	struct sg_table *sgt;

	if (attach->importer_ops)
		return devfs_import_map_pinned(buf, attach);
	sgt = dma_buf_map_attachment_unlocked(attach, buf->direction);
	if (!IS_ERR(sgt))
		buf->import_sgt = sgt;
	return PTR_ERR_OR_ZERO(sgt);
}

static void devfs_import_unmap(struct devfs_buffer *buf, struct dma_buf_attachment *attach)
{
	struct dma_resv *resv = attach->dmabuf->resv;

	if (!attach->importer_ops) {
		dma_buf_unmap_attachment_unlocked(attach, buf->import_sgt, buf->direction);
		return;
	}
	dma_resv_lock(resv, NULL);
	dma_buf_unmap_attachment(attach, buf->import_sgt, buf->direction);
	buf->import_sgt = NULL;
	if (buf->pinned)
		dma_buf_unpin(attach);
	dma_resv_unlock(resv);
}

/* How the CPU reaches the memory. That of a region is reached through the region. */
static int devfs_import_vmap(struct devfs_buffer *buf, struct dma_buf *dmabuf)
{
	struct iosys_map map;
	int err;

	if (devfs_is_region_dmabuf(dmabuf))
		return 0;
	err = devfs_dmabuf_vmap_unlocked(dmabuf, &map);
	if (err)
		return err;
	if (map.is_iomem)
		buf->iomem = map.vaddr_iomem;
	else
		buf->vaddr = map.vaddr;
	return 0;
}

static void devfs_import_vunmap(struct devfs_buffer *buf, struct dma_buf *dmabuf)
{
	struct iosys_map map;

	if (buf->iomem)
		iosys_map_set_vaddr_iomem(&map, buf->iomem);
	else
		iosys_map_set_vaddr(&map, buf->vaddr);
	if (!iosys_map_is_null(&map))
		devfs_dmabuf_vunmap_unlocked(dmabuf, &map);
}

/* With i_rwsem held, for which taking the memory back waits. */
static int devfs_import_locked(struct devfs_buffer *buf, struct dma_buf *dmabuf, u32 *why)
{
	struct devfs_device *dev = buf->base.dev;
	struct dma_buf_attachment *attach;
	struct devfs_segment *segment;
	int err;

	*why = DEVFS_DMA_WHY_LIMIT;
	err = devfs_charge(dev, buf->heap, dmabuf->size);
	if (err)
		return err;
	*why = DEVFS_DMA_WHY_MEMORY;
	segment = devfs_one_segment(buf);
	if (!segment) {
		err = -ENOMEM;
		goto err_charge;
	}
	attach = devfs_import_attach(buf, dmabuf);
	if (IS_ERR(attach)) {
		err = PTR_ERR(attach);
		goto err_segment;
	}
	*why = DEVFS_DMA_WHY_MAPPING;
	err = devfs_import_map(buf, attach);
	if (err)
		goto err_attach;
	err = devfs_import_vmap(buf, dmabuf);
	if (err)
		goto err_unmap;

	/* A copy: what the exporter made stays its own, and is unmapped as such. */
	segment->sgt = *buf->import_sgt;
	buf->attach = attach;
	buf->capacity = dmabuf->size;
	buf->segments[buf->nsegments++] = segment;
	i_size_write(&buf->base.inode, dmabuf->size);
	inode_set_bytes(&buf->base.inode, dmabuf->size);
	atomic_inc(&dev->heap_buffers[buf->heap]);
	*why = DEVFS_DMA_WHY_NONE;
	return 0;

err_unmap:
	devfs_import_unmap(buf, attach);
err_attach:
	dma_buf_detach(dmabuf, attach);
err_segment:
	kfree(segment);
err_charge:
	devfs_uncharge(dev, buf->heap, dmabuf->size);
	return err;
}

/* The fill of IMPORT, @ctx a descriptor. */
int devfs_import(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why)
{
	struct dma_buf *dmabuf;
	int err;

	if (size)
		return -EINVAL;
	dmabuf = dma_buf_get(*(int *)ctx);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	buf->readonly = !(dmabuf->file->f_mode & FMODE_WRITE);
	if (buf->readonly && buf->direction != DMA_TO_DEVICE) {
		dma_buf_put(dmabuf);
		return -EACCES;
	}
	INIT_WORK(&buf->revoke, devfs_buffer_revoke);
	inode_lock(&buf->base.inode);
	err = devfs_import_locked(buf, dmabuf, why);
	inode_unlock(&buf->base.inode);
	if (err)
		dma_buf_put(dmabuf);
	return err;
}

/* At eviction, or with i_rwsem held. */
void devfs_unimport(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;
	struct dma_buf *dmabuf = buf->attach->dmabuf;

	devfs_import_vunmap(buf, dmabuf);
	devfs_import_unmap(buf, buf->attach);
	dma_buf_detach(dmabuf, buf->attach);
	devfs_uncharge(dev, buf->heap, dmabuf->size);
	dma_buf_put(dmabuf);
	kfree(buf->segments[--buf->nsegments]);
	atomic_dec(&dev->heap_buffers[buf->heap]);
}

/* The exporter knows what its memory needs. It may sleep. With sync_lock held. */
int devfs_import_begin(struct devfs_buffer *buf, enum dma_data_direction direction)
{
	return dma_buf_begin_cpu_access(buf->attach->dmabuf, direction);
}

int devfs_import_end(struct devfs_buffer *buf, enum dma_data_direction direction)
{
	return dma_buf_end_cpu_access(buf->attach->dmabuf, direction);
}

/* What was stored by a mapping is for the device: an access ends that need not have begun. */
int devfs_import_flush(struct devfs_buffer *buf, enum dma_data_direction direction)
{
	int err = devfs_import_end(buf, direction);

	/*
	 * udmabuf maps its memory when the first access begins, from the CPU's to
	 * the device's, and has nothing to end before.
	 */
	if (err == -EINVAL)
		err = devfs_import_begin(buf, DMA_BIDIRECTIONAL) ?:
		      devfs_import_end(buf, direction);
	return err;
}

int devfs_import_mmap(struct devfs_buffer *buf, struct vm_area_struct *vma)
{
	struct address_space *mapping = buf->base.inode.i_mapping;
	struct dma_buf *dmabuf = NULL;
	int err;

	if (buf->readonly && !devfs_map_read_only(vma))
		return -EACCES;
	/* The exporter's may be a buffer's lock like this one. */
	filemap_invalidate_lock_shared(mapping);
	if (!buf->detached && !READ_ONCE(buf->revoked)) {
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
