// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - a buffer as a regular file: read, write, mmap, truncate.
 *
 * FUSE passthrough, O_DIRECT and splice all come through here, and all reach
 * the memory itself: there is no page cache.
 */
/* falloc.h needs the types that fs.h brings. */
#include <linux/fs.h>
#include <linux/cc_platform.h>
#include <linux/dma-map-ops.h>
#include <linux/falloc.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "core/compat.h"
#include "core/internal.h"
#include "core/trace.h"

/* Step of growth by writing, so that appending is not one segment a write. */
#define DEVFS_GROW_MAX (4UL << 20)

static int devfs_file_open(struct inode *inode, struct file *file)
{
	struct devfs_buffer *buf = devfs_buffer_of(inode);

	if (devfs_dead(buf->base.dev))
		return -ENODEV;
	/* There is no cache to go round: O_DIRECT is what happens anyway. */
	file->f_mode |= FMODE_CAN_ODIRECT;
	atomic_inc(&buf->opens);
	return 0;
}

static int devfs_file_release(struct inode *inode, struct file *file)
{
	atomic_dec(&devfs_buffer_of(inode)->opens);
	return 0;
}

/* Bytes copied between @iter and [pos, pos + count). */
static size_t devfs_copy_runs(struct devfs_buffer *buf, size_t pos, size_t count,
			      struct iov_iter *iter, bool write)
{
	size_t done = 0, len, copied;

	while (done < count) {
		void *at = devfs_heap_run(buf, pos + done, count - done, &len);

		if (write)
			copied = copy_from_iter(at, len, iter);
		else
			copied = copy_to_iter(at, len, iter);
		done += copied;
		if (copied < len)
			break;
		cond_resched();
	}
	return done;
}

/* Whether the next bytes of @iter are there now, with no lock held that others wait for. */
static bool devfs_fault_in(struct iov_iter *iter, size_t count, bool write)
{
	if (!user_backed_iter(iter))
		return false;
	return (write ? fault_in_iov_iter_readable(iter, count) :
			fault_in_iov_iter_writeable(iter, count)) < count;
}

/*
 * One stretch of a copy: an access of its own. Under the lock of a synced one
 * only what is in memory is copied, and for the rest the caller is to try again.
 */
static ssize_t devfs_copy_step(struct devfs_buffer *buf, size_t pos, size_t count,
			       struct iov_iter *iter, bool write, bool *again)
{
	struct devfs_access access;
	size_t done;
	int err;

	err = devfs_access_begin(&access, buf, pos, count, write);
	if (err)
		return err;
	if (access.synced)
		pagefault_disable();
	done = devfs_copy_runs(buf, pos, count, iter, write);
	if (access.synced)
		pagefault_enable();
	*again = access.synced && done < count;
	err = devfs_access_end(&access, done);
	return err ?: done;
}

/* Bytes copied between @iter and [pos, pos + count), or an errno for none; i_rwsem is held. */
ssize_t devfs_copy(struct devfs_buffer *buf, size_t pos, size_t count, struct iov_iter *iter,
		   bool write)
{
	size_t done = 0, want;
	ssize_t err = 0;
	bool again;

	if (devfs_is_iomem(buf))
		return devfs_iomem_copy(buf, pos, count, iter, write);
	if (!devfs_is_synced(buf)) {
		done = devfs_copy_runs(buf, pos, count, iter, write);
		if (write) {
			/* Memory written before is there before a doorbell that follows. */
			wmb();
		}
		return done ?: -EFAULT;
	}
	while (done < count) {
		want = devfs_access_step(buf, count - done);
		err = devfs_copy_step(buf, pos + done, want, iter, write, &again);
		if (err < 0)
			break;
		done += err;
		if (err == want)
			continue;
		if (!again || (!err && !devfs_fault_in(iter, want, write))) {
			err = -EFAULT;
			break;
		}
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
	}
	return done ?: err;
}

