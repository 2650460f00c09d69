// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that knows nothing of devfs_dma and attaches to dma-bufs: writing a
 * descriptor to its parameter "invert" maps that dma-buf for a device of its
 * own and inverts each of its bytes. "hold" maps it and keeps it so, until -1
 * is written there; "touch" begins and ends an access of the CPU to what is held.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/version.h>

static struct platform_device *importer;

static int importer_invert_bytes(struct dma_buf *dmabuf)
{
	struct iosys_map map;
	size_t i;
	int err = dma_buf_begin_cpu_access(dmabuf, DMA_BIDIRECTIONAL);

	if (err)
		return err;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	err = dma_buf_vmap_unlocked(dmabuf, &map);
#else
	err = dma_buf_vmap(dmabuf, &map);
#endif
	if (!err) {
		for (i = 0; i < dmabuf->size; i++)
			((u8 *)map.vaddr)[i] ^= 0xff;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
		dma_buf_vunmap_unlocked(dmabuf, &map);
#else
		dma_buf_vunmap(dmabuf, &map);
#endif
	}
	return dma_buf_end_cpu_access(dmabuf, DMA_BIDIRECTIONAL) ?: err;
}

/* As the memory is seen by a device: every range has an address, and all is there. */
static int importer_check_ranges(struct dma_buf *dmabuf, struct sg_table *sgt)
{
	struct scatterlist *sg;
	size_t sum = 0;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (!sg_dma_address(sg))
			return -ERANGE;
		sum += sg_dma_len(sg);
	}
	return sum == dmabuf->size ? 0 : -ERANGE;
}

struct importer_use {
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
};

static int importer_begin(struct importer_use *use, int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	int err;

	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	use->attach = dma_buf_attach(dmabuf, &importer->dev);
	if (IS_ERR(use->attach)) {
		err = PTR_ERR(use->attach);
		goto err_put;
	}
	use->sgt = dma_buf_map_attachment_unlocked(use->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(use->sgt)) {
		err = PTR_ERR(use->sgt);
		goto err_detach;
	}
	return 0;

err_detach:
	dma_buf_detach(dmabuf, use->attach);
err_put:
	dma_buf_put(dmabuf);
	return err;
}

static void importer_end(struct importer_use *use)
{
	struct dma_buf *dmabuf = use->attach->dmabuf;

	dma_buf_unmap_attachment_unlocked(use->attach, use->sgt, DMA_BIDIRECTIONAL);
	dma_buf_detach(dmabuf, use->attach);
	dma_buf_put(dmabuf);
	use->attach = NULL;
}

static int importer_invert(const char *text, const struct kernel_param *param)
{
	struct importer_use use;
	int fd, err = kstrtoint(text, 0, &fd);

	if (!err)
		err = importer_begin(&use, fd);
	if (err)
		return err;
	err = importer_check_ranges(use.attach->dmabuf, use.sgt);
	if (!err)
		err = importer_invert_bytes(use.attach->dmabuf);
	importer_end(&use);
	return err;
}

static struct importer_use held;

static int importer_hold(const char *text, const struct kernel_param *param)
{
	int fd, err = kstrtoint(text, 0, &fd);

	if (!err && held.attach)
		importer_end(&held);
	if (err || fd == -1)
		return err;
	err = importer_begin(&held, fd);
	if (err)
		held.attach = NULL;
	return err;
}

static int importer_touch(const char *text, const struct kernel_param *param)
{
	int err;

	if (!held.attach)
		return -EINVAL;
	err = dma_buf_begin_cpu_access(held.attach->dmabuf, DMA_BIDIRECTIONAL);
	return err ?: dma_buf_end_cpu_access(held.attach->dmabuf, DMA_BIDIRECTIONAL);
}

/* Parameters of a module are set one at a time. */
static const struct kernel_param_ops importer_invert_ops = { .set = importer_invert };
static const struct kernel_param_ops importer_hold_ops = { .set = importer_hold };
static const struct kernel_param_ops importer_touch_ops = { .set = importer_touch };

module_param_cb(invert, &importer_invert_ops, NULL, 0200);
MODULE_PARM_DESC(invert, "Descriptor of a dma-buf whose bytes are to be inverted");
module_param_cb(hold, &importer_hold_ops, NULL, 0200);
MODULE_PARM_DESC(hold, "Descriptor of a dma-buf to be kept mapped, -1 for none");
module_param_cb(touch, &importer_touch_ops, NULL, 0200);
MODULE_PARM_DESC(touch, "Whatever is written, the CPU accesses the dma-buf that is held");

static int __init importer_init(void)
{
	int err;

	importer = platform_device_register_simple("devfs_importer", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(importer))
		return PTR_ERR(importer);
	err = dma_coerce_mask_and_coherent(&importer->dev, DMA_BIT_MASK(64));
	if (err)
		platform_device_unregister(importer);
	else
		dma_set_max_seg_size(&importer->dev, UINT_MAX);
	return err;
}

static void __exit importer_exit(void)
{
	if (held.attach)
		importer_end(&held);
	platform_device_unregister(importer);
}

module_init(importer_init);
module_exit(importer_exit);
MODULE_DESCRIPTION("Attaches to dma-bufs and inverts their bytes (test)");
MODULE_LICENSE("GPL");
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("DMA_BUF");
#else
MODULE_IMPORT_NS(DMA_BUF);
#endif
