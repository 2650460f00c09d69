// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - a buffer as a regular file: read, write, truncate.
 *
 * FUSE passthrough, O_DIRECT and splice all come through here, and all reach
 * the memory itself: there is no page cache.
 */
/* falloc.h needs the types that fs.h brings. */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/uio.h>

#include "buffer/access.h"
#include "buffer/buffer.h"
#include "buffer/heaps.h"
#include "buffer/object.h"
#include "core/compat.h"
#include "dmabuf/dmabuf.h"
#include "heap/heap.h"

/* Step of growth by writing, so that appending is not one segment a write. */
#define DEVFS_GROW_MAX (4UL << 20)

/* Bytes of a user's that are waited for at once. */
#define DEVFS_FAULT_MAX SZ_1M

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

/* What of [pos, pos + count) could be copied with @iter without a page fault. */
static size_t devfs_copy_runs(struct devfs_buffer *buf, size_t pos, size_t count,
			      struct iov_iter *iter, bool write)
{
	size_t done = 0, len, copied;

	pagefault_disable();
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
	pagefault_enable();
	return done;
}

/* One stretch of a copy: an access of its own. */
static ssize_t devfs_copy_step(struct devfs_buffer *buf, size_t pos, size_t count,
			       struct iov_iter *iter, bool write)
{
	struct devfs_access access;
	size_t done;
	int err;

	err = devfs_access_begin(&access, buf, pos, count, write);
	if (err)
		return err;
	done = devfs_copy_runs(buf, pos, count, iter, write);
	devfs_access_end(&access, done);
	return done;
}

/*
 * Bytes copied between @iter and [pos, pos + count): fewer, or none, where the
 * next page of a user's is not in memory. An errno where there are none for
 * another reason. Within devfs_lock_access(), for which removal waits.
 */
static ssize_t devfs_copy(struct devfs_buffer *buf, size_t pos, size_t count,
			  struct iov_iter *iter, bool write)
{
	size_t done = 0, want;
	ssize_t got = 0;

	if (devfs_is_iomem(buf))
		return devfs_iomem_copy(buf, pos, count, iter, write);
	if (!devfs_is_synced(buf)) {
		done = devfs_copy_runs(buf, pos, count, iter, write);
		if (write) {
			/* Memory written before is there before a doorbell that follows. */
			wmb();
		}
		return done;
	}
	while (done < count) {
		want = devfs_access_step(count - done);
		got = devfs_copy_step(buf, pos + done, want, iter, write);
		if (got < 0)
			break;
		done += got;
		if (got < want)
			break;
		if (fatal_signal_pending(current)) {
			got = -EINTR;
			break;
		}
	}
	return done || got >= 0 ? done : got;
}

/* A read or write under way, a part under the lock and a wait without it after the other. */
struct devfs_rw {
	struct kiocb *iocb;
	struct iov_iter *iter;
	size_t done;
	size_t ready;		/* bytes that were in memory a moment ago */
	size_t missing;		/* bytes that are to come after this part */
};

static void devfs_rw_start(struct devfs_rw *rw, struct kiocb *iocb, struct iov_iter *iter)
{
	*rw = (struct devfs_rw){
		.iocb = iocb, .iter = iter, .ready = user_backed_iter(iter) ? 0 : SIZE_MAX,
	};
}

/*
 * After a part, of which @ret came: waits for the user's next pages, with no lock
 * held. Whether there is another part; then what the whole gives is in *@ret.
 */
static bool devfs_rw_goes_on(struct devfs_rw *rw, ssize_t *ret, bool write)
{
	size_t want = min_t(size_t, rw->missing, DEVFS_FAULT_MAX), left = want;

	if (*ret > 0)
		rw->done += *ret;
	if (*ret >= 0 && rw->missing) {
		if (fatal_signal_pending(current))
			*ret = -EINTR;
		else if (user_backed_iter(rw->iter))
			left = write ? fault_in_iov_iter_readable(rw->iter, want) :
				       fault_in_iov_iter_writeable(rw->iter, want);
		rw->ready = want - left;
		if (*ret >= 0 && rw->ready)
			return true;
		if (*ret >= 0)
			*ret = -EFAULT;
	}
	if (rw->done)
		*ret = rw->done;
	return false;
}

