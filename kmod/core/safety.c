// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - which devices are safe in the hands of others than root.
 *
 * A device reaches what its IOMMU translates for it. Where nothing does, whoever
 * programs it reads and writes all memory: its node is root's then, and binding it
 * is for the administrator to ask for, as with vfio. A node without registers has
 * nothing to program, and its memory is not another's.
 */
#include <linux/capability.h>
#include <linux/iommu.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/security.h>
#include <linux/sysfs.h>

#include "core/compat.h"
#include "core/rights.h"
#include "core/safety.h"

static bool devfs_unsafe_mode;
module_param_named(enable_unsafe_noiommu_mode, devfs_unsafe_mode, bool, 0644);
MODULE_PARM_DESC(enable_unsafe_noiommu_mode,
		 "Bind devices that no IOMMU confines; whoever programs one reaches all memory (N)");

/*
 * Devices of one group reach each other, and share what is translated. Bridges have
 * no memory of their own there; vfio lets them have their drivers, too.
 */
struct devfs_mates {
	struct device_driver *ours;
	struct device *leaving;
};

static int devfs_is_other(struct device *other, void *data)
{
	struct device_driver *theirs = READ_ONCE(other->driver);
	struct devfs_mates *mates = data;

	if (!theirs || theirs == mates->ours || other == mates->leaving)
		return 0;
	return !dev_is_pci(other) || to_pci_dev(other)->hdr_type == PCI_HEADER_TYPE_NORMAL;
}

/*
 * Other drivers have devices in its IOMMU group, but for @leaving. That changes as they
 * come and go.
 */
static bool devfs_is_shared(struct device *dev, struct device *leaving)
{
	struct devfs_mates mates = { .ours = READ_ONCE(dev->driver), .leaving = leaving };
	struct iommu_group *group = iommu_group_get(dev);
	bool shared;

	if (!group)
		return false;
	shared = iommu_group_for_each_dev(group, &mates, devfs_is_other);
	iommu_group_put(group);
	return shared;
}

/* Why the device reaches memory that is not its own; NULL where it does not. */
static const char *devfs_danger(struct device *dev, struct device *leaving)
{
	if (!iommu_get_domain_for_dev(dev))
		return "no IOMMU is before it";
	if (!devfs_is_translated(dev))
		return "its IOMMU translates nothing";
	if (devfs_is_shared(dev, leaving))
		return "another driver has a device of its IOMMU group";
	return NULL;
}

/* Whether who opens its node could reach all memory by it. */
bool devfs_is_unsafe(struct devfs_device *dev)
{
	return devfs_becomes_unsafe(dev, NULL);
}

/* The same when the driver of another device is gone. */
bool devfs_becomes_unsafe(struct devfs_device *dev, struct device *leaving)
{
	return dev->is_programmed && devfs_danger(dev->dev, leaving);
}

/* Who opened @file may have a device that is unsafe. What he opened is his to hand on. */
bool devfs_may_program(struct file *file)
{
	return file_ns_capable(file, &init_user_ns, CAP_SYS_RAWIO);
}

/* Of DEVFS_DMA_INFO_*, what holds now. With the gate held. */
u32 devfs_safety_flags(struct devfs_device *dev)
{
	u32 flags = 0;

	if (devfs_translates(dev) && devfs_is_shared(dev->dev, NULL))
		flags |= DEVFS_DMA_INFO_SHARED;
	if (devfs_is_unsafe(dev))
		flags |= DEVFS_DMA_INFO_UNSAFE;
	if (devfs_has_isolated_msi(dev->dev))
		flags |= DEVFS_DMA_INFO_MSI_ISOLATED;
	return flags;
}

/**
 * devfs_may_bind - whether a device may be given to user space
 * @dev: the device, before anything was done to it
 * @is_wish: the administrator wished it by other means than the module's parameter
 *
 * Return: 0, or -EPERM; the kernel's log says why.
 */
int devfs_may_bind(struct device *dev, bool is_wish)
{
	const char *danger = devfs_danger(dev, NULL);

	if (!danger)
		return 0;
	if (security_locked_down(LOCKDOWN_PCI_ACCESS)) {
		dev_err(dev, "refused: %s, and the kernel is locked down\n", danger);
		return -EPERM;
	}
	if (!is_wish && !READ_ONCE(devfs_unsafe_mode)) {
		dev_err(dev, "refused: %s, so that it reaches all memory; devfs_dma.enable_unsafe_noiommu_mode=Y allows it\n",
			danger);
		return -EPERM;
	}
	add_taint(TAINT_USER, LOCKDEP_STILL_OK);
	dev_warn(dev, "%s: whoever programs it reaches all memory, and the kernel is tainted\n",
		 danger);
	return 0;
}

/* Whether the caller may open the node. What holds at this moment counts. */
int devfs_may_open(struct devfs_device *dev)
{
	if (!devfs_is_unsafe(dev))
		return 0;
	if (!capable(CAP_SYS_RAWIO)) {
		devfs_refused(dev, DEVFS_REFUSED_OPEN);
		return -EPERM;
	}
	/* It tells the log itself. */
	return security_locked_down(LOCKDOWN_PCI_ACCESS);
}

/* For udev(7), which gives a node that is safe to others. */
static ssize_t unsafe_show(struct device *node, struct device_attribute *attr, char *text)
{
	struct miscdevice *misc = dev_get_drvdata(node);
	struct devfs_device *dev = container_of(misc, struct devfs_device, misc);

	return sysfs_emit(text, "%d\n", devfs_is_unsafe(dev));
}
static DEVICE_ATTR_RO(unsafe);

static struct attribute *devfs_node_attrs[] = {
	&dev_attr_unsafe.attr,
	NULL,
};

static const struct attribute_group devfs_node_group = {
	.attrs = devfs_node_attrs,
};

const struct attribute_group *devfs_node_groups[] = {
	&devfs_node_group,
	NULL,
};
