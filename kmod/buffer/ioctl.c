// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the commands of a buffer's file.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "buffer/access.h"
#include "buffer/buffer.h"
#include "buffer/object.h"
#include "core/command.h"
#include "core/compat.h"
#include "core/rights.h"
#include "dmabuf/dmabuf.h"
#include "heap/heap.h"

static struct devfs_buffer *devfs_call_buffer(struct devfs_call *call)
{
	return devfs_buffer_of(file_inode(call->file));
}

static long devfs_buf_info(struct devfs_call *call)
{
	devfs_buffer_info(devfs_call_buffer(call), &call->arg.buf_info,
			  devfs_knows_addresses(call->file));
	return 0;
}

static long devfs_buf_sync(struct devfs_call *call)
{
	struct devfs_buffer *buf = devfs_call_buffer(call);
	struct devfs_dma_buf_sync *arg = &call->arg.buf_sync;
	enum dma_data_direction direction = buf->direction;
	u64 size;

	if (arg->flags != DEVFS_DMA_SYNC_FOR_CPU && arg->flags != DEVFS_DMA_SYNC_FOR_DEVICE)
		return -EINVAL;
	if (arg->direction != DEVFS_DMA_SYNC_BUFFER_DIRECTION &&
	    (arg->direction > DEVFS_DMA_FROM_DEVICE ||
	     (buf->direction != DMA_BIDIRECTIONAL && arg->direction != buf->direction)))
		return -EINVAL;
	if (arg->direction != DEVFS_DMA_SYNC_BUFFER_DIRECTION)
		direction = arg->direction;

	size = i_size_read(&buf->base.inode);
	if (devfs_buffer_dead(buf))
		return -ENODEV;
	if (arg->offset > size || arg->length > size - arg->offset)
		return -EINVAL;
	return devfs_sync(buf, arg->offset, arg->length ? arg->offset + arg->length : size,
			  devfs_sync_direction(call->file, direction), arg->flags);
}

/* What dma-buf programs call, on the whole buffer. */
static long devfs_buf_dmabuf_sync(struct devfs_call *call)
{
	static const enum dma_data_direction directions[] = {
		[DMA_BUF_SYNC_READ] = DMA_FROM_DEVICE, [DMA_BUF_SYNC_WRITE] = DMA_TO_DEVICE,
		[DMA_BUF_SYNC_RW] = DMA_BIDIRECTIONAL,
	};
	struct devfs_buffer *buf = devfs_call_buffer(call);
	enum dma_data_direction direction = buf->direction;
	u64 flags = call->arg.dmabuf_sync.flags;
	u32 what;

	if (flags & ~(u64)DMA_BUF_SYNC_VALID_FLAGS_MASK || !(flags & DMA_BUF_SYNC_RW))
		return -EINVAL;
	/* What only read has nothing for the device. */
	if (direction == DMA_BIDIRECTIONAL)
		direction = directions[array_index_nospec(flags & DMA_BUF_SYNC_RW,
							  ARRAY_SIZE(directions))];
	what = flags & DMA_BUF_SYNC_END ? DEVFS_DMA_SYNC_FOR_DEVICE : DEVFS_DMA_SYNC_FOR_CPU;
	return devfs_sync(buf, 0, i_size_read(&buf->base.inode),
			  devfs_sync_direction(call->file, direction), what);
}

/* Ranges from @first on into @to, which has room for @room. With i_rwsem held. */
static u32 devfs_sg_fill(struct devfs_buffer *buf, u64 first, struct devfs_dma_sg *to, u32 room)
{
	unsigned int segment = 0, left = 0;
	struct scatterlist *sg = NULL;
	struct devfs_dma_sg entry = {};
	u32 done = 0;
	u64 index;

	for (index = 0; done < room; index++) {
		if (!devfs_sg_next(buf, &segment, &sg, &left, &entry))
			break;
		if (index >= first)
			to[done++] = entry;
	}
	return done;
}

/* As much of it as there are ranges: @arg tells how many. */
static long devfs_sg_copy(struct devfs_buffer *buf, struct devfs_dma_buf_get_sg *arg,
			  struct devfs_dma_sg **entries)
{
	long err = 0;

