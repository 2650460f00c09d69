// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - dma-bufs of memory that goes with its device.
 *
 * Each has a reference count of its own, which keeps the reservation lock, too, so
 * that removal takes the memory back from the importers without a reference to the
 * dma-buf, which could be on its way out.
 */
#include <linux/dma-buf.h>

#include "core/compat.h"
#include "core/revoke.h"

static void devfs_revocable_free(struct kref *ref)
{
	struct devfs_revocable *of = container_of(ref, struct devfs_revocable, ref);

	of->free(of);
}

void devfs_revocable_put(struct devfs_revocable *of)
{
	kref_put(&of->ref, devfs_revocable_free);
}

/* @free frees what it is a part of, once nobody uses it or @resv any more. */
void devfs_revocable_init(struct devfs_revocable *of, struct dma_resv *resv,
			  void (*free)(struct devfs_revocable *of))
{
	kref_init(&of->ref);
	of->resv = resv;
	INIT_LIST_HEAD(&of->entry);
	of->free = free;
}

/* Where removal finds it, unless it was there first: @gone is set before devfs_revoke(). */
int devfs_revocable_list(struct devfs_revocable *of, struct dma_buf *dmabuf,
			 struct devfs_device *dev, struct list_head *list, const bool *gone)
{
	int err = -ENODEV;

	of->dmabuf = dmabuf;
	mutex_lock(&dev->lock);
	if (!READ_ONCE(*gone)) {
		list_add(&of->entry, list);
		err = 0;
	}
	mutex_unlock(&dev->lock);
	return err;
}

/* The dma-buf is being released. */
void devfs_revocable_end(struct devfs_revocable *of, struct devfs_device *dev)
{
	/* Who takes the memory back at this moment has the lock, and uses the dma-buf. */
	dma_resv_lock(of->resv, NULL);
	of->dmabuf = NULL;
	dma_resv_unlock(of->resv);
	mutex_lock(&dev->lock);
	list_del_init(&of->entry);
	mutex_unlock(&dev->lock);
	devfs_revocable_put(of);
}

/* One that nobody took yet, with a reference, or NULL. */
static struct devfs_revocable *devfs_next_revocable(struct devfs_device *dev,
						    struct list_head *list)
{
	struct devfs_revocable *of;

	mutex_lock(&dev->lock);
	of = list_first_entry_or_null(list, struct devfs_revocable, entry);
	/* One that is being released waits for the lock to leave the list. */
	if (of) {
		list_del_init(&of->entry);
		kref_get(&of->ref);
	}
	mutex_unlock(&dev->lock);
	return of;
}

/* Asks for all of the list. devfs_wait_for_importers() waits until it is given back. */
void devfs_revoke(struct devfs_device *dev, struct list_head *list)
{
	struct devfs_revocable *of;

	while ((of = devfs_next_revocable(dev, list))) {
		dma_resv_lock(of->resv, NULL);
		WRITE_ONCE(of->revoked, true);
		if (of->dmabuf)
			devfs_dmabuf_invalidate(of->dmabuf);
		dma_resv_unlock(of->resv);
		devfs_revocable_put(of);
	}
}

/*
 * A device that is removed waits for all who have its memory mapped together:
 * its first wait begins their time. False if it is over, and somebody still has.
 */
bool devfs_wait_for_importers(struct devfs_device *dev, atomic_t *importers)
{
	unsigned long now = jiffies, left = 0;

	if (!dev->patience)
		dev->patience = now + DEVFS_IMPORTERS_WAIT ?: 1;
	if (time_before(now, dev->patience))
		left = dev->patience - now;
	return wait_event_timeout(dev->detached, !atomic_read(importers), left);
}

/* What no longer uses the memory. */
void devfs_importer_left(struct devfs_device *dev, atomic_t *importers)
{
	if (atomic_dec_and_test(importers))
		wake_up_all(&dev->detached);
}
