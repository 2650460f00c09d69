// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - who sees what: cache maintenance and bus addresses.
 *
 * Coherent memory is never synced; neither is memory for which the DMA layer
 * said at mapping time that it need not be.
 */
#include <linux/dma-mapping.h>

#include "internal.h"
#include "trace.h"

/* Bytes of the longest range of memory that can be mapped for a device as one. */
unsigned int devfs_max_range(struct device *dev)
{
	return min_t(size_t, dma_max_mapping_size(dev), UINT_MAX) & PAGE_MASK;
}

/*
 * Maps memory that other devices, or other buffers, may have mapped, too. The
 * DMA debugging code takes overlapping mappings for a mistake unless they
 * leave the syncing to their owner: so it is done here.
 */
int devfs_map_shared(struct device *dev, struct sg_table *sgt, enum dma_data_direction direction,
		     bool coherent)
{
	int err = dma_map_sgtable(dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);

	if (!err && !coherent)
		dma_sync_sgtable_for_device(dev, sgt, direction);
	return err;
}

void devfs_unmap_shared(struct device *dev, struct sg_table *sgt,
			enum dma_data_direction direction, bool coherent)
{
	if (!coherent)
		dma_sync_sgtable_for_cpu(dev, sgt, direction);
	dma_unmap_sgtable(dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);
}

static void devfs_sync_sg(struct devfs_buffer *buf, struct scatterlist *sg, size_t offset,
			  size_t length, bool cpu)
{
	struct device *dev = buf->base.dev->dev;

	if (cpu)
		dma_sync_single_range_for_cpu(dev, sg_dma_address(sg), offset, length,
					      buf->direction);
	else
		dma_sync_single_range_for_device(dev, sg_dma_address(sg), offset, length,
						 buf->direction);
}

/* [from, to) counts from the segment's first byte. */
static void devfs_sync_segment(struct devfs_buffer *buf, struct devfs_segment *segment,
			       size_t from, size_t to, bool cpu)
{
	struct device *dev = buf->base.dev->dev;
	struct scatterlist *sg;
	size_t at = 0;
	int i;

	/*
	 * An IOMMU may have made fewer bus ranges than there are memory ranges.
	 * A part of such a range need not be one range of memory, which is what
	 * dma_sync_single_*() takes it for: sync the segment as it was mapped.
	 */
	if (segment->sgt.nents != segment->sgt.orig_nents) {
		if (cpu)
			dma_sync_sgtable_for_cpu(dev, &segment->sgt, buf->direction);
		else
			dma_sync_sgtable_for_device(dev, &segment->sgt, buf->direction);
		return;
	}
	for_each_sgtable_dma_sg(&segment->sgt, sg, i) {
		size_t len = sg_dma_len(sg);
		size_t lo = max(from, at), hi = min(to, at + len);

		if (lo < hi)
			devfs_sync_sg(buf, sg, lo - at, hi - lo, cpu);
		at += len;
		if (at >= to)
			break;
	}
}

/* Index of the segment that has page @index. */
static unsigned int devfs_segment_at(struct devfs_buffer *buf, size_t index)
{
	unsigned int lo = 0, hi = buf->nsegments;

	while (hi - lo > 1) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (buf->segments[mid]->first <= index)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void devfs_sync(struct devfs_buffer *buf, size_t offset, size_t length, bool cpu)
{
	/* Pinned memory has one segment, whose first byte is the buffer's. */
	size_t from = offset, to = from + length;
	unsigned int i;

	if (!length || !buf->nsegments)
		return;
	if (buf->attach) {
		devfs_import_sync(buf, cpu);
		return;
	}
	for (i = devfs_segment_at(buf, from >> PAGE_SHIFT); i < buf->nsegments; i++) {
		struct devfs_segment *segment = buf->segments[i];
		size_t base = segment->first << PAGE_SHIFT;
		size_t end = base + (segment->npages << PAGE_SHIFT);

		if (base >= to)
			break;
		if (segment->need_sync)
			devfs_sync_segment(buf, segment, max(from, base) - base,
					   min(to, end) - base, cpu);
	}
}

/* With i_rwsem held. The range is within the capacity. */
void devfs_sync_cpu(struct devfs_buffer *buf, size_t offset, size_t length, bool explicit)
{
	if (buf->direction != DMA_TO_DEVICE)
		devfs_sync(buf, offset, length, true);
	if (!explicit)
		return;
	/* What the device wrote before is not to be read from before the sync. */
	rmb();
	atomic64_inc(&buf->sync_cpu);
	WRITE_ONCE(buf->sync_owner, DEVFS_DMA_OWNER_CPU);
	trace_devfs_dma_sync_cpu(buf, offset, length);
}

/* With i_rwsem held. The range is within the capacity. */
void devfs_sync_device(struct devfs_buffer *buf, size_t offset, size_t length, bool explicit)
{
	/* Memory written before is there before a doorbell that follows. */
	wmb();
	devfs_sync(buf, offset, length, false);
	if (!explicit)
		return;
	atomic64_inc(&buf->sync_device);
	WRITE_ONCE(buf->sync_owner, DEVFS_DMA_OWNER_DEVICE);
	trace_devfs_dma_sync_device(buf, offset, length);
}

/* Bus ranges of the whole buffer. With i_rwsem or invalidate_lock held. */
unsigned int devfs_sg_count(struct devfs_buffer *buf)
{
	unsigned int i, count = 0;

	if (buf->detached)
		return 0;
	if (devfs_is_coherent(buf))
		return 1;
	for (i = 0; i < buf->nsegments; i++)
		count += buf->segments[i]->sgt.nents;
	return count;
}

/* The only bus address. With i_rwsem or invalidate_lock held. */
bool devfs_dma_addr(struct devfs_buffer *buf, u64 *addr)
{
	if (devfs_sg_count(buf) != 1)
		return false;
	*addr = devfs_is_coherent(buf) ? buf->dma_addr : sg_dma_address(buf->segments[0]->sgt.sgl);
	return true;
}

/* The only CPU address. With i_rwsem or invalidate_lock held. */
bool devfs_phys_addr(struct devfs_buffer *buf, u64 *addr)
{
	if (buf->heap == DEVFS_DMA_HEAP_RESERVED && !buf->detached) {
		*addr = buf->phys;
		return true;
	}
	/* Coherent memory may be remapped, imported memory need not have pages. */
	if (buf->detached || devfs_is_coherent(buf) || buf->attach || buf->nsegments != 1 ||
	    buf->segments[0]->sgt.orig_nents != 1)
		return false;
	*addr = sg_phys(buf->segments[0]->sgt.sgl);
	return true;
}
