// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - buffers by name and id: finding and freeing them.
 *
 * The registry's own reference to an inode exists for LEASE_PERSIST and
 * LEASE_PROCESS; a buffer of LEASE_USE is listed without one and leaves the
 * registry when it is evicted.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "buffer/buffer.h"
#include "buffer/heaps.h"
#include "buffer/object.h"
#include "buffer/registry.h"
#include "core/compat.h"
#include "core/memcg.h"
#include "core/rights.h"
#include "core/trace.h"
#include "core/users.h"

int devfs_registry_init(struct devfs_device *dev)
{
	mutex_init(&dev->lock);
	xa_init(&dev->by_id);
	return rhashtable_init(&dev->by_name, &devfs_names);
}

void devfs_registry_exit(struct devfs_device *dev)
{
	rhashtable_destroy(&dev->by_name);
	xa_destroy(&dev->by_id);
	mutex_destroy(&dev->lock);
}

bool devfs_may_manage(struct devfs_buffer *buf)
{
	if (uid_eq(current_fsuid(), READ_ONCE(buf->base.inode.i_uid)) || capable(CAP_FOWNER))
		return true;
	devfs_refused(buf->base.dev, DEVFS_REFUSED_OWNER);
	return false;
}

/*
 * Takes the buffer's id off, with dev->lock held; its name must have gone to
 * another. The caller passes what is returned, and *put, to devfs_unlisted().
 */
struct devfs_lease *devfs_unlist_id(struct devfs_buffer *buf, bool *put)
{
	struct devfs_device *dev = buf->base.dev;
	struct devfs_lease *lease = buf->lease;

	lockdep_assert_held(&dev->lock);
	xa_erase(&dev->by_id, buf->id);
	dev->buffers--;
	buf->listed = false;
	buf->lease = NULL;
	*put = buf->lease_kind != DEVFS_DMA_LEASE_USE;
	return lease;
}

/*
 * Takes the buffer out of the registry, with dev->lock held. The caller drops
 * the inode reference if *put, and ends the returned lease, after unlocking.
 */
static struct devfs_lease *devfs_unlist(struct devfs_buffer *buf, struct devfs_client *by,
					bool *put)
{
	*put = false;
	if (!buf->listed)
		return NULL;
	rhashtable_remove_fast(&buf->base.dev->by_name, &buf->by_name, devfs_names);
	devfs_names_changed(buf->base.dev, by);
	return devfs_unlist_id(buf, put);
}

