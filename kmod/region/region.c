// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - regions: device memory, ports and registers, and how long they live.
 *
 * A file is mapped for the kernel while it is open, so that large BARs cost
 * nothing, and so that the cacheability of a BAR is that of the one file of it
 * that is open: a CPU must not have the same memory mapped in two ways.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/nospec.h>

#include "core/client.h"
#include "core/command.h"
#include "core/compat.h"
#include "core/rights.h"
#include "core/safety.h"
#include "region/object.h"

const size_t devfs_region_size = sizeof(struct devfs_region);

static u64 devfs_memory_read(struct devfs_region *region, size_t offset, unsigned int width)
{
	void __iomem *at = region->mapped + offset;

	switch (width) {
	case 1:
		return readb(at);
	case 2:
		return readw(at);
	case 4:
		return readl(at);
#ifdef CONFIG_64BIT
	case 8:
		return readq(at);
#endif
	}
	return 0;
}

static void devfs_memory_write(struct devfs_region *region, size_t offset, unsigned int width,
			       u64 value)
{
	void __iomem *at = region->mapped + offset;

	switch (width) {
	case 1:
		writeb(value, at);
		break;
	case 2:
		writew(value, at);
		break;
	case 4:
		writel(value, at);
		break;
#ifdef CONFIG_64BIT
	case 8:
		writeq(value, at);
		break;
#endif
	}
}

const struct devfs_region_ops devfs_memory_ops = {
	.widest	= sizeof(long),
	.read	= devfs_memory_read,
	.write	= devfs_memory_write,
};

static u64 devfs_port_read(struct devfs_region *region, size_t offset, unsigned int width)
{
	void __iomem *at = region->mapped + offset;

	switch (width) {
	case 1:
		return ioread8(at);
	case 2:
		return ioread16(at);
	default:
		return ioread32(at);
	}
}

static void devfs_port_write(struct devfs_region *region, size_t offset, unsigned int width,
			     u64 value)
{
	void __iomem *at = region->mapped + offset;

	switch (width) {
	case 1:
		iowrite8(value, at);
		break;
	case 2:
		iowrite16(value, at);
		break;
	default:
		iowrite32(value, at);
	}
}

const struct devfs_region_ops devfs_port_ops = {
	.widest	= sizeof(u32),
	.read	= devfs_port_read,
	.write	= devfs_port_write,
};

/* With invalidate_lock held exclusively. */
static int devfs_region_map(struct devfs_region *region)
{
	if (region->is.flags & DEVFS_DMA_REGION_CONFIG)
		return 0;
	if (region->is.flags & DEVFS_DMA_REGION_PORTS)
		region->mapped = ioport_map(region->is.start, region->is.size);
	else if (region->is.flags & DEVFS_DMA_REGION_COMBINED)
		region->mapped = ioremap_wc(region->is.start, region->is.size);
	else
		region->mapped = ioremap(region->is.start, region->is.size);
	return region->mapped ? 0 : -ENOMEM;
}

static void devfs_region_unmap(struct devfs_region *region)
{
	if (!region->mapped)
		return;
	if (region->is.flags & DEVFS_DMA_REGION_PORTS)
		ioport_unmap(region->mapped);
	else
		iounmap(region->mapped);
	region->mapped = NULL;
}

int devfs_region_open(struct inode *inode, struct file *file)
{
	struct devfs_region *region = devfs_region_of(inode);
	struct devfs_device *dev = region->base.dev;
	int err = 0;

	mutex_lock(&dev->lock);
	filemap_invalidate_lock(inode->i_mapping);
	if (region->gone)
		err = -ENODEV;
	else if (region->twin && region->twin->opens)
		err = -EBUSY;
	else if (!region->opens)
		err = devfs_region_map(region);
	if (!err)
		region->opens++;
	filemap_invalidate_unlock(inode->i_mapping);
	mutex_unlock(&dev->lock);
	/* There is no cache to go round: O_DIRECT is what happens anyway. */
	file->f_mode |= FMODE_CAN_ODIRECT;
	return err;
}

/* Mappings keep the file, so none is left now. */
int devfs_region_release(struct inode *inode, struct file *file)
{
	struct devfs_region *region = devfs_region_of(inode);
	struct devfs_device *dev = region->base.dev;

	mutex_lock(&dev->lock);
	filemap_invalidate_lock(inode->i_mapping);
	if (!--region->opens)
		devfs_region_unmap(region);
	filemap_invalidate_unlock(inode->i_mapping);
	mutex_unlock(&dev->lock);
	return 0;
}

/* Flags of device memory: a page of which it is a part may have another device's in it. */
u32 devfs_memory_flags(resource_size_t start, resource_size_t size)
{
	u32 flags = DEVFS_DMA_REGION_WRITE;

	if (PAGE_ALIGNED(start) && PAGE_ALIGNED(size))
		flags |= DEVFS_DMA_REGION_MMAP;
	return flags;
}

/*
 * A new region without anything. iput() frees it. Only an open file of it keeps
 * the module: unloading unbinds a device that nobody uses.
 */
static struct devfs_region *devfs_region_inode(struct devfs_device *dev)
{
	struct inode *inode = devfs_inode_new(dev, &devfs_region_kind);

