/* SPDX-License-Identifier: GPL-2.0 */
/*
 * devfs_dma - what buffer.c, create.c and rename.c share of the registry of buffers.
 */
#ifndef DEVFS_DMA_REGISTRY_H
#define DEVFS_DMA_REGISTRY_H

#include <linux/rhashtable.h>

#include "core/buffer.h"
#include "core/client.h"

/* Here, and not a pointer to it, as rhashtable inlines its look-ups. */
static const struct rhashtable_params devfs_names = {
	.key_len		= DEVFS_DMA_NAME_SIZE,
	.key_offset		= offsetof(struct devfs_buffer, name),
	.head_offset		= offsetof(struct devfs_buffer, by_name),
	.automatic_shrinking	= true,
};

/* A name was given, changed or taken, with devfs_device.lock held; @by is NULL or who did it. */
static inline void devfs_names_changed(struct devfs_device *dev, struct devfs_client *by)
{
	lockdep_assert_held(&dev->lock);
	dev->name_changes++;
	if (by)
		by->name_changes++;
}

int devfs_enlist(struct devfs_buffer *buf, struct devfs_client *by);
struct pid *devfs_owner_pid(u32 nr);
struct file *devfs_file_for(struct devfs_client *client, struct devfs_buffer *buf, u32 fd_flags);
bool devfs_may_manage(struct devfs_buffer *buf);
struct devfs_lease *devfs_unlist_id(struct devfs_buffer *buf, bool *put);
void devfs_unlisted(struct devfs_buffer *buf, struct devfs_lease *lease, bool put);

#endif /* DEVFS_DMA_REGISTRY_H */