/* With the lock held; the buffer has an inode reference of its own then. */
int devfs_enlist(struct devfs_buffer *buf, struct devfs_client *by)
{
	struct devfs_device *dev = buf->base.dev;
	int err;

	lockdep_assert_held(&dev->lock);
	if (devfs_dead(dev))
		return -ENODEV;
	err = xa_insert(&dev->by_id, buf->id, buf, GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	err = rhashtable_lookup_insert_fast(&dev->by_name, &buf->by_name, devfs_names);
	if (err) {
		xa_erase(&dev->by_id, buf->id);
		return err;
	}
	devfs_names_changed(dev, by);
	dev->buffers++;
	buf->listed = true;
	return 0;
}

struct pid *devfs_owner_pid(u32 nr)
{
	struct pid *pid;
	bool leads;

	if (!nr)
		return get_task_pid(current, PIDTYPE_TGID);
	if (nr > INT_MAX)
		return NULL;
	pid = find_get_pid(nr);
	rcu_read_lock();
	leads = pid_task(pid, PIDTYPE_TGID);
	rcu_read_unlock();
	if (leads)
		return pid;
	put_pid(pid);
	return NULL;
}

/* A file of the buffer's for who has the node open: devfs_knows_addresses() looks at the mark. */
struct file *devfs_file_for(struct devfs_client *client, struct devfs_buffer *buf, u32 fd_flags)
{
	struct file *file = devfs_inode_open(&buf->base.inode, fd_flags);

	if (!IS_ERR(file) && devfs_owns_node(client))
		file->private_data = client->dev;
	return file;
}

/* A reference to the inode of a listed buffer, or NULL. */
struct devfs_buffer *devfs_buffer_get(struct devfs_device *dev, u64 id)
{
	struct devfs_buffer *buf;

	mutex_lock(&dev->lock);
	buf = id <= ULONG_MAX ? xa_load(&dev->by_id, id) : NULL;
	/* One that is being evicted waits for the lock to leave the registry. */
	if (buf && !igrab(&buf->base.inode))
		buf = NULL;
	mutex_unlock(&dev->lock);
	return buf;
}

int devfs_buffer_open(struct devfs_client *client, struct devfs_dma_open *arg, struct file **file)
{
	struct devfs_device *dev = client->dev;
	struct devfs_buffer *buf;
	int err;

	if (arg->fd_flags & ~(O_ACCMODE | O_CLOEXEC) || (arg->fd_flags & O_ACCMODE) == O_ACCMODE ||
	    memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return -EINVAL;
	if (arg->id) {
		if (memchr_inv(arg->name, 0, sizeof(arg->name)))
			return -EINVAL;
		buf = devfs_buffer_get(dev, arg->id);
	} else {
		if (!devfs_name_valid(arg->name))
			return -EINVAL;
		mutex_lock(&dev->lock);
		buf = rhashtable_lookup_fast(&dev->by_name, arg->name, devfs_names);
		if (buf && !igrab(&buf->base.inode))
			buf = NULL;
		mutex_unlock(&dev->lock);
	}
	if (!buf)
		return -ENOENT;

	err = devfs_may_access(dev, &buf->base.inode, arg->fd_flags);
	if (err)
		goto out_put;
	*file = devfs_file_for(client, buf, arg->fd_flags);
	err = PTR_ERR_OR_ZERO(*file);
	arg->id = buf->id;
out_put:
	iput(&buf->base.inode);
	return err;
}

/* Ends what was unlisted, without the lock. */
void devfs_unlisted(struct devfs_buffer *buf, struct devfs_lease *lease, bool put)
{
	trace_devfs_dma_free(buf);
	devfs_lease_end(lease);
	if (put)
		iput(&buf->base.inode);
}

/* Name, id, lease and the registry's reference end. False if they had before. */
bool devfs_buffer_unlist(struct devfs_buffer *buf, struct devfs_client *by)
{
	struct devfs_device *dev = buf->base.dev;
	struct devfs_lease *lease;
	bool put, listed;

	/* Without i_rwsem: whoever stalls a copy under it must not stall this. */
	mutex_lock(&dev->lock);
	listed = buf->listed;
	lease = devfs_unlist(buf, by, &put);
	if (listed) {
		clear_nlink(&buf->base.inode);
		devfs_touch_ctime(&buf->base.inode);
	}
	mutex_unlock(&dev->lock);
	if (listed)
		devfs_unlisted(buf, lease, put);
	return listed;
}

int devfs_buffer_free(struct devfs_client *client, u64 id)
{
	struct devfs_buffer *buf = devfs_buffer_get(client->dev, id);
	int err = 0;

	if (!buf)
		return -ENOENT;
	if (!devfs_may_manage(buf))
		err = -EPERM;
	else if (!devfs_buffer_unlist(buf, client))
		err = -ENOENT;
	iput(&buf->base.inode);
	return err;
}

/* The lease's owner died. True if the lease was still the buffer's. */
bool devfs_buffer_expire(struct devfs_device *dev, u64 id, struct devfs_lease *lease)
{
	struct devfs_buffer *buf;
	bool put;

	mutex_lock(&dev->lock);
	buf = xa_load(&dev->by_id, id);
	/* The registry's reference keeps the inode, so it is not being evicted. */
	if (!buf || buf->lease != lease) {
		mutex_unlock(&dev->lock);
		return false;
	}
	devfs_unlist(buf, NULL, &put);
	clear_nlink(&buf->base.inode);
	devfs_touch_ctime(&buf->base.inode);
	mutex_unlock(&dev->lock);
	trace_devfs_dma_free(buf);
	iput(&buf->base.inode);
	return true;
}

int devfs_buffer_set_lease(struct devfs_buffer *buf, u32 kind, u32 owner)
{
	struct devfs_device *dev = buf->base.dev;
	struct devfs_lease *lease = NULL, *old;
	struct pid *pid = NULL;
	bool put = false;

	if (kind > DEVFS_DMA_LEASE_PROCESS)
		return -EINVAL;
	if (!devfs_may_manage(buf))
		return -EPERM;
	if (owner) {
		pid = devfs_owner_pid(owner);
		if (!pid)
			return -ESRCH;
	} else {
		mutex_lock(&dev->lock);
		pid = get_pid(buf->owner);
		mutex_unlock(&dev->lock);
	}
	if (kind == DEVFS_DMA_LEASE_PROCESS) {
		lease = devfs_lease_new(dev, buf->id, pid);
		if (!lease) {
			put_pid(pid);
			return -ENOMEM;
		}
	}

	mutex_lock(&dev->lock);
	if (!buf->listed) {
		mutex_unlock(&dev->lock);
		devfs_lease_end(lease);
		put_pid(pid);
		return -ENOENT;
	}
	if (buf->lease_kind != DEVFS_DMA_LEASE_USE && kind == DEVFS_DMA_LEASE_USE)
		put = true;
	else if (buf->lease_kind == DEVFS_DMA_LEASE_USE && kind != DEVFS_DMA_LEASE_USE)
		ihold(&buf->base.inode);
	buf->lease_kind = kind;
	swap(buf->owner, pid);
	old = buf->lease;
	buf->lease = lease;
	if (lease)
		devfs_lease_start(lease);
	mutex_unlock(&dev->lock);

	devfs_lease_end(old);
	put_pid(pid);
	if (put)
		iput(&buf->base.inode);
	return 0;
}

/* The last reference is gone. */
void devfs_buffer_evict(struct devfs_inode *base)
{
	struct devfs_buffer *buf = devfs_buffer_of(&base->inode);
	struct devfs_device *dev = base->dev;
	bool put, listed;

	mutex_lock(&dev->lock);
	listed = buf->listed;
	/* Only a LEASE_USE buffer comes here listed: no lease, no reference. */
	devfs_unlist(buf, NULL, &put);
	devfs_user_put(buf->user, DEVFS_USER_BUFFERS);
	mutex_unlock(&dev->lock);
	if (listed)
		trace_devfs_dma_free(buf);
	devfs_heap_release(buf);
	devfs_buffer_leave(buf);
	devfs_memcg_put(buf->memcg);
	dma_resv_fini(&buf->resv);
	put_pid(buf->owner);
}