static ssize_t devfs_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct devfs_buffer *buf = devfs_buffer_of(inode);
	size_t count = iov_iter_count(to);
	ssize_t ret = 0;
	loff_t size;

	if (devfs_lock_shared(buf))
		return -ENODEV;
	size = i_size_read(inode);
	if (count && iocb->ki_pos < size) {
		count = min_t(u64, count, size - iocb->ki_pos);
		ret = devfs_copy(buf, iocb->ki_pos, count, to, false);
		if (ret > 0)
			iocb->ki_pos += ret;
	}
	inode_unlock_shared(inode);
	file_accessed(iocb->ki_filp);
	return ret;
}

/*
 * Whoever maps the last page sees zeros past @end. Of memory that is others', too,
 * that is their own, and of memory above @limit it is so from the start.
 */
static int devfs_zero_tail(struct devfs_buffer *buf, size_t end, size_t limit)
{
	if (buf->heap > DEVFS_DMA_HEAP_RESERVED)
		return 0;
	return devfs_heap_zero(buf, end, min(PAGE_ALIGN(end), limit));
}

/* Makes [old size, to) part of the file. With i_rwsem held exclusively. */
static int devfs_extend(struct devfs_buffer *buf, loff_t to, size_t old_capacity)
{
	loff_t size = i_size_read(&buf->base.inode);
	/* A mapping or the device may have written past the end. */
	int err = devfs_heap_zero(buf, size, min_t(u64, to, old_capacity)) ?:
		  devfs_zero_tail(buf, to, old_capacity);

	if (!err)
		i_size_write(&buf->base.inode, to);
	return err;
}

/* The bytes up to @end were written: they are part of the file. Likewise. */
static void devfs_extend_written(struct devfs_buffer *buf, loff_t end, size_t old_capacity)
{
	loff_t size = i_size_read(&buf->base.inode);

	if (end <= size)
		return;
	/* Once a page, not for each of many small writes. */
	if (PAGE_ALIGN(end) != PAGE_ALIGN(size))
		devfs_zero_tail(buf, end, old_capacity);
	i_size_write(&buf->base.inode, end);
}

/* Capacity for @count bytes at @pos; what fits, or an errno where none does. */
static ssize_t devfs_make_capacity(struct devfs_buffer *buf, loff_t pos, size_t count)
{
	size_t end = pos + count;
	u32 why;
	int err;

	/* Beyond what a 32-bit kernel has. */
	if (pos > SIZE_MAX - count)
		return -ENOSPC;
	if (end <= buf->capacity)
		return count;
	if (buf->heap == DEVFS_DMA_HEAP_SYSTEM) {
		size_t step = min_t(size_t, buf->capacity, DEVFS_GROW_MAX);

		if (buf->capacity + step > end && !devfs_heap_grow(buf, buf->capacity + step, &why))
			return count;
	}
	err = devfs_heap_grow(buf, end, &why);
	if (!err)
		return count;
	/* The part for which the limit leaves room. */
	if (why == DEVFS_DMA_WHY_LIMIT) {
		size_t fits = buf->capacity + devfs_heap_room(buf->base.dev);

		if (fits > pos && fits < end)
			devfs_heap_grow(buf, fits, &why);
	}
	if (pos < buf->capacity)
		return buf->capacity - pos;
	return err;
}

static ssize_t devfs_write_locked(struct devfs_buffer *buf, struct kiocb *iocb,
				  struct iov_iter *from, bool exclusive)
{
	struct inode *inode = &buf->base.inode;
	size_t old_capacity = buf->capacity;
	loff_t size = i_size_read(inode);
	ssize_t count, done;

