/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - buffers as dma-bufs, and dma-bufs as buffers. */
#ifndef DEVFS_DMA_DMABUF_H
#define DEVFS_DMA_DMABUF_H

#include "core/buffer.h"

struct devfs_call;
struct dma_buf;
struct iosys_map;

extern const struct devfs_heap_ops devfs_imported_heap;

/* export.c */
long devfs_buffer_export(struct devfs_call *call);
struct devfs_buffer *devfs_import_of(struct devfs_buffer *buf);
int devfs_lock_exported(struct devfs_buffer *buf);
bool devfs_is_buffer_dmabuf(struct dma_buf *dmabuf);
int devfs_dmabuf_vmap(struct dma_buf *dmabuf, struct iosys_map *map);
void devfs_dmabuf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map);

/* import.c */
int devfs_import(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why);
int devfs_import_begin(struct devfs_buffer *buf, bool write, struct dma_buf **begun);
int devfs_import_try(struct devfs_buffer *buf, struct dma_buf **begun);
int devfs_import_end(struct devfs_buffer *buf, struct dma_buf *begun, bool write);
void devfs_import_leave(struct devfs_buffer *buf, struct dma_buf *begun);
bool devfs_import_is_idle(struct devfs_buffer *buf, bool write);
int devfs_import_flush(struct devfs_buffer *buf, enum dma_data_direction direction);

#endif /* DEVFS_DMA_DMABUF_H */
