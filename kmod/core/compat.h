/* SPDX-License-Identifier: GPL-2.0 */
/*
 * devfs_dma - what differs between the kernels this module builds on.
 *
 * Every test of the kernel's version is in this file.
 */
#ifndef DEVFS_DMA_COMPAT_H
#define DEVFS_DMA_COMPAT_H

#include <linux/dma-buf.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/huge_mm.h>
#include <linux/iommu.h>
#include <linux/irqdomain.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/msi.h>
#include <linux/pagemap.h>
#include <linux/platform_device.h>
#include <linux/splice.h>
#include <linux/version.h>

/* The highest order the page allocator serves. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define DEVFS_MAX_ORDER		MAX_PAGE_ORDER
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define DEVFS_MAX_ORDER		MAX_ORDER
#else
#define DEVFS_MAX_ORDER		(MAX_ORDER - 1)
#endif

/*
 * The order that one entry of a page table maps (none where it is not served),
 * and the largest of which buffers are made.
 */
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
#define DEVFS_HUGE_ORDER	HPAGE_PMD_ORDER
#define DEVFS_BLOCK_ORDER	min_t(unsigned int, HPAGE_PMD_ORDER, DEVFS_MAX_ORDER)
#else
#define DEVFS_HUGE_ORDER	(DEVFS_MAX_ORDER + 1)
#define DEVFS_BLOCK_ORDER	DEVFS_MAX_ORDER
#endif

/*
 * Page frames that have no pages are mapped by one such entry from 6.12 on, where
 * the architecture can mark it: what walks page tables then knows that it is
 * nobody's to pin.
 */
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
#define devfs_pfn_arg(pfn)	__pfn_to_pfn_t(pfn, PFN_DEV)
#else
#define devfs_pfn_arg(pfn)	(pfn)
#endif

/*
 * The index in the file of the first page of the block around a fault, or
 * ULONG_MAX where the area does not have all of it, or no such block is served.
 */
static inline unsigned long devfs_huge_index(struct vm_fault *vmf, unsigned int order)
{
	unsigned long start = vmf->address & HPAGE_PMD_MASK;

	if (order != HPAGE_PMD_ORDER || start < vmf->vma->vm_start ||
	    vmf->vma->vm_end - start < HPAGE_PMD_SIZE)
		return ULONG_MAX;
	return linear_page_index(vmf->vma, start);
}

/* Maps the block around a fault to the frames from @pfn on, where they are a block too. */
static inline vm_fault_t devfs_insert_huge(struct vm_fault *vmf, unsigned long pfn)
{
	if (!IS_ALIGNED(pfn, HPAGE_PMD_NR))
		return VM_FAULT_FALLBACK;
	return vmf_insert_pfn_pmd(vmf, devfs_pfn_arg(pfn), vmf->flags & FAULT_FLAG_WRITE);
}
#endif

/* No file takes a lease: who opens it would wait for whoever has one. The default from 7.0 on. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define DEVFS_NO_LEASE		.setlease = simple_nosetlease,
#else
#define DEVFS_NO_LEASE
#endif

/* Mounts got an idmap of their own type. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define devfs_idmap_t		struct mnt_idmap
#define devfs_nop_idmap		(&nop_mnt_idmap)
#else
#define devfs_idmap_t		struct user_namespace
#define devfs_nop_idmap		(&init_user_ns)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define copy_splice_read	generic_file_splice_read
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
static inline void devfs_touch_ctime(struct inode *inode)
{
	inode->i_ctime = current_time(inode);
}

static inline void devfs_touch_mtime(struct inode *inode)
{
	inode->i_mtime = current_time(inode);
	inode->i_ctime = inode->i_mtime;
}
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
static inline void devfs_touch_ctime(struct inode *inode)
{
	inode_set_ctime_current(inode);
}

static inline void devfs_touch_mtime(struct inode *inode)
{
	inode->i_mtime = inode_set_ctime_current(inode);
}
#else
static inline void devfs_touch_ctime(struct inode *inode)
{
	inode_set_ctime_current(inode);
}

static inline void devfs_touch_mtime(struct inode *inode)
{
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
}
#endif

static inline void devfs_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

static inline void devfs_hrtimer_setup(struct hrtimer *timer,
				       enum hrtimer_restart (*function)(struct hrtimer *),
				       clockid_t clock, enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, function, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#endif
}

/* Callers had to hold the reservation lock, or did not have to know of it. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define devfs_dmabuf_vmap_unlocked	dma_buf_vmap_unlocked
#define devfs_dmabuf_vunmap_unlocked	dma_buf_vunmap_unlocked
#else
#define devfs_dmabuf_vmap_unlocked	dma_buf_vmap
#define devfs_dmabuf_vunmap_unlocked	dma_buf_vunmap
#endif

/* An exporter takes memory back from its importers, by another name. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
#define devfs_invalidate		invalidate_mappings
#define devfs_dmabuf_invalidate		dma_buf_invalidate_mappings
#else
#define devfs_invalidate		move_notify
#define devfs_dmabuf_invalidate		dma_buf_move_notify
#endif

/* Interrupts are remapped: a device cannot send those of others by writing them itself. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define devfs_has_isolated_msi	msi_device_has_isolated_msi
#else
static inline bool devfs_has_isolated_msi(struct device *dev)
{
	return device_iommu_capable(dev, IOMMU_CAP_INTR_REMAP) || irq_domain_check_msi_remap();
}
#endif

/* One more reference to a file, unless it is on its way out: that waits for the caller. */
static inline bool devfs_get_file_live(struct file *file)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	return file_ref_get(&file->f_ref);
#else
	return atomic_long_inc_not_zero(&file->f_count);
#endif
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define DEVFS_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS("DMA_BUF")
#else
#define DEVFS_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS(DMA_BUF)
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#define devfs_drop_inode	inode_just_drop
#else
#define devfs_drop_inode	generic_delete_inode
#endif

/* What a platform driver's remove() gives: it used to be ignored, now it is nothing. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define DEVFS_REMOVE_RESULT	void
#define DEVFS_REMOVE_DONE
#else
#define DEVFS_REMOVE_RESULT	int
#define DEVFS_REMOVE_DONE	0
#endif

#endif /* DEVFS_DMA_COMPAT_H */
