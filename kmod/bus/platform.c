// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - platform devices: those of the device tree, as
 * docs/bindings/devfs,dma-buffer.yaml describes them, and the host device,
 * which has memory but no hardware.
 */
#include <linux/delay.h>
#include <linux/ioport.h>
#include <linux/irq.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_device.h>
#include <linux/of_reserved_mem.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/reset.h>

#include "buffer/buffer.h"
#include "buffer/heaps.h"
#include "bus/bus.h"
#include "core/compat.h"
#include "core/safety.h"
#include "heap/heap.h"
#include "region/region.h"
#include "signal/signal.h"

static char *devfs_host_reserved = "";
module_param_named(reserved, devfs_host_reserved, charp, 0400);
MODULE_PARM_DESC(reserved, "Memory kept from the kernel, SIZE@ADDRESS,...: heap reserved (none)");

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

/* What the device tree says of a device, or the like for the host. */
struct devfs_platform_setup {
	const char *name;
	u64 size;			/* of the buffer it has from the start, 0 for none */
	u32 heap;
	u32 direction;
	u32 dma_bits;
};

/*
 * Memory of the device tree: what nobody else has is a range of the reserved
 * heap; what the kernel may use meanwhile is where coherent memory comes from.
 */
static int devfs_platform_add_memory(struct devfs_device *dev, int index)
{
	struct device_node *node = of_parse_phandle(dev->dev->of_node, "memory-region", index);
	struct reserved_mem *memory;
	int err;

	if (!node)
		return -ENOENT;
	memory = of_reserved_mem_lookup(node);
	if (!memory) {
		dev_err(dev->dev, "memory-region %d is no reserved memory\n", index);
		err = -EINVAL;
	} else if (of_property_read_bool(node, "reusable")) {
		err = of_reserved_mem_device_init_by_idx(dev->dev, dev->dev->of_node, index);
	} else {
		err = devfs_reserved_add(dev, memory->base, memory->size);
	}
	of_node_put(node);
	return err;
}

static int devfs_platform_add_memories(struct devfs_device *dev)
{
	int err, index = 0;

	do
		err = devfs_platform_add_memory(dev, index++);
	while (!err);
	return err == -ENOENT ? 0 : err;
}

static int devfs_platform_read(struct device *dev, struct devfs_platform_setup *setup)
{
	static const char * const directions[] = {
		[DEVFS_DMA_BIDIRECTIONAL]	= "bidirectional",
		[DEVFS_DMA_TO_DEVICE]		= "to-device",
		[DEVFS_DMA_FROM_DEVICE]		= "from-device",
	};
	const char *text;
	u32 size;
	int found;

	setup->name = dev_name(dev);
	if (!device_property_read_string(dev, "device-name", &setup->name)) {
		char name[DEVFS_DMA_NAME_SIZE] = "";

		if (strscpy(name, setup->name, sizeof(name)) < 0 || !devfs_name_valid(name)) {
			dev_err(dev, "device-name \"%s\" cannot be a name\n", setup->name);
			return -EINVAL;
		}
	}
	/* One cell or two. */
	if (!device_property_read_u64(dev, "size", &setup->size))
		;
	else if (!device_property_read_u32(dev, "size", &size))
		setup->size = size;
	setup->heap = device_property_present(dev, "memory-region") ? DEVFS_DMA_HEAP_RESERVED :
		      DEVFS_DMA_HEAP_SYSTEM;
	if (!device_property_read_string(dev, "heap", &text)) {
		found = devfs_heap_named(text);
		if (found < 0 || found > DEVFS_DMA_HEAP_RESERVED) {
			dev_err(dev, "no heap \"%s\" to have a buffer in\n", text);
			return -EINVAL;
		}
		setup->heap = found;
	}
	if (!device_property_read_string(dev, "direction", &text)) {
		found = match_string(directions, ARRAY_SIZE(directions), text);
		if (found < 0) {
			dev_err(dev, "no direction \"%s\"\n", text);
			return -EINVAL;
		}
		setup->direction = found;
	}
	setup->dma_bits = 32;
	device_property_read_u32(dev, "dma-mask", &setup->dma_bits);
	if (!setup->dma_bits || setup->dma_bits > 64) {
		dev_err(dev, "dma-mask %u is not a number of address bits\n", setup->dma_bits);
		return -EINVAL;
	}
	return 0;
}

/* irq0, irq1, ... as the device tree lists them; masked at the controller. */
static int devfs_platform_add_irqs(struct devfs_device *dev, struct platform_device *pdev)
{
	int i, err = 0, count = platform_irq_count(pdev);

	if (count < 0)
		return count;
	for (i = 0; i < count && !err; i++) {
		char name[16];
		int nr = platform_get_irq(pdev, i);

		if (nr < 0)
			return nr;
		snprintf(name, sizeof(name), "irq%d", i);
		/* irqd_is_level_type() knows only once it was requested. */
		err = devfs_irq_add(dev, name, nr, NULL,
				    irq_get_trigger_type(nr) & IRQ_TYPE_LEVEL_MASK);
	}
	return err;
}

