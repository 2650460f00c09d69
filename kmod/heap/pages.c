// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the system and the contiguous heap: pages, in segments.
 *
 * A buffer has a reference to every page on its own, so that what O_DIRECT still
 * holds outlives it. Blocks that one entry of a page table can map stay whole, as
 * a folio; all others are split.
 */
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "core/compat.h"
#include "core/module.h"
#include "heap/heap.h"

#ifdef CONFIG_HIGHMEM
#error "devfs_dma reads and writes pages by their kernel address"
#endif

/* A device that cannot reach all memory gets pages it can, where they exist. */
static gfp_t devfs_gfp(struct devfs_device *dev)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;
	u64 mask = dma_get_mask(dev->dev);

	if (devfs_is_translated(dev->dev) || mask >= dma_get_required_mask(dev->dev))
		return gfp;
	if (IS_ENABLED(CONFIG_ZONE_DMA32) && mask >= DMA_BIT_MASK(32))
		return gfp | GFP_DMA32;
	return IS_ENABLED(CONFIG_ZONE_DMA) ? gfp | GFP_DMA : gfp;
}

static struct page *devfs_alloc_block(struct devfs_device *dev, unsigned int order, bool whole)
{
	int node = dev_to_node(dev->dev);
	/* Large blocks are worth little effort, and none a process's life. */
	gfp_t gfp = devfs_gfp(dev) | (order ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL);
	struct folio *folio;
	struct page *page;

	if (whole) {
		folio = __folio_alloc_node(gfp, order, node == NUMA_NO_NODE ? numa_mem_id() : node);
		if (!folio)
			return NULL;
		folio_ref_add(folio, (1 << order) - 1);
		return folio_page(folio, 0);
	}
	page = alloc_pages_node(node, gfp, order);
	if (page && order)
		split_page(page, order);
	return page;
}

/* 2^order pages into @pages, the ones from @keep on given back. */
static bool devfs_take_block(struct devfs_device *dev, struct page **pages, unsigned int order,
			     size_t keep)
{
	bool whole = order == DEVFS_HUGE_ORDER && keep >= 1UL << order;
	struct page *page = devfs_alloc_block(dev, order, whole);
	size_t i;

	if (!page)
		return false;
	for (i = 0; i < 1UL << order; i++) {
		if (i < keep)
			pages[i] = page + i;
		else
			__free_page(page + i);
	}
	return true;
}

/* @pages are of whole blocks. */
static void devfs_put_pages(struct page **pages, size_t count)
{
	size_t i, n;

	for (i = 0; i < count; i += n) {
		struct folio *folio = page_folio(pages[i]);

		n = folio_nr_pages(folio);
		folio_put_refs(folio, n);
		cond_resched();
	}
}

/* The largest block for page @index of a buffer of which @left are to come. */
static unsigned int devfs_block_order(size_t index, size_t left)
{
	unsigned int order = min_t(unsigned int, DEVFS_BLOCK_ORDER, ilog2(left));

	/* Where it would be in a mapping, so that it can be mapped as one. */
	return index ? min_t(unsigned int, order, __ffs(index)) : order;
}

/* @count pages from page @first of the buffer on, in blocks as large as can be had. */
static int devfs_take_pages(struct devfs_device *dev, struct page **pages, size_t first,
			    size_t count)
{
	unsigned int order, most = DEVFS_BLOCK_ORDER;
	size_t done = 0;

	while (done < count) {
		order = min(most, devfs_block_order(first + done, count - done));
		if (devfs_take_block(dev, pages + done, order, SIZE_MAX)) {
			done += 1UL << order;
		} else if (order) {
			most = order - 1;
			continue;
		} else {
			devfs_put_pages(pages, done);
			return -ENOMEM;
		}
		if (fatal_signal_pending(current)) {
			devfs_put_pages(pages, done);
			return -EINTR;
		}
		cond_resched();
	}
	return 0;
}

