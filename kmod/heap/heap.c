// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the memory of buffers: where it comes from and where it goes.
 *
 * Page-backed heaps have a reference to every page on its own, so that what
 * O_DIRECT still holds outlives the buffer. Blocks that one entry of a page table
 * can map stay whole, as a folio; all others are split.
 */
#include <linux/dma-direct.h>
#include <linux/huge_mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "core/compat.h"
#include "core/internal.h"

#ifdef CONFIG_HIGHMEM
#error "devfs_dma reads and writes pages by their kernel address"
#endif

static const char * const devfs_heap_names[] = {
	[DEVFS_DMA_HEAP_SYSTEM]		= "system",
	[DEVFS_DMA_HEAP_CONTIGUOUS]	= "contiguous",
	[DEVFS_DMA_HEAP_COHERENT]	= "coherent",
	[DEVFS_DMA_HEAP_RESERVED]	= "reserved",
	[DEVFS_DMA_HEAP_USER]		= "user",
	[DEVFS_DMA_HEAP_IMPORTED]	= "imported",
};

/* The heap of that name, -EINVAL for none. */
int devfs_heap_named(const char *name)
{
	return match_string(devfs_heap_names, ARRAY_SIZE(devfs_heap_names), name);
}

bool devfs_heap_exists(struct devfs_device *dev, u32 heap)
{
	if (heap == DEVFS_DMA_HEAP_RESERVED)
		return !list_empty(&dev->reserved);
	return heap < DEVFS_DMA_HEAPS;
}

/* Bytes of one bus range that can be had without an IOMMU or CMA. */
static size_t devfs_range_max(struct devfs_device *dev)
{
	if (devfs_is_translated(dev->dev))
		return SIZE_MAX & PAGE_MASK;
	return min_t(size_t, PAGE_SIZE << DEVFS_MAX_ORDER, dma_max_mapping_size(dev->dev));
}

/* Bytes that the limit leaves, in whole pages. */
u64 devfs_heap_room(struct devfs_device *dev)
{
	u64 limit = READ_ONCE(devfs_limit_bytes);
	u64 used = atomic64_read(&dev->used);

	return limit > used ? (limit - used) & PAGE_MASK : 0;
}

void devfs_heap_info(struct devfs_device *dev, struct devfs_dma_heap *info)
{
	u64 limit = READ_ONCE(devfs_limit_bytes);
	u64 room = devfs_heap_room(dev);

	strscpy_pad(info->name, devfs_heap_names[info->heap], sizeof(info->name));
	info->size = limit;
	info->used = atomic64_read(&dev->heap_used[info->heap]);
	info->buffers = atomic_read(&dev->heap_buffers[info->heap]);
	info->max = room;
	if (info->heap == DEVFS_DMA_HEAP_CONTIGUOUS || info->heap == DEVFS_DMA_HEAP_COHERENT)
		info->max = min_t(u64, room, devfs_range_max(dev));
	if (info->heap == DEVFS_DMA_HEAP_RESERVED)
		devfs_reserved_info(dev, info);
}

int devfs_charge(struct devfs_device *dev, u32 heap, size_t bytes)
{
	u64 limit = READ_ONCE(devfs_limit_bytes);
	s64 used = atomic64_read(&dev->used);

	do {
		if (used > limit || bytes > limit - used)
			return -ENOSPC;
	} while (!atomic64_try_cmpxchg(&dev->used, &used, used + bytes));
	atomic64_add(bytes, &dev->heap_used[heap]);
	return 0;
}

void devfs_uncharge(struct devfs_device *dev, u32 heap, size_t bytes)
{
	atomic64_sub(bytes, &dev->heap_used[heap]);
	atomic64_sub(bytes, &dev->used);
}

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

/*
 * The DMA layer copies what a device does not reach, by memory below 4 GiB. To
 * try where that is out of reach, too, is a warning with a trace.
 */
static bool devfs_in_reach(struct devfs_buffer *buf, struct sg_table *sgt)
{
	struct device *dev = buf->base.dev->dev;
	u64 mask = dma_get_mask(dev);
	struct scatterlist *sg;
	int i;

	if (mask >= DMA_BIT_MASK(32) || devfs_is_translated(dev))
		return true;
	if (devfs_is_copied(dev))
		return false;
	for_each_sgtable_sg(sgt, sg, i)
		if (phys_to_dma(dev, sg_phys(sg)) + sg->length - 1 > mask)
			return false;
	return true;
}

int devfs_map_segment(struct devfs_buffer *buf, struct devfs_segment *segment,
		      struct page **pages, unsigned int offset, size_t size)
{
	struct device *dev = buf->base.dev->dev;
	int err;

