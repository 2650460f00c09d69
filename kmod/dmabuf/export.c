// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - a buffer as a dma-buf that other drivers attach to.
 *
 * An export opens the buffer's file for itself, which keeps buffer and module,
 * and counts in its exports, which keeps it from shrinking. All exports of a
 * buffer have its fences: what one importer does with the memory is waited for
 * by the others, whichever dma-buf they have.
 *
 * Pages are their importers' as long as they like. Coherent memory goes with its
 * device: importers that can are asked to give it back, others are waited for.
 */
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "core/command.h"
#include "core/compat.h"
#include "core/revoke.h"
#include "core/rights.h"
#include "dmabuf/dmabuf.h"
#include "heap/heap.h"
#include "heap/sync.h"

struct devfs_export {
	struct devfs_revocable of;	/* listed where it is coherent memory */
	struct devfs_buffer *buf;
	struct file *file;
	u32 flags;			/* O_RDONLY or O_RDWR */
	size_t npages;
};

/* i_rwsem while the device is there. Nested: an importer of ours holds its own. */
int devfs_lock_exported(struct devfs_buffer *buf)
{
	inode_lock_shared_nested(&buf->base.inode, I_MUTEX_CHILD);
	if (!devfs_dead(buf->base.dev))
		return 0;
	inode_unlock_shared(&buf->base.inode);
	return -ENODEV;
}

/* What the DMA layer has as one range, in those that another device can have. */
static int devfs_coherent_table(struct devfs_buffer *buf, size_t npages, unsigned int max_range,
				struct sg_table *sgt)
{
	struct sg_page_iter at;
	struct sg_table whole;
	struct page **pages;
	size_t i = 0;
	int err;

	pages = kvmalloc_array(npages, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	err = dma_get_sgtable(buf->base.dev->dev, &whole, buf->vaddr, buf->dma_addr,
			      npages << PAGE_SHIFT);
	if (err)
		goto out;
	for_each_sgtable_page(&whole, &at, 0)
		pages[i++] = sg_page_iter_page(&at);
	err = sg_alloc_table_from_pages_segment(sgt, pages, npages, 0, npages << PAGE_SHIFT,
						max_range, GFP_KERNEL_ACCOUNT);
	sg_free_table(&whole);
out:
	kvfree(pages);
	return err;
}

/* The memory as a scatter list of its own, as each device maps it apart. */
static int devfs_export_table(struct devfs_export *export, struct device *dev,
			      struct sg_table *sgt)
{
	struct devfs_buffer *buf = export->buf;
	unsigned int max_range = devfs_max_range(dev);
	int err = devfs_lock_exported(export->buf);

	if (err)
		return err;
	if (devfs_is_coherent(buf))
		err = devfs_coherent_table(buf, export->npages, max_range, sgt);
	else
		err = sg_alloc_table_from_pages_segment(sgt, buf->pages, export->npages, 0,
							export->npages << PAGE_SHIFT, max_range,
							GFP_KERNEL_ACCOUNT);
	inode_unlock_shared(&buf->base.inode);
	return err;
}

static int devfs_dmabuf_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct devfs_export *export = dmabuf->priv;
	struct devfs_attachment *attachment = kzalloc(sizeof(*attachment), GFP_KERNEL);
	int err;

	if (!attachment)
		return -ENOMEM;
	err = devfs_export_table(export, attach->dev, &attachment->sgt);
	if (err) {
		kfree(attachment);
		return err;
	}
	attachment->dev = attach->dev;
	attachment->size = export->npages << PAGE_SHIFT;
	attachment->mapped = DMA_NONE;
	attach->priv = attachment;
	devfs_sync_lock(export->buf);
	list_add(&attachment->entry, &export->buf->attachments);
	up_write(&export->buf->sync_lock);
	return 0;
}

static void devfs_dmabuf_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct devfs_export *export = dmabuf->priv;
	struct devfs_attachment *attachment = attach->priv;

	devfs_sync_lock(export->buf);
	list_del(&attachment->entry);
	up_write(&export->buf->sync_lock);
	/* Pages go when nobody is attached: unmapping often costs no flush each time. */
	devfs_flush_iommu(attachment->dev);
	sg_free_table(&attachment->sgt);
	kfree(attachment);
}

static int devfs_export_may_write(struct devfs_export *export)
{
	return devfs_may_write_export(export->buf->base.dev, export->file);
}

