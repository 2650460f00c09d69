// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that exports memory and knows nothing of devfs_dma: IMPORTER_EXPORT on
 * /dev/devfs_importer gives a dma-buf of four pages, IMPORTER_EXPORT_BLIND one that
 * the CPU cannot reach by way of the kernel. After IMPORTER_LATE the next access
 * of the CPU meets a fence that came after whoever looked for one: it is signalled by
 * IMPORTER_SIGNAL, or by itself after a while. Memory of IMPORTER_EXPORT_MOVING is on
 * its way until then from when it is mapped next; that of IMPORTER_EXPORT_LOOSE can't
 * be pinned.
 */
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "importer.h"

#define EXPORTED_PAGES 4

/* A test that failed is not to hang whoever waits. */
#define EXPORTER_PATIENCE (25 * HZ)

struct exporter_memory {
	struct page *pages;
};

static DEFINE_SPINLOCK(exporter_fence_lock);
static DEFINE_MUTEX(exporter_lock);
static bool exporter_is_late;
static atomic_t exporter_began;
static struct dma_fence *exporter_fence;

static const char *exporter_name(struct dma_fence *fence)
{
	return "devfs_importer";
}

static const struct dma_fence_ops exporter_fence_ops = {
	.get_driver_name	= exporter_name,
	.get_timeline_name	= exporter_name,
};

static void exporter_signal(void)
{
	mutex_lock(&exporter_lock);
	exporter_is_late = false;
	if (exporter_fence) {
		dma_fence_signal(exporter_fence);
		dma_fence_put(exporter_fence);
		exporter_fence = NULL;
	}
	mutex_unlock(&exporter_lock);
}

static void exporter_give_up(struct work_struct *work)
{
	exporter_signal();
}
static DECLARE_DELAYED_WORK(exporter_patience, exporter_give_up);

/* Another device begins to write, or to move the memory. With the reservation. */
static int exporter_add_fence(struct dma_buf *dmabuf, enum dma_resv_usage usage)
{
	struct dma_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL);
	int err;

	if (!fence)
		return -ENOMEM;
	dma_fence_init(fence, &exporter_fence_ops, &exporter_fence_lock,
		       dma_fence_context_alloc(1), 1);
	err = dma_resv_reserve_fences(dmabuf->resv, 1);
	if (!err)
		dma_resv_add_fence(dmabuf->resv, fence, usage);
	if (err)
		dma_fence_put(fence);
	else
		exporter_fence = fence;
	return err;
}

/* With the reservation. */
static int exporter_come_late(struct dma_buf *dmabuf, enum dma_resv_usage usage)
{
	int err = 0;

	mutex_lock(&exporter_lock);
	if (exporter_is_late && !exporter_fence) {
		err = exporter_add_fence(dmabuf, usage);
		schedule_delayed_work(&exporter_patience, EXPORTER_PATIENCE);
	}
	mutex_unlock(&exporter_lock);
	atomic_inc(&exporter_began);
	return err;
}

static int exporter_begin(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	int err;

	dma_resv_lock(dmabuf->resv, NULL);
	err = exporter_come_late(dmabuf, DMA_RESV_USAGE_WRITE);
	dma_resv_unlock(dmabuf->resv);
	return err;
}

static struct sg_table *exporter_map(struct dma_buf_attachment *attach,
				     enum dma_data_direction direction)
{
	struct exporter_memory *memory = attach->dmabuf->priv;
	struct sg_table *sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	int err;

	if (!sgt)
		return ERR_PTR(-ENOMEM);
	err = sg_alloc_table(sgt, 1, GFP_KERNEL);
	if (err)
		goto err_free;
	sg_set_page(sgt->sgl, memory->pages, EXPORTED_PAGES * PAGE_SIZE, 0);
	/* DMA_API_DEBUG takes two mappings of the same memory that both sync it for a mistake. */
	err = dma_map_sgtable(attach->dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);
	if (!err)
		return sgt;
	sg_free_table(sgt);
err_free:
	kfree(sgt);
	return ERR_PTR(err);
}

