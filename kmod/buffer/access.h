/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - accesses of the CPU to a buffer. */
#ifndef DEVFS_DMA_BUFFER_ACCESS_H
#define DEVFS_DMA_BUFFER_ACCESS_H

#include "core/buffer.h"

struct devfs_attachment;
struct iov_iter;

/* sync.c */
struct devfs_access {
	struct devfs_buffer *buf;	/* whose memory it is */
	struct devfs_attachment *by;	/* of the import by which it is reached, or NULL */
	size_t pos;
	bool write;
	bool synced;			/* sync_lock is held */
	bool shared;
};

int devfs_lock_access(struct devfs_buffer *buf, bool write, bool exclusive);
int devfs_lock_sync(struct devfs_buffer *buf, enum dma_data_direction direction, u32 what);
size_t devfs_access_step(struct devfs_buffer *buf, size_t left);
int devfs_access_begin(struct devfs_access *access, struct devfs_buffer *buf, size_t pos,
		       size_t count, bool write);
int devfs_access_end(struct devfs_access *access, size_t done);
int devfs_sync(struct devfs_buffer *buf, size_t offset, size_t length,
	       enum dma_data_direction direction, u32 what);
int devfs_heap_zero(struct devfs_buffer *buf, size_t from, size_t to);

/* iomem.c */
ssize_t devfs_iomem_copy(struct devfs_buffer *buf, size_t pos, size_t count,
			 struct iov_iter *iter, bool write);
int devfs_iomem_zero(struct devfs_buffer *buf, size_t from, size_t to);

#endif /* DEVFS_DMA_BUFFER_ACCESS_H */
