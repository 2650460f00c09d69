// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that knows nothing of devfs_dma and attaches to dma-bufs: writing a
 * descriptor to its parameter "invert" maps that dma-buf for a device of its
 * own and inverts each of its bytes.
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

static int importer_set(const char *text, const struct kernel_param *param)
{
	struct dma_buf_attachment *attach;
	struct dma_buf *dmabuf;
	struct sg_table *sgt;
	int fd, err = kstrtoint(text, 0, &fd);

	if (err)
		return err;
	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	attach = dma_buf_attach(dmabuf, &importer->dev);
	if (IS_ERR(attach)) {
		err = PTR_ERR(attach);
		goto err_put;
	}
	sgt = dma_buf_map_attachment_unlocked(attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt)) {
		err = PTR_ERR(sgt);
		goto err_detach;
	}
	err = importer_check_ranges(dmabuf, sgt);
	if (!err)
		err = importer_invert_bytes(dmabuf);
	dma_buf_unmap_attachment_unlocked(attach, sgt, DMA_BIDIRECTIONAL);
err_detach:
	dma_buf_detach(dmabuf, attach);
err_put:
	dma_buf_put(dmabuf);
	return err;
}

static const struct kernel_param_ops importer_ops = { .set = importer_set };

module_param_cb(invert, &importer_ops, NULL, 0200);
MODULE_PARM_DESC(invert, "Descriptor of a dma-buf whose bytes are to be inverted");

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
