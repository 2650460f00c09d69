// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - imported device memory, as it is read and written by the CPU.
 *
 * It is no memory to copy between and users: what goes either way is bounced.
 */
#include <linux/dma-buf.h>
#include <linux/io.h>
#include <linux/sched.h>
#include <linux/uio.h>

#include "buffer/access.h"
#include "region/region.h"

#define DEVFS_IOMEM_BOUNCE 256

/* Within devfs_lock_access(): its exporter is there, if maybe without the memory. */
static int devfs_iomem_access(struct devfs_buffer *buf, size_t pos, void *data, size_t count,
			      bool write)
{
	struct dma_buf *dmabuf = buf->attach->dmabuf;

	if (devfs_buffer_dead(buf))
		return -ENODEV;
	if (devfs_is_region_dmabuf(dmabuf))
		return devfs_region_dmabuf_access(dmabuf, pos, data, count, write);
	if (write)
		memcpy_toio(buf->iomem + pos, data, count);
	else
		memcpy_fromio(data, buf->iomem + pos, count);
	return 0;
}

/* Bytes up to @to that are bounced at once; the next ones are aligned. */
static size_t devfs_iomem_chunk(size_t pos, size_t to)
{
	return min_t(size_t, to - pos, DEVFS_IOMEM_BOUNCE - pos % sizeof(u64));
}

/* Between @bounce and a user: what can be copied without a page fault. */
static size_t devfs_iomem_user(void *bounce, size_t count, struct iov_iter *iter, bool write)
{
	size_t done;

	pagefault_disable();
	done = write ? copy_from_iter(bounce, count, iter) : copy_to_iter(bounce, count, iter);
	pagefault_enable();
	return done;
}

/* As devfs_copy(). */
ssize_t devfs_iomem_copy(struct devfs_buffer *buf, size_t pos, size_t count,
			 struct iov_iter *iter, bool write)
{
	u8 bounce[DEVFS_IOMEM_BOUNCE] __aligned(8);
	size_t done = 0, want, got;
	int err = 0;

	while (!err && done < count) {
		want = devfs_iomem_chunk(pos + done, pos + count);
		got = write ? devfs_iomem_user(bounce, want, iter, true) : want;
		if (!got)
			break;
		err = devfs_iomem_access(buf, pos + done, bounce, got, write);
		if (err)
			break;
		if (!write)
			got = devfs_iomem_user(bounce, want, iter, false);
		done += got;
		if (got < want)
			break;
		if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	return done ?: err;
}

/* Likewise. */
int devfs_iomem_zero(struct devfs_buffer *buf, size_t from, size_t to)
{
	u8 zeros[DEVFS_IOMEM_BOUNCE] __aligned(8) = {};

	while (from < to) {
		size_t chunk = devfs_iomem_chunk(from, to);
		int err = devfs_iomem_access(buf, from, zeros, chunk, true);

		if (err)
			return err;
		from += chunk;
		cond_resched();
	}
	return 0;
}
