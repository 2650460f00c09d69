/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - who has a node open. */
#ifndef DEVFS_DMA_CORE_CLIENT_H
#define DEVFS_DMA_CORE_CLIENT_H

#include <linux/mutex.h>
#include <linux/types.h>

struct devfs_device;
struct devfs_user;
struct inode;

/* One open node. */
struct devfs_client {
	struct devfs_device *dev;
	struct devfs_user *user;	/* who opened it */
	bool unlimited;			/* by what a user may have */
	struct inode *node;		/* by which it was opened */
	struct mutex lock;		/* one reader at a time */
	u64 name_changes;		/* that it made itself: devfs_device.lock */
	u64 position;			/* seq of the next record: events.lock */
	u64 subscribed;			/* bit n: source n */
	bool lost;
};

#endif /* DEVFS_DMA_CORE_CLIENT_H */
