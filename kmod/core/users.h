/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - what one user may have of a device. */
#ifndef DEVFS_DMA_CORE_USERS_H
#define DEVFS_DMA_CORE_USERS_H

#include <linux/fs.h>
#include <linux/uidgid.h>

struct devfs_client;

enum devfs_user_limit {
	DEVFS_USER_BUFFERS,
	DEVFS_USER_SIGNALS,
	DEVFS_USER_LISTENERS,
	DEVFS_USER_LIMITS
};

/* As long as something is his: devfs_device.lock, but for the count of listeners. */
struct devfs_user {
	struct list_head entry;
	kuid_t uid;
	unsigned int refs;
	unsigned int counts[DEVFS_USER_LIMITS];
};

int devfs_user_open(struct devfs_client *client, struct file *node);
void devfs_user_close(struct devfs_client *client);
int devfs_user_charge(struct devfs_client *client, enum devfs_user_limit what);
void devfs_user_uncharge(struct devfs_user *user, enum devfs_user_limit what);
struct devfs_user *devfs_user_get(struct devfs_client *client, enum devfs_user_limit what);
void devfs_user_put(struct devfs_user *user, enum devfs_user_limit what);
bool devfs_user_period(struct devfs_client *client, u64 period_ns);

#endif /* DEVFS_DMA_CORE_USERS_H */
