// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - what is the module's as a whole: its limits and its work queue.
 */
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/workqueue.h>

#include "core/module.h"

unsigned long devfs_limit_bytes;
module_param_named(limit_bytes, devfs_limit_bytes, ulong, 0644);
MODULE_PARM_DESC(limit_bytes, "Bytes that all buffers of a device may have together (half of RAM)");

unsigned int devfs_max_buffers = 131072;
module_param_named(max_buffers, devfs_max_buffers, uint, 0644);
MODULE_PARM_DESC(max_buffers, "Buffers that a device may have (131072)");

char *devfs_event_helper = "";
module_param_named(event_helper, devfs_event_helper, charp, 0400);
MODULE_PARM_DESC(event_helper, "Program started for events announced by uevent (none)");

struct workqueue_struct *devfs_workqueue;

int devfs_module_init(void)
{
	if (!devfs_limit_bytes)
		devfs_limit_bytes = totalram_pages() / 2 << PAGE_SHIFT;
	devfs_workqueue = alloc_workqueue("devfs_dma", WQ_UNBOUND, 0);
	return devfs_workqueue ? 0 : -ENOMEM;
}

void devfs_module_exit(void)
{
	destroy_workqueue(devfs_workqueue);
}
