// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the addresses of a buffer's memory, on the bus and in the machine.
 */
#include <linux/scatterlist.h>

#include "heap/heap.h"

/* Bus ranges of the whole buffer. With i_rwsem or invalidate_lock held. */
unsigned int devfs_sg_count(struct devfs_buffer *buf)
{
	unsigned int i, count = 0;

	if (devfs_is_detached(buf))
		return 0;
	if (devfs_is_coherent(buf))
		return 1;
	for (i = 0; i < buf->nsegments; i++)
		count += buf->segments[i]->sgt.nents;
	return count;
}

/* The only bus address. With i_rwsem or invalidate_lock held. */
bool devfs_dma_addr(struct devfs_buffer *buf, u64 *addr)
{
	if (devfs_sg_count(buf) != 1)
		return false;
	*addr = devfs_is_coherent(buf) ? buf->dma_addr : sg_dma_address(buf->segments[0]->sgt.sgl);
	return true;
}

/* The only CPU address. With i_rwsem or invalidate_lock held. */
bool devfs_phys_addr(struct devfs_buffer *buf, u64 *addr)
{
	if (buf->heap == DEVFS_DMA_HEAP_RESERVED && !devfs_is_detached(buf)) {
		*addr = buf->phys;
		return true;
	}
	/* Coherent memory may be remapped, imported memory need not have pages. */
	if (devfs_is_detached(buf) || devfs_is_coherent(buf) || buf->attach ||
	    buf->nsegments != 1 || buf->segments[0]->sgt.orig_nents != 1)
		return false;
	*addr = sg_phys(buf->segments[0]->sgt.sgl);
	return true;
}

/* Range @index of the buffer; false past the last. With i_rwsem held. */
bool devfs_sg_next(struct devfs_buffer *buf, unsigned int *segment, struct scatterlist **sg,
		   unsigned int *left, struct devfs_dma_sg *entry)
{
	if (devfs_is_coherent(buf)) {
		if (*segment)
			return false;
		entry->dma_addr = buf->dma_addr;
		entry->length = buf->capacity;
		(*segment)++;
		return true;
	}
	while (!*left) {
		if (*segment >= buf->nsegments)
			return false;
		*sg = buf->segments[*segment]->sgt.sgl;
		*left = buf->segments[*segment]->sgt.nents;
		(*segment)++;
	}
	entry->dma_addr = sg_dma_address(*sg);
	entry->length = sg_dma_len(*sg);
	*sg = sg_next(*sg);
	(*left)--;
	return true;
}
