// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - what one user may have of a device.
 *
 * All that is made by an open node counts for who opened it, as long as it is
 * there. Who had CAP_SYS_RESOURCE or CAP_SYS_ADMIN then, the server of the tree
 * among them, has no limits but the device's. Those in a user namespace, who may
 * have many uids there, are one user: who made the namespace.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "core/client.h"
#include "core/device.h"
#include "core/users.h"

static unsigned int devfs_user_limits[] = {
	[DEVFS_USER_BUFFERS]	= 16384,
	[DEVFS_USER_SIGNALS]	= 16,
	[DEVFS_USER_LISTENERS]	= 32,
};

module_param_named(user_buffers, devfs_user_limits[DEVFS_USER_BUFFERS], uint, 0644);
MODULE_PARM_DESC(user_buffers, "Buffers of a device that a user may have made (16384)");
module_param_named(user_signals, devfs_user_limits[DEVFS_USER_SIGNALS], uint, 0644);
MODULE_PARM_DESC(user_signals, "Signal sources of a device that a user may have made (16)");
module_param_named(user_listeners, devfs_user_limits[DEVFS_USER_LISTENERS], uint, 0644);
MODULE_PARM_DESC(user_listeners, "Eventfds and notified processes of a user on a device (32)");

static unsigned int devfs_user_period_us = 1000;
module_param_named(user_period_us, devfs_user_period_us, uint, 0644);
MODULE_PARM_DESC(user_period_us, "Microseconds that a timer of a user's has at least (1000)");

static kuid_t devfs_user_uid(const struct cred *cred)
{
	struct user_namespace *ns = cred->user_ns;
	kuid_t uid = cred->uid;

	for (; ns != &init_user_ns; ns = ns->parent)
		uid = ns->owner;
	return uid;
}

static struct devfs_user *devfs_user_find(struct devfs_device *dev, kuid_t uid)
{
	struct devfs_user *user;

	list_for_each_entry(user, &dev->users, entry)
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

/* With devfs_device.lock held. */
static void devfs_user_release(struct devfs_user *user)
{
	if (--user->refs)
		return;
	list_del(&user->entry);
	kfree(user);
}

/* Whoever opened the node, as long as it is open. */
int devfs_user_open(struct devfs_client *client, struct file *node)
{
	struct devfs_user *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT), *user;
	struct devfs_device *dev = client->dev;

	if (!fresh)
		return -ENOMEM;
	fresh->uid = devfs_user_uid(node->f_cred);
	client->unlimited = file_ns_capable(node, &init_user_ns, CAP_SYS_RESOURCE) ||
			    file_ns_capable(node, &init_user_ns, CAP_SYS_ADMIN);
	mutex_lock(&dev->lock);
	user = devfs_user_find(dev, fresh->uid);
	if (!user) {
		list_add(&fresh->entry, &dev->users);
		swap(user, fresh);
	}
	user->refs++;
	mutex_unlock(&dev->lock);
	client->user = user;
	kfree(fresh);
	return 0;
}

void devfs_user_close(struct devfs_client *client)
{
	mutex_lock(&client->dev->lock);
	devfs_user_release(client->user);
	mutex_unlock(&client->dev->lock);
}

/* One more of @what: of listeners with events.lock held, of others with devfs_device.lock. */
int devfs_user_charge(struct devfs_client *client, enum devfs_user_limit what)
{
	unsigned int *count = &client->user->counts[what];

	if (!client->unlimited && *count >= READ_ONCE(devfs_user_limits[what]))
		return -EDQUOT;
	(*count)++;
	return 0;
}

void devfs_user_uncharge(struct devfs_user *user, enum devfs_user_limit what)
{
	user->counts[what]--;
}

/* The same of what may outlive the node: the user, or an ERR_PTR. With devfs_device.lock held. */
struct devfs_user *devfs_user_get(struct devfs_client *client, enum devfs_user_limit what)
{
	int err = devfs_user_charge(client, what);

	lockdep_assert_held(&client->dev->lock);
	if (err)
		return ERR_PTR(err);
	client->user->refs++;
	return client->user;
}

void devfs_user_put(struct devfs_user *user, enum devfs_user_limit what)
{
	/* What is there from the start is nobody's. */
	if (!user)
		return;
	devfs_user_uncharge(user, what);
	devfs_user_release(user);
}

/* Timers run on the CPU's time, and nobody else's does meanwhile. */
bool devfs_user_period(struct devfs_client *client, u64 period_ns)
{
	return client->unlimited ||
	       period_ns >= (u64)READ_ONCE(devfs_user_period_us) * NSEC_PER_USEC;
}
