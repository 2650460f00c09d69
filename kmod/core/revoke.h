/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - dma-bufs of memory that goes with its device. */
#ifndef DEVFS_DMA_CORE_REVOKE_H
#define DEVFS_DMA_CORE_REVOKE_H

#include <linux/dma-resv.h>
#include <linux/kref.h>

#include "core/device.h"

struct dma_buf;

/* How long importers have to let go of memory of a device that is removed. */
#define DEVFS_IMPORTERS_WAIT (5 * HZ)

/* A dma-buf of memory that its importers give back when they are asked to. */
struct devfs_revocable {
	struct kref ref;		/* its dma-buf's, and removal's */
	struct dma_resv *resv;		/* of its dma-buf, and maybe of others */
	struct list_head entry;		/* devfs_device.lock */
	struct dma_buf *dmabuf;		/* resv: NULL at its end */
	bool revoked;			/* resv */
	void (*free)(struct devfs_revocable *of);
};

void devfs_revocable_init(struct devfs_revocable *of, struct dma_resv *resv,
			  void (*free)(struct devfs_revocable *of));
void devfs_revocable_put(struct devfs_revocable *of);
int devfs_revocable_list(struct devfs_revocable *of, struct dma_buf *dmabuf,
			 struct devfs_device *dev, struct list_head *list, const bool *gone);
void devfs_revocable_end(struct devfs_revocable *of, struct devfs_device *dev);
void devfs_revoke(struct devfs_device *dev, struct list_head *list);
bool devfs_wait_for_importers(struct devfs_device *dev, atomic_t *importers);
void devfs_importer_left(struct devfs_device *dev, atomic_t *importers);

#endif /* DEVFS_DMA_CORE_REVOKE_H */
