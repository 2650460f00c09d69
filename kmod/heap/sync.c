// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - who sees what: cache maintenance and bus addresses.
 *
 * Coherent memory is never synced; neither is memory for which the DMA layer
 * said at mapping time that it need not be.
 */
#include <linux/dma-buf.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/sizes.h>
#include <linux/swiotlb.h>

#include "core/internal.h"
#include "core/trace.h"

/* Bytes of the longest range of memory that can be mapped for a device as one. */
unsigned int devfs_max_range(struct device *dev)
{
	return min_t(size_t, dma_max_mapping_size(dev), UINT_MAX) & PAGE_MASK;
}

/* Behind no IOMMU, where each mapping is a copy that only syncs keep true. */
bool devfs_is_copied(struct device *dev)
{
	return !devfs_is_translated(dev) && is_swiotlb_force_bounce(dev);
}

static bool devfs_needs_sync(struct device *dev, struct sg_table *sgt)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i)
		if (dma_need_sync(dev, sg_dma_address(sg)))
			return true;
	return false;
}

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
	int err = dma_map_sgtable(dev, sgt, *direction, DMA_ATTR_SKIP_CPU_SYNC);

	if (err)
		return err;
	*need_sync = devfs_needs_sync(dev, sgt);
	if (!*need_sync)
		return 0;
	/* An IOMMU keeps it from reading: that stays where no cache is in the way. */
	if (*direction == DMA_FROM_DEVICE &&
	    (!devfs_is_translated(dev) || !dev_is_dma_coherent(dev))) {
		dma_unmap_sgtable(dev, sgt, *direction, DMA_ATTR_SKIP_CPU_SYNC);
		*direction = DMA_BIDIRECTIONAL;
		err = dma_map_sgtable(dev, sgt, *direction, DMA_ATTR_SKIP_CPU_SYNC);
		if (err)
			return err;
	}
	dma_sync_sgtable_for_device(dev, sgt, *direction);
	return 0;
}