	return IS_ERR(inode) ? ERR_CAST(inode) : devfs_region_of(inode);
}

/**
 * devfs_region_add - make a region of a device that is not registered yet
 * @dev: the device
 * @is: what it is
 *
 * Return: the region, which devfs_regions_end() ends, or an ERR_PTR.
 */
struct devfs_region *devfs_region_add(struct devfs_device *dev,
				      const struct devfs_region_setup *is)
{
	struct devfs_region *region;

	if (dev->region_count == DEVFS_REGIONS_MAX)
		return ERR_PTR(-ENOSPC);
	region = devfs_region_inode(dev);
	if (IS_ERR(region))
		return region;
	region->is = *is;
	INIT_LIST_HEAD(&region->exports);
	region->base.inode.i_mode = S_IFREG | 0600;
	region->base.inode.i_uid = GLOBAL_ROOT_UID;
	region->base.inode.i_gid = GLOBAL_ROOT_GID;
	i_size_write(&region->base.inode, region->is.size);
	dev->regions[dev->region_count++] = region;
	return region;
}

/* Both are the same memory, by another kind of mapping: one of them is open at a time. */
void devfs_region_pair(struct devfs_region *region, struct devfs_region *twin)
{
	region->twin = twin;
	twin->twin = region;
}

/* The device goes: nothing reaches its regions any more when this returns. */
void devfs_regions_end(struct devfs_device *dev)
{
	struct devfs_region *regions[DEVFS_REGIONS_MAX];
	unsigned int i, count;

	mutex_lock(&dev->lock);
	count = dev->region_count;
	dev->region_count = 0;
	memcpy(regions, dev->regions, sizeof(regions));
	for (i = 0; i < count; i++)
		regions[i]->twin = NULL;
	mutex_unlock(&dev->lock);

	for (i = 0; i < count; i++) {
		struct inode *inode = &regions[i]->base.inode;

		filemap_invalidate_lock(inode->i_mapping);
		WRITE_ONCE(regions[i]->gone, true);
		devfs_region_unmap(regions[i]);
		filemap_invalidate_unlock(inode->i_mapping);
		/* No fault can bring back what this takes away. */
		unmap_mapping_range(inode->i_mapping, 0, 0, 1);
		devfs_revoke(dev, &regions[i]->exports);
	}
	/* Only then: all importers have the same time. */
	for (i = 0; i < count; i++) {
		if (!devfs_wait_for_importers(dev, &regions[i]->importers))
			dev_warn(dev->dev, "%s: another device has it mapped still\n",
				 regions[i]->is.name);
		iput(&regions[i]->base.inode);
	}
}

static struct devfs_region *devfs_region_get(struct devfs_device *dev, u32 index)
{
	struct devfs_region *region = NULL;

	mutex_lock(&dev->lock);
	if (index < dev->region_count) {
		region = dev->regions[array_index_nospec(index, DEVFS_REGIONS_MAX)];
		ihold(&region->base.inode);
	}
	mutex_unlock(&dev->lock);
	return region;
}

long devfs_get_region(struct devfs_call *call)
{
	struct devfs_client *client = call->file->private_data;
	struct devfs_dma_region *arg = &call->arg.region, info = {};
	struct devfs_region *region;

	if (arg->flags || memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return -EINVAL;
	region = devfs_region_get(client->dev, arg->index);
	if (!region)
		return -EINVAL;
	info.index = arg->index;
	info.flags = region->is.flags;
	memcpy(info.name, region->is.name, sizeof(info.name));
	info.size = region->is.size;
	info.ino = region->base.inode.i_ino;
	if (region->is.ops == &devfs_memory_ops &&
	    (devfs_owns_node(client) || capable(CAP_SYS_RAWIO)))
		info.phys_addr = region->is.start;
	iput(&region->base.inode);
	*arg = info;
	return 0;
}

/* Whose node it is has the device; others have what the region's own mode gives them. */
static int devfs_may_have(struct devfs_client *client, struct devfs_region *region, u32 fd_flags)
{
	if (devfs_owns_node(client))
		return 0;
	return devfs_may_access(client->dev, &region->base.inode, fd_flags);
}

long devfs_open_region(struct devfs_call *call)
{
	struct devfs_client *client = call->file->private_data;
	struct devfs_dma_open_region *arg = &call->arg.open_region;
	struct devfs_region *region;
	struct file *file;
	long err;

	if (arg->fd_flags & ~(O_ACCMODE | O_CLOEXEC) ||
	    (arg->fd_flags & O_ACCMODE) == O_ACCMODE || arg->pad ||
	    memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return -EINVAL;
	err = devfs_may_as_asked(client->dev, call->file, arg->fd_flags);
	if (err)
		return err;
	region = devfs_region_get(client->dev, arg->index);
	if (!region)
		return -EINVAL;
	err = devfs_may_have(client, region, arg->fd_flags);
	file = err ? ERR_PTR(err) : devfs_inode_open(&region->base.inode, arg->fd_flags);
	/* devfs_region_reach() looks at the mark. */
	if (!IS_ERR(file) && devfs_may_program(call->file))
		file->private_data = client->dev;
	iput(&region->base.inode);
	return devfs_call_give(call, file, arg->fd_flags, &arg->fd);
}
