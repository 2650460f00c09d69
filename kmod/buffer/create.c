// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - making buffers: what the caller may have, in whose count, and the order
 * in which a buffer gets memory, a file and a name.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/string.h>

#include "buffer/buffer.h"
#include "buffer/heaps.h"
#include "buffer/object.h"
#include "buffer/registry.h"
#include "core/memcg.h"
#include "core/module.h"
#include "core/trace.h"
#include "core/users.h"

static int devfs_alloc_check(const struct devfs_dma_alloc *arg, kuid_t *uid, kgid_t *gid)
{
	if (!devfs_name_valid(arg->name) || arg->direction > DEVFS_DMA_FROM_DEVICE ||
	    arg->lease > DEVFS_DMA_LEASE_PROCESS || arg->mode & ~0777U ||
	    arg->fd_flags & ~(O_ACCMODE | O_CLOEXEC) ||
	    (arg->fd_flags & O_ACCMODE) == O_ACCMODE || arg->pad ||
	    memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return -EINVAL;

	*uid = current_fsuid();
	if (arg->uid != DEVFS_DMA_NO_ID) {
		*uid = make_kuid(current_user_ns(), arg->uid);
		if (!uid_valid(*uid))
			return -EINVAL;
		if (!uid_eq(*uid, current_fsuid()) && !capable(CAP_CHOWN))
			return -EPERM;
	}
	*gid = current_fsgid();
	if (arg->gid != DEVFS_DMA_NO_ID) {
		*gid = make_kgid(current_user_ns(), arg->gid);
		if (!gid_valid(*gid))
			return -EINVAL;
		if (!in_group_p(*gid) && !capable(CAP_CHOWN))
			return -EPERM;
	}
	return 0;
}

/* Early answers, so that nothing large is allocated in vain. */
static int devfs_room_check(struct devfs_device *dev, const char *name, u32 *why)
{
	int err = 0;

	mutex_lock(&dev->lock);
	if (rhashtable_lookup_fast(&dev->by_name, name, devfs_names)) {
		err = -EEXIST;
	} else if (dev->buffers >= READ_ONCE(devfs_max_buffers)) {
		*why = DEVFS_DMA_WHY_BUFFERS;
		err = -ENOSPC;
	}
	mutex_unlock(&dev->lock);
	return err;
}

static int devfs_buffer_publish(struct devfs_buffer *buf, struct devfs_lease *lease, u32 *why,
				struct devfs_client *by)
{
	struct devfs_device *dev = buf->base.dev;
	int err;

	mutex_lock(&dev->lock);
	if (dev->buffers >= READ_ONCE(devfs_max_buffers)) {
		*why = DEVFS_DMA_WHY_BUFFERS;
		err = -ENOSPC;
	} else {
		err = devfs_enlist(buf, by);
	}
	if (!err) {
		if (buf->lease_kind != DEVFS_DMA_LEASE_USE)
			ihold(&buf->base.inode);
		buf->lease = lease;
		if (lease)
			devfs_lease_start(lease);
	}
	mutex_unlock(&dev->lock);
	return err;
}

/* A new buffer without memory or name. iput() frees it. */
static struct devfs_buffer *devfs_buffer_inode(struct devfs_device *dev)
{
	struct inode *inode = devfs_inode_new(dev, &devfs_buffer_kind);
	struct devfs_buffer *buf;
	int err;

	if (IS_ERR(inode))
		return ERR_CAST(inode);
	buf = devfs_buffer_of(inode);
	/* An open node or a driver being bound keeps the module meanwhile. */
	__module_get(THIS_MODULE);
	buf->base.pins_module = true;
	INIT_LIST_HEAD(&buf->attached);
	INIT_LIST_HEAD(&buf->attachments);
	INIT_LIST_HEAD(&buf->revocable);
	init_rwsem(&buf->sync_lock);
	mutex_init(&buf->turn);
	dma_resv_init(&buf->resv);
	INIT_WORK(&buf->revoke, devfs_buffer_revoke);
	err = devfs_buffer_attach(buf);
	if (err) {
		iput(inode);
		return ERR_PTR(err);
	}
	return buf;
}

/* One more for who has the node open. */
static int devfs_buffer_count(struct devfs_buffer *buf, struct devfs_client *client)
{
	struct devfs_device *dev = buf->base.dev;
	struct devfs_user *user;

	mutex_lock(&dev->lock);
	user = devfs_user_get(client, DEVFS_USER_BUFFERS);
	if (!IS_ERR(user))
		buf->user = user;
	mutex_unlock(&dev->lock);
	return PTR_ERR_OR_ZERO(user);
}

/* Whose cgroup the memory is charged to: a server's client's, where it says so. */
static int devfs_buffer_charge(struct devfs_buffer *buf, struct devfs_client *client, u32 nr)
{
	struct mem_cgroup *memcg;

	if (!nr)
		return 0;
	if (!client->unlimited)
		return -EPERM;
	memcg = devfs_memcg_get(nr);
	if (IS_ERR(memcg))
		return PTR_ERR(memcg);
	buf->memcg = memcg;
	return 0;
}

/* What the caller wants, without memory: iput() undoes it. */
static struct devfs_buffer *devfs_buffer_new(struct devfs_device *dev,
					     const struct devfs_dma_alloc *arg, kuid_t uid,
					     kgid_t gid)
{
	struct devfs_buffer *buf = devfs_buffer_inode(dev);

	if (IS_ERR(buf))
		return buf;
	buf->base.inode.i_mode |= arg->mode;
	buf->base.inode.i_uid = uid;
	buf->base.inode.i_gid = gid;
	memcpy(buf->name, arg->name, sizeof(buf->name));
	buf->id = atomic64_inc_return(&dev->next_id);
	buf->lease_kind = arg->lease;
	buf->heap = arg->heap;
	buf->heap_ops = devfs_heap_of(arg->heap);
	buf->direction = arg->direction;
	buf->created_ns = ktime_get_real_ns();
	buf->owner = devfs_owner_pid(arg->owner);
	if (buf->owner)
		return buf;
	iput(&buf->base.inode);
	return ERR_PTR(-ESRCH);
}

/**
 * devfs_buffer_create - make a buffer, its name and its first descriptor
 * @client: who makes it, on the device it is mapped for
 * @arg: what the caller asked for; the out fields are filled
 * @fill: gives the buffer its memory, with i_rwsem held as long as the device is used
 * @ctx: for @fill
 * @report: copies the out fields to the caller before anything is final
 * @report_ctx: for @report
 *
 * With no lock held: @fill and @report may wait for memory of the caller's. If the
 * device is removed meanwhile, the buffer loses its memory as all others do.
 *
 * Return: 0, or an errno after which nothing has changed.
 */
int devfs_buffer_create(struct devfs_client *client, struct devfs_dma_alloc *arg,
			int (*fill)(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why),
			void *ctx, int (*report)(void *ctx), void *report_ctx)
{
	struct devfs_device *dev = client->dev;
	struct devfs_lease *lease = NULL;
	struct devfs_buffer *buf;
	struct file *file;
	kuid_t uid;
	kgid_t gid;
	int err, fd;

	arg->why = DEVFS_DMA_WHY_NONE;
	arg->fd = -1;
	arg->id = 0;
	arg->ino = 0;
	err = devfs_alloc_check(arg, &uid, &gid);
	if (err)
		return err;
	err = devfs_room_check(dev, arg->name, &arg->why);
	if (err)
		return err;

	buf = devfs_buffer_new(dev, arg, uid, gid);
	if (IS_ERR(buf)) {
		if (buf == ERR_PTR(-ESRCH))
			arg->why = DEVFS_DMA_WHY_PROCESS;
		return PTR_ERR(buf);
	}
	err = devfs_buffer_count(buf, client);
	if (err) {
		arg->why = DEVFS_DMA_WHY_USER;
		goto err_inode;
	}
	err = devfs_buffer_charge(buf, client, arg->charge);
	if (err) {
		if (err == -ESRCH)
			arg->why = DEVFS_DMA_WHY_PROCESS;
		goto err_inode;
	}
	err = fill(buf, arg->size, ctx, &arg->why);
	if (err) {
		/* A bad pointer or argument is no shortage. */
		if (err != -ENOSPC && err != -ENOMEM && err != -EIO)
			arg->why = DEVFS_DMA_WHY_NONE;
		goto err_inode;
	}
	if (arg->lease == DEVFS_DMA_LEASE_PROCESS) {
		lease = devfs_lease_new(dev, buf->id, buf->owner);
		if (!lease) {
			err = -ENOMEM;
			goto err_inode;
		}
	}
	file = devfs_file_for(client, buf, arg->fd_flags);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_lease;
	}
	fd = get_unused_fd_flags(arg->fd_flags & O_CLOEXEC);
	if (fd < 0) {
		err = fd;
		goto err_file;
	}
	arg->fd = fd;
	arg->id = buf->id;
	arg->ino = buf->base.inode.i_ino;
	err = report(report_ctx);
	if (err)
		goto err_fd;
	err = devfs_buffer_publish(buf, lease, &arg->why, client);
	if (err)
		goto err_fd;

	trace_devfs_dma_alloc(buf);
	fd_install(fd, file);
	iput(&buf->base.inode);
	return 0;

err_fd:
	put_unused_fd(fd);
	arg->fd = -1;
	arg->id = 0;
	arg->ino = 0;
err_file:
	fput(file);
err_lease:
	devfs_lease_end(lease);
err_inode:
	iput(&buf->base.inode);
	return err;
}

/**
 * devfs_buffer_preset - make a buffer that a device has from the start
 * @dev: the device
 * @name: the buffer's name
 * @size: bytes
 * @heap: DEVFS_DMA_HEAP_*, one that allocates
 * @direction: DEVFS_DMA_BIDIRECTIONAL, ...
 *
 * It is root's, and stays until FREE or the end of the device.
 *
 * Return: 0 or an errno.
 */
int devfs_buffer_preset(struct devfs_device *dev, const char *name, u64 size, u32 heap,
			u32 direction)
{
	struct devfs_dma_alloc arg = {
		.heap = heap, .direction = direction, .lease = DEVFS_DMA_LEASE_PERSIST,
		.mode = 0600,
	};
	struct devfs_buffer *buf;
	int err;

	strscpy(arg.name, name, sizeof(arg.name));
	buf = devfs_buffer_new(dev, &arg, GLOBAL_ROOT_UID, GLOBAL_ROOT_GID);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	err = devfs_heap_alloc(buf, size, NULL, &arg.why);
	if (!err)
		err = devfs_buffer_publish(buf, NULL, &arg.why, NULL);
	if (!err)
		trace_devfs_dma_alloc(buf);
	iput(&buf->base.inode);
	return err;
}
