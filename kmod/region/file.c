// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - a region as a regular file: read, write, mmap.
 *
 * Reads and writes are bus accesses of known widths; no memcpy() meets the
 * device. FUSE passthrough comes through here, too.
 */
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "core/compat.h"
#include "region/object.h"

/* Bytes on their way between device and user: neither waits for the other. */
#define DEVFS_BOUNCE 256

/* Whether [pos, pos + count) is one access, or a run of them. */
static int devfs_region_check(struct devfs_region *region, loff_t pos, size_t count)
{
	if (pos < 0 || pos > region->is.size || count > region->is.size - pos)
		return -EINVAL;
	if (count > region->is.ops->widest)
		return pos % sizeof(u32) || count % sizeof(u32) ? -EINVAL : 0;
	return is_power_of_2(count) && !(pos % count) ? 0 : -EINVAL;
}

/* What of @count can be bounced at once; accesses are the same as without. */
static size_t devfs_bounce_size(loff_t pos, size_t count)
{
	return min_t(size_t, count, DEVFS_BOUNCE - pos % sizeof(u64));
}

/* Of @count bytes, of which only @able could be had, those of whole accesses. */
static size_t devfs_whole(struct devfs_region *region, size_t count, size_t able)
{
	if (able >= count)
		return count;
	return count > region->is.ops->widest ? round_down(able, sizeof(u32)) : 0;
}

/* The widest access for the next of @left bytes: @left was checked. */
static unsigned int devfs_width(struct devfs_region *region, size_t at, size_t left)
{
	unsigned int width = region->is.ops->widest;

	while (width > left || at % width)
		width /= 2;
	return width;
}

/* Carries out what was checked, unless the device is gone, or does not answer. */
int devfs_region_access(struct devfs_region *region, struct file *file, size_t pos, void *data,
			size_t count, bool write)
{
	struct address_space *mapping = region->base.inode.i_mapping;
	unsigned int width;
	size_t done;
	__le64 value;
	int err;

	filemap_invalidate_lock_shared(mapping);
	err = region->gone ? -ENODEV : devfs_region_reach(region, file);
	if (err) {
		filemap_invalidate_unlock_shared(mapping);
		return err;
	}
	for (done = 0; done < count; done += width) {
		width = devfs_width(region, pos + done, count - done);
		/* Files have the bytes in the order of the bus. */
		if (write) {
			value = 0;
			memcpy(&value, data + done, width);
			region->is.ops->write(region, pos + done, width, le64_to_cpu(value));
		} else {
			value = cpu_to_le64(region->is.ops->read(region, pos + done, width));
			memcpy(data + done, &value, width);
		}
	}
	if (write)
		wmb(); /* combined writes leave the CPU */
	devfs_region_leave(region);
	filemap_invalidate_unlock_shared(mapping);
	return 0;
}

/* Of @want bytes, in whole accesses, what came into @bounce or what a user can be given. */
static size_t devfs_region_able(struct devfs_region *region, void *bounce, size_t want,
				struct iov_iter *iter, bool write)
{
	size_t able, whole;

	/* What nobody gets is not read: reading may have effects. */
	if (!write)
		return devfs_whole(region, want, want - fault_in_iov_iter_writeable(iter, want));
	able = copy_from_iter(bounce, want, iter);
	whole = devfs_whole(region, want, able);
	iov_iter_revert(iter, able - whole);
	return whole;
}

/* Of a range that was checked. */
static ssize_t devfs_region_rw(struct kiocb *iocb, struct iov_iter *iter, size_t count, bool write)
{
	struct devfs_region *region = devfs_region_of(file_inode(iocb->ki_filp));
	u8 bounce[DEVFS_BOUNCE] __aligned(8);
	size_t done = 0, want, got;
	int err = 0;

	while (!err && done < count) {
		want = devfs_bounce_size(iocb->ki_pos, count - done);
		got = devfs_region_able(region, bounce, want, iter, write);
		err = got ? devfs_region_access(region, iocb->ki_filp, iocb->ki_pos, bounce, got,
						write) : -EFAULT;
		if (err)
			break;
		if (!write)
			got = copy_to_iter(bounce, got, iter);
		done += got;
		iocb->ki_pos += got;
		if (got < want)
			err = -EFAULT;
		else if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	return done ?: err;
}

static ssize_t devfs_region_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct devfs_region *region = devfs_region_of(file_inode(iocb->ki_filp));
	size_t count = iov_iter_count(to);
	loff_t pos = iocb->ki_pos;

	if (READ_ONCE(region->gone))
		return -ENODEV;
	if (!count || pos == region->is.size)
		return 0;
	if (count > region->is.ops->widest && pos >= 0 && pos < region->is.size)
		count = min_t(u64, count, region->is.size - pos);
	return devfs_region_check(region, pos, count) ?: devfs_region_rw(iocb, to, count, false);
}

static int devfs_region_may_write(struct devfs_region *region, struct file *file, size_t pos,
				  size_t count)
{
	if (pos < region->is.guard_end && pos + count > region->is.guard_start)
		return -EPERM;
	return region->is.ops->may_write ? region->is.ops->may_write(region, file, pos, count) : 0;
}

