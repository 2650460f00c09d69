// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - accesses of the CPU to a buffer: what comes before one and after it,
 * and the syncs that programs ask for.
 */
#include <linux/dma-mapping.h>
#include <linux/sizes.h>

#include "buffer/access.h"
#include "core/trace.h"
#include "dmabuf/dmabuf.h"
#include "heap/heap.h"
#include "heap/sync.h"

static void devfs_unlock(struct devfs_hold *hold)
{
	if (hold->exclusive)
		inode_unlock(&hold->buf->base.inode);
	else
		inode_unlock_shared(&hold->buf->base.inode);
}

/**
 * devfs_lock_access - take i_rwsem for an access of the CPU to the memory
 * @hold: what devfs_unlock_access() is given
 * @buf: the buffer
 * @write: it may write, else it reads
 * @exclusive: how the lock is taken
 *
 * What other devices do with imported memory is waited for before, and another
 * exporter begins the access before, too.
 *
 * Return: 0; -ENODEV as devfs_lock(); -EACCES; that a signal came, or what the
 * exporter says. No lock then.
 */
int devfs_lock_access(struct devfs_hold *hold, struct devfs_buffer *buf, bool write,
		      bool exclusive)
{
	int err = 0;

	*hold = (struct devfs_hold){ .buf = buf, .write = write, .exclusive = exclusive };
	do {
		if (buf->heap == DEVFS_DMA_HEAP_IMPORTED)
			err = devfs_import_begin(buf, write, &hold->begun);
		if (err)
			return err;
		err = exclusive ? devfs_lock(buf) : devfs_lock_shared(buf);
		if (err) {
			devfs_import_end(buf, hold->begun, write);
			return err;
		}
		if (hold->begun || buf->heap != DEVFS_DMA_HEAP_IMPORTED ||
		    devfs_import_is_idle(buf, write))
			return 0;
		/* Something was begun meanwhile. */
		devfs_unlock(hold);
	} while (true);
}

/* @ret is what the access gave. Returns it, or what the exporter says of its end. */
ssize_t devfs_unlock_access(struct devfs_hold *hold, ssize_t ret)
{
	int err;

	devfs_unlock(hold);
	err = devfs_import_end(hold->buf, hold->begun, hold->write);
	return ret >= 0 && err ? err : ret;
}

/*
 * To write, for who has i_rwsem from the kernel: -EBUSY where it would be waited
 * for. devfs_import_end() ends it.
 */
