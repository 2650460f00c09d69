/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - the heaps a buffer can have memory from, by their numbers. */
#ifndef DEVFS_DMA_BUFFER_HEAPS_H
#define DEVFS_DMA_BUFFER_HEAPS_H

#include "core/buffer.h"

const struct devfs_heap_ops *devfs_heap_of(u32 heap);
int devfs_heap_named(const char *name);
bool devfs_heap_exists(struct devfs_device *dev, u32 heap);
void devfs_heap_info(struct devfs_device *dev, struct devfs_dma_heap *info);
int devfs_heap_alloc(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why);
int devfs_heap_grow(struct devfs_buffer *buf, size_t size, u32 *why);
void devfs_heap_shrink(struct devfs_buffer *buf, size_t size);
void devfs_heap_release(struct devfs_buffer *buf);

#endif /* DEVFS_DMA_BUFFER_HEAPS_H */
