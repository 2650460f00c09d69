/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - a region, as the files of this room know it. */
#ifndef DEVFS_DMA_REGION_OBJECT_H
#define DEVFS_DMA_REGION_OBJECT_H

#include "core/inode.h"
#include "core/revoke.h"
#include "region/region.h"

/* The stretch as a file. */
struct devfs_region {
	struct devfs_inode base;
	struct devfs_region_setup is;
	struct devfs_region *twin;	/* the same memory by another kind of mapping */

	/* base.inode.i_mapping->invalidate_lock, exclusively to change: */
	void __iomem *mapped;		/* while it is open */
	unsigned int opens;		/* devfs_device.lock, too */
	bool gone;

	struct list_head exports;	/* devfs_device.lock */
	atomic_t importers;		/* devices for which its dma-bufs are mapped */
};

static inline struct devfs_region *devfs_region_of(struct inode *inode)
{
	BUILD_BUG_ON(offsetof(struct devfs_region, base));
	return container_of(inode, struct devfs_region, base.inode);
}

/* region.c */
int devfs_region_open(struct inode *inode, struct file *file);
int devfs_region_release(struct inode *inode, struct file *file);

/* file.c */
extern const struct devfs_inode_kind devfs_region_kind;
int devfs_region_access(struct devfs_region *region, struct file *file, size_t pos, void *data,
			size_t count, bool write);

/* power.c */
int devfs_region_reach(struct devfs_region *region, struct file *file);
void devfs_region_leave(struct devfs_region *region);

/* export.c */
long devfs_region_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif /* DEVFS_DMA_REGION_OBJECT_H */