	if (devfs_lock_shared(buf))
		return -ENODEV;
	arg->total = devfs_sg_count(buf);
	arg->count = arg->first < arg->total ? min_t(u64, arg->count, arg->total - arg->first) : 0;
	if (arg->count) {
		*entries = kvmalloc_array(arg->count, sizeof(**entries),
					  GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		err = *entries ? 0 : -ENOMEM;
	}
	if (!err)
		arg->count = devfs_sg_fill(buf, arg->first, *entries, arg->count);
	if (!err && arg->count)
		devfs_tell_address(buf->base.dev);
	inode_unlock_shared(&buf->base.inode);
	return err;
}

static long devfs_buf_get_sg(struct devfs_call *call)
{
	struct devfs_buffer *buf = devfs_call_buffer(call);
	struct devfs_dma_buf_get_sg *arg = &call->arg.buf_get_sg;
	struct devfs_dma_sg *entries = NULL;
	long err;

	if (!devfs_translates(buf->base.dev) && !devfs_knows_addresses(call->file)) {
		devfs_refused(buf->base.dev, DEVFS_REFUSED_ADDRESS);
		return -EPERM;
	}
	if (arg->total)
		return -EINVAL;
	err = devfs_sg_copy(buf, arg, &entries);
	if (!err && copy_to_user(u64_to_user_ptr(arg->entries), entries,
				 arg->count * sizeof(*entries)))
		err = -EFAULT;
	kvfree(entries);
	return err;
}

static long devfs_buf_rw(struct devfs_call *call, bool write)
{
	struct devfs_dma_buf_rw __user *user = call->user;
	struct devfs_dma_buf_rw *arg = &call->arg.buf_rw;
	struct file *file = call->file;
	struct iov_iter iter;
	struct kiocb iocb;
	ssize_t done;

	if (arg->copied || arg->offset > MAX_LFS_FILESIZE ||
	    arg->length > MAX_LFS_FILESIZE - arg->offset)
		return -EINVAL;
	if (arg->length > MAX_RW_COUNT)
		arg->length = MAX_RW_COUNT;
	if (!access_ok(u64_to_user_ptr(arg->address), arg->length))
		return -EFAULT;
	/* What goes through can be told. */
	if (put_user(arg->copied, &user->copied))
		return -EFAULT;

	init_sync_kiocb(&iocb, file);
	iocb.ki_pos = arg->offset;
	iov_iter_ubuf(&iter, write ? ITER_SOURCE : ITER_DEST, u64_to_user_ptr(arg->address),
		      arg->length);
	done = devfs_buffer_rw(&iocb, &iter, write);
	if (done < 0)
		return done;
	call->answered = true;
	arg->copied = done;
	return put_user(arg->copied, &user->copied);
}

static long devfs_buf_read(struct devfs_call *call)
{
	return devfs_buf_rw(call, false);
}

static long devfs_buf_write(struct devfs_call *call)
{
	return devfs_buf_rw(call, true);
}

static long devfs_buf_set_name(struct devfs_call *call)
{
	return devfs_buffer_rename(devfs_call_buffer(call), call->arg.buf_name.name, 0, NULL);
}

static long devfs_buf_set_lease(struct devfs_call *call)
{
	struct devfs_dma_buf_lease *arg = &call->arg.buf_lease;

	return devfs_buffer_set_lease(devfs_call_buffer(call), arg->lease, arg->owner);
}

/* None has the gate: what uses the memory locks it, and looks whether it is there. */
static const struct devfs_command devfs_buffer_commands[] = {
	{ DEVFS_DMA_IOC_BUF_INFO,	false,	devfs_buf_info },
	{ DEVFS_DMA_IOC_BUF_SYNC,	false,	devfs_buf_sync },
	{ DMA_BUF_IOCTL_SYNC,		false,	devfs_buf_dmabuf_sync },
	{ DEVFS_DMA_IOC_BUF_GET_SG,	false,	devfs_buf_get_sg },
	{ DEVFS_DMA_IOC_BUF_READ,	false,	devfs_buf_read },
	{ DEVFS_DMA_IOC_BUF_WRITE,	false,	devfs_buf_write },
	{ DEVFS_DMA_IOC_BUF_SET_NAME,	false,	devfs_buf_set_name },
	{ DEVFS_DMA_IOC_BUF_SET_LEASE,	false,	devfs_buf_set_lease },
	{ DEVFS_DMA_IOC_BUF_EXPORT,	false,	devfs_buffer_export },
};

long devfs_buffer_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct devfs_device *dev = devfs_buffer_of(file_inode(file))->base.dev;

	if (devfs_dead(dev))
		return -ENODEV;
	return devfs_command(dev, devfs_buffer_commands, ARRAY_SIZE(devfs_buffer_commands), file,
			     cmd, arg);
}
