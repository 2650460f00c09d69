/* SPDX-License-Identifier: GPL-2.0 */
/*
 * devfs_dma - a buffer, as the rooms that work on it know it: its names are
 * buffer/'s, its memory is heap/'s, what it imports is dmabuf/'s.
 */
#ifndef DEVFS_DMA_CORE_BUFFER_H
#define DEVFS_DMA_CORE_BUFFER_H

#include <linux/dma-direction.h>
#include <linux/dma-resv.h>
#include <linux/mm_types.h>
#include <linux/pid.h>
#include <linux/rwsem.h>
#include <linux/workqueue.h>

#include "core/device.h"
#include "core/inode.h"

/* What became of a buffer's memory. It only goes on. */
enum devfs_life {
	DEVFS_LIVE,
	DEVFS_REVOKED,		/* its exporter took it back: with dma_buf.resv */
	DEVFS_DETACHED,		/* nothing is mapped for the device: i_rwsem and invalidate_lock */
	DEVFS_LOST,		/* other devices kept it: it is never given back */
};

struct devfs_heap_ops;
struct devfs_lease;
struct devfs_segment;
struct dma_buf;
struct dma_buf_attachment;

/* One buffer: an inode of the module's pseudo-fs. */
struct devfs_buffer {
	struct devfs_inode base;
	struct list_head attached;	/* devfs_device.lock */

	/* Names: devfs_device.lock. */
	struct rhash_head by_name;
	char name[DEVFS_DMA_NAME_SIZE];
	u64 id;
	bool listed;
	u32 lease_kind;
	struct pid *owner;
	struct devfs_lease *lease;
	struct devfs_user *user;	/* in whose count it is, NULL for nobody's */
	struct mem_cgroup *memcg;	/* charged for its memory, NULL: who needs it */

	u32 heap;
	const struct devfs_heap_ops *heap_ops;
	u32 direction;
	u64 created_ns;

	/* Memory: changed with both i_rwsem and invalidate_lock, read with either. */
	enum devfs_life life;
	bool need_sync;			/* some of it, for its own device */
	size_t capacity;
	struct page **pages;		/* NULL for coherent and imported memory */
	size_t npages;
	size_t pages_room;
	unsigned int offset;		/* of the first byte in the first page */
	struct devfs_segment **segments;
	unsigned int nsegments;
	unsigned int segments_room;
	void *vaddr;			/* of coherent, reserved and imported memory */
	dma_addr_t dma_addr;		/* of coherent and reserved memory */
	phys_addr_t phys;		/* of reserved memory */
	struct mm_struct *mm;		/* charged for pinned memory */
	struct dma_buf_attachment *attach;
	struct sg_table *import_sgt;	/* as the exporter gave it */
	void __iomem *iomem;		/* of imported device memory that is not ours */
	bool readonly;			/* imported by a descriptor that cannot write */
	bool foreign;			/* imported, and no buffer of the module's */
	bool pinned;			/* its exporter was asked not to move it */
	struct work_struct revoke;
	struct mutex turn;		/* accesses that a foreign exporter has begun */

	struct rw_semaphore sync_lock;
	struct list_head attachments;	/* of its dma-bufs: sync_lock */
	struct dma_resv resv;		/* the fences of all its dma-bufs */
	struct dma_buf *dmabufs[2];	/* resv: the latest to be read, and to be written */

	atomic_t opens;
	atomic_t mappings;
	atomic_t exports;
	struct list_head revocable;	/* its dma-bufs, if they are: devfs_device.lock */
	atomic_t importers;		/* who has memory mapped that goes with the device */
	atomic64_t sync_cpu;
	atomic64_t sync_device;
	u32 sync_owner;
};

static inline struct devfs_buffer *devfs_buffer_of(struct inode *inode)
{
	BUILD_BUG_ON(offsetof(struct devfs_buffer, base));
	return container_of(inode, struct devfs_buffer, base.inode);
}

/* One bus range, mapped once, never synced for its own device. */
static inline bool devfs_is_coherent(struct devfs_buffer *buf)
{
	return buf->heap == DEVFS_DMA_HEAP_COHERENT || buf->heap == DEVFS_DMA_HEAP_RESERVED;
}

/*
 * Whether an access takes a sync_lock: with i_rwsem held, within which no export
 * begins. Of coherent memory, too, another device may have a copy.
 */
static inline bool devfs_is_synced(struct devfs_buffer *buf)
{
	return buf->attach || buf->need_sync || atomic_read(&buf->exports);
}

/* Memory of another exporter, which alone knows what it needs. */
static inline bool devfs_is_foreign(struct devfs_buffer *buf)
{
	return buf->foreign;
}

/* Imported memory of a device, which has no pages and is not for memcpy(). */
static inline bool devfs_is_iomem(struct devfs_buffer *buf)
{
	return buf->heap == DEVFS_DMA_HEAP_IMPORTED && !buf->vaddr;
}

/* Pinned memory whose first or last cache line may be someone else's, too. */
static inline bool devfs_is_bounced(struct devfs_buffer *buf)
{
	return buf->heap == DEVFS_DMA_HEAP_USER && (buf->offset || !PAGE_ALIGNED(buf->capacity));
}

/* Nothing of it is mapped for its device any more. With i_rwsem or invalidate_lock held. */
static inline bool devfs_is_detached(struct devfs_buffer *buf)
{
	return READ_ONCE(buf->life) >= DEVFS_DETACHED;
}

/* Its memory is out of reach for ever: the device is gone, or the exporter took it back. */
static inline bool devfs_buffer_dead(struct devfs_buffer *buf)
{
	return devfs_dead(buf->base.dev) || READ_ONCE(buf->life) != DEVFS_LIVE;
}

/* i_rwsem, while the memory is there: -ENODEV, and no lock, once it is not. */
static inline int devfs_lock_shared(struct devfs_buffer *buf)
{
	inode_lock_shared(&buf->base.inode);
	if (!devfs_buffer_dead(buf))
		return 0;
	inode_unlock_shared(&buf->base.inode);
	return -ENODEV;
}

/* The same, exclusively. */
static inline int devfs_lock(struct devfs_buffer *buf)
{
	inode_lock(&buf->base.inode);
	if (!devfs_buffer_dead(buf))
		return 0;
	inode_unlock(&buf->base.inode);
	return -ENODEV;
}

#endif /* DEVFS_DMA_CORE_BUFFER_H */
