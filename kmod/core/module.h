/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - what is the module's as a whole. */
#ifndef DEVFS_DMA_CORE_MODULE_H
#define DEVFS_DMA_CORE_MODULE_H

struct workqueue_struct;

extern unsigned long devfs_limit_bytes;
extern unsigned int devfs_max_buffers;
extern char *devfs_event_helper;
extern struct workqueue_struct *devfs_workqueue;

int devfs_module_init(void);
void devfs_module_exit(void);

#endif /* DEVFS_DMA_CORE_MODULE_H */