/* Whether each of @count regions has a name of its own in the device tree. */
static bool devfs_platform_named(struct platform_device *pdev, unsigned int count)
{
	struct device_node *node = pdev->dev.of_node;
	const char *name, *other;
	unsigned int i, j;

	if (!device_property_present(&pdev->dev, "reg-names"))
		return false;
	for (i = 0; i < count; i++) {
		char text[DEVFS_DMA_NAME_SIZE] = "";

		if (of_property_read_string_index(node, "reg-names", i, &name) ||
		    strscpy(text, name, sizeof(text)) < 0 || !devfs_name_valid(text))
			goto err_name;
		for (j = 0; j < i; j++)
			if (!of_property_read_string_index(node, "reg-names", j, &other) &&
			    !strcmp(name, other))
				goto err_name;
	}
	return true;

err_name:
	dev_warn(&pdev->dev, "reg-names has no name of its own for reg %u: they are reg0, reg1, ...\n",
		 i);
	return false;
}

/* Nothing that the kernel, or another driver, uses itself. */
static int devfs_platform_claim(struct device *dev, struct resource *res)
{
	if (devfs_is_ram(res->start, resource_size(res))) {
		dev_err(dev, "reg %pR is memory of the kernel's own, not a device's\n", res);
		return -EINVAL;
	}
	if (!devm_request_mem_region(dev, res->start, resource_size(res), "devfs_dma")) {
		dev_err(dev, "reg %pR is in use by another driver\n", res);
		return -EBUSY;
	}
	return 0;
}

static int devfs_platform_add_region(struct devfs_device *dev, struct resource *res,
				     unsigned int index, bool named)
{
	struct devfs_region_setup is = {
		.start	= res->start,
		.size	= resource_size(res),
		.flags	= devfs_memory_flags(res->start, resource_size(res)),
		.ops	= &devfs_memory_ops,
	};
	const char *name;
	int err;

	err = devfs_platform_claim(dev->dev, res);
	if (err)
		return err;
	snprintf(is.name, sizeof(is.name), "reg%u", index);
	if (named && !of_property_read_string_index(dev->dev->of_node, "reg-names", index, &name))
		strscpy(is.name, name, sizeof(is.name));
	return PTR_ERR_OR_ZERO(devfs_region_add(dev, &is));
}

/* The first resources of a node are its reg, in order. */
static int devfs_platform_add_regions(struct devfs_device *dev, struct platform_device *pdev)
{
	unsigned int i, count = 0;
	bool named;
	int err;

	while (count < pdev->num_resources &&
	       resource_type(&pdev->resource[count]) == IORESOURCE_MEM)
		count++;
	if (count > DEVFS_REGIONS_MAX) {
		dev_warn(&pdev->dev, "reg has %u entries: the first %u are regions\n", count,
			 DEVFS_REGIONS_MAX);
		count = DEVFS_REGIONS_MAX;
	}
	named = devfs_platform_named(pdev, count);
	for (i = 0; i < count; i++) {
		/* It is an address that only names the node. */
		if (!resource_size(&pdev->resource[i]))
			continue;
		err = devfs_platform_add_region(dev, &pdev->resource[i], i, named);
		if (err)
			return err;
	}
	return 0;
}

/* In reset and out of it, by the lines that the node has. */
static int devfs_platform_cycle(struct devfs_device *dev)
{
	int err = reset_control_assert(dev->lines);

	if (err)
		return err;
	usleep_range(10, 20);
	return reset_control_deassert(dev->lines);
}

/* The command RESET: removal, which has the lock, waits for it. */
static int devfs_platform_reset(struct devfs_device *dev)
{
	int err;

	if (!device_trylock(dev->dev))
		return -EAGAIN;
	devfs_reset_begin(dev);
	err = devfs_platform_cycle(dev);
	devfs_reset_end(dev, !err);
	device_unlock(dev->dev);
	return err;
}

/* What had the device before, a firmware say, is not to write to memory of others. */
static int devfs_platform_add_reset(struct devfs_device *dev)
{
	int err;

	dev->lines = devm_reset_control_array_get_optional_exclusive(dev->dev);
	if (IS_ERR(dev->lines)) {
		err = PTR_ERR(dev->lines);
		dev->lines = NULL;
		return err;
	}
	if (!dev->lines)
		return 0;
	dev->reset = devfs_platform_reset;
	dev->info_flags |= DEVFS_DMA_INFO_RESET;
	return devfs_platform_cycle(dev);
}

/* The last that the device hears. Without a line its program has stopped it. */
static void devfs_platform_stop(struct devfs_device *dev)
{
	int err = reset_control_assert(dev->lines);

	if (err)
		dev_warn(dev->dev, "cannot be held in reset (%d)\n", err);
}

static const struct of_device_id devfs_platform_matches[] = {
	{ .compatible = "devfs,dma-buffer" },
	{ }
};
MODULE_DEVICE_TABLE(of, devfs_platform_matches);

