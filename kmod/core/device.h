/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - a device below /dev/devfs, as all rooms know it. */
#ifndef DEVFS_DMA_CORE_DEVICE_H
#define DEVFS_DMA_CORE_DEVICE_H

#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/rhashtable-types.h>
#include <linux/rwsem.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "uapi/devfs_dma.h"

struct devfs_events;
struct devfs_region;
struct devfs_source;
struct reset_control;

/* Two files of six BARs and the configuration space, and some to spare. */
#define DEVFS_REGIONS_MAX 16

/* One device below /dev/devfs. */
struct devfs_device {
	struct kref ref;
	void (*release)(struct devfs_device *dev);
	struct miscdevice misc;
	struct device *dev;		/* whom buffers are mapped for */
	char name[DEVFS_DMA_NAME_SIZE];
	char node[DEVFS_DMA_NAME_SIZE + 8];
	u32 info_flags;			/* DEVFS_DMA_INFO_* of the bus, from the start */
	bool registered;		/* it has a node */
	bool is_programmed;		/* by its registers, which its node gives */
	atomic_t told;			/* a bus address, to somebody */
	unsigned long refused;		/* bit n: the log has devfs_refusal n */
	struct rw_semaphore gate;
	bool dead;			/* for ever, once set with the gate */

	/* What is reached by registers: region/power.c. */
	struct rw_semaphore reach;	/* shared by who reaches a region; exclusively: a reset */
	bool off;			/* reach: it has no power, or failed */
	bool stuck;			/* reach: it did not come back from its last reset */
	bool barred;			/* reach: it became unsafe while others had it open */
	bool was_unsafe;		/* bus/mates.c has these two */
	struct list_head watched;
	struct devfs_source *error;	/* of hardware: the driver core's lock */
	int (*reset)(struct devfs_device *dev);	/* NULL: it cannot be */
	struct reset_control *lines;	/* of a platform device, or NULL */

	struct mutex lock;		/* names, ids, attached, to the blank line */
	struct list_head reserved;	/* its ranges; the list stays while it has a node */
	struct rhashtable by_name;
	struct xarray by_id;
	unsigned int buffers;
	u64 name_changes;		/* of buffers, by whomever */
	struct list_head attached;	/* buffers that have memory for the device */
	struct list_head users;		/* who have something of it */
	struct list_head leaving;	/* those that removal has: nobody else touches it */
	struct devfs_region *regions[DEVFS_REGIONS_MAX];
	unsigned int region_count;

	wait_queue_head_t detached;	/* one of them left, or an importer of one */
	unsigned long patience;		/* with importers, in jiffies: removal's */

	atomic64_t next_id;		/* of buffers; serials, too */

	atomic64_t used;
	atomic64_t heap_used[DEVFS_DMA_HEAPS];
	atomic_t heap_buffers[DEVFS_DMA_HEAPS];
	atomic64_t bounced;

	struct devfs_events *events;
};

static inline bool devfs_dead(struct devfs_device *dev)
{
	return READ_ONCE(dev->dead);
}

/* An IOMMU makes its bus addresses. */
static inline bool devfs_translates(struct devfs_device *dev)
{
	return dev->info_flags & DEVFS_DMA_INFO_IOMMU;
}

void devfs_device_get(struct devfs_device *dev);
void devfs_device_put(struct devfs_device *dev);
void devfs_tell_address(struct devfs_device *dev);
bool devfs_is_translated(struct device *dev);
bool devfs_is_lazy(struct device *dev);
void devfs_flush_iommu(struct device *dev);
bool devfs_is_ram(phys_addr_t start, resource_size_t size);

/* name.c */
bool devfs_name_valid(const char *name);

#endif /* DEVFS_DMA_CORE_DEVICE_H */
