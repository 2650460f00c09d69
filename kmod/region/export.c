// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - device memory as a dma-buf, for other devices to reach.
 *
 * An export opens the region's file for itself, which keeps region and module,
 * and the one way in which the CPU has it mapped. It has a reservation lock of
 * its own, so that removal can take the memory back from the importers of a
 * dma-buf without a reference to it.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/pci-p2pdma.h>
#include <linux/slab.h>

#include "core/command.h"
#include "core/compat.h"
#include "core/rights.h"
#include "region/object.h"

/* There is nothing in the caches that would have to be synced. */
#define DEVFS_PEER_ATTRS	DMA_ATTR_SKIP_CPU_SYNC

struct devfs_region_export {
	struct devfs_revocable of;
	struct dma_resv resv;
	struct devfs_region *region;
	struct file *file;
	size_t offset;
	size_t size;
};

static void devfs_region_export_free(struct devfs_revocable *of)
{
	struct devfs_region_export *export = container_of(of, struct devfs_region_export, of);

	dma_resv_fini(&export->resv);
	fput(export->file);
	kfree(export);
}

static bool devfs_may_revoke(struct dma_buf_attachment *attach)
{
	return attach->peer2peer && attach->importer_ops &&
	       attach->importer_ops->devfs_invalidate;
}

static int devfs_peer_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct devfs_region_export *export = dmabuf->priv;
	struct pci_dev *provider = to_pci_dev(export->region->base.dev->dev);

	if (READ_ONCE(export->of.revoked))
		return -ENODEV;
	if (!devfs_may_revoke(attach))
		return -EOPNOTSUPP;
	return pci_p2pdma_distance(provider, attach->dev, false) < 0 ? -EREMOTEIO : 0;
}

/* Device memory is where it is; those who pin it must give it back nevertheless. */
static int devfs_peer_pin(struct dma_buf_attachment *attach)
{
	return 0;
}

static void devfs_peer_unpin(struct dma_buf_attachment *attach)
{
}

static int devfs_peer_may_write(struct devfs_region_export *export)
{
	return devfs_may_write_export(export->region->base.dev, export->file);
}

/* To try what is out of reach is a warning with a trace. */
static bool devfs_peer_in_reach(struct device *dev, phys_addr_t start, size_t size)
{
	return devfs_is_translated(dev) ||
	       start + size - 1 <= min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);
}

/* One bus range, in entries of the length that an entry can have. */
static struct sg_table *devfs_peer_table(dma_addr_t addr, size_t size)
{
	const size_t most = UINT_MAX & PAGE_MASK;
	struct sg_table *sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	struct scatterlist *sg;
	int i, err;

	if (!sgt)
		return ERR_PTR(-ENOMEM);
	err = sg_alloc_table(sgt, DIV_ROUND_UP(size, most), GFP_KERNEL);
	if (err) {
		kfree(sgt);
		return ERR_PTR(err);
	}
	for_each_sgtable_dma_sg(sgt, sg, i) {
		size_t length = min(size, most);

		sg_set_page(sg, NULL, length, 0);
		sg_dma_address(sg) = addr;
		sg_dma_len(sg) = length;
		addr += length;
		size -= length;
	}
	return sgt;
}

/* Another device may be where this one's memory was. */
static void devfs_peer_forget(struct device *dev, dma_addr_t addr, size_t size,
			      enum dma_data_direction direction)
{
	dma_unmap_resource(dev, addr, size, direction, DEVFS_PEER_ATTRS);
	devfs_flush_iommu(dev);
}

static struct sg_table *devfs_peer_map(struct dma_buf_attachment *attach,
				       enum dma_data_direction direction)
{
	struct devfs_region_export *export = attach->dmabuf->priv;
	phys_addr_t start = export->region->is.start + export->offset;
	struct sg_table *sgt;
	dma_addr_t addr;
	int err;

	dma_resv_assert_held(&export->resv);
	if (export->of.revoked)
		return ERR_PTR(-ENODEV);
	err = direction == DMA_TO_DEVICE ? 0 : devfs_peer_may_write(export);
	if (err)
		return ERR_PTR(err);
	if (!devfs_peer_in_reach(attach->dev, start, export->size))
		return ERR_PTR(-EIO);
	addr = dma_map_resource(attach->dev, start, export->size, direction, DEVFS_PEER_ATTRS);
	if (dma_mapping_error(attach->dev, addr))
		return ERR_PTR(-EIO);
	sgt = devfs_peer_table(addr, export->size);
	if (IS_ERR(sgt))
		devfs_peer_forget(attach->dev, addr, export->size, direction);
	else
		atomic_inc(&export->region->importers);
	return sgt;
}

static void devfs_peer_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			     enum dma_data_direction direction)
{
	struct devfs_region_export *export = attach->dmabuf->priv;

	devfs_peer_forget(attach->dev, sg_dma_address(sgt->sgl), export->size, direction);
	sg_free_table(sgt);
	kfree(sgt);
	devfs_importer_left(export->region->base.dev, &export->region->importers);
}