int devfs_try_access(struct devfs_hold *hold, struct devfs_buffer *buf)
{
	*hold = (struct devfs_hold){ .buf = buf, .write = true };
	return devfs_is_foreign(buf) ? devfs_import_try(buf, &hold->begun) : 0;
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
	/* Of another exporter's it was told before, by who has its lock. */
	access->synced = !devfs_is_foreign(access->buf) && devfs_is_synced(access->buf);
	if (access->synced && access->shared)
		down_read_nested(&access->buf->sync_lock, devfs_sync_class(access->buf));
	else if (access->synced)
		devfs_sync_lock(access->buf);
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

/* Bytes of @left for one access, so that others get their turn. */
size_t devfs_access_step(size_t left)
{
	return min_t(size_t, left, SZ_1M);
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
 * Return: 0, or -ENODEV, and no end then: whose memory it is went with its device.
 */
int devfs_access_begin(struct devfs_access *access, struct devfs_buffer *buf, size_t pos,
		       size_t count, bool write)
{
	int err;

	*access = (struct devfs_access){ .pos = pos, .write = write, .shared = !write };
	err = devfs_access_lock(access, buf);
	if (err || !access->synced)
		return err;
	if (write)
		devfs_fetch_lines(access->buf, pos, count);
	else
		devfs_fetch(access, pos, pos + count);
	return 0;
}

/**
 * devfs_access_end - the CPU has read or written memory of a buffer
 * @access: what devfs_access_begin() filled
 * @done: bytes that were
 *
 * What was written is the devices' to see.
 */
void devfs_access_end(struct devfs_access *access, size_t done)
{
	if (access->write) {
		/* Memory written before is there before a doorbell that follows. */
		wmb();
	}
	if (access->synced && access->write)
		devfs_give(access, access->pos, access->pos + done, DMA_BIDIRECTIONAL);
	devfs_access_unlock(access);
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

/* The exporter of the memory does all of it, and with no lock of the buffer's. */
static int devfs_sync_foreign(struct devfs_buffer *buf, enum dma_data_direction direction, u32 what)
{
	bool write = !buf->readonly && direction != DMA_FROM_DEVICE;
	struct dma_buf *begun;
	int err = 0;

	if (what & DEVFS_DMA_SYNC_FOR_DEVICE)
		err = devfs_import_flush(buf, direction);
	/* What a device may have written to comes whole, if anything is written to it then. */
	if (!err && what & DEVFS_DMA_SYNC_FOR_CPU) {
		err = devfs_import_begin(buf, write, &begun);
		if (!err)
			devfs_import_leave(buf, begun);
	}
	return err;
}

static int devfs_sync_own(struct devfs_buffer *buf, u64 from, u64 to,
			  enum dma_data_direction direction, u32 what)
{
	bool write = !buf->readonly && direction != DMA_FROM_DEVICE;
	struct devfs_access access = {};
	struct devfs_hold hold = { .buf = buf };
	int err;

	/* One for the CPU begins an access, and one for the device ends it. */
	if (what & DEVFS_DMA_SYNC_FOR_CPU)
		err = devfs_lock_access(&hold, buf, write, false);
	else
		err = devfs_lock_shared(buf);
	if (err)
		return err;
	to = min_t(u64, to, i_size_read(&buf->base.inode));
	if (from < to)
		err = devfs_access_lock(&access, buf);
	if (!err && access.synced && what & DEVFS_DMA_SYNC_FOR_DEVICE)
		devfs_give(&access, from, to, direction);
	if (!err && access.synced && what & DEVFS_DMA_SYNC_FOR_CPU)
		devfs_fetch(&access, from, to);
	devfs_access_unlock(&access);
	return devfs_unlock_access(&hold, err);
}

/* Who cannot write has stored nothing that is to come over what the device wrote. */
enum dma_data_direction devfs_sync_direction(struct file *file, enum dma_data_direction direction)
{
	return direction == DMA_BIDIRECTIONAL && !(file->f_mode & FMODE_WRITE) ?
	       DMA_FROM_DEVICE : direction;
}

/**
 * devfs_sync - what a program asks for by fsync() and the commands of a buffer
 * @buf: the buffer, with no lock held
 * @from: first byte
 * @to: the byte after the last; what is past the end is left out
 * @direction: of what is done with the memory; may be less than how it is mapped
 * @what: DEVFS_DMA_SYNC_FOR_CPU, _FOR_DEVICE, or both: for the device first, as
 *        nothing that the CPU wrote is lost then
 *
 * Return: 0, as devfs_lock_access(), or an errno of imported memory's exporter.
 */
int devfs_sync(struct devfs_buffer *buf, u64 from, u64 to, enum dma_data_direction direction,
	       u32 what)
{
	int err;

	if (what & DEVFS_DMA_SYNC_FOR_DEVICE) {
		/* Memory written before is there before a doorbell that follows. */
		wmb();
	}
	if (devfs_is_foreign(buf))
		err = devfs_sync_foreign(buf, direction, what);
	else
		err = devfs_sync_own(buf, from, to, direction, what);
	if (!err && what & DEVFS_DMA_SYNC_FOR_DEVICE)
		devfs_note_device(buf, from, to - from);
	if (!err && what & DEVFS_DMA_SYNC_FOR_CPU)
		devfs_note_cpu(buf, from, to - from);
	return err;
}

/* For the devices to see, too. Within devfs_lock_access(); fails for imported memory alone. */
int devfs_heap_zero(struct devfs_buffer *buf, size_t from, size_t to)
{
	struct devfs_access access;
	int err = 0;

	if (devfs_is_iomem(buf))
		return devfs_iomem_zero(buf, from, to);
	while (from < to && !err) {
		size_t count = devfs_access_step(to - from), done, len;

		err = devfs_access_begin(&access, buf, from, count, true);
		if (err)
			break;
		for (done = 0; done < count; done += len) {
			void *at = devfs_heap_run(buf, from + done, count - done, &len);

			memset(at, 0, len);
		}
		devfs_access_end(&access, count);
		from += count;
		cond_resched();
	}
	return err;
}