static ssize_t devfs_region_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct devfs_region *region = devfs_region_of(file_inode(iocb->ki_filp));
	size_t count = iov_iter_count(from);
	int err;

	if (READ_ONCE(region->gone))
		return -ENODEV;
	if (!count)
		return 0;
	err = devfs_region_check(region, iocb->ki_pos, count) ?:
	      devfs_region_may_write(region, iocb->ki_filp, iocb->ki_pos, count);
	return err ?: devfs_region_rw(iocb, from, count, true);
}

/*
 * Whether @pages from page @index on may be mapped. A page with a part of the
 * MSI-X table would let its user send any interrupt.
 */
static bool devfs_region_mappable(struct devfs_region *region, unsigned long index,
				  unsigned long pages)
{
	size_t end = region->is.size >> PAGE_SHIFT;

	return index < end && end - index >= pages &&
	       (index << PAGE_SHIFT >= region->is.guard_end ||
		(index + pages) << PAGE_SHIFT <= region->is.guard_start);
}

static vm_fault_t devfs_region_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct inode *inode = file_inode(vma->vm_file);
	struct devfs_region *region = devfs_region_of(inode);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	filemap_invalidate_lock_shared(inode->i_mapping);
	if (!region->gone && devfs_region_mappable(region, vmf->pgoff, 1) &&
	    !devfs_region_reach(region, vma->vm_file)) {
		ret = vmf_insert_pfn(vma, vmf->address, PHYS_PFN(region->is.start) + vmf->pgoff);
		devfs_region_leave(region);
	}
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return ret;
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
static vm_fault_t devfs_region_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct devfs_region *region = devfs_region_of(inode);
	unsigned long index = devfs_huge_index(vmf, order);
	vm_fault_t ret = VM_FAULT_FALLBACK;

	filemap_invalidate_lock_shared(inode->i_mapping);
	if (region->gone) {
		ret = VM_FAULT_SIGBUS;
	} else if (devfs_region_mappable(region, index, HPAGE_PMD_NR) &&
		   !devfs_region_reach(region, vmf->vma->vm_file)) {
		ret = devfs_insert_huge(vmf, PHYS_PFN(region->is.start) + index);
		devfs_region_leave(region);
	}
	filemap_invalidate_unlock_shared(inode->i_mapping);
	return ret;
}
#endif

static const struct vm_operations_struct devfs_region_vmops = {
	.fault = devfs_region_fault,
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	.huge_fault = devfs_region_huge_fault,
#endif
};

static int devfs_region_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct devfs_region *region = devfs_region_of(file_inode(file));
	size_t pages = region->is.size >> PAGE_SHIFT;
	pgprot_t prot = vma->vm_page_prot;

	if (READ_ONCE(region->gone) || !(region->is.flags & DEVFS_DMA_REGION_MMAP))
		return -ENODEV;
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff >= pages || vma_pages(vma) > pages - vma->vm_pgoff)
		return -EINVAL;
	if (!(file->f_mode & FMODE_WRITE) && !devfs_map_read_only(vma))
		return -EACCES;
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	if (region->is.flags & DEVFS_DMA_REGION_COMBINED)
		prot = pgprot_writecombine(prot);
	else
		prot = pgprot_noncached(prot);
	vma->vm_page_prot = pgprot_decrypted(prot);
	vma->vm_ops = &devfs_region_vmops;
	return 0;
}

/* msync(2) needs the call to exist. */
static int devfs_region_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	wmb(); /* combined writes of this CPU leave it */
	return READ_ONCE(devfs_region_of(file_inode(file))->gone) ? -ENODEV : 0;
}

static int devfs_region_setattr(devfs_idmap_t *idmap, struct dentry *dentry, struct iattr *attr)
{
	int err = setattr_prepare(idmap, dentry, attr);

	if (err)
		return err;
	/* O_TRUNC is what a shell's ">" opens with: a device keeps its size. */
	if (attr->ia_valid & ATTR_SIZE && !(attr->ia_valid & ATTR_OPEN))
		return -EINVAL;
	attr->ia_valid &= ~ATTR_SIZE;
	setattr_copy(idmap, d_inode(dentry), attr);
	return 0;
}

static const struct inode_operations devfs_region_iops = {
	.setattr = devfs_region_setattr,
};

static const struct file_operations devfs_region_fops = {
	.owner		= THIS_MODULE,
	.open		= devfs_region_open,
	.release	= devfs_region_release,
	.llseek		= generic_file_llseek,
	.read_iter	= devfs_region_read,
	.write_iter	= devfs_region_write,
	.splice_read	= copy_splice_read,
	.splice_write	= iter_file_splice_write,
	.mmap		= devfs_region_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.fsync		= devfs_region_fsync,
	.unlocked_ioctl	= devfs_region_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	DEVFS_NO_LEASE
};

static int devfs_region_describe(struct devfs_inode *base, char *text, size_t size)
{
	return scnprintf(text, size, "/devfs_dma:%s", devfs_region_of(&base->inode)->is.name);
}

const struct devfs_inode_kind devfs_region_kind = {
	.iops		= &devfs_region_iops,
	.fops		= &devfs_region_fops,
	.describe	= devfs_region_describe,
};
