// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - devices: who refers to them, and what memory they reach.
 */
#include <linux/iommu.h>
#include <linux/ioport.h>
#include <linux/sched.h>

#include "core/device.h"

static void devfs_device_release(struct kref *ref)
{
	struct devfs_device *dev = container_of(ref, struct devfs_device, ref);

	dev->release(dev);
}

void devfs_device_get(struct devfs_device *dev)
{
	kref_get(&dev->ref);
}

void devfs_device_put(struct devfs_device *dev)
{
	kref_put(&dev->ref, devfs_device_release);
}

/* Bus addresses are an IOMMU's: with iommu=pt it is there, and lets the device reach everything. */
bool devfs_is_translated(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && domain->type & __IOMMU_DOMAIN_PAGING;
}

/* Behind an IOMMU that forgets what was unmapped some 10 ms later, to save work. */
bool devfs_is_lazy(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && domain->type == IOMMU_DOMAIN_DMA_FQ;
}

/*
 * Between unmapping and giving memory back: a device that goes on writing faults
 * then, and does not write into what is somebody else's.
 */
void devfs_flush_iommu(struct device *dev)
{
	if (devfs_is_lazy(dev))
		iommu_flush_iotlb_all(iommu_get_domain_for_dev(dev));
}

/* Some of it is used by the kernel itself. */
bool devfs_is_ram(phys_addr_t start, resource_size_t size)
{
	return region_intersects(start, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	       REGION_DISJOINT;
}

/*
 * Somebody gets a bus address, with which a device can be programmed. With what
 * keeps the device there: i_rwsem or invalidate_lock of a buffer that has one.
 */
void devfs_tell_address(struct devfs_device *dev)
{
	if (atomic_read(&dev->told) || devfs_is_translated(dev->dev) ||
	    atomic_xchg(&dev->told, 1))
		return;
	dev_warn(dev->dev, "%s[%d] was told bus addresses; with no IOMMU a wrong one reaches any memory\n",
		 current->comm, task_pid_nr(current));
}
