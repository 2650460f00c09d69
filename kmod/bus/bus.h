/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - the buses that devices are found on. */
#ifndef DEVFS_DMA_BUS_H
#define DEVFS_DMA_BUS_H

#include "core/device.h"

struct devfs_device *devfs_device_new(struct device *parent, const char *name);
int devfs_device_register(struct devfs_device *dev);
void devfs_device_remove(struct devfs_device *dev);

/* mates.c */
void devfs_watch(struct devfs_device *dev);
void devfs_unwatch(struct devfs_device *dev);
int devfs_mates_init(void);
void devfs_mates_exit(void);

int devfs_platform_init(void);
void devfs_platform_exit(void);

#ifdef CONFIG_PCI
int devfs_pci_init(void);
void devfs_pci_exit(void);
#else
static inline int devfs_pci_init(void) { return 0; }
static inline void devfs_pci_exit(void) { }
#endif

#endif /* DEVFS_DMA_BUS_H */