	if (buf->readonly)
		return -EACCES;
	count = generic_write_checks(iocb, from);
	if (count <= 0)
		return count;
	if (iocb->ki_pos + count > size) {
		if (!exclusive)
			return -EXFULL;
		count = devfs_make_capacity(buf, iocb->ki_pos, count);
		if (count < 0)
			return count;
		/* The gap is zero before anything behind it is in the file. */
		if (iocb->ki_pos > size) {
			done = devfs_extend(buf, iocb->ki_pos, old_capacity);
			if (done)
				goto err_shrink;
		}
	}
	done = kiocb_modified(iocb);
	if (done)
		goto err_shrink;
	done = devfs_copy(buf, iocb->ki_pos, count, from, true);
	if (done < 0)
		goto err_shrink;
	iocb->ki_pos += done;
	if (exclusive)
		devfs_extend_written(buf, iocb->ki_pos, old_capacity);
	return done;

err_shrink:
	/* Nothing was written: nothing has grown. */
	if (exclusive) {
		i_size_write(inode, size);
		devfs_heap_shrink(buf, old_capacity);
	}
	return done;
}

static ssize_t devfs_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct devfs_buffer *buf = devfs_buffer_of(inode);
	ssize_t ret = -EXFULL;

	if (!(iocb->ki_flags & IOCB_APPEND)) {
		if (devfs_lock_shared(buf))
			return -ENODEV;
		ret = devfs_write_locked(buf, iocb, from, false);
		inode_unlock_shared(inode);
	}
	/* EXFULL: it grows the file, which the shared lock does not allow. */
	if (ret == -EXFULL) {
		if (devfs_lock(buf))
			return -ENODEV;
		ret = devfs_write_locked(buf, iocb, from, true);
		inode_unlock(inode);
	}
	return ret;
}

/* BUF_READ and BUF_WRITE: @iocb has the position, the file was checked. */
ssize_t devfs_buffer_rw(struct devfs_buffer *buf, struct kiocb *iocb, struct iov_iter *iter,
			bool write)
{
	return write ? devfs_write_iter(iocb, iter) : devfs_read_iter(iocb, iter);
}

static int devfs_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct devfs_buffer *buf = devfs_buffer_of(inode);
	u32 what = DEVFS_DMA_SYNC_FOR_CPU;
	int err = 0;
	loff_t size;

	/* What only the device is to write is not written over. */
	if (buf->direction != DMA_FROM_DEVICE)
		what |= DEVFS_DMA_SYNC_FOR_DEVICE;
	if (devfs_lock_shared(buf))
		return -ENODEV;
	size = i_size_read(inode);
	if (start < size)
		err = devfs_sync(buf, start, min(end, size - 1) - start + 1, buf->direction, what);
	inode_unlock_shared(inode);
	return err;
}

static int devfs_resize(struct devfs_buffer *buf, loff_t size)
{
	struct address_space *mapping = buf->base.inode.i_mapping;
	loff_t old = i_size_read(&buf->base.inode);
	size_t old_capacity = buf->capacity;
	int err = 0;
	u32 why;

	if (size > old) {
		if (size > SIZE_MAX)
			return -ENOSPC;
		err = devfs_heap_grow(buf, size, &why);
		return err ?: devfs_extend(buf, size, old_capacity);
	}
	if (size == old)
		return 0;

	/* mmap counts its mapping under the same lock. */
	filemap_invalidate_lock(mapping);
	if (atomic_read(&buf->mappings) || atomic_read(&buf->exports))
		err = -EBUSY;
	else
		i_size_write(&buf->base.inode, size);
	filemap_invalidate_unlock(mapping);
	if (err)
		return err;
	devfs_heap_shrink(buf, size);
	return devfs_zero_tail(buf, size, buf->capacity);
}

static long devfs_fallocate(struct file *file, int mode, loff_t offset, loff_t length)
{
	struct inode *inode = file_inode(file);
	struct devfs_buffer *buf = devfs_buffer_of(inode);
	loff_t end = offset + length;
	long err = 0;
	u32 why;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	if (end > SIZE_MAX)
		return -ENOSPC;
	if (buf->readonly)
		return -EACCES;
	if (devfs_lock(buf))
		return -ENODEV;
	if (!(mode & FALLOC_FL_KEEP_SIZE)) {
		err = inode_newsize_ok(inode, end);
		if (!err && end > i_size_read(inode))
			err = devfs_resize(buf, end);
	} else if (!(mode & FALLOC_FL_PUNCH_HOLE)) {
		err = devfs_heap_grow(buf, end, &why);
	}
	if (!err && mode & (FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE)) {
		end = min(end, i_size_read(inode));
		if (offset < end)
			err = devfs_heap_zero(buf, offset, end);
	}
	if (!err)
		devfs_touch_mtime(inode);
	inode_unlock(inode);
	return err;
}

