/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - which devices are safe in the hands of others than root. */
#ifndef DEVFS_DMA_CORE_SAFETY_H
#define DEVFS_DMA_CORE_SAFETY_H

#include "core/device.h"

struct file;

extern const struct attribute_group *devfs_node_groups[];

bool devfs_is_unsafe(struct devfs_device *dev);
bool devfs_becomes_unsafe(struct devfs_device *dev, struct device *leaving);
bool devfs_may_program(struct file *file);
u32 devfs_safety_flags(struct devfs_device *dev);
int devfs_may_bind(struct device *dev, bool is_wish);
int devfs_may_open(struct devfs_device *dev);

#endif /* DEVFS_DMA_CORE_SAFETY_H */
