// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the reserved heap: memory that was kept from the kernel.
 *
 * It has no struct pages that could be counted, so it is mapped by page frame
 * number, nothing can pin it, and it is not exported. Its CPU mapping is one
 * that the device is coherent with: it is never synced.
 */
#include <linux/bitmap.h>
#include <linux/cc_platform.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/slab.h>

#include "heap/heap.h"

/* One range of memory; a set bit is a page in use. */
struct devfs_range {
	struct list_head entry;
	phys_addr_t start;
	unsigned long pages;
	void *vaddr;
	unsigned long *used;
};

/* Nothing that the kernel, or another driver, uses itself. */
static int devfs_range_claim(struct devfs_device *dev, phys_addr_t start, resource_size_t size)
{
	if (devfs_is_ram(start, size)) {
		dev_err(dev->dev, "reserved memory %pa+%pa is the kernel's own: keep it away by memmap=SIZE$ADDRESS or no-map\n",
			&start, &size);
		return -EBUSY;
	}
	if (!request_mem_region(start, size, "devfs_dma")) {
		dev_err(dev->dev, "reserved memory %pa+%pa is in use by another driver\n",
			&start, &size);
		return -EBUSY;
	}
	return 0;
}

/**
 * devfs_reserved_add - give a device a range for its reserved heap
 * @dev: the device, before it has a node
 * @start: CPU address, page aligned
 * @size: bytes, whole pages
 *
 * Return: 0; EINVAL; EBUSY for memory that the kernel or a driver uses;
 * EOPNOTSUPP where memory is encrypted; ENOMEM.
 */
int devfs_reserved_add(struct devfs_device *dev, phys_addr_t start, resource_size_t size)
{
	struct devfs_range *range;
	int err;

	if (!size || !PAGE_ALIGNED(start) || !PAGE_ALIGNED(size) || start + size < start ||
	    size >> PAGE_SHIFT > INT_MAX) {
		dev_err(dev->dev, "reserved memory %pa+%pa is not a range of whole pages\n",
			&start, &size);
		return -EINVAL;
	}
	if (cc_platform_has(CC_ATTR_MEM_ENCRYPT))
		return -EOPNOTSUPP;
	range = kzalloc(sizeof(*range), GFP_KERNEL);
	if (!range)
		return -ENOMEM;
	range->start = start;
	range->pages = size >> PAGE_SHIFT;
	err = -ENOMEM;
	range->used = bitmap_zalloc(range->pages, GFP_KERNEL);
	if (!range->used)
		goto err_range;
	err = devfs_range_claim(dev, start, size);
	if (err)
		goto err_bitmap;
	range->vaddr = memremap(start, size,
				dev_is_dma_coherent(dev->dev) ? MEMREMAP_WB : MEMREMAP_WC);
	if (!range->vaddr) {
		err = -ENOMEM;
		goto err_claim;
	}
	list_add_tail(&range->entry, &dev->reserved);
	return 0;

err_claim:
	release_mem_region(start, size);
err_bitmap:
	bitmap_free(range->used);
err_range:
	kfree(range);
	return err;
}

/* No buffer has any of it any more. */
void devfs_reserved_end(struct devfs_device *dev)
{
	struct devfs_range *range, *next;

	list_for_each_entry_safe(range, next, &dev->reserved, entry) {
		list_del(&range->entry);
		memunmap(range->vaddr);
		release_mem_region(range->start, (resource_size_t)range->pages << PAGE_SHIFT);
		bitmap_free(range->used);
		kfree(range);
	}
}

bool devfs_reserved_exists(struct devfs_device *dev)
{
	return !list_empty(&dev->reserved);
}

/* Bytes of the longest run of free pages. */
static u64 devfs_range_longest(struct devfs_range *range)
{
	unsigned long from = 0, to, longest = 0;

	while (from < range->pages) {
		from = find_next_zero_bit(range->used, range->pages, from);
		to = find_next_bit(range->used, range->pages, from);
		longest = max(longest, to - from);
		from = to;
	}
	return (u64)longest << PAGE_SHIFT;
}

static void devfs_reserved_info(struct devfs_device *dev, struct devfs_dma_heap *info)
{
	struct devfs_range *range;

	info->size = 0;
	info->max = 0;
	mutex_lock(&dev->lock);
	list_for_each_entry(range, &dev->reserved, entry) {
		info->size += (u64)range->pages << PAGE_SHIFT;
		info->max = max(info->max, devfs_range_longest(range));
	}
	mutex_unlock(&dev->lock);
}

