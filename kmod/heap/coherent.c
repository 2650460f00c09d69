// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the coherent heap: one range that needs no sync, by the DMA layer.
 */
#include <linux/dma-mapping.h>

#include "heap/heap.h"

static int devfs_coherent_alloc(struct devfs_buffer *buf, size_t size, u32 *why)
{
	struct devfs_device *dev = buf->base.dev;
	size_t bytes = PAGE_ALIGN(size);

	if (devfs_charge(dev, buf->heap, bytes)) {
		*why = DEVFS_DMA_WHY_LIMIT;
		return -ENOSPC;
	}
	buf->vaddr = dma_alloc_coherent(dev->dev, bytes, &buf->dma_addr,
					DEVFS_GFP);
	if (!buf->vaddr) {
		devfs_uncharge(dev, buf->heap, bytes);
		*why = bytes > devfs_range_max(dev) ? DEVFS_DMA_WHY_ORDER : DEVFS_DMA_WHY_MEMORY;
		return -ENOMEM;
	}
	inode_set_bytes(&buf->base.inode, bytes);
	atomic_inc(&dev->heap_buffers[buf->heap]);
	return 0;
}

static void devfs_coherent_free(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;
	size_t bytes = PAGE_ALIGN(buf->capacity);

	if (!buf->vaddr || buf->life == DEVFS_LOST)
		return;
	dma_free_coherent(dev->dev, bytes, buf->vaddr, buf->dma_addr);
	buf->vaddr = NULL;
	devfs_uncharge(dev, buf->heap, bytes);
	atomic_dec(&dev->heap_buffers[buf->heap]);
}

const struct devfs_heap_ops devfs_coherent_heap = {
	.name		= "coherent",
	.alloc		= devfs_coherent_alloc,
	.detach		= devfs_coherent_free,
	.release	= devfs_coherent_free,
	.mmap		= devfs_range_mmap,
	.info		= devfs_range_info,
};