/*
 * Under the lock of writers: what is written after the copy for the device that
 * this may be is synced for it, too.
 */
static int devfs_map_memory(struct devfs_buffer *buf, struct devfs_attachment *attachment,
			    enum dma_data_direction direction)
{
	int err;

	devfs_sync_lock(buf);
	err = devfs_map_shared(attachment->dev, &attachment->sgt, &direction,
			       &attachment->need_sync);
	if (!err)
		attachment->mapped = direction;
	up_write(&buf->sync_lock);
	return err;
}

/* Coherent memory is there as long as its device: removal waits for who has it mapped. */
static int devfs_map_coherent(struct devfs_buffer *buf, struct devfs_attachment *attachment,
			      enum dma_data_direction direction)
{
	int err = devfs_lock_exported(buf);

	if (err)
		return err;
	err = devfs_map_memory(buf, attachment, direction);
	if (!err)
		atomic_inc(&buf->importers);
	inode_unlock_shared(&buf->base.inode);
	return err;
}

static struct sg_table *devfs_dmabuf_map(struct dma_buf_attachment *attach,
					 enum dma_data_direction direction)
{
	struct devfs_export *export = attach->dmabuf->priv;
	struct devfs_attachment *attachment = attach->priv;
	struct devfs_buffer *buf = export->buf;
	int err;

	err = direction == DMA_TO_DEVICE ? 0 : devfs_export_may_write(export);
	if (err)
		return ERR_PTR(err);
	if (devfs_is_coherent(buf))
		err = devfs_map_coherent(buf, attachment, direction);
	else
		err = devfs_map_memory(buf, attachment, direction);
	return err ? ERR_PTR(err) : &attachment->sgt;
}

static void devfs_dmabuf_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			       enum dma_data_direction direction)
{
	struct devfs_export *export = attach->dmabuf->priv;
	struct devfs_attachment *attachment = attach->priv;
	struct devfs_buffer *buf = export->buf;

	devfs_sync_lock(buf);
	devfs_unmap_shared(attachment->dev, sgt, attachment->mapped, attachment->need_sync);
	attachment->mapped = DMA_NONE;
	up_write(&buf->sync_lock);
	if (devfs_is_coherent(buf)) {
		devfs_flush_iommu(attachment->dev);
		devfs_importer_left(buf->base.dev, &buf->importers);
	}
}

static int devfs_export_access(struct devfs_export *export, enum dma_data_direction direction,
			       bool cpu)
{
	struct devfs_buffer *buf = export->buf;
	int err = devfs_lock_exported(export->buf);

	/* What was begun while the device was there ends for the other devices. */
	if (err && cpu)
		return err;
	devfs_sync_export(buf, export->npages << PAGE_SHIFT, direction, cpu, !err);
	if (!err)
		inode_unlock_shared(&buf->base.inode);
	return 0;
}

/* Whatever the access is for: if it writes, its end will come over all that there is. */
static int devfs_dmabuf_begin(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	int err = direction == DMA_FROM_DEVICE ? 0 : devfs_export_may_write(dmabuf->priv);

	return err ?: devfs_export_access(dmabuf->priv, DMA_BIDIRECTIONAL, true);
}

/* The end of one that wrote copies what the CPU has over what the device wrote. */
static int devfs_dmabuf_end(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	int err = direction == DMA_FROM_DEVICE ? 0 : devfs_export_may_write(dmabuf->priv);

	return err ?: devfs_export_access(dmabuf->priv, direction, false);
}

/* As the buffer's own file: counted, revocable, and the same pages. */
static int devfs_dmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct devfs_export *export = dmabuf->priv;

	/* A private copy is its owner's to write. The file of the area is the importer's, maybe. */
	if (vma->vm_flags & VM_SHARED && !(export->file->f_mode & FMODE_WRITE) &&
	    !devfs_map_read_only(vma))
		return devfs_export_may_write(export);
	vma_set_file(vma, export->file);
	return export->file->f_op->mmap(export->file, vma);
}

