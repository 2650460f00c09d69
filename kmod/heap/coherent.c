// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the coherent heap: one range that needs no sync, by the DMA layer.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

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

/* Pages that the DMA layer made one range of, each with a reference of its own; or NULL. */
static struct page **devfs_hold_pages(void *vaddr, size_t count)
{
	struct page **pages;
	size_t i;

	if (!is_vmalloc_addr(vaddr) || !pfn_valid(vmalloc_to_pfn(vaddr)))
		return NULL;
	pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL | __GFP_NOWARN);
	for (i = 0; pages && i < count; i++) {
		pages[i] = vmalloc_to_page(vaddr + (i << PAGE_SHIFT));
		get_page(pages[i]);
	}
	return pages;
}

/*
 * One call of the DMA layer's unmaps and frees. Behind a lazy IOMMU the pages are
 * held until it has forgotten them; where that cannot be, the flush comes late.
 */
static void devfs_free_range(struct device *dev, size_t bytes, void *vaddr, dma_addr_t addr)
{
	size_t i, count = bytes >> PAGE_SHIFT;
	struct page **pages = devfs_is_lazy(dev) ? devfs_hold_pages(vaddr, count) : NULL;

	dma_free_coherent(dev, bytes, vaddr, addr);
	devfs_flush_iommu(dev);
	for (i = 0; pages && i < count; i++)
		put_page(pages[i]);
	kvfree(pages);
}

static void devfs_coherent_free(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;
	size_t bytes = PAGE_ALIGN(buf->capacity);

	if (!buf->vaddr || buf->life == DEVFS_LOST)
		return;
	devfs_free_range(dev->dev, bytes, buf->vaddr, buf->dma_addr);
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
