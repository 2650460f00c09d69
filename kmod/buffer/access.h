/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - accesses of the CPU to a buffer. */
#ifndef DEVFS_DMA_BUFFER_ACCESS_H
#define DEVFS_DMA_BUFFER_ACCESS_H

#include "core/buffer.h"

struct devfs_attachment;
struct dma_buf;
struct iov_iter;

/* i_rwsem for accesses, and their begin at another exporter. */
struct devfs_hold {
	struct devfs_buffer *buf;
	struct dma_buf *begun;		/* devfs_import_begin()'s, or NULL */
	bool write;
	bool exclusive;
};

/* One stretch of an access. */
struct devfs_access {
	struct devfs_buffer *buf;	/* whose memory it is */
	struct devfs_attachment *by;	/* of the import by which it is reached, or NULL */
	size_t pos;
	bool write;
	bool synced;			/* sync_lock is held */
	bool shared;
};

int devfs_lock_access(struct devfs_hold *hold, struct devfs_buffer *buf, bool write,
		      bool exclusive);
ssize_t devfs_unlock_access(struct devfs_hold *hold, ssize_t ret);
int devfs_try_access(struct devfs_hold *hold, struct devfs_buffer *buf);
size_t devfs_access_step(size_t left);
int devfs_access_begin(struct devfs_access *access, struct devfs_buffer *buf, size_t pos,
		       size_t count, bool write);
void devfs_access_end(struct devfs_access *access, size_t done);
enum dma_data_direction devfs_sync_direction(struct file *file,
					     enum dma_data_direction direction);
int devfs_sync(struct devfs_buffer *buf, u64 from, u64 to, enum dma_data_direction direction,
	       u32 what);
int devfs_heap_zero(struct devfs_buffer *buf, size_t from, size_t to);

/* iomem.c */
ssize_t devfs_iomem_copy(struct devfs_buffer *buf, size_t pos, size_t count,
			 struct iov_iter *iter, bool write);
int devfs_iomem_zero(struct devfs_buffer *buf, size_t from, size_t to);

#endif /* DEVFS_DMA_BUFFER_ACCESS_H */
