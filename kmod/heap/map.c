// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the memory of a buffer in a program: pages, and ranges without pages.
 */
#include <linux/cc_platform.h>
#include <linux/dma-map-ops.h>
#include <linux/pagemap.h>
#include <linux/pfn.h>

#include "core/compat.h"
#include "core/trace.h"
#include "heap/heap.h"

static void devfs_vm_open(struct vm_area_struct *vma)
{
	atomic_inc(&devfs_buffer_of(file_inode(vma->vm_file))->mappings);
}

static void devfs_vm_close(struct vm_area_struct *vma)
{
	atomic_dec(&devfs_buffer_of(file_inode(vma->vm_file))->mappings);
}

static vm_fault_t devfs_vm_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct devfs_buffer *buf = devfs_buffer_of(inode);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	filemap_invalidate_lock_shared(inode->i_mapping);
	if (vmf->pgoff < buf->npages && !devfs_dead(buf->base.dev)) {
		/* All of its block is mapped, where it is a folio and the area has room. */
		vmf->page = buf->pages[vmf->pgoff];
		get_page(vmf->page);
		/* Until it is mapped: so removal waits before it zaps. */
		lock_page(vmf->page);
		ret = VM_FAULT_LOCKED;
	}
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return ret;
}

/* One range without pages that could be counted: page @index of it. */
static unsigned long devfs_range_pfn(struct devfs_buffer *buf, pgoff_t index)
{
	void *at = buf->vaddr + (index << PAGE_SHIFT);

	if (buf->heap == DEVFS_DMA_HEAP_RESERVED)
		return PHYS_PFN(buf->phys) + index;
	/* As the DMA layer's own mmap: it may have been remapped. */
	return is_vmalloc_addr(at) ? vmalloc_to_pfn(at) : PHYS_PFN(virt_to_phys(at));
}

/*
 * Pages after the faulting one that are mapped with it, within its block: the
 * next one may be mapped as a whole.
 */
#define DEVFS_FAULT_AROUND 64UL

static unsigned long devfs_fault_around(struct vm_fault *vmf)
{
	return min(DEVFS_FAULT_AROUND, PHYS_PFN(PMD_SIZE - (vmf->address & ~PMD_MASK)));
}

static vm_fault_t devfs_vm_fault_range(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct inode *inode = file_inode(vma->vm_file);
	struct devfs_buffer *buf = devfs_buffer_of(inode);
	vm_fault_t ret = VM_FAULT_SIGBUS;
	pgoff_t index, end;

	filemap_invalidate_lock_shared(inode->i_mapping);
	if (!devfs_dead(buf->base.dev)) {
		end = min3(DIV_ROUND_UP(buf->capacity, PAGE_SIZE), vma->vm_pgoff + vma_pages(vma),
			   vmf->pgoff + devfs_fault_around(vmf));
		for (index = vmf->pgoff; index < end; index++) {
			vm_fault_t one;

			one = vmf_insert_pfn(vma, vmf->address +
					     ((index - vmf->pgoff) << PAGE_SHIFT),
					     devfs_range_pfn(buf, index));
			if (index == vmf->pgoff)
				ret = one;
			if (one != VM_FAULT_NOPAGE)
				break;
		}
	}
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return ret;
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
static vm_fault_t devfs_vm_huge_fault_range(struct vm_fault *vmf, unsigned int order)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct devfs_buffer *buf = devfs_buffer_of(inode);
	unsigned long index = devfs_huge_index(vmf, order);
	vm_fault_t ret = VM_FAULT_FALLBACK;
	unsigned long pages;

	filemap_invalidate_lock_shared(inode->i_mapping);
	pages = DIV_ROUND_UP(buf->capacity, PAGE_SIZE);
	if (devfs_dead(buf->base.dev))
		ret = VM_FAULT_SIGBUS;
	/* What was remapped is in pieces. */
	else if (index < pages && pages - index >= HPAGE_PMD_NR &&
		 (buf->heap == DEVFS_DMA_HEAP_RESERVED || !is_vmalloc_addr(buf->vaddr)))
		ret = devfs_insert_huge(vmf, devfs_range_pfn(buf, index));
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return ret;
}
#endif

/* Page-backed heaps: faults find the pages, and O_DIRECT can pin them. */
static const struct vm_operations_struct devfs_page_vmops = {
	.open	= devfs_vm_open,
	.close	= devfs_vm_close,
	.fault	= devfs_vm_fault,
};

/*
 * dma_mmap_coherent() would map before the area is where zapping finds it, so
 * this memory is mapped by faults as well.
 */
static const struct vm_operations_struct devfs_range_vmops = {
	.open	= devfs_vm_open,
	.close	= devfs_vm_close,
	.fault	= devfs_vm_fault_range,
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	.huge_fault = devfs_vm_huge_fault_range,
#endif
};

/* Counts the mapping, under the lock of resizing and removal. */
static int devfs_map_begin(struct devfs_buffer *buf, struct vm_area_struct *vma)
{
	struct inode *inode = &buf->base.inode;
	size_t pages, want = vma_pages(vma);
	int err = 0;

	filemap_invalidate_lock_shared(inode->i_mapping);
	pages = DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE);
	if (devfs_dead(buf->base.dev))
		err = -ENODEV;
	else if (vma->vm_pgoff >= pages || want > pages - vma->vm_pgoff)
		err = -EINVAL;
	else
		atomic_inc(&buf->mappings);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return err;
}

static void devfs_map_done(struct devfs_buffer *buf, struct vm_area_struct *vma,
			   const struct vm_operations_struct *ops)
{
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = ops;
	trace_devfs_dma_map(buf, (u64)vma->vm_pgoff << PAGE_SHIFT,
			    (u64)vma_pages(vma) << PAGE_SHIFT);
}

int devfs_pages_mmap(struct devfs_buffer *buf, struct vm_area_struct *vma)
{
	int err = devfs_map_begin(buf, vma);

	if (!err)
		devfs_map_done(buf, vma, &devfs_page_vmops);
	return err;
}

int devfs_range_mmap(struct devfs_buffer *buf, struct vm_area_struct *vma)
{
	struct device *dev = buf->base.dev->dev;
	int err;

	/* A private copy of device memory is of no use to anyone. */
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE)
		return -EINVAL;
	/* Some of it may be encrypted, and only the DMA layer knows which. */
	if (cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT))
		return -EOPNOTSUPP;
	err = devfs_map_begin(buf, vma);
	if (err)
		return err;
	if (!dev_is_dma_coherent(dev))
		vma->vm_page_prot = pgprot_dmacoherent(vma->vm_page_prot);
	if (cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT))
		vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	vm_flags_set(vma, VM_IO | VM_PFNMAP);
	devfs_map_done(buf, vma, &devfs_range_vmops);
	return 0;
}