static int devfs_platform_add_hardware(struct devfs_device *dev, struct platform_device *pdev)
{
	int err;

	dev->info_flags = DEVFS_DMA_INFO_HARDWARE;
	err = devfs_platform_add_reset(dev);
	if (err)
		return dev_err_probe(&pdev->dev, err, "its reset cannot be had\n");
	err = devfs_platform_add_regions(dev, pdev);
	if (err)
		return err;
	/* Without registers it is memory alone. Who wrote the device tree asked for the rest. */
	dev->is_programmed = dev->region_count;
	if (dev->is_programmed)
		err = devfs_may_bind(&pdev->dev, of_match_device(devfs_platform_matches,
								 &pdev->dev));
	if (err)
		return err;
	err = devfs_platform_add_irqs(dev, pdev);
	if (err) {
		dev_err(&pdev->dev, "an interrupt cannot be had (%d)\n", err);
		return err;
	}
	return devfs_error_add(dev);
}

static bool devfs_is_host(struct platform_device *pdev)
{
	return platform_get_device_id(pdev);
}

static int devfs_platform_start(struct platform_device *pdev)
{
	struct devfs_platform_setup setup = { .name = "host", .dma_bits = 64 };
	struct device *parent = &pdev->dev;
	struct devfs_device *dev;
	int err = 0;

	if (!devfs_is_host(pdev))
		err = devfs_platform_read(parent, &setup);
	if (err)
		return err;
	/* Nobody has set up the host for DMA. */
	if (devfs_is_host(pdev))
		err = dma_coerce_mask_and_coherent(parent, DMA_BIT_MASK(setup.dma_bits));
	else
		err = dma_set_mask_and_coherent(parent, DMA_BIT_MASK(setup.dma_bits));
	if (err) {
		dev_err(parent, "no DMA with %u address bits here\n", setup.dma_bits);
		return err;
	}
	dma_set_max_seg_size(parent, UINT_MAX);
	dev = devfs_device_new(parent, setup.name);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = devfs_is_host(pdev) ? devfs_host_add_reserved(dev) : devfs_platform_add_memories(dev);
	if (err)
		goto err_device;
	if (setup.size) {
		err = devfs_buffer_preset(dev, "buffer", setup.size, setup.heap, setup.direction);
		if (err) {
			dev_err(parent, "no buffer of %llu bytes can be had\n", setup.size);
			goto err_device;
		}
	}
	if (!devfs_is_host(pdev)) {
		err = devfs_platform_add_hardware(dev, pdev);
		if (err)
			goto err_device;
	}
	err = devfs_device_register(dev);
	if (err)
		goto err_device;
	platform_set_drvdata(pdev, dev);
	return 0;

err_device:
	devfs_irqs_end(dev);
	devfs_regions_end(dev);
	devfs_platform_stop(dev);
	devfs_device_remove(dev);
	of_reserved_mem_device_release(parent);
	return err;
}

static int devfs_platform_probe(struct platform_device *pdev)
{
	int err = devfs_platform_start(pdev);

	if (devfs_is_host(pdev))
		devfs_host_error = err;
	return err;
}

static DEVFS_REMOVE_RESULT devfs_platform_remove(struct platform_device *pdev)
{
	struct devfs_device *dev = platform_get_drvdata(pdev);

	devfs_unwatch(dev);
	devfs_irqs_end(dev);
	devfs_regions_end(dev);
	/* No more DMA, where that is in our hands: then its buffers can go. */
	devfs_platform_stop(dev);
	devfs_device_remove(dev);
	of_reserved_mem_device_release(&pdev->dev);
	return DEVFS_REMOVE_DONE;
}

/* Another kernel's memory may be where the buffers are. */
static void devfs_platform_shutdown(struct platform_device *pdev)
{
	struct devfs_device *dev = platform_get_drvdata(pdev);

	devfs_power_down(dev);
	devfs_irqs_end(dev);
	devfs_platform_stop(dev);
}

static int devfs_platform_suspend(struct device *parent)
{
	devfs_power_down(dev_get_drvdata(parent));
	return 0;
}

static int devfs_platform_resume(struct device *parent)
{
	struct devfs_device *dev = dev_get_drvdata(parent);

	devfs_power_up(dev, dev->stuck);
	if (dev->error)
		devfs_error_tell(dev, DEVFS_DMA_EVENT_POWER);
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(devfs_platform_pm, devfs_platform_suspend, devfs_platform_resume);

static const struct platform_device_id devfs_platform_ids[] = {
	{ "devfs_dma_host" },
	{ }
};

static struct platform_driver devfs_platform_driver = {
	.probe		= devfs_platform_probe,
	.remove		= devfs_platform_remove,
	.shutdown	= devfs_platform_shutdown,
	.id_table	= devfs_platform_ids,
	.driver		= {
		.name		= "devfs_dma",
		.of_match_table	= devfs_platform_matches,
		.pm		= pm_sleep_ptr(&devfs_platform_pm),
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