/* The CPU has no cache between: all that there is to say is whether it may write. */
static int devfs_peer_begin(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	return direction == DMA_FROM_DEVICE ? 0 : devfs_peer_may_write(dmabuf->priv);
}

static int devfs_peer_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct devfs_region_export *export = dmabuf->priv;

	if (!(export->file->f_mode & FMODE_WRITE) && !devfs_map_read_only(vma))
		return devfs_peer_may_write(export);
	vma_set_file(vma, export->file);
	vma->vm_pgoff += export->offset >> PAGE_SHIFT;
	return export->file->f_op->mmap(export->file, vma);
}

static void devfs_peer_release(struct dma_buf *dmabuf)
{
	struct devfs_region_export *export = dmabuf->priv;

	devfs_revocable_end(&export->of, export->region->base.dev);
}

static const struct dma_buf_ops devfs_peer_ops = {
	.attach		= devfs_peer_attach,
	.pin		= devfs_peer_pin,
	.unpin		= devfs_peer_unpin,
	.map_dma_buf	= devfs_peer_map,
	.unmap_dma_buf	= devfs_peer_unmap,
	.begin_cpu_access = devfs_peer_begin,
	.mmap		= devfs_peer_mmap,
	.release	= devfs_peer_release,
};

bool devfs_is_region_dmabuf(struct dma_buf *dmabuf)
{
	return dmabuf->ops == &devfs_peer_ops;
}

/* The CPU's part, for who imported it: accesses of the bus, and none once the device is gone. */
int devfs_region_dmabuf_access(struct dma_buf *dmabuf, size_t pos, void *data, size_t count,
			       bool write)
{
	struct devfs_region_export *export = dmabuf->priv;

	int err = write ? devfs_peer_may_write(export) : 0;

	return err ?: devfs_region_access(export->region, export->file, export->offset + pos, data,
					  count, write);
}

static struct dma_buf *devfs_region_export(struct devfs_region *region,
					   const struct devfs_dma_region_export *arg)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct devfs_region_export *export;
	struct dma_buf *dmabuf;
	int err;

	export = kzalloc(sizeof(*export), GFP_KERNEL_ACCOUNT);
	if (!export)
		return ERR_PTR(-ENOMEM);
	export->file = devfs_inode_open(&region->base.inode, arg->fd_flags);
	if (IS_ERR(export->file)) {
		err = PTR_ERR(export->file);
		kfree(export);
		return ERR_PTR(err);
	}
	dma_resv_init(&export->resv);
	devfs_revocable_init(&export->of, &export->resv, devfs_region_export_free);
	export->region = region;
	export->offset = arg->offset;
	export->size = arg->size;
	info.ops = &devfs_peer_ops;
	info.size = arg->size;
	info.flags = arg->fd_flags & O_ACCMODE;
	info.resv = &export->resv;
	info.priv = export;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		devfs_revocable_put(&export->of);
		return dmabuf;
	}
	err = devfs_revocable_list(&export->of, dmabuf, region->base.dev, &region->exports,
				   &region->gone);
	if (err) {
		dma_buf_put(dmabuf);
		return ERR_PTR(err);
	}
	return dmabuf;
}

static int devfs_region_export_check(struct devfs_region *region, struct file *file,
				     const struct devfs_dma_region_export *arg)
{
	size_t size = region->is.size;
	int err = arg->reserved ? -EINVAL :
		  devfs_export_check(region->base.dev, file, arg->fd_flags);

	if (err)
		return err;
	/* Ports and the configuration space are no memory; a page may have another BAR in it. */
	if (!(region->is.flags & DEVFS_DMA_REGION_MMAP))
		return -EOPNOTSUPP;
	/* What else is between two devices, nothing knows. */
	if (!dev_is_pci(region->base.dev->dev))
		return -EOPNOTSUPP;
	if (!arg->size || !PAGE_ALIGNED(arg->offset) || !PAGE_ALIGNED(arg->size) ||
	    arg->offset > size || arg->size > size - arg->offset)
		return -EINVAL;
	if (arg->offset < region->is.guard_end && arg->offset + arg->size > region->is.guard_start)
		return -EPERM;
	return IS_ENABLED(CONFIG_PCI_P2PDMA) ? 0 : -EOPNOTSUPP;
}

static long devfs_region_export_command(struct devfs_call *call)
{
	struct devfs_region *region = devfs_region_of(file_inode(call->file));
	struct devfs_dma_region_export *arg = &call->arg.region_export;
	struct dma_buf *dmabuf;
	int err;

	err = devfs_region_export_check(region, call->file, arg);
	if (err)
		return err;
	dmabuf = devfs_region_export(region, arg);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	return devfs_call_give(call, dmabuf->file, arg->fd_flags, &arg->fd);
}

static const struct devfs_command devfs_region_commands[] = {
	{ DEVFS_DMA_IOC_REGION_EXPORT,	false,	devfs_region_export_command },
};

long devfs_region_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct devfs_region *region = devfs_region_of(file_inode(file));

	if (READ_ONCE(region->gone))
		return -ENODEV;
	return devfs_command(region->base.dev, devfs_region_commands,
			     ARRAY_SIZE(devfs_region_commands), file, cmd, arg);
}
