/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - mapping memory for devices, and keeping what they and the CPU see the same. */
#ifndef DEVFS_DMA_HEAP_SYNC_H
#define DEVFS_DMA_HEAP_SYNC_H

#include <linux/dma-direction.h>
#include <linux/scatterlist.h>

#include "core/buffer.h"

/* Another driver's device, for which a dma-buf of the buffer may be mapped. */
struct devfs_attachment {
	struct list_head entry;
	struct device *dev;
	struct sg_table sgt;
	size_t size;
	enum dma_data_direction mapped;	/* DMA_NONE: it is not */
	bool need_sync;
};

unsigned int devfs_max_range(struct device *dev);
bool devfs_is_copied(struct device *dev);
bool devfs_sees_caches(struct device *dev);
bool devfs_needs_no_sync(struct devfs_buffer *buf);
int devfs_map_shared(struct device *dev, struct sg_table *sgt, enum dma_data_direction *direction,
		     bool *need_sync);
void devfs_unmap_shared(struct device *dev, struct sg_table *sgt,
			enum dma_data_direction direction, bool need_sync);
void devfs_sync_shared(struct device *dev, struct sg_table *sgt,
		       enum dma_data_direction direction, size_t from, size_t to, bool cpu);
void devfs_sync_segments(struct devfs_buffer *buf, size_t from, size_t to,
			 enum dma_data_direction direction, bool cpu);
void devfs_sync_attachment(struct devfs_attachment *attachment, size_t from, size_t to,
			   enum dma_data_direction direction, bool cpu);
void devfs_sync_attachments(struct devfs_buffer *buf, size_t from, size_t to,
			    enum dma_data_direction direction, bool cpu);
int devfs_sync_class(struct devfs_buffer *buf);
void devfs_sync_lock(struct devfs_buffer *buf);
void devfs_sync_export(struct devfs_buffer *buf, size_t size, enum dma_data_direction direction,
		       bool cpu, bool alive);

#endif /* DEVFS_DMA_HEAP_SYNC_H */
