// SPDX-License-Identifier: GPL-2.0
/*
 * Reset lines of a device tree, "devfs,test-resets", that reset nothing: which are
 * asserted, and how often one was, is asked of /dev/devfs_importer. Lines that are
 * told to fail stay asserted.
 */
#include <linux/bitops.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/reset-controller.h>

#include "importer.h"

#if IS_ENABLED(CONFIG_RESET_CONTROLLER) && IS_ENABLED(CONFIG_OF)

#define RESETS_LINES 8

static unsigned long resets_asserted;
static atomic_t resets_count;
static bool resets_fail;

static int resets_assert(struct reset_controller_dev *controller, unsigned long line)
{
	set_bit(line, &resets_asserted);
	atomic_inc(&resets_count);
	return 0;
}

static int resets_deassert(struct reset_controller_dev *controller, unsigned long line)
{
	if (READ_ONCE(resets_fail))
		return -EIO;
	clear_bit(line, &resets_asserted);
	return 0;
}

static const struct reset_control_ops resets_ops = {
	.assert		= resets_assert,
	.deassert	= resets_deassert,
};

static int resets_probe(struct platform_device *pdev)
{
	struct reset_controller_dev *controller;

	controller = devm_kzalloc(&pdev->dev, sizeof(*controller), GFP_KERNEL);
	if (!controller)
		return -ENOMEM;
	controller->owner = THIS_MODULE;
	controller->ops = &resets_ops;
	controller->of_node = pdev->dev.of_node;
	controller->nr_resets = RESETS_LINES;
	return devm_reset_controller_register(&pdev->dev, controller);
}

/* No machine is to sleep: those who have the lines have done so by then, and wake again. */
static int resets_suspend(struct device *dev)
{
	return -EBUSY;
}

static int resets_resume(struct device *dev)
{
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(resets_pm, resets_suspend, resets_resume);

static const struct of_device_id resets_matches[] = {
	{ .compatible = "devfs,test-resets" },
	{ }
};

static struct platform_driver resets_driver = {
	.probe	= resets_probe,
	.driver	= {
		.name		= "devfs_test_resets",
		.of_match_table	= resets_matches,
		.pm		= pm_sleep_ptr(&resets_pm),
		.probe_type	= PROBE_FORCE_SYNCHRONOUS,
	},
};

int resets_init(void)
{
	return platform_driver_register(&resets_driver);
}

void resets_exit(void)
{
	platform_driver_unregister(&resets_driver);
}

long resets_ioctl(unsigned int cmd)
{
	switch (cmd) {
	case IMPORTER_RESETS:
		return READ_ONCE(resets_asserted) | atomic_read(&resets_count) << RESETS_LINES;
	case IMPORTER_RESETS_FAIL:
		WRITE_ONCE(resets_fail, true);
		return 0;
	case IMPORTER_RESETS_WORK:
		WRITE_ONCE(resets_fail, false);
		return 0;
	default:
		return -ENOTTY;
	}
}

#else

int resets_init(void)
{
	return 0;
}

void resets_exit(void)
{
}

long resets_ioctl(unsigned int cmd)
{
	return -ENOTTY;
}

#endif
