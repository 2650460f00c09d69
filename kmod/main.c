// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - DMA buffers handed out as files.
 *
 * This file: loading, unloading and limits.
 */
#include <linux/module.h>

#include "core/compat.h"
#include "core/internal.h"
#include "sizes.h"
#include "version.h"

#define CREATE_TRACE_POINTS
#include "core/trace.h"

unsigned long devfs_limit_bytes;
module_param_named(limit_bytes, devfs_limit_bytes, ulong, 0644);
MODULE_PARM_DESC(limit_bytes, "Bytes all buffers of a device may have together (half of RAM)");

unsigned int devfs_max_buffers = 131072;
module_param_named(max_buffers, devfs_max_buffers, uint, 0644);
MODULE_PARM_DESC(max_buffers, "Buffers a device may have");

char *devfs_event_helper = "";
module_param_named(event_helper, devfs_event_helper, charp, 0400);
MODULE_PARM_DESC(event_helper, "Program started for events announced by uevent (none)");

struct workqueue_struct *devfs_workqueue;

static int __init devfs_init(void)
{
	int err;

	if (!devfs_limit_bytes)
		devfs_limit_bytes = totalram_pages() / 2 << PAGE_SHIFT;
	devfs_workqueue = alloc_workqueue("devfs_dma", WQ_UNBOUND, 0);
	if (!devfs_workqueue)
		return -ENOMEM;
	err = devfs_pseudofs_init();
	if (err)
		goto err_workqueue;
	err = devfs_platform_init();
	if (err)
		goto err_pseudofs;
	err = devfs_pci_init();
	if (err)
		goto err_platform;
	return 0;

err_platform:
	devfs_platform_exit();
err_pseudofs:
	devfs_pseudofs_exit();
err_workqueue:
	destroy_workqueue(devfs_workqueue);
	return err;
}

static void __exit devfs_exit(void)
{
	/* No node is open and no buffer lives, or the module would be in use. */
	devfs_pci_exit();
	devfs_platform_exit();
	devfs_pseudofs_exit();
	destroy_workqueue(devfs_workqueue);
}

module_init(devfs_init);
module_exit(devfs_exit);
MODULE_DESCRIPTION("DMA buffers handed out as files");
MODULE_AUTHOR("The DevFS authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(DEVFS_VERSION);