/* One block where the order allows, else pages that an IOMMU makes one range. */
static int devfs_take_range(struct devfs_device *dev, struct page **pages, size_t count, u32 *why)
{
	unsigned int order = get_order(count << PAGE_SHIFT);

	if (order <= DEVFS_MAX_ORDER && devfs_take_block(dev, pages, order, count))
		return 0;
	if (devfs_is_translated(dev->dev))
		return devfs_take_pages(dev, pages, 0, count);
	*why = order > DEVFS_MAX_ORDER ? DEVFS_DMA_WHY_ORDER : DEVFS_DMA_WHY_MEMORY;
	return -ENOMEM;
}

/* Room for one more segment, by an array that replaces the old one. */
static int devfs_make_segment_room(struct devfs_buffer *buf)
{
	unsigned int room = max(buf->nsegments + 1, buf->nsegments + buf->nsegments / 2);
	struct devfs_segment **segments, **old;

	if (buf->nsegments < buf->segments_room)
		return 0;
	segments = kvmalloc_array(room, sizeof(*segments), DEVFS_GFP);
	if (!segments)
		return -ENOMEM;
	if (buf->nsegments)
		memcpy(segments, buf->segments, buf->nsegments * sizeof(*segments));
	filemap_invalidate_lock(buf->base.inode.i_mapping);
	old = buf->segments;
	buf->segments = segments;
	buf->segments_room = room;
	filemap_invalidate_unlock(buf->base.inode.i_mapping);
	kvfree(old);
	return 0;
}

/* Room for @count more pages, likewise. */
static int devfs_make_page_room(struct devfs_buffer *buf, size_t count)
{
	struct page **pages, **old;
	size_t room;

	if (count <= buf->pages_room - buf->npages)
		return 0;
	room = max(buf->npages + count, buf->npages + buf->npages / 2);
	pages = kvmalloc_array(room, sizeof(*pages), DEVFS_GFP);
	if (!pages)
		return -ENOMEM;
	if (buf->npages)
		memcpy(pages, buf->pages, buf->npages * sizeof(*pages));
	filemap_invalidate_lock(buf->base.inode.i_mapping);
	old = buf->pages;
	buf->pages = pages;
	buf->pages_room = room;
	filemap_invalidate_unlock(buf->base.inode.i_mapping);
	kvfree(old);
	return 0;
}

/* Adds one segment of @count pages; the caller has i_rwsem or the only reference. */
static int devfs_add_segment(struct devfs_buffer *buf, size_t count, u32 *why)
{
	struct devfs_device *dev = buf->base.dev;
	size_t bytes = count << PAGE_SHIFT;
	struct devfs_segment *segment;
	struct page **pages;
	int err;

	err = devfs_charge(dev, buf->heap, bytes);
	if (err) {
		*why = DEVFS_DMA_WHY_LIMIT;
		return err;
	}
	*why = DEVFS_DMA_WHY_MEMORY;
	err = devfs_make_segment_room(buf) ?: devfs_make_page_room(buf, count);
	if (err)
		goto err_charge;
	segment = kzalloc(sizeof(*segment), DEVFS_GFP);
	if (!segment) {
		err = -ENOMEM;
		goto err_charge;
	}
	segment->first = buf->npages;
	segment->npages = count;
	pages = buf->pages + buf->npages;
	if (buf->heap == DEVFS_DMA_HEAP_CONTIGUOUS)
		err = devfs_take_range(dev, pages, count, why);
	else
		err = devfs_take_pages(dev, pages, segment->first, count);
	if (err)
		goto err_segment;
	err = devfs_map_segment(buf, segment, pages, 0, bytes);
	if (err == -EIO)
		*why = DEVFS_DMA_WHY_MAPPING;
	if (err)
		goto err_pages;
	if (buf->heap == DEVFS_DMA_HEAP_CONTIGUOUS && segment->sgt.nents > 1) {
		*why = DEVFS_DMA_WHY_ORDER;
		err = -ENOMEM;
		goto err_unmap;
	}

	filemap_invalidate_lock(buf->base.inode.i_mapping);
	buf->segments[buf->nsegments++] = segment;
	buf->npages += count;
	inode_set_bytes(&buf->base.inode, (loff_t)buf->npages << PAGE_SHIFT);
	filemap_invalidate_unlock(buf->base.inode.i_mapping);
	if (segment->first == 0)
		atomic_inc(&dev->heap_buffers[buf->heap]);
	*why = DEVFS_DMA_WHY_NONE;
	return 0;

err_unmap:
	devfs_unmap_segment(buf, segment);
err_pages:
	devfs_put_pages(pages, count);
err_segment:
	kfree(segment);
err_charge:
	devfs_uncharge(dev, buf->heap, bytes);
	return err;
}

