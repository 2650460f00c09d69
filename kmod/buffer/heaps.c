// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the heaps a buffer can have memory from, by their numbers.
 */
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "buffer/heaps.h"
#include "core/memcg.h"
#include "core/module.h"
#include "dmabuf/dmabuf.h"
#include "heap/heap.h"

static const struct devfs_heap_ops * const devfs_heaps[DEVFS_DMA_HEAPS] = {
	[DEVFS_DMA_HEAP_SYSTEM]		= &devfs_system_heap,
	[DEVFS_DMA_HEAP_CONTIGUOUS]	= &devfs_contiguous_heap,
	[DEVFS_DMA_HEAP_COHERENT]	= &devfs_coherent_heap,
	[DEVFS_DMA_HEAP_RESERVED]	= &devfs_reserved_heap,
	[DEVFS_DMA_HEAP_USER]		= &devfs_user_heap,
	[DEVFS_DMA_HEAP_IMPORTED]	= &devfs_imported_heap,
};

/* Of a number that was checked. */
const struct devfs_heap_ops *devfs_heap_of(u32 heap)
{
	return devfs_heaps[array_index_nospec(heap, DEVFS_DMA_HEAPS)];
}

/* The heap of that name, -EINVAL for none. */
int devfs_heap_named(const char *name)
{
	u32 heap;

	for (heap = 0; heap < DEVFS_DMA_HEAPS; heap++)
		if (!strcmp(devfs_heaps[heap]->name, name))
			return heap;
	return -EINVAL;
}

bool devfs_heap_exists(struct devfs_device *dev, u32 heap)
{
	if (heap == DEVFS_DMA_HEAP_RESERVED)
		return devfs_reserved_exists(dev);
	return heap < DEVFS_DMA_HEAPS;
}

void devfs_heap_info(struct devfs_device *dev, struct devfs_dma_heap *info)
{
	const struct devfs_heap_ops *heap = devfs_heap_of(info->heap);

	strscpy_pad(info->name, heap->name, sizeof(info->name));
	info->size = READ_ONCE(devfs_limit_bytes);
	info->used = atomic64_read(&dev->heap_used[info->heap]);
	info->buffers = atomic_read(&dev->heap_buffers[info->heap]);
	info->max = devfs_heap_room(dev);
	if (heap->info)
		heap->info(dev, info);
}

/* With i_rwsem held, for which removal waits. */
static int devfs_heap_alloc_locked(struct devfs_buffer *buf, u64 size, u32 *why)
{
	u64 rounded;
	int err;

	if (!buf->heap_ops->alloc || !devfs_heap_exists(buf->base.dev, buf->heap))
		return -EOPNOTSUPP;
	if ((!size && !buf->heap_ops->grow) ||
	    check_add_overflow(size, (u64)PAGE_SIZE - 1, &rounded) || size > MAX_LFS_FILESIZE)
		return -EINVAL;
	rounded &= PAGE_MASK;
	if (rounded > SIZE_MAX || (buf->heap != DEVFS_DMA_HEAP_RESERVED &&
				   rounded > READ_ONCE(devfs_limit_bytes))) {
		*why = DEVFS_DMA_WHY_LIMIT;
		return -ENOSPC;
	}
	err = buf->heap_ops->alloc(buf, size, why);
	if (err)
		return err;
	buf->capacity = buf->heap_ops->grow ? rounded : size;
	i_size_write(&buf->base.inode, size);
	return 0;
}

/* The memory of a new buffer in the heaps that allocate: ALLOC's fill. */
int devfs_heap_alloc(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why)
{
	struct mem_cgroup *before;
	int err = devfs_lock(buf);

	if (err)
		return err;
	before = devfs_memcg_begin(buf->memcg);
	err = devfs_heap_alloc_locked(buf, size, why);
	devfs_memcg_end(before);
	inode_unlock(&buf->base.inode);
	return err;
}

/* Makes the capacity @size or more. With i_rwsem held exclusively. */
int devfs_heap_grow(struct devfs_buffer *buf, size_t size, u32 *why)
{
	struct mem_cgroup *before;
	int err;

	*why = DEVFS_DMA_WHY_NONE;
	if (size <= buf->capacity)
		return 0;
	if (!buf->heap_ops->grow)
		return -ENOSPC;
	before = devfs_memcg_begin(buf->memcg);
	err = buf->heap_ops->grow(buf, size, why);
	devfs_memcg_end(before);
	return err;
}

/* Gives back what can be past @size, of which nothing is mapped or exported. Likewise. */
void devfs_heap_shrink(struct devfs_buffer *buf, size_t size)
{
	if (buf->heap_ops->shrink)
		buf->heap_ops->shrink(buf, size);
}

/* At eviction: nothing refers to the buffer any more. */
void devfs_heap_release(struct devfs_buffer *buf)
{
	if (buf->heap_ops)
		buf->heap_ops->release(buf);
	kvfree(buf->segments);
	kvfree(buf->pages);
}
