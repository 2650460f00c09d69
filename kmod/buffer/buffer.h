/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - buffers: what those who make, find and end them call. */
#ifndef DEVFS_DMA_BUFFER_H
#define DEVFS_DMA_BUFFER_H

#include "core/buffer.h"
#include "core/client.h"

/* buffer.c */
int devfs_registry_init(struct devfs_device *dev);
void devfs_registry_exit(struct devfs_device *dev);
int devfs_buffer_open(struct devfs_client *client, struct devfs_dma_open *arg,
		      struct file **file);
int devfs_buffer_free(struct devfs_client *client, u64 id);
struct devfs_buffer *devfs_buffer_get(struct devfs_device *dev, u64 id);

/* create.c */
int devfs_buffer_create(struct devfs_client *client, struct devfs_dma_alloc *arg,
			int (*fill)(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why),
			void *ctx, int (*report)(void *ctx), void *report_ctx);
int devfs_buffer_preset(struct devfs_device *dev, const char *name, u64 size, u32 heap,
			u32 direction);

/* rename.c */
int devfs_buffer_rename(struct devfs_buffer *buf, const char *name, u32 flags,
			struct devfs_client *by);

/* info.c */
void devfs_buffer_info(struct devfs_buffer *buf, struct devfs_dma_buf_info *info,
		       bool knows_addresses);
int devfs_buffer_list(struct devfs_client *client, struct devfs_dma_list *arg);

/* detach.c */
void devfs_buffers_detach(struct devfs_device *dev);

#endif /* DEVFS_DMA_BUFFER_H */
