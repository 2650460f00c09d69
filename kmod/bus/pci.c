// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - PCI devices.
 *
 * The driver has no ids: a device is bound by writing "devfs_dma" to its
 * driver_override. Its node is there when all the rest is.
 */
#include <linux/interrupt.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/sysfs.h>

#include "bus/bus.h"
#include "core/compat.h"
#include "core/safety.h"
#include "region/region.h"
#include "signal/signal.h"

/* What every device that can do DMA at all is taken to reach, if not more. */
#define DEVFS_DMA_BITS_LEAST 32

/* Vectors that are asked for: half of the sources, and so many CPUs are enough. */
#define DEVFS_PCI_VECTORS 32

static bool devfs_pci_msi = true;
module_param_named(msi, devfs_pci_msi, bool, 0644);
MODULE_PARM_DESC(msi, "Use MSI-X or MSI of PCI devices that have it (Y)");

/* The MSI-X table, if it is in this BAR: [*start, *end) in bytes. */
static void devfs_pci_guard(struct pci_dev *pdev, int bar, size_t *start, size_t *end)
{
	u32 table;
	u16 flags;

	*start = 0;
	*end = 0;
	if (!pdev->msix_cap)
		return;
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &table);
	pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &flags);
	if ((table & PCI_MSIX_TABLE_BIR) != bar)
		return;
	*start = table & PCI_MSIX_TABLE_OFFSET;
	*end = *start + ((flags & PCI_MSIX_FLAGS_QSIZE) + 1) * PCI_MSIX_ENTRY_SIZE;
}

static int devfs_pci_add_bar(struct devfs_device *dev, struct pci_dev *pdev, int bar)
{
	unsigned long flags = pci_resource_flags(pdev, bar);
	struct devfs_region_setup is = {
		.start	= pci_resource_start(pdev, bar),
		.size	= pci_resource_len(pdev, bar),
		.flags	= DEVFS_DMA_REGION_WRITE | DEVFS_DMA_REGION_PORTS,
		.ops	= &devfs_port_ops,
	};
	struct devfs_region *region, *twin;

	snprintf(is.name, sizeof(is.name), "bar%d", bar);
	if (flags & IORESOURCE_MEM) {
		is.flags = devfs_memory_flags(is.start, is.size);
		is.ops = &devfs_memory_ops;
		devfs_pci_guard(pdev, bar, &is.guard_start, &is.guard_end);
	}
	region = devfs_region_add(dev, &is);
	if (IS_ERR(region) || !(flags & IORESOURCE_MEM) || !(flags & IORESOURCE_PREFETCH))
		return PTR_ERR_OR_ZERO(region);

	snprintf(is.name, sizeof(is.name), "bar%d-wc", bar);
	is.flags |= DEVFS_DMA_REGION_COMBINED;
	twin = devfs_region_add(dev, &is);
	if (IS_ERR(twin))
		return PTR_ERR(twin);
	devfs_region_pair(region, twin);
	return 0;
}

static int devfs_pci_add_regions(struct devfs_device *dev, struct pci_dev *pdev)
{
	struct devfs_region_setup config = {
		.name	= "config",
		.size	= pdev->cfg_size,
		.flags	= DEVFS_DMA_REGION_WRITE | DEVFS_DMA_REGION_CONFIG,
		.ops	= &devfs_config_ops,
	};
	int bar, err;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
		if (!pci_resource_len(pdev, bar))
			continue;
		err = devfs_pci_add_bar(dev, pdev, bar);
		if (err)
			return err;
	}
	return PTR_ERR_OR_ZERO(devfs_region_add(dev, &config));
}

static bool devfs_intx_mask_pending(struct device *dev)
{
	return pci_check_and_mask_intx(to_pci_dev(dev));
}

static void devfs_intx_mask(struct device *dev, bool masked)
{
	pci_intx(to_pci_dev(dev), !masked);
}

static const struct devfs_irq_ops devfs_intx_ops = {
	.mask_pending	= devfs_intx_mask_pending,
	.mask		= devfs_intx_mask,
};

