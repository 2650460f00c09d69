// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - who sees what: mapping memory for devices, and cache maintenance.
 *
 * Coherent memory is never synced for its own device; neither is memory for
 * which the DMA layer said at mapping time that it need not be.
 */
#include <linux/dma-buf.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/pci.h>
#include <linux/swiotlb.h>

#include "heap/heap.h"
#include "heap/sync.h"

/* Bytes, of whole pages, of the longest range of memory that can be mapped for a device as one. */
unsigned int devfs_max_range(struct device *dev)
{
	size_t most = min_t(size_t, dma_max_mapping_size(dev), dma_get_max_seg_size(dev));

	return max(most & PAGE_MASK, PAGE_SIZE);
}

/* Behind no IOMMU, where each mapping is a copy that only syncs keep true. */
bool devfs_is_copied(struct device *dev)
{
	return !devfs_is_translated(dev) && is_swiotlb_force_bounce(dev);
}

static bool devfs_is_untrusted(struct device *dev)
{
	return dev_is_pci(dev) && to_pci_dev(dev)->untrusted;
}

/* The device sees what is in the CPU's caches, and no copies of it. */
bool devfs_sees_caches(struct device *dev)
{
	return dev_is_dma_coherent(dev) && !devfs_is_copied(dev);
}

/*
 * Of memory behind an IOMMU kernels before 6.10, and later ones where anything was
 * copied for the device, say that it may need a sync, without a look. Only for what
 * was plugged in from outside is some of it copied.
 */
static bool devfs_needs_sync(struct device *dev, struct sg_table *sgt)
{
	struct scatterlist *sg;
	int i;

	if (devfs_is_translated(dev) && dev_is_dma_coherent(dev) && !devfs_is_untrusted(dev))
		return false;
	for_each_sgtable_dma_sg(sgt, sg, i)
		if (dma_need_sync(dev, sg_dma_address(sg)))
			return true;
	return false;
}

/*
 * Syncs are our own. Whoever may make buffers may fill what the copies are in, of
 * which the errno tells.
 */
#define DEVFS_SHARED_ATTRS (DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN)

/**
 * devfs_map_shared - map memory that others may have mapped, too
 * @dev: the device
 * @sgt: the memory
 * @direction: in: who writes it; out: how it is mapped, for syncs and the unmapping
 * @need_sync: out: whether it has to be synced
 *
 * The DMA debugging code takes overlapping mappings for a mistake unless they
 * leave the syncing to their owner: so it is done here.
 *
 * What has to be synced is mapped both ways even if only the device is to write
 * it. The CPU writes there, too, zeros before all else, and a sync for a device
 * that only writes discards that on some machines, so that an earlier owner's
 * bytes are seen.
 *
 * Return: 0 or an errno.
 */
int devfs_map_shared(struct device *dev, struct sg_table *sgt, enum dma_data_direction *direction,
		     bool *need_sync)
{
	int err = dma_map_sgtable(dev, sgt, *direction, DEVFS_SHARED_ATTRS);

	if (err)
		return err;
	*need_sync = devfs_needs_sync(dev, sgt);
	if (!*need_sync)
		return 0;
	/* An IOMMU keeps it from reading: that stays where no cache is in the way. */
	if (*direction == DMA_FROM_DEVICE &&
	    (!devfs_is_translated(dev) || !dev_is_dma_coherent(dev))) {
		dma_unmap_sgtable(dev, sgt, *direction, DEVFS_SHARED_ATTRS);
		*direction = DMA_BIDIRECTIONAL;
		err = dma_map_sgtable(dev, sgt, *direction, DEVFS_SHARED_ATTRS);
		if (err) {
			/* The first one is over, and the memory goes back. */
			devfs_flush_iommu(dev);
			return err;
		}
	}
	dma_sync_sgtable_for_device(dev, sgt, *direction);
	return 0;
}

void devfs_unmap_shared(struct device *dev, struct sg_table *sgt,
			enum dma_data_direction direction, bool need_sync)
{
	if (need_sync)
		dma_sync_sgtable_for_cpu(dev, sgt, direction);
	dma_unmap_sgtable(dev, sgt, direction, DEVFS_SHARED_ATTRS);
}

/**
 * devfs_sync_shared - sync a part of memory that devfs_map_shared() mapped
 * @dev: the device
 * @sgt: the memory
 * @direction: how it is mapped, or less of it
 * @from: first byte, from the first of the memory
 * @to: the byte after the last
 * @cpu: for the CPU, else for the device
 *
 * An IOMMU may have made fewer bus ranges than there are memory ranges, in the
 * same order and without gaps. A sync takes what it is given for one range of
 * memory, so it is given what is one range of both.
 */