static int devfs_setattr(devfs_idmap_t *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct devfs_buffer *buf = devfs_buffer_of(inode);
	int err;

	/* The caller has i_rwsem. */
	if (attr->ia_valid & ATTR_SIZE ? devfs_buffer_dead(buf) : devfs_dead(buf->base.dev))
		return -ENODEV;
	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	if (attr->ia_valid & ATTR_SIZE) {
		err = devfs_resize(buf, attr->ia_size);
		if (err)
			return err;
		devfs_touch_mtime(inode);
	}
	setattr_copy(idmap, inode, attr);
	return 0;
}

const struct inode_operations devfs_buffer_iops = {
	.setattr = devfs_setattr,
};

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

static int devfs_mmap_range(struct devfs_buffer *buf, struct vm_area_struct *vma)
{
	struct device *dev = buf->base.dev->dev;

	/* A private copy of device memory is of no use to anyone. */
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE)
		return -EINVAL;
	/* Some of it may be encrypted, and only the DMA layer knows which. */
	if (cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT))
		return -EOPNOTSUPP;
	if (!dev_is_dma_coherent(dev))
		vma->vm_page_prot = pgprot_dmacoherent(vma->vm_page_prot);
	if (cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT))
		vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	vm_flags_set(vma, VM_IO | VM_PFNMAP);
	vma->vm_ops = &devfs_range_vmops;
	return 0;
}

/* For those who may read alone: false where the mapping is to be written at once. */
bool devfs_map_read_only(struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_WRITE)
		return false;
	vm_flags_clear(vma, VM_MAYWRITE);
	return true;
}

static int devfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct inode *inode = file_inode(file);
	struct devfs_buffer *buf = devfs_buffer_of(inode);
	size_t pages, want = vma_pages(vma);
	int err = 0;

	if (buf->heap == DEVFS_DMA_HEAP_USER)
		return -ENODEV;
	if (buf->heap == DEVFS_DMA_HEAP_IMPORTED)
		return devfs_import_mmap(buf, vma);
	filemap_invalidate_lock_shared(inode->i_mapping);
	pages = DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE);
	if (devfs_dead(buf->base.dev))
		err = -ENODEV;
	else if (vma->vm_pgoff >= pages || want > pages - vma->vm_pgoff)
		err = -EINVAL;
	else
		atomic_inc(&buf->mappings);
	filemap_invalidate_unlock_shared(inode->i_mapping);
	if (err)
		return err;

	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	if (devfs_is_coherent(buf))
		err = devfs_mmap_range(buf, vma);
	else
		vma->vm_ops = &devfs_page_vmops;
	if (err) {
		atomic_dec(&buf->mappings);
		return err;
	}
	trace_devfs_dma_map(buf, (u64)vma->vm_pgoff << PAGE_SHIFT, (u64)want << PAGE_SHIFT);
	return 0;
}

const struct file_operations devfs_buffer_fops = {
	.owner		= THIS_MODULE,
	.open		= devfs_file_open,
	.release	= devfs_file_release,
	.llseek		= generic_file_llseek,
	.read_iter	= devfs_read_iter,
	.write_iter	= devfs_write_iter,
	.splice_read	= copy_splice_read,
	.splice_write	= iter_file_splice_write,
	.mmap		= devfs_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.fsync		= devfs_fsync,
	.fallocate	= devfs_fallocate,
	.unlocked_ioctl	= devfs_buffer_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	DEVFS_NO_LEASE
};
