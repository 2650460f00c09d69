// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - DMA buffers handed out as files.
 *
 * This file: loading, unloading, limits, and the host device, which has
 * memory but no hardware.
 */
#include <linux/module.h>
#include <linux/platform_device.h>

#include "compat.h"
#include "internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

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

static struct platform_device *devfs_host_pdev;
static struct devfs_device *devfs_host;

static int __init devfs_host_add(void)
{
	int err;

	devfs_host_pdev = platform_device_register_simple("devfs_dma_host", PLATFORM_DEVID_NONE,
							  NULL, 0);
	if (IS_ERR(devfs_host_pdev))
		return PTR_ERR(devfs_host_pdev);
	err = dma_coerce_mask_and_coherent(&devfs_host_pdev->dev, DMA_BIT_MASK(64));
	if (err)
		goto err_pdev;
	dma_set_max_seg_size(&devfs_host_pdev->dev, UINT_MAX);
	devfs_host = devfs_device_new(&devfs_host_pdev->dev, "host");
	err = PTR_ERR_OR_ZERO(devfs_host);
	if (err)
		goto err_pdev;
	err = devfs_device_register(devfs_host);
	if (err)
		goto err_device;
	return 0;

err_device:
	devfs_device_put(devfs_host);
err_pdev:
	platform_device_unregister(devfs_host_pdev);
	return err;
}

static void devfs_host_remove(void)
{
	devfs_device_remove(devfs_host);
	platform_device_unregister(devfs_host_pdev);
}

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
	err = devfs_host_add();
	if (err)
		goto err_pseudofs;
	err = devfs_pci_init();
	if (err)
		goto err_host;
	return 0;

err_host:
	devfs_host_remove();
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
	devfs_host_remove();
	devfs_pseudofs_exit();
	destroy_workqueue(devfs_workqueue);
}

module_init(devfs_init);
module_exit(devfs_exit);
MODULE_DESCRIPTION("DMA buffers handed out as files");
MODULE_AUTHOR("The DevFS authors");
MODULE_LICENSE("GPL");