void devfs_sync_shared(struct device *dev, struct sg_table *sgt,
		       enum dma_data_direction direction, size_t from, size_t to, bool cpu)
{
	struct scatterlist *bus = sgt->sgl, *memory = sgt->sgl;
	size_t bus_at = 0, memory_at = 0;

	while (from < to) {
		size_t bytes;
		dma_addr_t start;

		while (bus_at + sg_dma_len(bus) <= from) {
			bus_at += sg_dma_len(bus);
			bus = sg_next(bus);
		}
		while (memory_at + memory->length <= from) {
			memory_at += memory->length;
			memory = sg_next(memory);
		}
		bytes = min3(to, bus_at + sg_dma_len(bus), memory_at + memory->length) - from;
		start = sg_dma_address(bus);
		if (cpu)
			dma_sync_single_range_for_cpu(dev, start, from - bus_at, bytes, direction);
		else
			dma_sync_single_range_for_device(dev, start, from - bus_at, bytes,
							 direction);
		from += bytes;
		cond_resched();
	}
}

/**
 * devfs_needs_no_sync - whether a buffer's device and the CPU see the same at any time
 * @buf: the buffer, with i_rwsem or invalidate_lock held
 *
 * What is yet to come of a buffer that grows may be copied for the device, which is
 * told then. Memory of another exporter's is as he says, which cannot be asked.
 */
bool devfs_needs_no_sync(struct devfs_buffer *buf)
{
	if (devfs_is_coherent(buf))
		return true;
	if (devfs_is_detached(buf) || devfs_is_foreign(buf) || buf->need_sync)
		return false;
	if (buf->attach) {
		struct devfs_attachment *attachment = buf->attach->priv;

		return !attachment->need_sync;
	}
	return devfs_sees_caches(buf->base.dev->dev);
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

/* What of the way something is mapped a sync is wanted for. */
static enum dma_data_direction devfs_narrow(enum dma_data_direction mapped,
					    enum dma_data_direction wanted)
{
	return mapped == DMA_BIDIRECTIONAL ? wanted : mapped;
}

/* For the buffer's own device. */
void devfs_sync_segments(struct devfs_buffer *buf, size_t from, size_t to,
			 enum dma_data_direction direction, bool cpu)
{
	unsigned int i;

	if (!buf->nsegments)
		return;
	/* Pinned memory has one segment, whose first byte is the buffer's. */
	for (i = devfs_segment_at(buf, from >> PAGE_SHIFT); i < buf->nsegments; i++) {
		struct devfs_segment *segment = buf->segments[i];
		size_t base = segment->first << PAGE_SHIFT;
		size_t end = base + (segment->npages << PAGE_SHIFT);

		if (base >= to)
			break;
		if (!segment->need_sync || (cpu && segment->direction == DMA_TO_DEVICE))
			continue;
		devfs_sync_shared(buf->base.dev->dev, &segment->sgt,
				  devfs_narrow(segment->direction, direction),
				  max(from, base) - base, min(to, end) - base, cpu);
	}
}

void devfs_sync_attachment(struct devfs_attachment *attachment, size_t from, size_t to,
			   enum dma_data_direction direction, bool cpu)
{
	to = min(to, attachment->size);
	if (attachment->mapped == DMA_NONE || !attachment->need_sync || from >= to ||
	    (cpu && attachment->mapped == DMA_TO_DEVICE))
		return;
	devfs_sync_shared(attachment->dev, &attachment->sgt,
			  devfs_narrow(attachment->mapped, direction), from, to, cpu);
}

void devfs_sync_attachments(struct devfs_buffer *buf, size_t from, size_t to,
			    enum dma_data_direction direction, bool cpu)
{
	struct devfs_attachment *attachment;

	list_for_each_entry(attachment, &buf->attachments, entry)
		devfs_sync_attachment(attachment, from, to, direction, cpu);
}

/* Imported memory's lock is held over what takes that of the memory itself. */
int devfs_sync_class(struct devfs_buffer *buf)
{
	return buf->attach ? 0 : SINGLE_DEPTH_NESTING;
}

void devfs_sync_lock(struct devfs_buffer *buf)
{
	down_write_nested(&buf->sync_lock, devfs_sync_class(buf));
}

/**
 * devfs_sync_export - an access of the CPU by way of an export begins or ends
 * @buf: the buffer, with i_rwsem held where @alive
 * @size: bytes of the export
 * @direction: of an access that ends: what only read writes nothing back
 * @cpu: it begins
 * @alive: the buffer's device is there
 */
void devfs_sync_export(struct devfs_buffer *buf, size_t size, enum dma_data_direction direction,
		       bool cpu, bool alive)
{
	devfs_sync_lock(buf);
	if (alive)
		devfs_sync_segments(buf, 0, size, direction, cpu);
	devfs_sync_attachments(buf, 0, size, direction, cpu);
	up_write(&buf->sync_lock);
}