int devfs_dmabuf_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct devfs_export *export = dmabuf->priv;
	struct devfs_buffer *buf = export->buf;
	size_t bytes = export->npages << PAGE_SHIFT, len;
	int err = devfs_lock_exported(export->buf);
	void *vaddr;

	if (err)
		return err;
	vaddr = devfs_heap_run(buf, 0, bytes, &len);
	/* Only what is not one range already needs to be made one. */
	if (len < bytes)
		vaddr = vmap(buf->pages, export->npages, VM_MAP, PAGE_KERNEL);
	if (vaddr)
		atomic_inc(&buf->importers);
	inode_unlock_shared(&buf->base.inode);
	if (!vaddr)
		return -ENOMEM;
	iosys_map_set_vaddr(map, vaddr);
	return 0;
}

void devfs_dmabuf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct devfs_export *export = dmabuf->priv;

	if (!devfs_is_coherent(export->buf) && is_vmalloc_addr(map->vaddr))
		vunmap(map->vaddr);
	devfs_importer_left(export->buf->base.dev, &export->buf->importers);
}

static void devfs_export_free(struct devfs_revocable *of)
{
	struct devfs_export *export = container_of(of, struct devfs_export, of);

	atomic_dec(&export->buf->exports);
	fput(export->file);
	kfree(export);
}

static struct dma_buf **devfs_latest(struct devfs_buffer *buf, u32 flags)
{
	return &buf->dmabufs[(flags & O_ACCMODE) == O_RDWR];
}

/*
 * Drivers of GPUs lock the reservations of all that a job names, each once: two
 * dma-bufs of one buffer would be EALREADY. As GPUs' own exporters do, the buffer
 * gives the one that it has, while that is all of it. With a reference, or NULL.
 */
static struct dma_buf *devfs_exported(struct devfs_buffer *buf, u32 flags)
{
	struct dma_buf *dmabuf;

	dma_resv_lock(&buf->resv, NULL);
	dmabuf = *devfs_latest(buf, flags);
	/* One that is being released waits for the lock. */
	if (dmabuf && (dmabuf->size != PAGE_ALIGN(i_size_read(&buf->base.inode)) ||
		       !devfs_get_file_live(dmabuf->file)))
		dmabuf = NULL;
	dma_resv_unlock(&buf->resv);
	return dmabuf;
}

static void devfs_set_exported(struct devfs_buffer *buf, struct dma_buf *dmabuf, u32 flags)
{
	dma_resv_lock(&buf->resv, NULL);
	*devfs_latest(buf, flags) = dmabuf;
	dma_resv_unlock(&buf->resv);
}

static void devfs_dmabuf_release(struct dma_buf *dmabuf)
{
	struct devfs_export *export = dmabuf->priv;
	struct dma_buf **latest = devfs_latest(export->buf, export->flags);

	dma_resv_lock(&export->buf->resv, NULL);
	if (*latest == dmabuf)
		*latest = NULL;
	dma_resv_unlock(&export->buf->resv);
	devfs_revocable_end(&export->of, export->buf->base.dev);
}

/* Coherent memory is where it is; those who pin it give it back nevertheless. */
static int devfs_dmabuf_pin(struct dma_buf_attachment *attach)
{
	return 0;
}

static void devfs_dmabuf_unpin(struct dma_buf_attachment *attach)
{
}

#define DEVFS_DMABUF_OPS \
	.attach			= devfs_dmabuf_attach, \
	.detach			= devfs_dmabuf_detach, \
	.map_dma_buf		= devfs_dmabuf_map, \
	.unmap_dma_buf		= devfs_dmabuf_unmap, \
	.begin_cpu_access	= devfs_dmabuf_begin, \
	.end_cpu_access		= devfs_dmabuf_end, \
	.mmap			= devfs_dmabuf_mmap, \
	.release		= devfs_dmabuf_release

static const struct dma_buf_ops devfs_dmabuf_ops = {
	DEVFS_DMABUF_OPS,
	.vmap			= devfs_dmabuf_vmap,
	.vunmap			= devfs_dmabuf_vunmap,
};

/*
 * Of what was exported for reading. A mapping of the kernel's can be written, and one
 * that could not would be an oops: there is none. A vmap that fails would be a warning
 * of dma_buf_vmap() with a trace, which whoever has a dma-buf could provoke.
 */
static const struct dma_buf_ops devfs_reading_ops = {
	DEVFS_DMABUF_OPS,
};

