// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - what is told about buffers: one by one, and as a list.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "buffer/buffer.h"
#include "core/rights.h"
#include "heap/heap.h"
#include "heap/sync.h"

static u32 devfs_owner_nr(struct pid *pid)
{
	u32 nr = 0;

	rcu_read_lock();
	if (pid_task(pid, PIDTYPE_TGID))
		nr = pid_vnr(pid);
	rcu_read_unlock();
	return nr;
}

/* Who has the descriptor programs the device by what the IOMMU makes of addresses. */
void devfs_buffer_info(struct devfs_buffer *buf, struct devfs_dma_buf_info *info,
		       bool knows_addresses)
{
	struct devfs_device *dev = buf->base.dev;
	struct inode *inode = &buf->base.inode;

	memset(info, 0, sizeof(*info));
	mutex_lock(&dev->lock);
	if (buf->listed)
		memcpy(info->name, buf->name, sizeof(info->name));
	else
		info->flags |= DEVFS_DMA_BUF_FREED;
	info->lease = buf->lease_kind;
	info->owner = devfs_owner_nr(buf->owner);
	mutex_unlock(&dev->lock);

	/* Not i_rwsem, which growing may hold for long. */
	filemap_invalidate_lock_shared(inode->i_mapping);
	info->id = buf->id;
	info->ino = inode->i_ino;
	info->size = i_size_read(inode);
	info->capacity = buf->capacity;
	info->heap = buf->heap;
	info->direction = buf->direction;
	info->numa_node = buf->npages && !devfs_is_detached(buf) ? page_to_nid(buf->pages[0]) :
			  dev_to_node(dev->dev);
	info->nents = devfs_sg_count(buf);
	info->segments = buf->nsegments;
	info->opens = atomic_read(&buf->opens);
	info->mappings = atomic_read(&buf->mappings);
	info->exports = atomic_read(&buf->exports);
	info->sync_owner = READ_ONCE(buf->sync_owner);
	info->mode = inode->i_mode & 07777;
	info->uid = from_kuid_munged(current_user_ns(), inode->i_uid);
	info->gid = from_kgid_munged(current_user_ns(), inode->i_gid);
	info->sync_cpu = atomic64_read(&buf->sync_cpu);
	info->sync_device = atomic64_read(&buf->sync_device);
	info->created_ns = buf->created_ns;
	if (devfs_needs_no_sync(buf))
		info->flags |= DEVFS_DMA_BUF_COHERENT;
	if (buf->heap != DEVFS_DMA_HEAP_SYSTEM)
		info->flags |= DEVFS_DMA_BUF_FIXED;
	if (devfs_is_bounced(buf))
		info->flags |= DEVFS_DMA_BUF_BOUNCED;
	if (buf->heap != DEVFS_DMA_HEAP_USER)
		info->flags |= DEVFS_DMA_BUF_MMAP;
	if ((knows_addresses || devfs_translates(dev)) &&
	    devfs_dma_addr(buf, &info->dma_addr)) {
		info->flags |= DEVFS_DMA_BUF_DMA_ADDR;
		devfs_tell_address(dev);
	}
	if (knows_addresses && devfs_phys_addr(buf, &info->phys_addr))
		info->flags |= DEVFS_DMA_BUF_PHYS_ADDR;
	filemap_invalidate_unlock_shared(inode->i_mapping);
}

int devfs_buffer_list(struct devfs_client *client, struct devfs_dma_list *arg)
{
	bool knows_addresses = devfs_owns_node(client) || capable(CAP_SYS_RAWIO);
	struct devfs_device *dev = client->dev;
	struct devfs_dma_buf_info __user *to = u64_to_user_ptr(arg->entries);
	u32 room = arg->count;

	if (arg->pad)
		return -EINVAL;
	arg->total = READ_ONCE(dev->buffers);
	arg->count = 0;
	if (arg->cursor > ULONG_MAX)
		arg->cursor = 0;
	else if (room)
		arg->cursor = max_t(u64, arg->cursor, 1);

	while (arg->count < room && arg->cursor) {
		struct devfs_dma_buf_info info;
		unsigned long id = arg->cursor;
		struct devfs_buffer *buf;

		mutex_lock(&dev->lock);
		buf = xa_find(&dev->by_id, &id, ULONG_MAX, XA_PRESENT);
		if (buf && !igrab(&buf->base.inode)) {
			mutex_unlock(&dev->lock);
			arg->cursor = (u64)id + 1;
			continue;
		}
		mutex_unlock(&dev->lock);
		if (!buf) {
			arg->cursor = 0;
			break;
		}
		devfs_buffer_info(buf, &info, knows_addresses);
		iput(&buf->base.inode);
		if (copy_to_user(&to[arg->count], &info, sizeof(info)))
			return -EFAULT;
		arg->count++;
		arg->cursor = (u64)id + 1;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}
