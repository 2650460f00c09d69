// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that knows nothing of devfs_dma and attaches to dma-bufs: writing a
 * descriptor to its parameter "invert" maps that dma-buf for a device of its
 * own and inverts each of its bytes. "hold" maps it and keeps it so, until -1
 * is written there and all that is held is let go of; "lend" does so, too, but
 * gives it back when the exporter asks. "touch" begins and ends an access of the
 * CPU to what is held first.
 * "try" does one thing with it: "DESCRIPTOR map-to" for a device that reads, map-from
 * for one that writes, map-both, vmap, begin-read, begin-write, end-write. What is written to
 * "show" is what mapping /dev/devfs_importer maps.
 *
 * It takes PCI devices, too, by driver_override, and leaves them alone.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/version.h>

#include "importer.h"

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
#define importer_notify invalidate_mappings
#else
#define importer_notify move_notify
#endif

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

/* As the memory is seen by a device: every range has an address and is no longer than it takes. */
static int importer_check_ranges(struct dma_buf *dmabuf, struct sg_table *sgt)
{
	struct scatterlist *sg;
	size_t sum = 0;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (!sg_dma_address(sg) || sg_dma_len(sg) > dma_get_max_seg_size(&importer->dev))
			return -ERANGE;
		sum += sg_dma_len(sg);
	}
	return sum == dmabuf->size ? 0 : -ERANGE;
}

struct importer_use {
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
};

/* The exporter, which has the lock, wants its memory back. */
static void importer_give_back(struct dma_buf_attachment *attach)
{
	struct importer_use *use = attach->importer_priv;

	if (use->sgt)
		dma_buf_unmap_attachment(attach, use->sgt, DMA_BIDIRECTIONAL);
	use->sgt = NULL;
}

static const struct dma_buf_attach_ops importer_lend_ops = {
	.allow_peer2peer = true,
	.importer_notify = importer_give_back,
};

static int importer_map(struct importer_use *use)
{
	struct dma_resv *resv = use->attach->dmabuf->resv;
	struct sg_table *sgt;

	dma_resv_lock(resv, NULL);
	sgt = dma_buf_map_attachment(use->attach, DMA_BIDIRECTIONAL);
	if (!IS_ERR(sgt))
		use->sgt = sgt;
	dma_resv_unlock(resv);
	return PTR_ERR_OR_ZERO(sgt);
}

static int importer_begin(struct importer_use *use, int fd, const struct dma_buf_attach_ops *ops)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	int err;

	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	use->sgt = NULL;
	use->attach = dma_buf_dynamic_attach(dmabuf, &importer->dev, ops, use);
	if (IS_ERR(use->attach)) {
		err = PTR_ERR(use->attach);
		goto err_put;
	}
	err = importer_map(use);
	if (!err)
		return 0;
	dma_buf_detach(dmabuf, use->attach);
err_put:
	dma_buf_put(dmabuf);
	return err;
}

static void importer_end(struct importer_use *use)
{
	struct dma_buf *dmabuf = use->attach->dmabuf;

	dma_resv_lock(dmabuf->resv, NULL);
	importer_give_back(use->attach);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_detach(dmabuf, use->attach);
	dma_buf_put(dmabuf);
}

static int importer_invert(const char *text, const struct kernel_param *param)
{
	struct importer_use use;
	int fd, err = kstrtoint(text, 0, &fd);

	if (!err)
		err = importer_begin(&use, fd, NULL);
	if (err)
		return err;
	err = importer_check_ranges(use.attach->dmabuf, use.sgt);
	if (!err)
		err = importer_invert_bytes(use.attach->dmabuf);
	importer_end(&use);
	return err;
}

/* In the order in which they came. */
static struct importer_use held[64];
static unsigned int held_count;

static void importer_let_go(void)
{
	while (held_count)
		importer_end(&held[--held_count]);
}

