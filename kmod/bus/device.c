// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - what every bus does for a device: making it, giving it a node, ending it.
 *
 * A device is removed in this order: the gate makes it dead, so that nothing
 * new comes; its sources end; then each buffer, in buffer/detach.c. Whoever
 * uses a buffer's memory or its bus addresses has i_rwsem or invalidate_lock
 * and looks at `dead` first.
 */
#include <linux/miscdevice.h>
#include <linux/slab.h>

#include "buffer/buffer.h"
#include "bus/bus.h"
#include "core/safety.h"
#include "heap/heap.h"
#include "node/node.h"
#include "signal/signal.h"

static void devfs_device_release(struct devfs_device *dev)
{
	devfs_events_exit(dev);
	devfs_registry_exit(dev);
	put_device(dev->dev);
	kfree(dev);
}

/**
 * devfs_device_new - make a device that nobody can see yet
 * @parent: whom its buffers are mapped for
 * @name: its name below /dev/devfs
 *
 * Return: the device, which devfs_device_remove() ends, or an ERR_PTR.
 */
struct devfs_device *devfs_device_new(struct device *parent, const char *name)
{
	struct devfs_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	int err;

	if (!dev)
		return ERR_PTR(-ENOMEM);
	kref_init(&dev->ref);
	dev->release = devfs_device_release;
	init_rwsem(&dev->gate);
	init_rwsem(&dev->reach);
	INIT_LIST_HEAD(&dev->attached);
	INIT_LIST_HEAD(&dev->leaving);
	INIT_LIST_HEAD(&dev->reserved);
	INIT_LIST_HEAD(&dev->users);
	INIT_LIST_HEAD(&dev->watched);
	init_waitqueue_head(&dev->detached);
	strscpy(dev->name, name, sizeof(dev->name));
	snprintf(dev->node, sizeof(dev->node), "devfs/%s", name);
	err = devfs_registry_init(dev);
	if (err)
		goto err_free;
	err = devfs_events_init(dev);
	if (err)
		goto err_registry;
	dev->dev = get_device(parent);
	return dev;

err_registry:
	devfs_registry_exit(dev);
err_free:
	kfree(dev);
	return ERR_PTR(err);
}

/**
 * devfs_device_register - make a device's node, last of all
 * @dev: what devfs_device_new() made
 *
 * The bus that does it calls devfs_unwatch() first of all when the device goes.
 *
 * Return: 0, or an errno; devfs_device_remove() is the caller's in any case.
 */
int devfs_device_register(struct devfs_device *dev)
{
	int err;

	/* It stays as it is while the device has a driver. */
	if (devfs_is_translated(dev->dev))
		dev->info_flags |= DEVFS_DMA_INFO_IOMMU;
	dev->misc.minor = MISC_DYNAMIC_MINOR;
	dev->misc.name = dev->node;
	dev->misc.nodename = dev->node;
	/* udev(7) goes by the attribute. */
	dev->misc.mode = devfs_is_unsafe(dev) ? 0600 : 0660;
	dev->misc.groups = devfs_node_groups;
	dev->misc.parent = dev->dev;
	dev->misc.fops = &devfs_node_fops;
	err = misc_register(&dev->misc);
	dev->registered = !err;
	if (!err)
		devfs_watch(dev);
	return err;
}

/**
 * devfs_device_remove - end a device, whoever uses it
 * @dev: what devfs_device_new() made, registered or not
 *
 * Waits for commands and copies under way. Afterwards nothing uses the parent
 * device any more; open files stay, and all that is asked of them is ENODEV.
 */
void devfs_device_remove(struct devfs_device *dev)
{
	down_write(&dev->gate);
	WRITE_ONCE(dev->dead, true);
	up_write(&dev->gate);

	/* Uevents name the node: it goes after whoever sends them. */
	devfs_events_end(dev);
	if (dev->registered)
		misc_deregister(&dev->misc);
	devfs_buffers_detach(dev);
	devfs_reserved_end(dev);
	devfs_device_put(dev);
}
