// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the device node: opening it, and its commands.
 */
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "buffer/buffer.h"
#include "buffer/heaps.h"
#include "core/command.h"
#include "core/compat.h"
#include "core/module.h"
#include "core/rights.h"
#include "core/safety.h"
#include "core/users.h"
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
	int err = -ENODEV;

	if (!client)
		return -ENOMEM;
	client->dev = dev;
	if (!devfs_dead(dev))
		err = devfs_may_open(dev) ?: devfs_user_open(client, file);
	if (err) {
		kfree(client);
		return err;
	}
	devfs_device_get(dev);
	client->node = inode;
	mutex_init(&client->lock);
	devfs_client_start(client, U64_MAX);
	file->private_data = client;
	return nonseekable_open(inode, file);
}

static int devfs_node_release(struct inode *inode, struct file *file)
{
	struct devfs_client *client = file->private_data;

	devfs_client_end(client);
	devfs_user_close(client);
	devfs_device_put(client->dev);
	mutex_destroy(&client->lock);
	kfree(client);
	return 0;
}

static struct devfs_client *devfs_call_client(struct devfs_call *call)
{
	return call->file->private_data;
}

static long devfs_get_info(struct devfs_call *call)
{
	struct devfs_client *client = devfs_call_client(call);
	struct devfs_device *dev = client->dev;
	struct devfs_dma_info *info = &call->arg.info;
	u32 heap;

	*info = (struct devfs_dma_info){
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
	strscpy_pad(info->device, dev->name, sizeof(info->device));
	mutex_lock(&dev->lock);
	info->foreign = dev->name_changes - client->name_changes;
	mutex_unlock(&dev->lock);
	info->flags |= devfs_safety_flags(dev);
	if (devfs_sees_caches(dev->dev))
		info->flags |= DEVFS_DMA_INFO_COHERENT;
	if (*devfs_event_helper)
		info->flags |= DEVFS_DMA_INFO_HELPER;
	for (heap = 0; heap < DEVFS_DMA_HEAPS; heap++)
		if (devfs_heap_exists(dev, heap))
			info->heaps |= BIT_ULL(heap);
	return 0;
}

static long devfs_get_heap(struct devfs_call *call)
{
	struct devfs_device *dev = devfs_call_client(call)->dev;
	struct devfs_dma_heap *arg = &call->arg.heap, info = {};

	if (arg->flags || arg->pad || memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return -EINVAL;
	if (arg->heap >= DEVFS_DMA_HEAPS)
		return -EINVAL;
	info.heap = array_index_nospec(arg->heap, DEVFS_DMA_HEAPS);
	if (!devfs_heap_exists(dev, info.heap))
		return -EINVAL;
	devfs_heap_info(dev, &info);
	*arg = info;
	return 0;
}

/* An ALLOC under way. */
struct devfs_alloc_call {
	struct devfs_call *call;
	struct devfs_dma_alloc *arg;
};

static int devfs_alloc_report(void *ctx)
{
	struct devfs_alloc_call *alloc = ctx;

	return devfs_call_answer(alloc->call, alloc->arg, sizeof(*alloc->arg));
}

/* What ALLOC, PIN and IMPORT have in common; @arg is where the argument of each begins. */
static long devfs_make(struct devfs_call *call, struct devfs_dma_alloc *arg,
		       int (*fill)(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why),
		       void *ctx)
{
	struct devfs_alloc_call alloc = { .call = call, .arg = arg };
	long err = devfs_buffer_create(devfs_call_client(call), arg, fill, ctx,
				       devfs_alloc_report, &alloc);

	/* Why it failed; if even this cannot be written, the errno stands. */
	if (err)
		(void)devfs_alloc_report(&alloc);
	return err;
}

static long devfs_alloc(struct devfs_call *call)
{
	struct devfs_dma_alloc *arg = &call->arg.alloc;

	if (arg->heap >= DEVFS_DMA_HEAPS)
		return -EINVAL;
	arg->heap = array_index_nospec(arg->heap, DEVFS_DMA_HEAPS);
	return devfs_make(call, arg, devfs_heap_alloc, NULL);
}

static long devfs_pin_memory(struct devfs_call *call)
{
	struct devfs_dma_pin *arg = &call->arg.pin;

	if (arg->alloc.heap != DEVFS_DMA_HEAP_USER ||
	    memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return -EINVAL;
	return devfs_make(call, &arg->alloc, devfs_pin, &arg->address);
}

static long devfs_import_dmabuf(struct devfs_call *call)
{
	struct devfs_dma_import *arg = &call->arg.import;

	if (arg->alloc.heap != DEVFS_DMA_HEAP_IMPORTED || arg->pad ||
	    memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return -EINVAL;
	return devfs_make(call, &arg->alloc, devfs_import, &arg->dmabuf_fd);
}

static long devfs_open(struct devfs_call *call)
{
	struct devfs_client *client = devfs_call_client(call);
	struct devfs_dma_open *arg = &call->arg.open;
	struct file *file;
	int err;

	err = devfs_may_as_asked(client->dev, call->file, arg->fd_flags);
	if (!err)
		err = devfs_buffer_open(client, arg, &file);
	return err ?: devfs_call_give(call, file, arg->fd_flags, &arg->fd);
}

static long devfs_list(struct devfs_call *call)
{
	return devfs_buffer_list(devfs_call_client(call), &call->arg.list);
}

static long devfs_free(struct devfs_call *call)
{
	struct devfs_dma_free *arg = &call->arg.free;

	if (arg->flags || arg->pad)
		return -EINVAL;
	return devfs_buffer_free(devfs_call_client(call), arg->id);
}

static long devfs_rename(struct devfs_call *call)
{
	struct devfs_client *client = devfs_call_client(call);
	struct devfs_dma_rename *arg = &call->arg.rename;
	struct devfs_buffer *buf;
	long err;

	if (arg->pad)
		return -EINVAL;
	buf = devfs_buffer_get(client->dev, arg->id);
	if (!buf)
		return -ENOENT;
	err = devfs_buffer_rename(buf, arg->name, arg->flags, client);
	iput(&buf->base.inode);
	return err;
}

/* Those without the gate copy more than their argument, and lock what they use themselves. */
static const struct devfs_command devfs_node_commands[] = {
	{ DEVFS_DMA_IOC_GET_INFO,		true,	devfs_get_info },
	{ DEVFS_DMA_IOC_GET_HEAP,		true,	devfs_get_heap },
	{ DEVFS_DMA_IOC_ALLOC,			false,	devfs_alloc },
	{ DEVFS_DMA_IOC_OPEN,			true,	devfs_open },
	{ DEVFS_DMA_IOC_LIST,			false,	devfs_list },
	{ DEVFS_DMA_IOC_FREE,			true,	devfs_free },
	{ DEVFS_DMA_IOC_PIN,			false,	devfs_pin_memory },
	{ DEVFS_DMA_IOC_IMPORT,			false,	devfs_import_dmabuf },
	{ DEVFS_DMA_IOC_GET_REGION,		true,	devfs_get_region },
	{ DEVFS_DMA_IOC_RENAME,			true,	devfs_rename },
	{ DEVFS_DMA_IOC_OPEN_REGION,		true,	devfs_open_region },
	{ DEVFS_DMA_IOC_RESET,			true,	devfs_reset },
	{ DEVFS_DMA_IOC_SIGNAL_CTL,		false,	devfs_signal_ctl },
	{ DEVFS_DMA_IOC_SIGNAL_NOTIFY,		true,	devfs_signal_notify },
	{ DEVFS_DMA_IOC_SET_EVENTFD,		true,	devfs_set_eventfd },
	{ DEVFS_DMA_IOC_SIGNAL_SUBSCRIBE,	true,	devfs_subscribe },
	{ DEVFS_DMA_IOC_SIGNAL_HISTORY,		false,	devfs_signal_history },
};

static long devfs_node_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct devfs_client *client = file->private_data;
	struct devfs_device *dev = client->dev;

	if (devfs_dead(dev))
		return -ENODEV;
	return devfs_command(dev, devfs_node_commands, ARRAY_SIZE(devfs_node_commands), file,
			     cmd, arg);
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
