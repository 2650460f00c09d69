// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the imported heap: memory of other drivers, by their dma-bufs.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/slab.h>

#include "core/compat.h"
#include "core/module.h"
#include "dmabuf/dmabuf.h"
#include "heap/heap.h"
#include "region/region.h"

/* The reservation lock is held, within which nothing of the buffer's may be waited for. */
static void devfs_import_revoked(struct dma_buf_attachment *attach)
{
	struct devfs_buffer *buf = attach->importer_priv;

	/* What is not mapped yet may move as it likes. */
	if (!buf->import_sgt || cmpxchg(&buf->life, DEVFS_LIVE, DEVFS_REVOKED) != DEVFS_LIVE)
		return;
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
	if (!err)
		buf->import_sgt = sgt;
	else if (buf->pinned)
		dma_buf_unpin(attach);
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
	} else {
		dma_resv_lock(resv, NULL);
		dma_buf_unmap_attachment(attach, buf->import_sgt, buf->direction);
		buf->import_sgt = NULL;
		if (buf->pinned)
			dma_buf_unpin(attach);
		dma_resv_unlock(resv);
	}
	/* The exporter gives it back when nobody has the dma-buf, and knows of no flush. */
	devfs_flush_iommu(buf->base.dev->dev);
}

/* How the CPU reaches the memory. That of a region is reached through the region. */
static int devfs_import_vmap(struct devfs_buffer *buf, struct dma_buf *dmabuf)
{
	struct iosys_map map;
	int err;

	if (devfs_is_region_dmabuf(dmabuf))
		return 0;
	/*
	 * The core warns of exporters that fail, as ours does when its device goes. And of
	 * what is read-only only we map it: we look at that before each write.
	 */
	if (devfs_is_buffer_dmabuf(dmabuf))
		err = devfs_dmabuf_vmap(dmabuf, &map);
	else
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
	if (iosys_map_is_null(&map))
		return;
	if (devfs_is_buffer_dmabuf(dmabuf))
		devfs_dmabuf_vunmap(dmabuf, &map);
	else
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
	get_dma_buf(dmabuf);
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

/*
 * Memory may be on its way to where it was mapped, or was pinned. With no lock held:
 * whoever moves it need not come to an end.
 */
static int devfs_import_settle(struct dma_buf *dmabuf)
{
	long left = dma_resv_wait_timeout(dmabuf->resv, DMA_RESV_USAGE_KERNEL, true,
					  MAX_SCHEDULE_TIMEOUT);

	return min(left, 0L);
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
	buf->foreign = !devfs_is_buffer_dmabuf(dmabuf);
	if (buf->readonly && buf->direction != DMA_TO_DEVICE) {
		err = -EACCES;
		goto out_put;
	}
	/* Before as well: for importers who cannot give it back mapping waits, with locks. */
	err = devfs_import_settle(dmabuf) ?: devfs_lock(buf);
	if (err)
		goto out_put;
	err = devfs_import_locked(buf, dmabuf, why);
	inode_unlock(&buf->base.inode);
	if (!err)
		err = devfs_import_settle(dmabuf);
out_put:
	dma_buf_put(dmabuf);
	return err;
}

static void devfs_unimport(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;
	struct dma_buf *dmabuf;

	if (!buf->nsegments)
		return;
	dmabuf = buf->attach->dmabuf;
	devfs_import_vunmap(buf, dmabuf);
	devfs_import_unmap(buf, buf->attach);
	dma_buf_detach(dmabuf, buf->attach);
	devfs_uncharge(dev, buf->heap, dmabuf->size);
	dma_buf_put(dmabuf);
	kfree(buf->segments[--buf->nsegments]);
	atomic_dec(&dev->heap_buffers[buf->heap]);
}

/* With a reference, or NULL where the memory is out of reach. */
static struct dma_buf *devfs_import_get(struct devfs_buffer *buf)
{
	struct address_space *mapping = buf->base.inode.i_mapping;
	struct dma_buf *dmabuf = NULL;

	filemap_invalidate_lock_shared(mapping);
	if (!devfs_buffer_dead(buf)) {
		dmabuf = buf->attach->dmabuf;
		get_dma_buf(dmabuf);
	}
	filemap_invalidate_unlock_shared(mapping);
	return dmabuf;
}

static long devfs_import_wait(struct dma_buf *dmabuf, bool write)
{
	return dma_resv_wait_timeout(dmabuf->resv, dma_resv_usage_rw(write), true,
				     MAX_SCHEDULE_TIMEOUT);
}

static bool devfs_is_idle(struct dma_buf *dmabuf, bool write)
{
	return dma_resv_test_signaled(dmabuf->resv, dma_resv_usage_rw(write));
}

/* Whether nothing would be waited for now. With i_rwsem held. */
bool devfs_import_is_idle(struct devfs_buffer *buf, bool write)
{
	return devfs_is_idle(buf->attach->dmabuf, write);
}

/* Fences are waited for before, so that a sync for devices need not wait for them as well. */
static int devfs_import_turn(struct devfs_buffer *buf, struct dma_buf *dmabuf, bool write)
{
	do {
		long left = devfs_import_wait(dmabuf, write);

		if (left < 0)
			return left;
		if (mutex_lock_interruptible(&buf->turn))
			return -ERESTARTSYS;
		if (devfs_is_idle(dmabuf, write))
			return 0;
		mutex_unlock(&buf->turn);
	} while (true);
}

static enum dma_data_direction devfs_access_direction(bool write)
{
	return write ? DMA_BIDIRECTIONAL : DMA_FROM_DEVICE;
}

/* With the turn, which the caller has no more if it fails. */
static int devfs_import_tell(struct devfs_buffer *buf, struct dma_buf *dmabuf, bool write)
{
	int err = dma_buf_begin_cpu_access(dmabuf, devfs_access_direction(write));

	if (err)
		mutex_unlock(&buf->turn);
	return err;
}

/**
 * devfs_import_begin - an access of the CPU to imported memory is to begin
 * @buf: the buffer, with no lock held: whatever is waited for may last, and whoever
 *       else wants the buffer is not to wait for it, removal of the device above all
 * @write: the CPU will write, else it reads
 * @begun: out: what devfs_import_end() or devfs_import_leave() is given
 *
 * Waits for what other devices do with the memory. Another exporter is told of the
 * access, and of one at a time: until its end the caller has the buffer's turn. What
 * is a buffer of the module's is synced by its own means, and @begun NULL.
 *
 * Return: 0; -ENODEV where the memory is out of reach; -EACCES; that a signal came; or
 * what the exporter says.
 */
int devfs_import_begin(struct devfs_buffer *buf, bool write, struct dma_buf **begun)
{
	struct dma_buf *dmabuf;
	int err;

	*begun = NULL;
	if (write && buf->readonly)
		return -EACCES;
	dmabuf = devfs_import_get(buf);
	if (!dmabuf)
		return -ENODEV;
	if (!devfs_is_foreign(buf)) {
		err = min(devfs_import_wait(dmabuf, write), 0L);
		dma_buf_put(dmabuf);
		return err;
	}
	err = devfs_import_turn(buf, dmabuf, write) ?: devfs_import_tell(buf, dmabuf, write);
	if (err)
		dma_buf_put(dmabuf);
	else
		*begun = dmabuf;
	return err;
}

/* The same, to write, with i_rwsem held: -EBUSY where it would wait. */
int devfs_import_try(struct devfs_buffer *buf, struct dma_buf **begun)
{
	struct dma_buf *dmabuf;
	int err = -EBUSY;

	*begun = NULL;
	if (buf->readonly)
		return -EACCES;
	dmabuf = devfs_import_get(buf);
	if (!dmabuf)
		return -ENODEV;
	if (mutex_trylock(&buf->turn)) {
		if (devfs_is_idle(dmabuf, true))
			err = devfs_import_tell(buf, dmabuf, true);
		else
			mutex_unlock(&buf->turn);
	}
	if (err)
		dma_buf_put(dmabuf);
	else
		*begun = dmabuf;
	return err;
}

/* The access goes on after the caller, in mappings. */
void devfs_import_leave(struct devfs_buffer *buf, struct dma_buf *begun)
{
	if (!begun)
		return;
	mutex_unlock(&buf->turn);
	dma_buf_put(begun);
}

int devfs_import_end(struct devfs_buffer *buf, struct dma_buf *begun, bool write)
{
	int err;

	if (!begun)
		return 0;
	err = dma_buf_end_cpu_access(begun, devfs_access_direction(write));
	devfs_import_leave(buf, begun);
	return err;
}

/*
 * What was stored by a mapping is for the device: an access ends that need not have
 * begun, for which no fence is waited for. With no lock held.
 */
int devfs_import_flush(struct devfs_buffer *buf, enum dma_data_direction direction)
{
	struct dma_buf *dmabuf = devfs_import_get(buf);
	int err;

	if (!dmabuf)
		return -ENODEV;
	err = mutex_lock_interruptible(&buf->turn) ? -ERESTARTSYS : 0;
	if (err)
		goto out_put;
	err = dma_buf_end_cpu_access(dmabuf, direction);
	/*
	 * udmabuf maps its memory when the first access begins, from the CPU's to
	 * the device's, and has nothing to end before.
	 */
	if (err == -EINVAL)
		err = dma_buf_begin_cpu_access(dmabuf, DMA_BIDIRECTIONAL) ?:
		      dma_buf_end_cpu_access(dmabuf, direction);
	mutex_unlock(&buf->turn);
out_put:
	dma_buf_put(dmabuf);
	return err;
}

static int devfs_import_mmap(struct devfs_buffer *buf, struct vm_area_struct *vma)
{
	struct dma_buf *dmabuf;
	int err;

	if (buf->readonly && !devfs_map_read_only(vma))
		return -EACCES;
	/* The exporter's lock may be a buffer's like ours. */
	dmabuf = devfs_import_get(buf);
	if (!dmabuf)
		return -ENODEV;
	err = dma_buf_mmap(dmabuf, vma, vma->vm_pgoff);
	dma_buf_put(dmabuf);
	return err;
}

const struct devfs_heap_ops devfs_imported_heap = {
	.name		= "imported",
	.detach		= devfs_unimport,
	.release	= devfs_unimport,
	.mmap		= devfs_import_mmap,
};
