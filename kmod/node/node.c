// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the device node: opening it, and its commands.
 */
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "buffer/buffer.h"
#include "buffer/heaps.h"
#include "core/compat.h"
#include "core/module.h"
#include "dmabuf/dmabuf.h"
#include "heap/heap.h"
#include "heap/sync.h"
#include "node/node.h"
#include "region/region.h"
#include "signal/signal.h"

static int devfs_node_open(struct inode *inode, struct file *file)
{
	struct devfs_device *dev = container_of(file->private_data, struct devfs_device, misc);
	struct devfs_client *client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);

	if (!client)
		return -ENOMEM;
	if (devfs_dead(dev)) {
		kfree(client);
		return -ENODEV;
	}
	devfs_device_get(dev);
	client->dev = dev;
	mutex_init(&client->lock);
	devfs_client_start(client, U64_MAX);
	file->private_data = client;
	return nonseekable_open(inode, file);
}

static int devfs_node_release(struct inode *inode, struct file *file)
{
	struct devfs_client *client = file->private_data;

	devfs_client_end(client);
	devfs_device_put(client->dev);
	mutex_destroy(&client->lock);
	kfree(client);
	return 0;
}

static long devfs_get_info(struct devfs_client *client, void __user *user)
{
	struct devfs_device *dev = client->dev;
	struct devfs_dma_info info = {
		.abi_version	= DEVFS_DMA_ABI_VERSION,
		.flags		= dev->info_flags,
		.limit		= READ_ONCE(devfs_limit_bytes),
		.used		= atomic64_read(&dev->used),
		.dma_mask	= dma_get_mask(dev->dev),
		.buffers	= READ_ONCE(dev->buffers),
		.max_buffers	= READ_ONCE(devfs_max_buffers),
		.numa_node	= dev_to_node(dev->dev),
		.bounced	= atomic64_read(&dev->bounced),
		.sources	= devfs_source_count(dev),
		.regions	= READ_ONCE(dev->region_count),
		.dma_alignment	= dma_get_cache_alignment(),
	};
	u32 heap;

	strscpy_pad(info.device, dev->name, sizeof(info.device));
	mutex_lock(&dev->lock);
	info.foreign = dev->name_changes - client->name_changes;
	mutex_unlock(&dev->lock);
	if (devfs_is_translated(dev->dev))
		info.flags |= DEVFS_DMA_INFO_IOMMU;
	if (dev_is_dma_coherent(dev->dev) && !devfs_is_copied(dev->dev))
		info.flags |= DEVFS_DMA_INFO_COHERENT;
	if (*devfs_event_helper)
		info.flags |= DEVFS_DMA_INFO_HELPER;
	for (heap = 0; heap < DEVFS_DMA_HEAPS; heap++)
		if (devfs_heap_exists(dev, heap))
			info.heaps |= BIT_ULL(heap);
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

static long devfs_get_heap(struct devfs_device *dev, void __user *user)
{
	struct devfs_dma_heap arg, info = {};

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags || arg.pad || memchr_inv(arg.reserved, 0, sizeof(arg.reserved)))
		return -EINVAL;
	if (arg.heap >= DEVFS_DMA_HEAPS)
		return -EINVAL;
	info.heap = array_index_nospec(arg.heap, DEVFS_DMA_HEAPS);
	if (!devfs_heap_exists(dev, info.heap))
		return -EINVAL;
	devfs_heap_info(dev, &info);
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

/* An ALLOC under way, and where its caller wants to read what came of it. */
struct devfs_alloc_call {
	struct devfs_dma_alloc *arg;
	struct devfs_dma_alloc __user *user;
};

static int devfs_alloc_report(void *ctx)
{
	struct devfs_alloc_call *call = ctx;

	return copy_to_user(call->user, call->arg, sizeof(*call->arg)) ? -EFAULT : 0;
}

/* What ALLOC, PIN and IMPORT have in common; @user is where each begins. */
static long devfs_make(struct devfs_client *client, struct devfs_dma_alloc *arg, void __user *user,
		       int (*fill)(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why),
		       void *ctx)
{
	struct devfs_alloc_call call = { .arg = arg, .user = user };
	long err = devfs_buffer_create(client, arg, fill, ctx, devfs_alloc_report, &call);

	/* Why it failed; if even this cannot be written, the errno stands. */
	if (err)
		(void)devfs_alloc_report(&call);
	return err;
}

static long devfs_alloc(struct devfs_client *client, void __user *user)
{
	struct devfs_dma_alloc arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.heap >= DEVFS_DMA_HEAPS)
		return -EINVAL;
	arg.heap = array_index_nospec(arg.heap, DEVFS_DMA_HEAPS);
	return devfs_make(client, &arg, user, devfs_heap_alloc, NULL);
}

