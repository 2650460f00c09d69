/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - signals: sources of events, and who is told of them. */
#ifndef DEVFS_DMA_SIGNAL_H
#define DEVFS_DMA_SIGNAL_H

#include <linux/fs.h>
#include <linux/poll.h>

#include "core/client.h"
#include "core/device.h"

struct devfs_call;

/* event.c */
int devfs_events_init(struct devfs_device *dev);
void devfs_events_end(struct devfs_device *dev);
void devfs_events_exit(struct devfs_device *dev);
unsigned int devfs_source_count(struct devfs_device *dev);
int devfs_error_add(struct devfs_device *dev);
void devfs_error_tell(struct devfs_device *dev, u32 what);
long devfs_signal_ctl(struct devfs_call *call);
long devfs_signal_history(struct devfs_call *call);

/* record.c */
void devfs_client_start(struct devfs_client *client, u64 sources);
long devfs_subscribe(struct devfs_call *call);
ssize_t devfs_node_read(struct file *file, char __user *to, size_t size, loff_t *pos);
__poll_t devfs_node_poll(struct file *file, struct poll_table_struct *table);
int devfs_node_fasync(int fd, struct file *file, int on);

/* listener.c */
long devfs_set_eventfd(struct devfs_call *call);
long devfs_signal_notify(struct devfs_call *call);
void devfs_client_end(struct devfs_client *client);

/* irq.c */
struct devfs_irq_ops {
	/* Whether the device asks for attention, and masks it then. Any context. */
	bool (*mask_pending)(struct device *dev);
	void (*mask)(struct device *dev, bool masked);
};

int devfs_irq_add(struct devfs_device *dev, const char *name, unsigned int nr,
		  const struct devfs_irq_ops *ops, bool level);
void devfs_irqs_pause(struct devfs_device *dev, bool paused);
void devfs_irqs_end(struct devfs_device *dev);

#endif /* DEVFS_DMA_SIGNAL_H */
