// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - platform devices: the host device, which has memory but no
 * hardware.
 */
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>

#include "compat.h"
#include "internal.h"

static char *devfs_host_reserved = "";
module_param_named(reserved, devfs_host_reserved, charp, 0400);
MODULE_PARM_DESC(reserved, "SIZE@ADDRESS,... kept from the kernel: the host's reserved heap (none)");

static struct platform_device *devfs_host;
static int devfs_host_error;

/* "16M@0x30000000,..." as ranges of the host. */
static int devfs_host_add_reserved(struct devfs_device *dev)
{
	char *at = devfs_host_reserved;

	while (*at) {
		resource_size_t size = memparse(at, &at);
		phys_addr_t start;
		int err;

		if (*at++ != '@')
			goto err_text;
		start = memparse(at, &at);
		if (*at && *at++ != ',')
			goto err_text;
		err = devfs_reserved_add(dev, start, size);
		if (err)
			return err;
	}
	return 0;

err_text:
	dev_err(dev->dev, "reserved=%s is not SIZE@ADDRESS,...\n", devfs_host_reserved);
	return -EINVAL;
}

static int devfs_host_probe(struct platform_device *pdev)
{
	struct devfs_device *dev;
	int err;

	err = dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		return err;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	dev = devfs_device_new(&pdev->dev, "host");
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = devfs_host_add_reserved(dev) ?: devfs_device_register(dev);
	if (err) {
		devfs_reserved_end(dev);
		devfs_device_put(dev);
		return err;
	}
	platform_set_drvdata(pdev, dev);
	return 0;
}

static int devfs_platform_probe(struct platform_device *pdev)
{
	devfs_host_error = devfs_host_probe(pdev);
	return devfs_host_error;
}

static DEVFS_REMOVE_RESULT devfs_platform_remove(struct platform_device *pdev)
{
	devfs_device_remove(platform_get_drvdata(pdev));
	return DEVFS_REMOVE_DONE;
}

static const struct platform_device_id devfs_platform_ids[] = {
	{ "devfs_dma_host" },
	{ }
};

static struct platform_driver devfs_platform_driver = {
	.probe		= devfs_platform_probe,
	.remove		= devfs_platform_remove,
	.id_table	= devfs_platform_ids,
	.driver		= {
		.name		= "devfs_dma",
		/* Loading the module fails where the host device does. */
		.probe_type	= PROBE_FORCE_SYNCHRONOUS,
	},
};

int devfs_platform_init(void)
{
	int err = platform_driver_register(&devfs_platform_driver);

	if (err)
		return err;
	devfs_host = platform_device_register_simple("devfs_dma_host", PLATFORM_DEVID_NONE,
						     NULL, 0);
	err = PTR_ERR_OR_ZERO(devfs_host);
	if (err)
		goto err_driver;
	/* The driver core keeps what probe says to itself. */
	err = devfs_host_error;
	if (err)
		goto err_device;
	return 0;

err_device:
	platform_device_unregister(devfs_host);
err_driver:
	platform_driver_unregister(&devfs_platform_driver);
	return err;
}

void devfs_platform_exit(void)
{
	platform_device_unregister(devfs_host);
	platform_driver_unregister(&devfs_platform_driver);
}