void devfs_unmap_shared(struct device *dev, struct sg_table *sgt,
			enum dma_data_direction direction, bool need_sync)
{
	if (need_sync)
		dma_sync_sgtable_for_cpu(dev, sgt, direction);
	dma_unmap_sgtable(dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);
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

/* What of the way something is mapped a sync is wanted for. */
static enum dma_data_direction devfs_narrow(enum dma_data_direction mapped,
					    enum dma_data_direction wanted)
{
	return mapped == DMA_BIDIRECTIONAL ? wanted : mapped;
}

/* For the buffer's own device. */
static void devfs_sync_segments(struct devfs_buffer *buf, size_t from, size_t to,
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

static void devfs_sync_attachment(struct devfs_attachment *attachment, size_t from, size_t to,
				  enum dma_data_direction direction, bool cpu)
{
	to = min(to, attachment->size);
	if (attachment->mapped == DMA_NONE || !attachment->need_sync || from >= to ||
	    (cpu && attachment->mapped == DMA_TO_DEVICE))
		return;
	devfs_sync_shared(attachment->dev, &attachment->sgt,
			  devfs_narrow(attachment->mapped, direction), from, to, cpu);
}

static void devfs_sync_attachments(struct devfs_buffer *buf, size_t from, size_t to,
				   enum dma_data_direction direction, bool cpu)
{
	struct devfs_attachment *attachment;

	list_for_each_entry(attachment, &buf->attachments, entry)
		devfs_sync_attachment(attachment, from, to, direction, cpu);
}

/* Imported memory's lock is held over what takes that of the memory itself. */
static int __maybe_unused devfs_sync_class(struct devfs_buffer *buf)
{
	return buf->attach ? 0 : SINGLE_DEPTH_NESTING;
}

void devfs_sync_lock(struct devfs_buffer *buf)
{
	down_write_nested(&buf->sync_lock, devfs_sync_class(buf));
}

/* Memory of another exporter, which alone knows what it needs. */
static bool devfs_is_foreign(struct devfs_buffer *buf)
{
	return buf->attach && !devfs_import_of(buf);
}

/*
 * Finds whose memory it is, and takes its lock if it needs syncs. What is imported
 * from a buffer of the module's is that buffer's: all who reach it take one lock.
 */
static int devfs_access_lock(struct devfs_access *access, struct devfs_buffer *buf)
{
	struct devfs_buffer *of = devfs_import_of(buf);

	if (of) {
		if (devfs_lock_exported(of))
			return -ENODEV;
		access->by = buf->attach->priv;
	}
	access->buf = of ?: buf;
	access->synced = devfs_is_synced(access->buf);
	/* An exporter need not expect two at once. */
	if (access->buf->attach)
		access->shared = false;
	if (access->synced && access->shared)
		down_read_nested(&access->buf->sync_lock, devfs_sync_class(access->buf));
	else if (access->synced)
		devfs_sync_lock(access->buf);
	/* Its removal waits for importers of coherent memory by itself. */
	else if (of)
		inode_unlock_shared(&of->base.inode);
	return 0;
}

static void devfs_access_unlock(struct devfs_access *access)
{
	if (!access->synced)
		return;
	if (access->shared)
		up_read(&access->buf->sync_lock);
	else
		up_write(&access->buf->sync_lock);
	if (access->by)
		inode_unlock_shared(&access->buf->base.inode);
}

/* What the device wrote, and that of the import by which the memory is reached. */
static void devfs_fetch(struct devfs_access *access, size_t from, size_t to)
{
	devfs_sync_segments(access->buf, from, to, DMA_BIDIRECTIONAL, true);
	if (access->by)
		devfs_sync_attachment(access->by, from, to, DMA_BIDIRECTIONAL, true);
}

/* What the CPU wrote, to whoever has the memory. */
static void devfs_give(struct devfs_access *access, size_t from, size_t to,
		       enum dma_data_direction direction)
{
	devfs_sync_segments(access->buf, from, to, direction, false);
	devfs_sync_attachments(access->buf, from, to, direction, false);
}

/*
 * Whole lines are written back, so what devices wrote to the rest of the first
 * and the last one is fetched before the CPU writes to them.
 */
static void devfs_fetch_lines(struct devfs_buffer *buf, size_t pos, size_t count)
{
	size_t line = dma_get_cache_alignment();
	/* Pinned memory need not begin with a line. */
	size_t shift = buf->offset & (line - 1);
	size_t start = pos + shift, end = start + count, at;

	for (at = ALIGN_DOWN(start, line); at < end; at = ALIGN_DOWN(end, line)) {
		size_t from = max(at, shift) - shift;
		size_t to = min(at + line - shift, buf->capacity);

		if (at < start || at + line > end) {
			devfs_sync_segments(buf, from, to, DMA_BIDIRECTIONAL, true);
			devfs_sync_attachments(buf, from, to, DMA_BIDIRECTIONAL, true);
		}
		if (at == ALIGN_DOWN(end, line))
			break;
	}
}

/*
 * Bytes of @left for one access, so that others get their turn. Exporters sync
 * their memory as a whole: it is all of it for those.
 */
size_t devfs_access_step(struct devfs_buffer *buf, size_t left)
{
	return devfs_is_foreign(buf) ? left : min_t(size_t, left, SZ_1M);
}

/**
 * devfs_access_begin - the CPU is about to read or write memory of a buffer
 * @access: what devfs_access_end() is given
 * @buf: the buffer
 * @pos: first byte
 * @count: bytes, at least one, within the capacity
 * @write: it will be written
 *
 * With i_rwsem held. If it succeeds and ``access->synced`` is set, sync_lock is
 * held until the end: no page of a user's may be waited for.
 *
 * Readers share the lock: what they sync for the CPU comes over nothing that was
 * written, as long as no writer is between its copy and its sync.
 *
 * Return: 0, or an errno of imported memory's exporter, and no end then.
 */
int devfs_access_begin(struct devfs_access *access, struct devfs_buffer *buf, size_t pos,
		       size_t count, bool write)
{
	int err;

	*access = (struct devfs_access){ .pos = pos, .write = write, .shared = !write };
	err = devfs_access_lock(access, buf);
	if (err || !access->synced)
		return err;
	if (access->buf->attach)
		err = devfs_import_begin(buf, write ? DMA_BIDIRECTIONAL : DMA_FROM_DEVICE);
	else if (write)
		devfs_fetch_lines(access->buf, pos, count);
	else
		devfs_fetch(access, pos, pos + count);
	if (err)
		devfs_access_unlock(access);
	return err;
}

/**
 * devfs_access_end - the CPU has read or written memory of a buffer
 * @access: what devfs_access_begin() filled
 * @done: bytes that were
 *
 * What was written is the devices' to see.
 *
 * Return: 0, or an errno of imported memory's exporter.
 */
int devfs_access_end(struct devfs_access *access, size_t done)
{
	int err = 0;

	if (access->write) {
		/* Memory written before is there before a doorbell that follows. */
		wmb();
	}
	if (!access->synced)
		return 0;
	if (access->buf->attach)
		err = devfs_import_end(access->buf,
				       access->write ? DMA_BIDIRECTIONAL : DMA_FROM_DEVICE);
	else if (access->write)
		devfs_give(access, access->pos, access->pos + done, DMA_BIDIRECTIONAL);
	devfs_access_unlock(access);
	return err;
}

/* What a program asked for is counted, and told. */
static void devfs_note_cpu(struct devfs_buffer *buf, size_t offset, size_t length)
{
	/* What the device wrote before is not to be read from before the sync. */
	rmb();
	atomic64_inc(&buf->sync_cpu);
	WRITE_ONCE(buf->sync_owner, DEVFS_DMA_OWNER_CPU);
	trace_devfs_dma_sync_cpu(buf, offset, length);
}

static void devfs_note_device(struct devfs_buffer *buf, size_t offset, size_t length)
{
	atomic64_inc(&buf->sync_device);
	WRITE_ONCE(buf->sync_owner, DEVFS_DMA_OWNER_DEVICE);
	trace_devfs_dma_sync_device(buf, offset, length);
}

/* The part of devfs_sync() that is under the lock. */
static int devfs_sync_locked(struct devfs_access *access, size_t from, size_t to,
			     enum dma_data_direction direction, u32 what)
{
	struct devfs_buffer *buf = access->buf;
	int err = 0;

	if (what & DEVFS_DMA_SYNC_FOR_DEVICE) {
		if (buf->attach)
			err = devfs_import_flush(buf, direction);
		else
			devfs_give(access, from, to, direction);
	}
	/* What a device may have written to comes whole, whatever is done with it then. */
	if (!err && what & DEVFS_DMA_SYNC_FOR_CPU) {
		if (buf->attach)
			err = devfs_import_begin(buf, DMA_BIDIRECTIONAL);
		else
			devfs_fetch(access, from, to);
	}
	return err;
}

/**
 * devfs_sync - what a program asks for by fsync() and the commands of a buffer
 * @buf: the buffer, with i_rwsem held
 * @offset: first byte
 * @length: bytes, within the capacity
 * @direction: of what is done with the memory; may be less than how it is mapped
 * @what: DEVFS_DMA_SYNC_FOR_CPU, _FOR_DEVICE, or both: for the device first, as
 *        nothing that the CPU wrote is lost then
 *
 * Return: 0, or an errno of imported memory's exporter.
 */
int devfs_sync(struct devfs_buffer *buf, size_t offset, size_t length,
	       enum dma_data_direction direction, u32 what)
{
	struct devfs_access access = {};
	int err = 0;

	if (what & DEVFS_DMA_SYNC_FOR_DEVICE) {
		/* Memory written before is there before a doorbell that follows. */
		wmb();
	}
	if (length) {
		err = devfs_access_lock(&access, buf);
		if (err)
			return err;
		if (access.synced)
			err = devfs_sync_locked(&access, offset, offset + length, direction, what);
		devfs_access_unlock(&access);
	}
	if (!err && what & DEVFS_DMA_SYNC_FOR_DEVICE)
		devfs_note_device(buf, offset, length);
	if (!err && what & DEVFS_DMA_SYNC_FOR_CPU)
		devfs_note_cpu(buf, offset, length);
	return err;
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
	if (devfs_is_coherent(buf))
		return;
	devfs_sync_lock(buf);
	if (alive)
		devfs_sync_segments(buf, 0, size, direction, cpu);
	devfs_sync_attachments(buf, 0, size, direction, cpu);
	up_write(&buf->sync_lock);
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