/* What the device must be given for it. The memory is RAM, not another device's registers. */
static int devfs_reserved_map(struct devfs_buffer *buf, size_t bytes)
{
	struct device *dev = buf->base.dev->dev;
	u64 limit = min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);

	if (devfs_is_translated(dev)) {
		buf->dma_addr = dma_map_resource(dev, buf->phys, bytes, buf->direction, 0);
		return dma_mapping_error(dev, buf->dma_addr);
	}
	/* dma_map_resource() would leave out an offset between memory and bus. */
	buf->dma_addr = phys_to_dma(dev, buf->phys);
	return buf->dma_addr == DMA_MAPPING_ERROR || buf->dma_addr + bytes - 1 > limit ? -EIO : 0;
}

static struct devfs_range *devfs_reserved_take(struct devfs_device *dev, unsigned long pages,
					       unsigned long *first)
{
	struct devfs_range *range;

	lockdep_assert_held(&dev->lock);
	list_for_each_entry(range, &dev->reserved, entry) {
		/* The bitmap's functions count in 32 bits. */
		if (pages > range->pages)
			continue;
		*first = bitmap_find_next_zero_area(range->used, range->pages, 0, pages, 0);
		if (*first < range->pages) {
			bitmap_set(range->used, *first, pages);
			return range;
		}
	}
	return NULL;
}

static void devfs_reserved_put(struct devfs_buffer *buf, size_t bytes)
{
	struct devfs_device *dev = buf->base.dev;
	struct devfs_range *range;

	mutex_lock(&dev->lock);
	list_for_each_entry(range, &dev->reserved, entry) {
		unsigned long first = (buf->phys - range->start) >> PAGE_SHIFT;

		if (buf->phys >= range->start && first < range->pages) {
			bitmap_clear(range->used, first, bytes >> PAGE_SHIFT);
			break;
		}
	}
	mutex_unlock(&dev->lock);
}

/* A new buffer's memory: one range, zeroed. */
static int devfs_reserved_alloc(struct devfs_buffer *buf, size_t size, u32 *why)
{
	struct devfs_device *dev = buf->base.dev;
	size_t bytes = PAGE_ALIGN(size), at;
	struct devfs_range *range;
	unsigned long first;
	int err;

	mutex_lock(&dev->lock);
	range = devfs_reserved_take(dev, bytes >> PAGE_SHIFT, &first);
	mutex_unlock(&dev->lock);
	*why = DEVFS_DMA_WHY_MEMORY;
	if (!range)
		return -ENOMEM;
	buf->phys = range->start + ((phys_addr_t)first << PAGE_SHIFT);
	buf->vaddr = range->vaddr + (first << PAGE_SHIFT);
	err = devfs_reserved_map(buf, bytes);
	if (err) {
		*why = DEVFS_DMA_WHY_MAPPING;
		goto err_put;
	}
	for (at = 0; at < bytes; at += PAGE_SIZE) {
		memset(buf->vaddr + at, 0, PAGE_SIZE);
		cond_resched();
	}
	inode_set_bytes(&buf->base.inode, bytes);
	atomic64_add(bytes, &dev->heap_used[buf->heap]);
	atomic_inc(&dev->heap_buffers[buf->heap]);
	*why = DEVFS_DMA_WHY_NONE;
	return 0;

err_put:
	devfs_reserved_put(buf, bytes);
	buf->vaddr = NULL;
	return -EIO;
}

static void devfs_reserved_free(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;
	size_t bytes = PAGE_ALIGN(buf->capacity);

	if (!buf->vaddr || buf->life == DEVFS_LOST)
		return;
	if (devfs_is_translated(dev->dev))
		dma_unmap_resource(dev->dev, buf->dma_addr, bytes, buf->direction, 0);
	devfs_flush_iommu(dev->dev);
	devfs_reserved_put(buf, bytes);
	buf->vaddr = NULL;
	atomic64_sub(bytes, &dev->heap_used[buf->heap]);
	atomic_dec(&dev->heap_buffers[buf->heap]);
}

const struct devfs_heap_ops devfs_reserved_heap = {
	.name		= "reserved",
	.alloc		= devfs_reserved_alloc,
	.detach		= devfs_reserved_free,
	.release	= devfs_reserved_free,
	.mmap		= devfs_range_mmap,
	.info		= devfs_reserved_info,
};
