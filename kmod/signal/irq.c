// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - interrupts as signal sources.
 *
 * An edge (MSI, MSI-X) is an event. A level would come again and again until
 * the device was seen to, which its user does: so it is masked until SET, at
 * the device where that is possible and the line can be shared, else at the
 * interrupt controller. What comes too fast is masked, too.
 *
 * An interrupt that came while masked is one event after unmasking.
 */
#include <linux/interrupt.h>
#include <linux/jiffies.h>
#include <linux/moduleparam.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>

#include "signal/source.h"

struct devfs_irq {
	struct devfs_source *source;
	const struct devfs_irq_ops *ops;	/* NULL: masked at the controller */
	unsigned int nr;
	bool level;
	bool gone;			/* devfs_device.lock */

	spinlock_t lock;		/* all below */
	bool masked;			/* at the controller: disabled once */
	bool paused;			/* masked at the device, which does not answer */
	unsigned long second;		/* when counting began, in jiffies */
	unsigned int count;
};

static unsigned int devfs_irq_storm = 100000;
module_param_named(irq_storm, devfs_irq_storm, uint, 0644);
MODULE_PARM_DESC(irq_storm, "Interrupts a second above which a source is masked, 0: none (100000)");

/* Whoever enables a source again and again has its storms told no more. */
static DEFINE_RATELIMIT_STATE(devfs_storms_told, 10 * 60 * HZ, 10);

/* With the lock held: this one is one too many. */
static bool devfs_irq_storms(struct devfs_irq *irq)
{
	unsigned int limit = READ_ONCE(devfs_irq_storm);

	if (!irq->count || time_after(jiffies, irq->second + HZ)) {
		irq->second = jiffies;
		irq->count = 0;
	}
	return ++irq->count > limit && limit;
}

static irqreturn_t devfs_irq_handler(int nr, void *data)
{
	struct devfs_irq *irq = data;
	struct devfs_source *source = irq->source;
	struct device *dev = source->dev->dev;
	unsigned long flags;
	bool storms;

	spin_lock_irqsave(&irq->lock, flags);
	/* Another device's, or left over from before it was masked. */
	if (irq->ops ? irq->masked || irq->paused || !irq->ops->mask_pending(dev) :
		       irq->masked && irq->level) {
		spin_unlock_irqrestore(&irq->lock, flags);
		return irq->ops ? IRQ_NONE : IRQ_HANDLED;
	}
	storms = devfs_irq_storms(irq);
	if (!irq->ops && !irq->masked && (irq->level || storms))
		disable_irq_nosync(irq->nr);
	irq->masked |= irq->level || storms;
	devfs_source_fire_mark(source, 0, irq->masked ? DEVFS_DMA_SIGNAL_ENABLED : 0,
			       storms ? DEVFS_DMA_SIGNAL_STORM : 0);
	spin_unlock_irqrestore(&irq->lock, flags);
	if (storms && __ratelimit(&devfs_storms_told))
		dev_warn(dev, "%s came more than %u times in a second and is masked\n",
			 source->name, READ_ONCE(devfs_irq_storm));
	return IRQ_HANDLED;
}

/* SET, with devfs_device.lock held; @flags are ENABLED and UEVENT. */
int devfs_irq_set(struct devfs_irq *irq, u32 flags)
{
	struct devfs_source *source = irq->source;
	struct device *dev = source->dev->dev;
	bool masked = !(flags & DEVFS_DMA_SIGNAL_ENABLED), enable = false;

	lockdep_assert_held(&source->dev->lock);
	if (irq->gone)
		return -ENODEV;
	spin_lock_irq(&irq->lock);
	/* Only then: who enables a line without seeing to it is still counted. */
	if (source->flags & DEVFS_DMA_SIGNAL_STORM)
		irq->count = 0;
	devfs_source_mark(source, DEVFS_DMA_SIGNAL_ENABLED | DEVFS_DMA_SIGNAL_UEVENT |
			  DEVFS_DMA_SIGNAL_STORM, flags);
	if (irq->masked != masked) {
		irq->masked = masked;
		if (irq->ops)
			irq->ops->mask(dev, masked || irq->paused);
		else if (masked)
			disable_irq_nosync(irq->nr);
		else
			enable = true;
	}
	spin_unlock_irq(&irq->lock);
	/* The handler does not run before, and no other SET. */
	if (enable)
		enable_irq(irq->nr);
	return 0;
}

/**
 * devfs_irq_add - make an interrupt of a device a source, and enable it
 * @dev: the device, not registered yet
 * @name: name of the source
 * @nr: the kernel's number of the interrupt
 * @ops: masks it at the device, and then it can be shared; or NULL
 * @level: it comes again until the device was seen to
 *
 * Return: 0, after which devfs_irqs_end() ends it, or an errno.
 */
int devfs_irq_add(struct devfs_device *dev, const char *name, unsigned int nr,
		  const struct devfs_irq_ops *ops, bool level)
{
	struct devfs_irq *irq = kzalloc(sizeof(*irq), GFP_KERNEL);
	struct devfs_source *source;
	int err;

	if (!irq)
		return -ENOMEM;
	spin_lock_init(&irq->lock);
	irq->nr = nr;
	irq->ops = ops;
	irq->level = level;
	if (ops) {
		irq->masked = true;
		ops->mask(dev->dev, true);
	}
	source = devfs_source_add_irq(dev, name, irq, level ? DEVFS_DMA_SIGNAL_AUTOMASK : 0);
	if (IS_ERR(source)) {
		kfree(irq);
		return PTR_ERR(source);
	}
	irq->source = source;
	/* From here on the source has it. */
	devfs_source_mark(source, 0, ops ? 0 : DEVFS_DMA_SIGNAL_ENABLED);
	err = request_irq(nr, devfs_irq_handler, ops ? IRQF_SHARED : 0, source->name, irq);
	if (err) {
		irq->gone = true;
		return err;
	}
	if (ops) {
		mutex_lock(&dev->lock);
		err = devfs_irq_set(irq, DEVFS_DMA_SIGNAL_ENABLED);
		mutex_unlock(&dev->lock);
	}
	return err;
}

/* Its registers do not answer, or do again: meanwhile what comes on a line is not its own. */
void devfs_irqs_pause(struct devfs_device *dev, bool paused)
{
	u32 id;

	mutex_lock(&dev->lock);
	for (id = 0; id < DEVFS_DMA_MAX_SOURCES; id++) {
		struct devfs_source *source = devfs_source_find(dev, id);
		struct devfs_irq *irq = source ? source->irq : NULL;

		if (!irq || !irq->ops || irq->gone)
			continue;
		spin_lock_irq(&irq->lock);
		irq->paused = paused;
		irq->ops->mask(dev->dev, paused || irq->masked);
		spin_unlock_irq(&irq->lock);
	}
	mutex_unlock(&dev->lock);
}

/* The device goes: no handler runs any more when this returns. */
void devfs_irqs_end(struct devfs_device *dev)
{
	u32 id;

	for (id = 0; id < DEVFS_DMA_MAX_SOURCES; id++) {
		struct devfs_source *source;
		struct devfs_irq *irq = NULL;

		mutex_lock(&dev->lock);
		source = devfs_source_find(dev, id);
		if (source && source->irq && !source->irq->gone) {
			irq = source->irq;
			irq->gone = true;
		}
		mutex_unlock(&dev->lock);
		if (!irq)
			continue;
		if (irq->ops)
			irq->ops->mask(dev->dev, true);
		/* The source stays as long as the device, as does what is in it. */
		free_irq(irq->nr, irq);
	}
}
