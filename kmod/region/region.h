/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - regions: device memory, ports and registers as files. */
#ifndef DEVFS_DMA_REGION_H
#define DEVFS_DMA_REGION_H

#include <linux/fs.h>

#include "core/device.h"

struct devfs_call;
struct devfs_region;
struct dma_buf;

/* How a region is reached: one access of @width bytes at @offset. */
struct devfs_region_ops {
	unsigned int widest;
	u64 (*read)(struct devfs_region *region, size_t offset, unsigned int width);
	void (*write)(struct devfs_region *region, size_t offset, unsigned int width, u64 value);
	/* What it takes to write there, where the open file is not enough. */
	int (*may_write)(struct devfs_region *region, struct file *file, size_t offset,
			 size_t length);
};

/* What a stretch of device memory, ports or registers is. */
struct devfs_region_setup {
	char name[DEVFS_DMA_NAME_SIZE];
	const struct devfs_region_ops *ops;
	u32 flags;			/* DEVFS_DMA_REGION_* */
	resource_size_t start;		/* CPU address, or first port */
	size_t size;
	size_t guard_start;		/* the MSI-X table: not mapped, not written */
	size_t guard_end;
};

extern const size_t devfs_region_size;
extern const struct devfs_region_ops devfs_memory_ops;
extern const struct devfs_region_ops devfs_port_ops;
extern const struct devfs_region_ops devfs_config_ops;

u32 devfs_memory_flags(resource_size_t start, resource_size_t size);
struct devfs_region *devfs_region_add(struct devfs_device *dev,
				      const struct devfs_region_setup *is);
void devfs_region_pair(struct devfs_region *region, struct devfs_region *twin);
void devfs_regions_end(struct devfs_device *dev);
long devfs_get_region(struct devfs_call *call);
long devfs_open_region(struct devfs_call *call);

/* power.c */
void devfs_reset_begin(struct devfs_device *dev);
void devfs_reset_end(struct devfs_device *dev, bool answers);
void devfs_regions_bar(struct devfs_device *dev, bool barred);
void devfs_power_down(struct devfs_device *dev);
void devfs_power_up(struct devfs_device *dev, bool stuck);
long devfs_reset(struct devfs_call *call);

/* export.c */
bool devfs_is_region_dmabuf(struct dma_buf *dmabuf);
int devfs_region_dmabuf_access(struct dma_buf *dmabuf, size_t pos, void *data, size_t count,
			       bool write);

#endif /* DEVFS_DMA_REGION_H */
