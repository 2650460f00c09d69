// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - what all heaps share: limits, mapping for the device, reaching the memory.
 */
#include <linux/dma-direct.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "core/module.h"
#include "heap/heap.h"
#include "heap/sync.h"

#ifdef CONFIG_HIGHMEM
#error "devfs_dma reads and writes pages by their kernel address"
#endif

/* Bytes of one bus range that can be had without an IOMMU or CMA. */
size_t devfs_range_max(struct devfs_device *dev)
{
	if (devfs_is_translated(dev->dev))
		return SIZE_MAX & PAGE_MASK;
	return min_t(size_t, PAGE_SIZE << DEVFS_MAX_ORDER, dma_max_mapping_size(dev->dev));
}

/* Bytes that the limit leaves, in whole pages. */
u64 devfs_heap_room(struct devfs_device *dev)
{
	u64 limit = READ_ONCE(devfs_limit_bytes);
	u64 used = atomic64_read(&dev->used);

	return limit > used ? (limit - used) & PAGE_MASK : 0;
}

/* What is one bus range is no longer than such a range can be. */
void devfs_range_info(struct devfs_device *dev, struct devfs_dma_heap *info)
{
	info->max = min_t(u64, info->max, devfs_range_max(dev));
}

int devfs_charge(struct devfs_device *dev, u32 heap, size_t bytes)
{
	u64 limit = READ_ONCE(devfs_limit_bytes);
	s64 used = atomic64_read(&dev->used);

	do {
		if (used > limit || bytes > limit - used)
			return -ENOSPC;
	} while (!atomic64_try_cmpxchg(&dev->used, &used, used + bytes));
	atomic64_add(bytes, &dev->heap_used[heap]);
	return 0;
}

void devfs_uncharge(struct devfs_device *dev, u32 heap, size_t bytes)
{
	atomic64_sub(bytes, &dev->heap_used[heap]);
	atomic64_sub(bytes, &dev->used);
}

/*
 * The DMA layer copies what a device does not reach, by memory below 4 GiB. To
 * try where that is out of reach, too, is a warning with a trace.
 */
static bool devfs_in_reach(struct devfs_buffer *buf, struct sg_table *sgt)
{
	struct device *dev = buf->base.dev->dev;
	u64 mask = dma_get_mask(dev);
	struct scatterlist *sg;
	int i;

	if (mask >= DMA_BIT_MASK(32) || devfs_is_translated(dev))
		return true;
	if (devfs_is_copied(dev))
		return false;
	for_each_sgtable_sg(sgt, sg, i)
		if (phys_to_dma(dev, sg_phys(sg)) + sg->length - 1 > mask)
			return false;
	return true;
}

int devfs_map_segment(struct devfs_buffer *buf, struct devfs_segment *segment,
		      struct page **pages, unsigned int offset, size_t size)
{
	struct device *dev = buf->base.dev->dev;
	int err;

	segment->direction = buf->direction;
	err = sg_alloc_table_from_pages_segment(&segment->sgt, pages, segment->npages,
						offset, size, devfs_max_range(dev), DEVFS_GFP);
	if (err)
		return err;
	if (devfs_in_reach(buf, &segment->sgt))
		err = devfs_map_shared(dev, &segment->sgt, &segment->direction,
				       &segment->need_sync);
	else
		err = -EIO;
	if (err) {
		sg_free_table(&segment->sgt);
		return -EIO;
	}
	buf->need_sync |= segment->need_sync;
	return 0;
}

static void devfs_unmap_one(struct devfs_buffer *buf, struct devfs_segment *segment)
{
	devfs_unmap_shared(buf->base.dev->dev, &segment->sgt, segment->direction,
			   segment->need_sync);
	sg_free_table(&segment->sgt);
}

/* The device reaches the memory no more: it can be given back. */
void devfs_unmap_segment(struct devfs_buffer *buf, struct devfs_segment *segment)
{
	devfs_unmap_one(buf, segment);
	devfs_flush_iommu(buf->base.dev->dev);
}

/* All of the buffer's, for which one flush is enough. */
void devfs_unmap_segments(struct devfs_buffer *buf)
{
	unsigned int i;

	for (i = 0; i < buf->nsegments; i++)
		devfs_unmap_one(buf, buf->segments[i]);
	if (i)
		devfs_flush_iommu(buf->base.dev->dev);
}

/* Of memory that is mapped once and never grown. */
struct devfs_segment *devfs_one_segment(struct devfs_buffer *buf)
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

/*
 * Bytes from byte @at of @page to the end of its folio: copies to and from
 * users that go on in the next one are an overrun to CONFIG_HARDENED_USERCOPY.
 */
static size_t devfs_folio_left(struct page *page, size_t at)
{
	struct folio *folio = page_folio(page);

	if (!folio_test_large(folio))
		return SIZE_MAX;
	return folio_size(folio) - ((page_to_pfn(page) - folio_pfn(folio)) << PAGE_SHIFT) - at;
}

/* Kernel address of byte @pos, and how many bytes up to @max follow it there. Not of iomem. */
void *devfs_heap_run(struct devfs_buffer *buf, size_t pos, size_t max, size_t *len)
{
	size_t at, index, run;
	unsigned long pfn;

	if (buf->vaddr) {
		*len = max;
		return buf->vaddr + pos;
	}
	pos += buf->offset;
	index = pos >> PAGE_SHIFT;
	at = offset_in_page(pos);
	max = min(max, devfs_folio_left(buf->pages[index], at));
	pfn = page_to_pfn(buf->pages[index]);
	for (run = PAGE_SIZE - at; run < max; run += PAGE_SIZE)
		if (page_to_pfn(buf->pages[++index]) != ++pfn)
			break;
	*len = min(run, max);
	return page_address(buf->pages[pos >> PAGE_SHIFT]) + at;
}
