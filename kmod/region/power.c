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
#include "core/safety.h"
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

/*
 * The region answers: -EIO where not, and -EPERM to @file where the device became unsafe
 * meanwhile; no lock then. devfs_region_leave() ends it.
 */
int devfs_region_reach(struct devfs_region *region, struct file *file)
{
	struct devfs_device *dev = region->base.dev;
	int err = 0;

	if (devfs_always_answers(region))
		return 0;
	down_read(&dev->reach);
	if (dev->off || dev->stuck)
		err = -EIO;
	else if (dev->barred && file->private_data != dev && !devfs_may_program(file))
		err = -EPERM;
	if (err)
		up_read(&dev->reach);
	return err;
}

void devfs_region_leave(struct devfs_region *region)
{
	if (!devfs_always_answers(region))
		up_read(&region->base.dev->reach);
}

/* With what keeps its regions: its driver lock, or the watch for its mates. */
static void devfs_regions_zap(struct devfs_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->region_count; i++)
		unmap_mapping_range(dev->regions[i]->base.inode.i_mapping, 0, 0, 1);
}

/*
 * The device became unsafe, or is no more. With what keeps its regions. A file that was
 * opened by way of a node whose opener may have it has that mark.
 */
void devfs_regions_bar(struct devfs_device *dev, bool barred)
{
	down_write(&dev->reach);
	dev->barred = barred;
	up_write(&dev->reach);
	if (barred)
		devfs_regions_zap(dev);
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
	dev->stuck = !answers;
	up_write(&dev->reach);
	devfs_irqs_pause(dev, dev->off || dev->stuck);
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

/* They do again, but those of a device that is @stuck: power is no answer to a reset. */
void devfs_power_up(struct devfs_device *dev, bool stuck)
{
	down_write(&dev->reach);
	dev->off = false;
	dev->stuck = stuck;
	up_write(&dev->reach);
	devfs_irqs_pause(dev, stuck);
}

/* The command RESET. */
long devfs_reset(struct devfs_call *call)
{
	struct devfs_client *client = call->file->private_data;
	struct devfs_device *dev = client->dev;

	return dev->reset ? dev->reset(dev) : -EOPNOTSUPP;
}