/* The last segment and its pages, out of sight before they go. */
static void devfs_drop_segment(struct devfs_buffer *buf)
{
	struct devfs_segment *segment;

	filemap_invalidate_lock(buf->base.inode.i_mapping);
	segment = buf->segments[--buf->nsegments];
	buf->npages = segment->first;
	buf->capacity = segment->first << PAGE_SHIFT;
	inode_set_bytes(&buf->base.inode, buf->capacity);
	filemap_invalidate_unlock(buf->base.inode.i_mapping);

	if (!devfs_is_detached(buf))
		devfs_unmap_segment(buf, segment);
	devfs_put_pages(buf->pages + segment->first, segment->npages);
	devfs_uncharge(buf->base.dev, buf->heap, segment->npages << PAGE_SHIFT);
	if (segment->first == 0)
		atomic_dec(&buf->base.dev->heap_buffers[buf->heap]);
	kfree(segment);
}

static int devfs_pages_alloc(struct devfs_buffer *buf, size_t size, u32 *why)
{
	return size ? devfs_add_segment(buf, PAGE_ALIGN(size) >> PAGE_SHIFT, why) : 0;
}

static int devfs_system_grow(struct devfs_buffer *buf, size_t size, u32 *why)
{
	size_t rounded;
	int err;

	if (check_add_overflow(size, (size_t)PAGE_SIZE - 1, &rounded) ||
	    (rounded & PAGE_MASK) > READ_ONCE(devfs_limit_bytes)) {
		*why = DEVFS_DMA_WHY_LIMIT;
		return -ENOSPC;
	}
	rounded &= PAGE_MASK;
	err = devfs_add_segment(buf, (rounded - buf->capacity) >> PAGE_SHIFT, why);
	if (!err)
		buf->capacity = rounded;
	return err;
}

/* Whole segments. */
static void devfs_system_shrink(struct devfs_buffer *buf, size_t size)
{
	size_t keep = PAGE_ALIGN(size) >> PAGE_SHIFT;

	while (buf->nsegments && buf->segments[buf->nsegments - 1]->first >= keep)
		devfs_drop_segment(buf);
}

/* Pages stay for those who have them, such as devices that import them. */
static void devfs_pages_detach(struct devfs_buffer *buf)
{
	devfs_unmap_segments(buf);
}

/* All of it is unmapped first, for which one flush is enough. */
static void devfs_pages_release(struct devfs_buffer *buf)
{
	if (!devfs_is_detached(buf)) {
		devfs_pages_detach(buf);
		WRITE_ONCE(buf->life, DEVFS_DETACHED);
	}
	while (buf->nsegments)
		devfs_drop_segment(buf);
}

const struct devfs_heap_ops devfs_system_heap = {
	.name		= "system",
	.alloc		= devfs_pages_alloc,
	.grow		= devfs_system_grow,
	.shrink		= devfs_system_shrink,
	.detach		= devfs_pages_detach,
	.release	= devfs_pages_release,
	.mmap		= devfs_pages_mmap,
};

const struct devfs_heap_ops devfs_contiguous_heap = {
	.name		= "contiguous",
	.alloc		= devfs_pages_alloc,
	.detach		= devfs_pages_detach,
	.release	= devfs_pages_release,
	.mmap		= devfs_pages_mmap,
	.info		= devfs_range_info,
};