static long devfs_pin_memory(struct devfs_client *client, void __user *user)
{
	struct devfs_dma_pin arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.alloc.heap != DEVFS_DMA_HEAP_USER ||
	    memchr_inv(arg.reserved, 0, sizeof(arg.reserved)))
		return -EINVAL;
	return devfs_make(client, &arg.alloc, user, devfs_pin, &arg.address);
}

static long devfs_import_dmabuf(struct devfs_client *client, void __user *user)
{
	struct devfs_dma_import arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.alloc.heap != DEVFS_DMA_HEAP_IMPORTED || arg.pad ||
	    memchr_inv(arg.reserved, 0, sizeof(arg.reserved)))
		return -EINVAL;
	return devfs_make(client, &arg.alloc, user, devfs_import, &arg.dmabuf_fd);
}

static long devfs_open(struct devfs_device *dev, void __user *user)
{
	struct devfs_dma_open arg;
	struct file *file;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	err = devfs_buffer_open(dev, &arg, &file);
	if (err)
		return err;
	return devfs_hand_out(file, arg.fd_flags, &arg.fd, user, &arg, sizeof(arg));
}

static long devfs_list(struct devfs_device *dev, void __user *user)
{
	struct devfs_dma_list arg;
	long err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	err = devfs_buffer_list(dev, &arg);
	if (!err && copy_to_user(user, &arg, sizeof(arg)))
		err = -EFAULT;
	return err;
}

static long devfs_free(struct devfs_client *client, void __user *user)
{
	struct devfs_dma_free arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags || arg.pad)
		return -EINVAL;
	return devfs_buffer_free(client, arg.id);
}

static long devfs_rename(struct devfs_client *client, void __user *user)
{
	struct devfs_dma_rename arg;
	struct devfs_buffer *buf;
	long err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.pad)
		return -EINVAL;
	buf = devfs_buffer_get(client->dev, arg.id);
	if (!buf)
		return -ENOENT;
	err = devfs_buffer_rename(buf, arg.name, arg.flags, client);
	iput(&buf->base.inode);
	return err;
}

/* With the gate held: the device stays while the command runs. */
static long devfs_node_command(struct file *file, unsigned int cmd, void __user *user)
{
	struct devfs_client *client = file->private_data;
	struct devfs_device *dev = client->dev;

	switch (cmd) {
	case DEVFS_DMA_IOC_GET_INFO:
		return devfs_get_info(client, user);
	case DEVFS_DMA_IOC_GET_HEAP:
		return devfs_get_heap(dev, user);
	case DEVFS_DMA_IOC_ALLOC:
		return devfs_alloc(client, user);
	case DEVFS_DMA_IOC_OPEN:
		return devfs_open(dev, user);
	case DEVFS_DMA_IOC_LIST:
		return devfs_list(dev, user);
	case DEVFS_DMA_IOC_FREE:
		return devfs_free(client, user);
	case DEVFS_DMA_IOC_RENAME:
		return devfs_rename(client, user);
	case DEVFS_DMA_IOC_PIN:
		return devfs_pin_memory(client, user);
	case DEVFS_DMA_IOC_IMPORT:
		return devfs_import_dmabuf(client, user);
	case DEVFS_DMA_IOC_GET_REGION:
		return devfs_get_region(dev, user);
	case DEVFS_DMA_IOC_OPEN_REGION:
		return devfs_open_region(dev, file, user);
	case DEVFS_DMA_IOC_SIGNAL_CTL:
		return devfs_signal_ctl(dev, user);
	case DEVFS_DMA_IOC_SIGNAL_NOTIFY:
		return devfs_signal_notify(client, user);
	case DEVFS_DMA_IOC_SET_EVENTFD:
		return devfs_set_eventfd(client, user);
	case DEVFS_DMA_IOC_SIGNAL_SUBSCRIBE:
		return devfs_subscribe(client, user);
	case DEVFS_DMA_IOC_SIGNAL_HISTORY:
		return devfs_signal_history(dev, user);
	default:
		return -ENOTTY;
	}
}

static long devfs_node_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct devfs_client *client = file->private_data;
	struct devfs_device *dev = client->dev;
	void __user *user = (void __user *)arg;
	long ret = -ENODEV;

	/* Nobody but removal has the gate to itself. */
	if (!down_read_trylock(&dev->gate))
		return -ENODEV;
	if (!devfs_dead(dev))
		ret = devfs_node_command(file, cmd, user);
	up_read(&dev->gate);
	return ret;
}

const struct file_operations devfs_node_fops = {
	.owner		= THIS_MODULE,
	.open		= devfs_node_open,
	.release	= devfs_node_release,
	.read		= devfs_node_read,
	.poll		= devfs_node_poll,
	.fasync		= devfs_node_fasync,
	.unlocked_ioctl	= devfs_node_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};
