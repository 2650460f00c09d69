// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - new names for buffers.
 *
 * devfs_device.lock makes each change one step for everybody else. Whatever may
 * fail comes before the first change.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "buffer/buffer.h"
#include "buffer/registry.h"
#include "core/compat.h"

/* @old's place in the table, and with it its name, goes to @buf, which is in none. */
static void devfs_take_name(struct devfs_buffer *buf, struct devfs_buffer *old)
{
	memcpy(buf->name, old->name, sizeof(buf->name));
	WARN_ON(rhashtable_replace_fast(&buf->base.dev->by_name, &old->by_name, &buf->by_name,
					devfs_names));
}

/* @spare takes the new name's place, which may fail, before @buf leaves its own. */
static int devfs_set_name(struct devfs_buffer *buf, const char *name, struct devfs_buffer *spare)
{
	struct devfs_device *dev = buf->base.dev;
	int err;

	memcpy(spare->name, name, sizeof(spare->name));
	err = rhashtable_lookup_insert_fast(&dev->by_name, &spare->by_name, devfs_names);
	if (err)
		return err;
	rhashtable_remove_fast(&dev->by_name, &buf->by_name, devfs_names);
	devfs_take_name(buf, spare);
	return 0;
}

/* @spare keeps a place while the two change theirs. */
static void devfs_exchange(struct devfs_buffer *buf, struct devfs_buffer *other,
			   struct devfs_buffer *spare)
{
	devfs_take_name(spare, other);
	devfs_take_name(other, buf);
	devfs_take_name(buf, spare);
}

static struct devfs_lease *devfs_replace(struct devfs_buffer *buf, struct devfs_buffer *other,
					 bool *put)
{
	rhashtable_remove_fast(&buf->base.dev->by_name, &buf->by_name, devfs_names);
	devfs_take_name(buf, other);
	clear_nlink(&other->base.inode);
	devfs_touch_ctime(&other->base.inode);
	return devfs_unlist_id(other, put);
}

/**
 * devfs_buffer_rename - give a buffer another name
 * @buf: buffer, of which the caller has a reference
 * @name: the new name, the whole field
 * @flags: 0 or one of DEVFS_DMA_RENAME_*
 * @by: open node by which it is done, or NULL
 *
 * Return: 0, or an errno after which nothing has changed.
 */
int devfs_buffer_rename(struct devfs_buffer *buf, const char *name, u32 flags,
			struct devfs_client *by)
{
	struct devfs_buffer *other, *spare, *held = NULL;
	struct devfs_device *dev = buf->base.dev;
	struct devfs_lease *lease = NULL;
	bool put = false, replaced = false;
	int err = 0;

	if (!devfs_name_valid(name) || flags > DEVFS_DMA_RENAME_EXCHANGE)
		return -EINVAL;
	if (!devfs_may_manage(buf))
		return -EPERM;
	spare = kzalloc(sizeof(*spare), GFP_KERNEL_ACCOUNT);
	if (!spare)
		return -ENOMEM;
	spare->base.dev = dev;

	mutex_lock(&dev->lock);
	if (!buf->listed) {
		err = -ENOENT;
		goto out_unlock;
	}
	if (!strcmp(buf->name, name))
		goto out_unlock;
	other = rhashtable_lookup_fast(&dev->by_name, name, devfs_names);
	/* One that is being evicted waits for the lock to give up its name. */
	if (other && igrab(&other->base.inode))
		held = other;
	if (!other && flags != DEVFS_DMA_RENAME_EXCHANGE) {
		err = devfs_set_name(buf, name, spare);
	} else if (!held && flags == DEVFS_DMA_RENAME_EXCHANGE) {
		err = -ENOENT;
	} else if (!flags) {
		err = -EEXIST;
	} else if (!devfs_may_manage(other)) {
		err = -EPERM;
	} else if (flags == DEVFS_DMA_RENAME_EXCHANGE) {
		devfs_exchange(buf, other, spare);
	} else {
		lease = devfs_replace(buf, other, &put);
		replaced = held;
	}
	if (!err)
		devfs_names_changed(dev, by);
out_unlock:
	mutex_unlock(&dev->lock);
	if (replaced)
		devfs_unlisted(held, lease, put);
	if (held)
		iput(&held->base.inode);
	kfree(spare);
	return err;
}