static int devfs_pci_add_line(struct devfs_device *dev, struct pci_dev *pdev)
{
	/* The pin is what it has, the irq what the platform made of it. */
	if (!pdev->pin || !pdev->irq || pdev->irq == IRQ_NOTCONNECTED) {
		pci_info(pdev, "has no interrupt\n");
		return 0;
	}
	dev->info_flags |= DEVFS_DMA_INFO_INTX;
	return devfs_irq_add(dev, "irq0", pdev->irq,
			     pci_intx_mask_supported(pdev) ? &devfs_intx_ops : NULL, true);
}

/* One source a vector: irq0, irq1, ... The caller ends what there is at an error. */
static int devfs_pci_add_irqs(struct devfs_device *dev, struct pci_dev *pdev)
{
	int i, err = 0, count = -ENODEV;
	char name[16];

	if (devfs_pci_msi)
		count = pci_alloc_irq_vectors(pdev, 1, DEVFS_PCI_VECTORS,
					      PCI_IRQ_MSIX | PCI_IRQ_MSI);
	if (count < 0)
		return devfs_pci_add_line(dev, pdev);
	dev->info_flags |= pdev->msix_enabled ? DEVFS_DMA_INFO_MSIX : DEVFS_DMA_INFO_MSI;
	for (i = 0; i < count && !err; i++) {
		snprintf(name, sizeof(name), "irq%d", i);
		err = devfs_irq_add(dev, name, pci_irq_vector(pdev, i), NULL, false);
	}
	return err;
}

static int devfs_pci_set_mask(struct pci_dev *pdev)
{
	int err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));

	if (err) {
		err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(DEVFS_DMA_BITS_LEAST));
		if (!err)
			pci_info(pdev, "no 64-bit DMA here: buffers are below 4 GiB\n");
	}
	if (err) {
		pci_err(pdev, "no 32-bit DMA here\n");
		return err;
	}
	/* What a range may be is for the device's user to know. */
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	dma_set_seg_boundary(&pdev->dev, ULONG_MAX);
	return 0;
}

/*
 * Address bits the device drives: nothing in the configuration space tells.
 * They can be set while it has no buffers.
 */
static ssize_t dma_bits_show(struct device *parent, struct device_attribute *attr, char *text)
{
	return sysfs_emit(text, "%d\n", fls64(dma_get_mask(parent)));
}

static ssize_t dma_bits_store(struct device *parent, struct device_attribute *attr,
			      const char *text, size_t size)
{
	struct devfs_device *dev = dev_get_drvdata(parent);
	unsigned int bits;
	int err = kstrtouint(text, 0, &bits);

	if (err)
		return err;
	if (!bits || bits > 64)
		return -EINVAL;
	mutex_lock(&dev->lock);
	if (dev->buffers || atomic64_read(&dev->used))
		err = -EBUSY;
	else
		err = dma_set_mask_and_coherent(parent, DMA_BIT_MASK(bits));
	mutex_unlock(&dev->lock);
	return err ?: size;
}
static DEVICE_ATTR_RW(dma_bits);

static struct attribute *devfs_pci_attrs[] = {
	&dev_attr_dma_bits.attr,
	NULL,
};
ATTRIBUTE_GROUPS(devfs_pci);

/*
 * With the driver lock held. What started before is not to go on when DMA is
 * allowed. Many devices have no reset; sysfs has a say in it (reset_method).
 */
static int devfs_pci_reset_locked(struct pci_dev *pdev)
{
	struct pci_dev *bridge = pci_upstream_bridge(pdev);
	/* Who has the bridge may be waiting for this device: then it is reset without. */
	bool locked = bridge && pci_cfg_access_trylock(bridge);
	int err = pci_reset_function_locked(pdev);

	if (locked)
		pci_cfg_access_unlock(bridge);
	return err;
}

