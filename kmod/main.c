// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - DMA buffers handed out as files.
 *
 * This file: loading and unloading.
 */
#include <linux/module.h>

#include "bus/bus.h"
#include "core/buffer.h"
#include "core/inode.h"
#include "core/module.h"
#include "region/region.h"
#include "sizes.h"
#include "version.h"

#define CREATE_TRACE_POINTS
#include "core/trace.h"

static int __init devfs_init(void)
{
	int err = devfs_module_init();

	if (err)
		return err;
	err = devfs_pseudofs_init(max(sizeof(struct devfs_buffer), devfs_region_size));
	if (err)
		goto err_module;
	err = devfs_mates_init();
	if (err)
		goto err_pseudofs;
	err = devfs_platform_init();
	if (err)
		goto err_mates;
	err = devfs_pci_init();
	if (err)
		goto err_platform;
	return 0;

err_platform:
	devfs_platform_exit();
err_mates:
	devfs_mates_exit();
err_pseudofs:
	devfs_pseudofs_exit();
err_module:
	devfs_module_exit();
	return err;
}

static void __exit devfs_exit(void)
{
	/* No node is open and no buffer lives, or the module would be in use. */
	devfs_pci_exit();
	devfs_platform_exit();
	devfs_mates_exit();
	devfs_pseudofs_exit();
	devfs_module_exit();
}

module_init(devfs_init);
module_exit(devfs_exit);
MODULE_DESCRIPTION("DMA buffers handed out as files");
MODULE_AUTHOR("The DevFS authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(DEVFS_VERSION);
