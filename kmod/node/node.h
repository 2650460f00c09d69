/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - the device node. */
#ifndef DEVFS_DMA_NODE_H
#define DEVFS_DMA_NODE_H

#include <linux/fs.h>

extern const struct file_operations devfs_node_fops;

#endif /* DEVFS_DMA_NODE_H */