/* The command RESET: removal, which waits for it, must not be waited for. */
static int devfs_pci_reset(struct devfs_device *dev)
{
	int err = pci_try_reset_function(to_pci_dev(dev->dev));

	return err == -ENOTTY ? -EOPNOTSUPP : err;
}

/* Of whoever had it before: no DMA is under way, and none is left to go on. */
static bool devfs_pci_quiesce(struct pci_dev *pdev)
{
	int err;

	pci_clear_master(pdev);
	err = devfs_pci_reset_locked(pdev);
	if (err && err != -ENOTTY)
		pci_warn(pdev, "cannot be reset (%d)\n", err);
	return !err;
}

static void devfs_pci_reset_prepare(struct pci_dev *pdev)
{
	struct devfs_device *dev = pci_get_drvdata(pdev);

	if (dev)
		devfs_reset_begin(dev);
}

/* What slot_reset() restores has to be saved anew each time. */
static void devfs_pci_reset_done(struct pci_dev *pdev)
{
	struct devfs_device *dev = pci_get_drvdata(pdev);

	if (!dev)
		return;
	pci_save_state(pdev);
	devfs_reset_end(dev, pci_device_is_present(pdev));
}

/*
 * Never the end of the other devices of the same slot: only what is gone for good
 * has no recovery.
 */
static pci_ers_result_t devfs_pci_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct devfs_device *dev = pci_get_drvdata(pdev);

	if (dev) {
		if (state != pci_channel_io_normal)
			devfs_power_down(dev);
		devfs_error_tell(dev, DEVFS_DMA_EVENT_AER);
	}
	switch (state) {
	case pci_channel_io_normal:
		return PCI_ERS_RESULT_CAN_RECOVER;
	case pci_channel_io_perm_failure:
		return PCI_ERS_RESULT_DISCONNECT;
	default:
		return PCI_ERS_RESULT_NEED_RESET;
	}
}

static pci_ers_result_t devfs_pci_mmio_enabled(struct pci_dev *pdev)
{
	return PCI_ERS_RESULT_RECOVERED;
}

/* The link was reset, and the device with it, on whoever's behalf. */
static pci_ers_result_t devfs_pci_slot_reset(struct pci_dev *pdev)
{
	struct devfs_device *dev = pci_get_drvdata(pdev);

	if (!pci_device_is_present(pdev))
		return PCI_ERS_RESULT_DISCONNECT;
	pci_restore_state(pdev);
	pci_save_state(pdev);
	if (dev) {
		devfs_power_up(dev, false);
		devfs_error_tell(dev, DEVFS_DMA_EVENT_RESET);
	}
	return PCI_ERS_RESULT_RECOVERED;
}

static const struct pci_error_handlers devfs_pci_errors = {
	.error_detected	= devfs_pci_error_detected,
	.mmio_enabled	= devfs_pci_mmio_enabled,
	.slot_reset	= devfs_pci_slot_reset,
	.reset_prepare	= devfs_pci_reset_prepare,
	.reset_done	= devfs_pci_reset_done,
};

/* The core saves the configuration space after this, and restores it before it is resumed. */
static int devfs_pci_suspend(struct device *parent)
{
	devfs_power_down(dev_get_drvdata(parent));
	pci_clear_master(to_pci_dev(parent));
	return 0;
}