/* What the exporter of the memory calls an error was no read and no write. */
static ssize_t devfs_rw_end(struct devfs_rw *rw, struct devfs_hold *hold, loff_t pos, ssize_t ret)
{
	ret = devfs_unlock_access(hold, ret);
	if (ret < 0)
		rw->iocb->ki_pos = pos;
	return ret;
}

static ssize_t devfs_read_part(struct devfs_rw *rw)
{
	struct inode *inode = file_inode(rw->iocb->ki_filp);
	struct devfs_buffer *buf = devfs_buffer_of(inode);
	size_t count = iov_iter_count(rw->iter);
	loff_t size, pos = rw->iocb->ki_pos;
	struct devfs_hold hold;
	ssize_t ret;

	rw->missing = 0;
	ret = devfs_lock_access(&hold, buf, false, false);
	if (ret)
		return ret;
	size = i_size_read(inode);
	if (count && pos < size) {
		count = min_t(u64, count, size - pos);
		/* What nobody gets is not read from a device: reading may have effects. */
		if (!devfs_is_iomem(buf))
			ret = devfs_copy(buf, pos, count, rw->iter, false);
		else if (rw->ready)
			ret = devfs_copy(buf, pos, min(count, rw->ready), rw->iter, false);
		if (ret >= 0) {
			rw->iocb->ki_pos += ret;
			rw->missing = count - ret;
		}
	}
	return devfs_rw_end(rw, &hold, pos, ret);
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

/*
 * Makes [old size, to) zero: a mapping or the device may have written there. With
 * i_rwsem held exclusively.
 */
static int devfs_zero_gap(struct devfs_buffer *buf, loff_t to, size_t old_capacity)
{
	return devfs_heap_zero(buf, i_size_read(&buf->base.inode), min_t(u64, to, old_capacity));
}

/* Makes [old size, to) part of the file. Likewise. */
static int devfs_extend(struct devfs_buffer *buf, loff_t to, size_t old_capacity)
{
	int err = devfs_zero_gap(buf, to, old_capacity) ?: devfs_zero_tail(buf, to, old_capacity);

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

/*
 * Bytes that the next part of a write may have. One that appends goes on only
 * where it stopped: what others appended meanwhile is not written over.
 */
static ssize_t devfs_write_checks(struct devfs_rw *rw, loff_t size)
{
	if (rw->done && rw->iocb->ki_flags & IOCB_APPEND)
		return rw->iocb->ki_pos == size ? iov_iter_count(rw->iter) : 0;
	return generic_write_checks(rw->iocb, rw->iter);
}

static ssize_t devfs_write_locked(struct devfs_buffer *buf, struct devfs_rw *rw, bool exclusive)
{
	struct inode *inode = &buf->base.inode;
	struct kiocb *iocb = rw->iocb;
	size_t old_capacity = buf->capacity;
	loff_t size = i_size_read(inode);
	ssize_t count, done;

	count = devfs_write_checks(rw, size);
	if (count <= 0)
		return count;
	if (iocb->ki_pos + count > size) {
		/* Memory is not made in vain. */
		if (!rw->ready) {
			rw->missing = count;
			return 0;
		}
		if (!exclusive)
			return -EXFULL;
		count = devfs_make_capacity(buf, iocb->ki_pos, count);
		if (count < 0)
			return count;
		/* What is behind it may fail: nobody is to map the gap before. */
		if (iocb->ki_pos > size) {
			done = devfs_zero_gap(buf, iocb->ki_pos, old_capacity);
			if (done)
				goto err_shrink;
		}
	}
	done = kiocb_modified(iocb);
	if (done)
		goto err_shrink;
	done = devfs_copy(buf, iocb->ki_pos, count, rw->iter, true);
	if (done >= 0)
		rw->missing = count - done;
	if (done <= 0)
		goto err_shrink;
	iocb->ki_pos += done;
	if (exclusive)
		devfs_extend_written(buf, iocb->ki_pos, old_capacity);
	return done;

err_shrink:
	/* Nothing was written: nothing has grown, and nobody has what is past the end. */
	if (exclusive)
		devfs_heap_shrink(buf, old_capacity);
	return done;
}

static ssize_t devfs_write_part(struct devfs_rw *rw)
{
	struct devfs_buffer *buf = devfs_buffer_of(file_inode(rw->iocb->ki_filp));
	loff_t pos = rw->iocb->ki_pos;
	struct devfs_hold hold;
	ssize_t ret = -EXFULL;
	int err;

	rw->missing = 0;
	if (!(rw->iocb->ki_flags & IOCB_APPEND)) {
		err = devfs_lock_access(&hold, buf, true, false);
		if (err)
			return err;
		ret = devfs_rw_end(rw, &hold, pos, devfs_write_locked(buf, rw, false));
	}
	/* EXFULL: it grows the file, which the shared lock does not allow. */
	if (ret == -EXFULL) {
		err = devfs_lock_access(&hold, buf, true, true);
		if (err)
			return err;
		ret = devfs_rw_end(rw, &hold, pos, devfs_write_locked(buf, rw, true));
	}
	return ret;
}

/* BUF_READ and BUF_WRITE, too: @iocb has the position, the file was checked. */
ssize_t devfs_buffer_rw(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct devfs_rw rw;
	ssize_t ret;

	devfs_rw_start(&rw, iocb, iter);
	do {
		ret = write ? devfs_write_part(&rw) : devfs_read_part(&rw);
	} while (devfs_rw_goes_on(&rw, &ret, write));
	if (!write)
		file_accessed(iocb->ki_filp);
	return ret;
}

static ssize_t devfs_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	return devfs_buffer_rw(iocb, to, false);
}

static ssize_t devfs_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	return devfs_buffer_rw(iocb, from, true);
}