/* As the first, and importers that can give the memory back are asked to. */
static const struct dma_buf_ops devfs_coherent_ops = {
	DEVFS_DMABUF_OPS,
	.pin			= devfs_dmabuf_pin,
	.unpin			= devfs_dmabuf_unpin,
	.vmap			= devfs_dmabuf_vmap,
	.vunmap			= devfs_dmabuf_vunmap,
};

bool devfs_is_buffer_dmabuf(struct dma_buf *dmabuf)
{
	return dmabuf->ops == &devfs_dmabuf_ops || dmabuf->ops == &devfs_coherent_ops ||
	       dmabuf->ops == &devfs_reading_ops;
}

/* The buffer of which @buf is an import, or NULL. With i_rwsem held. */
struct devfs_buffer *devfs_import_of(struct devfs_buffer *buf)
{
	struct devfs_export *export;

	if (!buf->attach || !devfs_is_buffer_dmabuf(buf->attach->dmabuf))
		return NULL;
	export = buf->attach->dmabuf->priv;
	return export->buf;
}

/* Counts the export under the lock of resizing, so that its size stands. */
static int devfs_export_size(struct devfs_export *export)
{
	struct devfs_buffer *buf = export->buf;

	inode_lock(&buf->base.inode);
	export->npages = DIV_ROUND_UP(i_size_read(&buf->base.inode), PAGE_SIZE);
	if (export->npages)
		atomic_inc(&buf->exports);
	inode_unlock(&buf->base.inode);
	return export->npages ? 0 : -EINVAL;
}

/*
 * Kernels before 7.1 map what can be taken back for all that an importer could do,
 * if it cannot give it back: so what devices only read is not asked for.
 */
static const struct dma_buf_ops *devfs_export_ops(struct devfs_buffer *buf, u32 flags)
{
	if ((flags & O_ACCMODE) != O_RDWR)
		return &devfs_reading_ops;
	return devfs_is_coherent(buf) ? &devfs_coherent_ops : &devfs_dmabuf_ops;
}

static struct dma_buf *devfs_export(struct devfs_buffer *buf, u32 flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct devfs_export *export;
	struct dma_buf *dmabuf;
	int err;

	export = kzalloc(sizeof(*export), GFP_KERNEL_ACCOUNT);
	if (!export)
		return ERR_PTR(-ENOMEM);
	export->buf = buf;
	export->flags = flags;
	export->file = devfs_inode_open(&buf->base.inode, flags);
	if (IS_ERR(export->file)) {
		err = PTR_ERR(export->file);
		goto err_free;
	}
	err = devfs_export_size(export);
	if (err)
		goto err_file;
	devfs_revocable_init(&export->of, &buf->resv, devfs_export_free);
	info.ops = devfs_export_ops(buf, flags);
	info.size = export->npages << PAGE_SHIFT;
	info.flags = flags & O_ACCMODE;
	info.resv = &buf->resv;
	info.priv = export;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		devfs_revocable_put(&export->of);
		return dmabuf;
	}
	err = 0;
	if (devfs_is_coherent(buf))
		err = devfs_revocable_list(&export->of, dmabuf, buf->base.dev, &buf->revocable,
					   &buf->base.dev->dead);
	if (err) {
		dma_buf_put(dmabuf);
		return ERR_PTR(err);
	}
	devfs_set_exported(buf, dmabuf, flags);
	return dmabuf;

err_file:
	fput(export->file);
err_free:
	kfree(export);
	return ERR_PTR(err);
}

long devfs_buffer_export(struct devfs_call *call)
{
	struct devfs_buffer *buf = devfs_buffer_of(file_inode(call->file));
	struct devfs_dma_buf_export *arg = &call->arg.buf_export;
	struct dma_buf *dmabuf;
	int err;

	err = arg->reserved ? -EINVAL :
	      devfs_export_check(buf->base.dev, call->file, arg->fd_flags);
	if (err)
		return err;
	/*
	 * Pinned memory is its owner's to share, an imported dma-buf has its own
	 * fd, and reserved memory has no pages that another device could map.
	 */
	if (buf->heap >= DEVFS_DMA_HEAP_RESERVED)
		return -EOPNOTSUPP;
	dmabuf = devfs_exported(buf, arg->fd_flags) ?: devfs_export(buf, arg->fd_flags);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	return devfs_call_give(call, dmabuf->file, arg->fd_flags, &arg->fd);
}

DEVFS_IMPORT_NS_DMA_BUF;