static int devfs_pci_resume(struct device *parent)
{
	struct devfs_device *dev = dev_get_drvdata(parent);

	pci_set_master(to_pci_dev(parent));
	pci_save_state(to_pci_dev(parent));
	devfs_power_up(dev, !pci_device_is_present(to_pci_dev(parent)));
	devfs_error_tell(dev, DEVFS_DMA_EVENT_POWER);
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(devfs_pci_pm, devfs_pci_suspend, devfs_pci_resume);

/* Another kernel's memory may be where the buffers are. */
static void devfs_pci_shutdown(struct pci_dev *pdev)
{
	devfs_power_down(pci_get_drvdata(pdev));
	devfs_irqs_end(pci_get_drvdata(pdev));
	pci_clear_master(pdev);
	if (!pci_wait_for_pending_transaction(pdev))
		pci_warn(pdev, "transactions are pending still\n");
}

static int devfs_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	char name[DEVFS_DMA_NAME_SIZE];
	struct devfs_device *dev;
	bool resets;
	int err;

	if (pdev->hdr_type != PCI_HEADER_TYPE_NORMAL) {
		pci_err(pdev, "is a bridge\n");
		return -EINVAL;
	}
	err = devfs_may_bind(&pdev->dev, false);
	if (err)
		return err;
	err = pci_enable_device(pdev);
	if (err) {
		pci_err(pdev, "cannot be enabled (%d)\n", err);
		return err;
	}
	err = pci_request_regions(pdev, "devfs_dma");
	if (err)
		goto err_disable;
	resets = devfs_pci_quiesce(pdev);
	err = devfs_pci_set_mask(pdev);
	if (err)
		goto err_regions;
	snprintf(name, sizeof(name), "pci-%s", pci_name(pdev));
	dev = devfs_device_new(&pdev->dev, name);
	if (IS_ERR(dev)) {
		err = PTR_ERR(dev);
		goto err_regions;
	}
	dev->info_flags = DEVFS_DMA_INFO_HARDWARE;
	if (resets) {
		dev->info_flags |= DEVFS_DMA_INFO_RESET;
		dev->reset = devfs_pci_reset;
	}
	dev->is_programmed = true;
	err = devfs_pci_add_regions(dev, pdev);
	if (err)
		goto err_device;
	/* Before it has a line, whose mask is in the same register. */
	pci_set_master(pdev);
	err = devfs_pci_add_irqs(dev, pdev);
	if (err) {
		pci_err(pdev, "its interrupt cannot be had (%d)\n", err);
		goto err_irqs;
	}
	err = devfs_error_add(dev) ?: pci_save_state(pdev);
	if (err)
		goto err_irqs;
	pci_set_drvdata(pdev, dev);
	err = devfs_device_register(dev);
	if (err)
		goto err_drvdata;
	return 0;

err_drvdata:
	pci_set_drvdata(pdev, NULL);
err_irqs:
	devfs_irqs_end(dev);
	pci_clear_master(pdev);
	devfs_events_end(dev);
	pci_free_irq_vectors(pdev);
err_device:
	devfs_regions_end(dev);
	devfs_device_remove(dev);
err_regions:
	pci_release_regions(pdev);
err_disable:
	pci_disable_device(pdev);
	return err;
}

static void devfs_pci_remove(struct pci_dev *pdev)
{
	struct devfs_device *dev = pci_get_drvdata(pdev);

	devfs_unwatch(dev);
	/* Resets from here on are not its business. */
	pci_set_drvdata(pdev, NULL);
	/* A line's mask is in the register that has the bus mastering. */
	devfs_irqs_end(dev);
	/* No more DMA: then its buffers can go. */
	pci_clear_master(pdev);
	if (!pci_wait_for_pending_transaction(pdev))
		pci_warn(pdev, "transactions are pending still\n");
	devfs_regions_end(dev);
	devfs_device_remove(dev);
	pci_free_irq_vectors(pdev);
	/* Nothing is to go on when the next driver allows it DMA. */
	if (pci_device_is_present(pdev))
		devfs_pci_reset_locked(pdev);
	pci_release_regions(pdev);
	pci_disable_device(pdev);
}

static struct pci_driver devfs_pci_driver = {
	.name		= "devfs_dma",
	.probe		= devfs_pci_probe,
	.remove		= devfs_pci_remove,
	.shutdown	= devfs_pci_shutdown,
	.err_handler	= &devfs_pci_errors,
	.dev_groups	= devfs_pci_groups,
	.driver.pm	= pm_sleep_ptr(&devfs_pci_pm),
};

int devfs_pci_init(void)
{
	return pci_register_driver(&devfs_pci_driver);
}

void devfs_pci_exit(void)
{
	pci_unregister_driver(&devfs_pci_driver);
}