	segment->direction = buf->direction;
	err = sg_alloc_table_from_pages_segment(&segment->sgt, pages, segment->npages,
						offset, size, devfs_max_range(dev),
						GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	if (devfs_in_reach(buf, &segment->sgt))
		err = devfs_map_shared(dev, &segment->sgt, &segment->direction,
				       &segment->need_sync);
	else
		err = -EIO;
	if (err) {
		sg_free_table(&segment->sgt);
		return -EIO;
	}
	buf->need_sync |= segment->need_sync;
	return 0;
}

void devfs_unmap_segment(struct devfs_buffer *buf, struct devfs_segment *segment)
{
	devfs_unmap_shared(buf->base.dev->dev, &segment->sgt, segment->direction,
			   segment->need_sync);
	sg_free_table(&segment->sgt);
}

/* Room for one more segment, by an array that replaces the old one. */
static int devfs_make_segment_room(struct devfs_buffer *buf)
{
	unsigned int room = max(buf->nsegments + 1, buf->nsegments + buf->nsegments / 2);
	struct devfs_segment **segments, **old;

	if (buf->nsegments < buf->segments_room)
		return 0;
	segments = kvmalloc_array(room, sizeof(*segments), GFP_KERNEL_ACCOUNT);
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
	pages = kvmalloc_array(room, sizeof(*pages), GFP_KERNEL_ACCOUNT);
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
	segment = kzalloc(sizeof(*segment), GFP_KERNEL_ACCOUNT);
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

	if (!buf->detached)
		devfs_unmap_segment(buf, segment);
	devfs_put_pages(buf->pages + segment->first, segment->npages);
	devfs_uncharge(buf->base.dev, buf->heap, segment->npages << PAGE_SHIFT);
	if (segment->first == 0)
		atomic_dec(&buf->base.dev->heap_buffers[buf->heap]);
	kfree(segment);
}

static int devfs_alloc_coherent(struct devfs_buffer *buf, size_t size, u32 *why)
{
	struct devfs_device *dev = buf->base.dev;
	size_t bytes = PAGE_ALIGN(size);

	if (devfs_charge(dev, buf->heap, bytes)) {
		*why = DEVFS_DMA_WHY_LIMIT;
		return -ENOSPC;
	}
	buf->vaddr = dma_alloc_coherent(dev->dev, bytes, &buf->dma_addr,
					GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!buf->vaddr) {
		devfs_uncharge(dev, buf->heap, bytes);
		*why = bytes > devfs_range_max(dev) ? DEVFS_DMA_WHY_ORDER : DEVFS_DMA_WHY_MEMORY;
		return -ENOMEM;
	}
	inode_set_bytes(&buf->base.inode, bytes);
	atomic_inc(&dev->heap_buffers[buf->heap]);
	return 0;
}

/* The memory of a new buffer in the heaps that allocate: ALLOC's fill. */
int devfs_heap_alloc(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why)
{
	u64 rounded;
	int err;

	if (buf->heap > DEVFS_DMA_HEAP_RESERVED || !devfs_heap_exists(buf->base.dev, buf->heap))
		return -EOPNOTSUPP;
	if ((!size && buf->heap != DEVFS_DMA_HEAP_SYSTEM) ||
	    check_add_overflow(size, (u64)PAGE_SIZE - 1, &rounded) || size > MAX_LFS_FILESIZE)
		return -EINVAL;
	rounded &= PAGE_MASK;
	if (rounded > SIZE_MAX || (buf->heap != DEVFS_DMA_HEAP_RESERVED &&
				   rounded > READ_ONCE(devfs_limit_bytes))) {
		*why = DEVFS_DMA_WHY_LIMIT;
		return -ENOSPC;
	}
	if (buf->heap == DEVFS_DMA_HEAP_COHERENT)
		err = devfs_alloc_coherent(buf, size, why);
	else if (buf->heap == DEVFS_DMA_HEAP_RESERVED)
		err = devfs_reserved_alloc(buf, size, why);
	else
		err = size ? devfs_add_segment(buf, rounded >> PAGE_SHIFT, why) : 0;
	if (err)
		return err;
	buf->capacity = buf->heap == DEVFS_DMA_HEAP_SYSTEM ? rounded : size;
	i_size_write(&buf->base.inode, size);
	return 0;
}

/* Makes the capacity @size or more. With i_rwsem held exclusively. */
int devfs_heap_grow(struct devfs_buffer *buf, size_t size, u32 *why)
{
	size_t rounded;
	int err;

	*why = DEVFS_DMA_WHY_NONE;
	if (size <= buf->capacity)
		return 0;
	if (buf->heap != DEVFS_DMA_HEAP_SYSTEM)
		return -ENOSPC;
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

/*
 * Gives back whole segments past @size. With i_rwsem held exclusively, and
 * nothing mapped or exported past @size.
 */
void devfs_heap_shrink(struct devfs_buffer *buf, size_t size)
{
	size_t keep = PAGE_ALIGN(size) >> PAGE_SHIFT;

	if (buf->heap != DEVFS_DMA_HEAP_SYSTEM)
		return;
	while (buf->nsegments && buf->segments[buf->nsegments - 1]->first >= keep)
		devfs_drop_segment(buf);
}

/* Memory that is not the buffer's own pages goes with the device. */
static void devfs_give_back(struct devfs_buffer *buf)
{
	struct devfs_device *dev = buf->base.dev;

	if (buf->nsegments && buf->heap == DEVFS_DMA_HEAP_USER)
		devfs_unpin(buf);
	if (buf->nsegments && buf->heap == DEVFS_DMA_HEAP_IMPORTED)
		devfs_unimport(buf);
	if (buf->heap == DEVFS_DMA_HEAP_RESERVED && buf->vaddr)
		devfs_reserved_free(buf);
	if (buf->heap == DEVFS_DMA_HEAP_COHERENT && buf->vaddr) {
		size_t bytes = PAGE_ALIGN(buf->capacity);

		dma_free_coherent(dev->dev, bytes, buf->vaddr, buf->dma_addr);
		buf->vaddr = NULL;
		devfs_uncharge(dev, buf->heap, bytes);
		atomic_dec(&dev->heap_buffers[buf->heap]);
	}
}

/*
 * The device goes. Its mappings end; pages stay for those who have them, such
 * as devices that import them. With i_rwsem held exclusively, after `detached`.
 */
void devfs_heap_detach(struct devfs_buffer *buf)
{
	unsigned int i;

	devfs_give_back(buf);
	for (i = 0; i < buf->nsegments; i++)
		devfs_unmap_segment(buf, buf->segments[i]);
}

/* At eviction: nothing refers to the buffer any more. */
void devfs_heap_release(struct devfs_buffer *buf)
{
	devfs_give_back(buf);
	while (buf->nsegments)
		devfs_drop_segment(buf);
	kvfree(buf->segments);
	kvfree(buf->pages);
}

/*
 * Bytes from byte @at of @page to the end of its folio: copies to and from
 * users that go on in the next one are an overrun to CONFIG_HARDENED_USERCOPY.
 */
static size_t devfs_folio_left(struct page *page, size_t at)
{
	struct folio *folio = page_folio(page);

	if (!folio_test_large(folio))
		return SIZE_MAX;
	return folio_size(folio) - ((page_to_pfn(page) - folio_pfn(folio)) << PAGE_SHIFT) - at;
}

/* Kernel address of byte @pos, and how many bytes up to @max follow it there. Not of iomem. */
void *devfs_heap_run(struct devfs_buffer *buf, size_t pos, size_t max, size_t *len)
{
	size_t at, index, run;
	unsigned long pfn;

	if (buf->vaddr) {
		*len = max;
		return buf->vaddr + pos;
	}
	pos += buf->offset;
	index = pos >> PAGE_SHIFT;
	at = offset_in_page(pos);
	max = min(max, devfs_folio_left(buf->pages[index], at));
	pfn = page_to_pfn(buf->pages[index]);
	for (run = PAGE_SIZE - at; run < max; run += PAGE_SIZE)
		if (page_to_pfn(buf->pages[++index]) != ++pfn)
			break;
	*len = min(run, max);
	return page_address(buf->pages[pos >> PAGE_SHIFT]) + at;
}

/* For the devices to see, too. With i_rwsem held; fails for imported memory alone. */
int devfs_heap_zero(struct devfs_buffer *buf, size_t from, size_t to)
{
	struct devfs_access access;
	int err = 0;

	if (devfs_is_iomem(buf))
		return devfs_iomem_zero(buf, from, to);
	while (from < to && !err) {
		size_t count = devfs_access_step(buf, to - from), done, len;

		err = devfs_access_begin(&access, buf, from, count, true);
		if (err)
			break;
		for (done = 0; done < count; done += len) {
			void *at = devfs_heap_run(buf, from + done, count - done, &len);

			memset(at, 0, len);
		}
		err = devfs_access_end(&access, count);
		from += count;
		cond_resched();
	}
	return err;
}
