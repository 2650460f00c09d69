/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - heaps: where the memory of buffers comes from and where it goes. */
#ifndef DEVFS_DMA_HEAP_H
#define DEVFS_DMA_HEAP_H

#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>

#include "core/buffer.h"

/*
 * For what holds the pages of a buffer. As for the pages themselves, want of it
 * kills nobody in whose cgroup it is, and the errno alone tells of it.
 */
#define DEVFS_GFP (GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* A heap. What has i_rwsem has it exclusively, or the only reference to the buffer. */
struct devfs_heap_ops {
	const char *name;
	/* The memory of a new buffer; NULL where it comes from a program. */
	int (*alloc)(struct devfs_buffer *buf, size_t size, u32 *why);
	/* Makes the capacity @size, or gives back what is past it; NULL: it is fixed. */
	int (*grow)(struct devfs_buffer *buf, size_t size, u32 *why);
	void (*shrink)(struct devfs_buffer *buf, size_t size);
	/* The device goes, and its mappings, and what is not the buffer's own; with i_rwsem. */
	void (*detach)(struct devfs_buffer *buf);
	/* Nothing refers to the buffer any more, whether it was detached or not. */
	void (*release)(struct devfs_buffer *buf);
	/* Into a program's memory; NULL: ENODEV. */
	int (*mmap)(struct devfs_buffer *buf, struct vm_area_struct *vma);
	/* Corrects size and max where they are not the module's limit. */
	void (*info)(struct devfs_device *dev, struct devfs_dma_heap *info);
};

/* Memory that was allocated and mapped at once; its addresses never change. */
struct devfs_segment {
	struct sg_table sgt;
	size_t first;			/* index of its first page */
	size_t npages;
	enum dma_data_direction direction;	/* in which it is mapped */
	bool need_sync;
};

extern const struct devfs_heap_ops devfs_system_heap;
extern const struct devfs_heap_ops devfs_contiguous_heap;
extern const struct devfs_heap_ops devfs_coherent_heap;
extern const struct devfs_heap_ops devfs_reserved_heap;
extern const struct devfs_heap_ops devfs_user_heap;

/* heap.c */
u64 devfs_heap_room(struct devfs_device *dev);
size_t devfs_range_max(struct devfs_device *dev);
void devfs_range_info(struct devfs_device *dev, struct devfs_dma_heap *info);
int devfs_charge(struct devfs_device *dev, u32 heap, size_t bytes);
void devfs_uncharge(struct devfs_device *dev, u32 heap, size_t bytes);
int devfs_map_segment(struct devfs_buffer *buf, struct devfs_segment *segment,
		      struct page **pages, unsigned int offset, size_t size);
void devfs_unmap_segment(struct devfs_buffer *buf, struct devfs_segment *segment);
void devfs_unmap_segments(struct devfs_buffer *buf);
struct devfs_segment *devfs_one_segment(struct devfs_buffer *buf);
void *devfs_heap_run(struct devfs_buffer *buf, size_t pos, size_t max, size_t *len);

/* map.c */
int devfs_pages_mmap(struct devfs_buffer *buf, struct vm_area_struct *vma);
int devfs_range_mmap(struct devfs_buffer *buf, struct vm_area_struct *vma);

/* reserved.c */
int devfs_reserved_add(struct devfs_device *dev, phys_addr_t start, resource_size_t size);
void devfs_reserved_end(struct devfs_device *dev);
bool devfs_reserved_exists(struct devfs_device *dev);

/* user.c */
int devfs_pin(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why);

/* addresses.c; with i_rwsem or invalidate_lock held */
unsigned int devfs_sg_count(struct devfs_buffer *buf);
bool devfs_sg_next(struct devfs_buffer *buf, unsigned int *segment, struct scatterlist **sg,
		   unsigned int *left, struct devfs_dma_sg *entry);
bool devfs_dma_addr(struct devfs_buffer *buf, u64 *addr);
bool devfs_phys_addr(struct devfs_buffer *buf, u64 *addr);

#endif /* DEVFS_DMA_HEAP_H */