static void exporter_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			   enum dma_data_direction direction)
{
	dma_unmap_sgtable(attach->dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(sgt);
	kfree(sgt);
}

static int exporter_pin(struct dma_buf_attachment *attach)
{
	return 0;
}

static int exporter_pin_fails(struct dma_buf_attachment *attach)
{
	return -EBUSY;
}

static void exporter_unpin(struct dma_buf_attachment *attach)
{
}

static struct sg_table *exporter_map_moving(struct dma_buf_attachment *attach,
					    enum dma_data_direction direction)
{
	int err = exporter_come_late(attach->dmabuf, DMA_RESV_USAGE_KERNEL);

	return err ? ERR_PTR(err) : exporter_map(attach, direction);
}

static int exporter_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct exporter_memory *memory = dmabuf->priv;

	iosys_map_set_vaddr(map, page_address(memory->pages));
	return 0;
}

static void exporter_release(struct dma_buf *dmabuf)
{
	struct exporter_memory *memory = dmabuf->priv;

	__free_pages(memory->pages, get_order(EXPORTED_PAGES * PAGE_SIZE));
	kfree(memory);
}

#define EXPORTER_OPS \
	.unmap_dma_buf		= exporter_unmap, \
	.begin_cpu_access	= exporter_begin, \
	.release		= exporter_release

static const struct dma_buf_ops exporter_ops = {
	EXPORTER_OPS,
	.map_dma_buf = exporter_map,
	.vmap = exporter_vmap,
};

static const struct dma_buf_ops exporter_blind_ops = {
	EXPORTER_OPS,
	.map_dma_buf = exporter_map,
};

static const struct dma_buf_ops exporter_moving_ops = {
	EXPORTER_OPS,
	.map_dma_buf = exporter_map_moving,
	.pin = exporter_pin,
	.unpin = exporter_unpin,
	.vmap = exporter_vmap,
};

static const struct dma_buf_ops exporter_loose_ops = {
	EXPORTER_OPS,
	.map_dma_buf = exporter_map,
	.pin = exporter_pin_fails,
	.unpin = exporter_unpin,
	.vmap = exporter_vmap,
};

static int exporter_export(const struct dma_buf_ops *ops)
{
	struct exporter_memory *memory = kzalloc(sizeof(*memory), GFP_KERNEL);
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	int fd;

	if (!memory)
		return -ENOMEM;
	memory->pages = alloc_pages(GFP_KERNEL | __GFP_ZERO,
				    get_order(EXPORTED_PAGES * PAGE_SIZE));
	if (!memory->pages) {
		kfree(memory);
		return -ENOMEM;
	}
	info.ops = ops;
	info.size = EXPORTED_PAGES * PAGE_SIZE;
	info.flags = O_RDWR;
	info.priv = memory;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		__free_pages(memory->pages, get_order(EXPORTED_PAGES * PAGE_SIZE));
		kfree(memory);
		return PTR_ERR(dmabuf);
	}
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

long exporter_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case IMPORTER_EXPORT:
		return exporter_export(&exporter_ops);
	case IMPORTER_EXPORT_BLIND:
		return exporter_export(&exporter_blind_ops);
	case IMPORTER_EXPORT_MOVING:
		return exporter_export(&exporter_moving_ops);
	case IMPORTER_EXPORT_LOOSE:
		return exporter_export(&exporter_loose_ops);
	case IMPORTER_LATE:
		atomic_set(&exporter_began, 0);
		exporter_is_late = true;
		return 0;
	case IMPORTER_BEGAN:
		return atomic_read(&exporter_began);
	case IMPORTER_SIGNAL:
		exporter_signal();
		return 0;
	default:
		return resets_ioctl(cmd);
	}
}

void exporter_exit(void)
{
	cancel_delayed_work_sync(&exporter_patience);
	exporter_signal();
}
