// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the commands of a buffer's file.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <uapi/linux/dma-buf.h>

#include "buffer/access.h"
#include "buffer/buffer.h"
#include "buffer/object.h"
#include "core/compat.h"
#include "dmabuf/dmabuf.h"
#include "heap/heap.h"

static long devfs_buf_info(struct devfs_buffer *buf, void __user *user)
{
	struct devfs_dma_buf_info info;

	devfs_buffer_info(buf, &info);
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

static long devfs_buf_sync(struct devfs_buffer *buf, void __user *user)
{
	enum dma_data_direction direction = buf->direction;
	struct devfs_dma_buf_sync arg;
	struct inode *inode = &buf->base.inode;
	long err = -EINVAL;
	u64 size;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags != DEVFS_DMA_SYNC_FOR_CPU && arg.flags != DEVFS_DMA_SYNC_FOR_DEVICE)
		return -EINVAL;
	if (arg.direction != DEVFS_DMA_SYNC_BUFFER_DIRECTION &&
	    (arg.direction > DEVFS_DMA_FROM_DEVICE ||
	     (buf->direction != DMA_BIDIRECTIONAL && arg.direction != buf->direction)))
		return -EINVAL;
	if (arg.direction != DEVFS_DMA_SYNC_BUFFER_DIRECTION)
		direction = arg.direction;

	if (devfs_lock_shared(buf))
		return -ENODEV;
	size = i_size_read(inode);
	if (arg.offset <= size && arg.length <= size - arg.offset) {
		size_t length = arg.length ?: size - arg.offset;

		err = devfs_sync(buf, arg.offset, length, direction, arg.flags);
	}
	inode_unlock_shared(inode);
	return err;
}

/* What dma-buf programs call, on the whole buffer. */
static long devfs_buf_dmabuf_sync(struct devfs_buffer *buf, void __user *user)
{
	static const enum dma_data_direction directions[] = {
		[DMA_BUF_SYNC_READ] = DMA_FROM_DEVICE, [DMA_BUF_SYNC_WRITE] = DMA_TO_DEVICE,
		[DMA_BUF_SYNC_RW] = DMA_BIDIRECTIONAL,
	};
	enum dma_data_direction direction = buf->direction;
	struct dma_buf_sync arg;
	struct inode *inode = &buf->base.inode;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~(u64)DMA_BUF_SYNC_VALID_FLAGS_MASK || !(arg.flags & DMA_BUF_SYNC_RW))
		return -EINVAL;
	/* What only read has nothing for the device. */
	if (direction == DMA_BIDIRECTIONAL)
		direction = directions[array_index_nospec(arg.flags & DMA_BUF_SYNC_RW,
							  ARRAY_SIZE(directions))];
	if (devfs_lock_shared(buf))
		return -ENODEV;
	err = devfs_sync(buf, 0, i_size_read(inode), direction,
			 arg.flags & DMA_BUF_SYNC_END ? DEVFS_DMA_SYNC_FOR_DEVICE :
			 DEVFS_DMA_SYNC_FOR_CPU);
	inode_unlock_shared(inode);
	return err;
}

static long devfs_buf_get_sg(struct devfs_buffer *buf, void __user *user)
{
	struct devfs_dma_buf_get_sg arg;
	struct devfs_dma_sg __user *to;
	struct devfs_dma_sg entry = {};
	struct scatterlist *sg = NULL;
	unsigned int segment = 0, left = 0;
	u32 room, done = 0;
	u64 index;
	long err = 0;

	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.total)
		return -EINVAL;
	to = u64_to_user_ptr(arg.entries);
	room = arg.count;

	if (devfs_lock_shared(buf))
		return -ENODEV;
	arg.total = devfs_sg_count(buf);
	for (index = 0; done < room; index++) {
		if (!devfs_sg_next(buf, &segment, &sg, &left, &entry))
			break;
		if (index < arg.first)
			continue;
		if (copy_to_user(&to[done], &entry, sizeof(entry))) {
			err = -EFAULT;
			break;
		}
		done++;
	}
	inode_unlock_shared(&buf->base.inode);
	if (err)
		return err;
	if (done)
		devfs_tell_address(buf->base.dev);
	arg.count = done;
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : 0;
}

static long devfs_buf_rw(struct file *file, void __user *user, bool write)
{
	struct devfs_buffer *buf = devfs_buffer_of(file_inode(file));
	struct devfs_dma_buf_rw arg;
	struct iov_iter iter;
	struct kiocb iocb;
	ssize_t done;

	if (!(file->f_mode & (write ? FMODE_WRITE : FMODE_READ)))
		return -EBADF;
	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.copied || arg.offset > MAX_LFS_FILESIZE ||
	    arg.length > MAX_LFS_FILESIZE - arg.offset)
		return -EINVAL;
	if (arg.length > MAX_RW_COUNT)
		arg.length = MAX_RW_COUNT;
	if (!access_ok(u64_to_user_ptr(arg.address), arg.length))
		return -EFAULT;
	/* What goes through can be told. */
	if (put_user(arg.copied, &((struct devfs_dma_buf_rw __user *)user)->copied))
		return -EFAULT;

	init_sync_kiocb(&iocb, file);
	iocb.ki_pos = arg.offset;
	iov_iter_ubuf(&iter, write ? ITER_SOURCE : ITER_DEST, u64_to_user_ptr(arg.address),
		      arg.length);
	done = devfs_buffer_rw(buf, &iocb, &iter, write);
	if (done < 0)
		return done;
	arg.copied = done;
	return put_user(arg.copied, &((struct devfs_dma_buf_rw __user *)user)->copied);
}

static long devfs_buf_set_name(struct devfs_buffer *buf, void __user *user)
{
	struct devfs_dma_buf_name arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	return devfs_buffer_rename(buf, arg.name, 0, NULL);
}

static long devfs_buf_set_lease(struct devfs_buffer *buf, void __user *user)
{
	struct devfs_dma_buf_lease arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	return devfs_buffer_set_lease(buf, arg.lease, arg.owner);
}

long devfs_buffer_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct devfs_buffer *buf = devfs_buffer_of(file_inode(file));
	void __user *user = (void __user *)arg;

	if (devfs_dead(buf->base.dev))
		return -ENODEV;
	switch (cmd) {
	case DEVFS_DMA_IOC_BUF_INFO:
		return devfs_buf_info(buf, user);
	case DEVFS_DMA_IOC_BUF_SYNC:
		return devfs_buf_sync(buf, user);
	case DMA_BUF_IOCTL_SYNC:
		return devfs_buf_dmabuf_sync(buf, user);
	case DEVFS_DMA_IOC_BUF_GET_SG:
		return devfs_buf_get_sg(buf, user);
	case DEVFS_DMA_IOC_BUF_READ:
		return devfs_buf_rw(file, user, false);
	case DEVFS_DMA_IOC_BUF_WRITE:
		return devfs_buf_rw(file, user, true);
	case DEVFS_DMA_IOC_BUF_SET_NAME:
		return devfs_buf_set_name(buf, user);
	case DEVFS_DMA_IOC_BUF_SET_LEASE:
		return devfs_buf_set_lease(buf, user);
	case DEVFS_DMA_IOC_BUF_EXPORT:
		return devfs_buffer_export(file, user);
	default:
		return -ENOTTY;
	}
}