static int importer_keep(const char *text, const struct dma_buf_attach_ops *ops)
{
	int fd, err = kstrtoint(text, 0, &fd);

	if (err)
		return err;
	if (fd == -1) {
		importer_let_go();
		return 0;
	}
	if (held_count == ARRAY_SIZE(held))
		return -ENOSPC;
	err = importer_begin(&held[held_count], fd, ops);
	if (!err)
		held_count++;
	return err;
}

static int importer_hold(const char *text, const struct kernel_param *param)
{
	return importer_keep(text, NULL);
}

static int importer_lend(const char *text, const struct kernel_param *param)
{
	return importer_keep(text, &importer_lend_ops);
}

static int importer_touch(const char *text, const struct kernel_param *param)
{
	struct dma_buf *dmabuf;

	if (!held_count)
		return -EINVAL;
	dmabuf = held[0].attach->dmabuf;
	return dma_buf_begin_cpu_access(dmabuf, DMA_BIDIRECTIONAL) ?:
	       dma_buf_end_cpu_access(dmabuf, DMA_BIDIRECTIONAL);
}

static int importer_try_map(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	struct dma_buf_attachment *attach = dma_buf_attach(dmabuf, &importer->dev);
	struct sg_table *sgt;

	if (IS_ERR(attach))
		return PTR_ERR(attach);
	sgt = dma_buf_map_attachment_unlocked(attach, direction);
	if (!IS_ERR(sgt))
		dma_buf_unmap_attachment_unlocked(attach, sgt, direction);
	dma_buf_detach(dmabuf, attach);
	return PTR_ERR_OR_ZERO(sgt);
}

static int importer_try_vmap(struct dma_buf *dmabuf)
{
	struct iosys_map map;
	int err;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	err = dma_buf_vmap_unlocked(dmabuf, &map);
	if (!err)
		dma_buf_vunmap_unlocked(dmabuf, &map);
#else
	err = dma_buf_vmap(dmabuf, &map);
	if (!err)
		dma_buf_vunmap(dmabuf, &map);
#endif
	return err;
}

static int importer_try_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	return dma_buf_begin_cpu_access(dmabuf, direction) ?:
	       dma_buf_end_cpu_access(dmabuf, direction);
}

static int importer_try_one(struct dma_buf *dmabuf, const char *what)
{
	if (!strcmp(what, "map-to"))
		return importer_try_map(dmabuf, DMA_TO_DEVICE);
	if (!strcmp(what, "map-from"))
		return importer_try_map(dmabuf, DMA_FROM_DEVICE);
	if (!strcmp(what, "map-both"))
		return importer_try_map(dmabuf, DMA_BIDIRECTIONAL);
	if (!strcmp(what, "vmap"))
		return importer_try_vmap(dmabuf);
	if (!strcmp(what, "begin-read"))
		return importer_try_access(dmabuf, DMA_FROM_DEVICE);
	if (!strcmp(what, "begin-write"))
		return importer_try_access(dmabuf, DMA_TO_DEVICE);
	if (!strcmp(what, "end-write"))
		return dma_buf_end_cpu_access(dmabuf, DMA_TO_DEVICE);
	return -EINVAL;
}

static int importer_try(const char *text, const struct kernel_param *param)
{
	struct dma_buf *dmabuf;
	char what[16];
	int fd, err;

	if (sscanf(text, "%d %15s", &fd, what) != 2)
		return -EINVAL;
	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	err = importer_try_one(dmabuf, what);
	dma_buf_put(dmabuf);
	return err;
}

/* What the node maps. Its lock is held for nothing else, as mmap comes with others. */
static DEFINE_SPINLOCK(shown_lock);
static struct dma_buf *shown;

static void importer_set_shown(struct dma_buf *dmabuf)
{
	struct dma_buf *former;

	spin_lock(&shown_lock);
	former = shown;
	shown = dmabuf;
	spin_unlock(&shown_lock);
	if (former)
		dma_buf_put(former);
}