static int devfs_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct devfs_buffer *buf = devfs_buffer_of(file_inode(file));
	enum dma_data_direction direction = devfs_sync_direction(file, buf->direction);
	u32 what = DEVFS_DMA_SYNC_FOR_CPU;
	loff_t size = i_size_read(&buf->base.inode);

	if (devfs_buffer_dead(buf))
		return -ENODEV;
	/* What only the device is to write is not written over. */
	if (direction != DMA_FROM_DEVICE)
		what |= DEVFS_DMA_SYNC_FOR_DEVICE;
	if (start >= size)
		return 0;
	return devfs_sync(buf, start, min(end, size - 1) + 1, direction, what);
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
	struct devfs_hold hold;
	long err;
	u32 why;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	if (end > SIZE_MAX)
		return -ENOSPC;
	err = devfs_lock_access(&hold, buf, true, true);
	if (err)
		return err;
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
	return devfs_unlock_access(&hold, err);
}

/* The kernel has i_rwsem, within which what others do is not waited for. */
static int devfs_truncate(struct devfs_buffer *buf, loff_t size)
{
	struct devfs_hold hold;
	int err, end;

	if (size <= i_size_read(&buf->base.inode))
		return devfs_resize(buf, size);
	err = devfs_try_access(&hold, buf);
	if (err)
		return err;
	err = devfs_resize(buf, size);
	end = devfs_import_end(buf, hold.begun, true);
	return err ?: end;
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
		err = devfs_truncate(buf, attr->ia_size);
		if (err)
			return err;
		devfs_touch_mtime(inode);
	}
	setattr_copy(idmap, inode, attr);
	return 0;
}

static const struct inode_operations devfs_buffer_iops = {
	.setattr = devfs_setattr,
};

static int devfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct devfs_buffer *buf = devfs_buffer_of(file_inode(file));

	return buf->heap_ops->mmap ? buf->heap_ops->mmap(buf, vma) : -ENODEV;
}

static const struct file_operations devfs_buffer_fops = {
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

static int devfs_buffer_describe(struct devfs_inode *base, char *text, size_t size)
{
	return scnprintf(text, size, "/devfs_dma:%llu", devfs_buffer_of(&base->inode)->id);
}

const struct devfs_inode_kind devfs_buffer_kind = {
	.iops		= &devfs_buffer_iops,
	.fops		= &devfs_buffer_fops,
	.evict		= devfs_buffer_evict,
	.describe	= devfs_buffer_describe,
};
