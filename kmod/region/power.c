// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - a device that is reset, fails, or is without power.
 *
 * Its registers do not answer then: mappings of its regions are taken away, and
 * come back by themselves. Who reaches a region waits for a reset; while the
 * device is off reading and writing is -EIO, and mappings are SIGBUS. What it was
 * told before is lost, which the source "error" tells.
 */
#include <linux/fs.h>
#include <linux/mm.h>

#include "core/client.h"
#include "core/command.h"
#include "region/object.h"
#include "signal/signal.h"

/*
 * The configuration space has a lock of the PCI core's, which is held when a reset
 * begins. It says what happened where all else does not answer.
 */
static bool devfs_always_answers(struct devfs_region *region)
{
	return region->is.flags & DEVFS_DMA_REGION_CONFIG;
}

/* The region answers: -EIO, and no lock, where not. devfs_region_leave() ends it. */
int devfs_region_reach(struct devfs_region *region)
{
	struct devfs_device *dev = region->base.dev;

	if (devfs_always_answers(region))
		return 0;
	down_read(&dev->reach);
	if (!dev->off)
		return 0;
	up_read(&dev->reach);
	return -EIO;
}

void devfs_region_leave(struct devfs_region *region)
{
	if (!devfs_always_answers(region))
		up_read(&region->base.dev->reach);
}

/* The device's driver lock is held, which keeps its regions. */
static void devfs_regions_zap(struct devfs_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->region_count; i++)
		unmap_mapping_range(dev->regions[i]->base.inode.i_mapping, 0, 0, 1);
}

/* With the driver lock held, as are all that follow: nothing reaches the device until the end. */
void devfs_reset_begin(struct devfs_device *dev)
{
	devfs_irqs_pause(dev, true);
	down_write(&dev->reach);
	devfs_regions_zap(dev);
}

/* @answers: it came back from the reset. */
void devfs_reset_end(struct devfs_device *dev, bool answers)
{
	dev->off = !answers;
	up_write(&dev->reach);
	if (answers)
		devfs_irqs_pause(dev, false);
	devfs_error_tell(dev, DEVFS_DMA_EVENT_RESET);
}

/* Its registers do not answer from now on. */
void devfs_power_down(struct devfs_device *dev)
{
	devfs_irqs_pause(dev, true);
	down_write(&dev->reach);
	dev->off = true;
	up_write(&dev->reach);
	/* No fault can bring back what this takes away. */
	devfs_regions_zap(dev);
}

/* They do again. */
void devfs_power_up(struct devfs_device *dev)
{
	down_write(&dev->reach);
	dev->off = false;
	up_write(&dev->reach);
	devfs_irqs_pause(dev, false);
}

/* The command RESET. */
long devfs_reset(struct devfs_call *call)
{
	struct devfs_client *client = call->file->private_data;
	struct devfs_device *dev = client->dev;

	return dev->reset ? dev->reset(dev) : -EOPNOTSUPP;
}