static int importer_show(const char *text, const struct kernel_param *param)
{
	struct dma_buf *dmabuf = NULL;
	int fd, err = kstrtoint(text, 0, &fd);

	if (!err && fd != -1)
		dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		err = PTR_ERR(dmabuf);
	if (!err)
		importer_set_shown(dmabuf);
	return err;
}

/* As a driver does that gives its own files for the memory of others. */
static int importer_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct dma_buf *dmabuf;
	int err;

	spin_lock(&shown_lock);
	dmabuf = shown;
	if (dmabuf)
		get_dma_buf(dmabuf);
	spin_unlock(&shown_lock);
	if (!dmabuf)
		return -ENODEV;
	err = dma_buf_mmap(dmabuf, vma, 0);
	dma_buf_put(dmabuf);
	return err;
}

static const struct file_operations importer_fops = {
	.owner		= THIS_MODULE,
	.mmap		= importer_mmap,
	.unlocked_ioctl	= exporter_ioctl,
	.compat_ioctl	= exporter_ioctl,
};

static struct miscdevice importer_node = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "devfs_importer",
	.fops	= &importer_fops,
};

static int importer_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return 0;
}

static struct pci_driver importer_pci = {
	.name	= "devfs_importer",
	.probe	= importer_pci_probe,
};

/* Parameters of a module are set one at a time. */
static const struct kernel_param_ops importer_invert_ops = { .set = importer_invert };
static const struct kernel_param_ops importer_hold_ops = { .set = importer_hold };
static const struct kernel_param_ops importer_lend_param_ops = { .set = importer_lend };
static const struct kernel_param_ops importer_touch_ops = { .set = importer_touch };
static const struct kernel_param_ops importer_try_ops = { .set = importer_try };
static const struct kernel_param_ops importer_show_ops = { .set = importer_show };

module_param_cb(invert, &importer_invert_ops, NULL, 0200);
MODULE_PARM_DESC(invert, "Descriptor of a dma-buf whose bytes are to be inverted");
module_param_cb(hold, &importer_hold_ops, NULL, 0200);
MODULE_PARM_DESC(hold, "Descriptor of a dma-buf to be kept mapped, -1 for none");
module_param_cb(lend, &importer_lend_param_ops, NULL, 0200);
MODULE_PARM_DESC(lend, "The same, and it is given back when its exporter asks");
module_param_cb(touch, &importer_touch_ops, NULL, 0200);
MODULE_PARM_DESC(touch, "Whatever is written, the CPU accesses the dma-buf that is held");
module_param_cb(try, &importer_try_ops, NULL, 0200);
MODULE_PARM_DESC(try, "Descriptor of a dma-buf, and what is to be done with it");
module_param_cb(show, &importer_show_ops, NULL, 0200);
MODULE_PARM_DESC(show, "Descriptor of a dma-buf that the node maps, -1 for none");

static int __init importer_init(void)
{
	int err;

	importer = platform_device_register_simple("devfs_importer", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(importer))
		return PTR_ERR(importer);
	err = dma_coerce_mask_and_coherent(&importer->dev, DMA_BIT_MASK(64));
	if (err)
		goto err_device;
	dma_set_max_seg_size(&importer->dev, SZ_128K);
	err = misc_register(&importer_node);
	if (err)
		goto err_device;
	err = pci_register_driver(&importer_pci);
	if (err)
		goto err_node;
	err = resets_init();
	if (err)
		goto err_pci;
	return 0;

err_pci:
	pci_unregister_driver(&importer_pci);
err_node:
	misc_deregister(&importer_node);
err_device:
	platform_device_unregister(importer);
	return err;
}

static void __exit importer_exit(void)
{
	resets_exit();
	pci_unregister_driver(&importer_pci);
	misc_deregister(&importer_node);
	exporter_exit();
	importer_set_shown(NULL);
	importer_let_go();
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
