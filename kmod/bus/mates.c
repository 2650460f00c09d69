// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the other devices of an IOMMU group, whose drivers come and go.
 *
 * They have their memory where our device reaches it. Who may open its node is asked
 * at the opening; who has it open by then is kept from its registers.
 */
#include <linux/device.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/platform_device.h>

#include "bus/bus.h"
#include "core/safety.h"
#include "region/region.h"

/* Devices with a node; devfs_mates_lock keeps them, and their regions, there. */
static LIST_HEAD(devfs_watched);
static DEFINE_MUTEX(devfs_mates_lock);

/* @leaving is not counted: its driver is on its way out. */
static void devfs_look_at_mates(struct devfs_device *dev, struct device *leaving)
{
	bool unsafe = devfs_becomes_unsafe(dev, leaving);

	if (unsafe && !dev->was_unsafe) {
		dev_warn(dev->dev, "another driver has a device of its IOMMU group now: who opened the node before has its registers no more, without CAP_SYS_RAWIO\n");
		devfs_regions_bar(dev, true);
	} else if (!unsafe) {
		devfs_regions_bar(dev, false);
	}
	dev->was_unsafe = unsafe;
}

/* Before a driver has a device, and after it had it. */
static int devfs_mate_changes(struct notifier_block *block, unsigned long what, void *data)
{
	struct device *mate = data;
	struct devfs_device *dev;

	if (what != BUS_NOTIFY_BIND_DRIVER && what != BUS_NOTIFY_UNBOUND_DRIVER &&
	    what != BUS_NOTIFY_DRIVER_NOT_BOUND)
		return NOTIFY_DONE;
	mutex_lock(&devfs_mates_lock);
	list_for_each_entry(dev, &devfs_watched, watched)
		if (mate->iommu_group && mate->iommu_group == dev->dev->iommu_group &&
		    mate != dev->dev)
			devfs_look_at_mates(dev, what == BUS_NOTIFY_BIND_DRIVER ? NULL : mate);
	mutex_unlock(&devfs_mates_lock);
	return NOTIFY_OK;
}

static struct notifier_block devfs_mates_platform = { .notifier_call = devfs_mate_changes };
#ifdef CONFIG_PCI
static struct notifier_block devfs_mates_pci = { .notifier_call = devfs_mate_changes };
#endif

void devfs_watch(struct devfs_device *dev)
{
	mutex_lock(&devfs_mates_lock);
	dev->was_unsafe = devfs_is_unsafe(dev);
	list_add(&dev->watched, &devfs_watched);
	mutex_unlock(&devfs_mates_lock);
}

/* Before its regions end. */
void devfs_unwatch(struct devfs_device *dev)
{
	mutex_lock(&devfs_mates_lock);
	list_del_init(&dev->watched);
	mutex_unlock(&devfs_mates_lock);
}

int devfs_mates_init(void)
{
	int err = bus_register_notifier(&platform_bus_type, &devfs_mates_platform);

#ifdef CONFIG_PCI
	if (err)
		return err;
	err = bus_register_notifier(&pci_bus_type, &devfs_mates_pci);
	if (err)
		bus_unregister_notifier(&platform_bus_type, &devfs_mates_platform);
#endif
	return err;
}

void devfs_mates_exit(void)
{
#ifdef CONFIG_PCI
	bus_unregister_notifier(&pci_bus_type, &devfs_mates_pci);
#endif
	bus_unregister_notifier(&platform_bus_type, &devfs_mates_platform);
}
