/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - sources, listeners and records: what the files of this room share. */
#ifndef DEVFS_DMA_SIGNAL_SOURCE_H
#define DEVFS_DMA_SIGNAL_SOURCE_H

#include <linux/hrtimer.h>
#include <linux/workqueue.h>

#include "signal/signal.h"

struct devfs_irq;
struct devfs_source;

#define DEVFS_RECORDS 1024
#define DEVFS_LISTENERS_MAX 64

/* What happened on a device: the sources and the latest events of all of them. */
struct devfs_events {
	spinlock_t lock;		/* all of it */
	struct devfs_source *sources[DEVFS_DMA_MAX_SOURCES];
	unsigned int count;
	struct devfs_dma_event *ring;
	u64 next_seq;			/* of the next record; the first is 1 */
	wait_queue_head_t wait;
	struct fasync_struct *fasync;
};

/* Who is told of an event: an eventfd or a process. */
struct devfs_listener {
	struct list_head entry;
	struct devfs_client *client;
	struct eventfd_ctx *eventfd;
	struct pid *pid;
	const struct cred *cred;
	bool may_kill;			/* CAP_KILL at registration */
	int signo;
	u64 value;
};

/* What makes events: id is its place in devfs_events.sources. */
struct devfs_source {
	struct devfs_device *dev;
	u32 id;
	u64 serial;			/* ids are used again, this is not */
	char name[DEVFS_DMA_NAME_SIZE];
	u32 kind;
	u32 flags;
	u64 period_ns;
	u64 count;
	u64 missed;
	u64 last_ns;
	u32 told;			/* DEVFS_DMA_EVENT_* of the last event */
	u64 history[DEVFS_DMA_HISTORY];
	struct list_head listeners;
	unsigned int listener_count;
	struct devfs_user *user;	/* in whose count it is, NULL for an interrupt */
	struct hrtimer timer;
	struct delayed_work announce;
	unsigned long announced;	/* when it was last, in jiffies */
	struct devfs_irq *irq;		/* of an interrupt */
};

/* event.c */
void devfs_source_fire(struct devfs_source *source, u64 missed);
void devfs_source_fire_mark(struct devfs_source *source, u64 missed, u32 clear, u32 set);
void devfs_source_mark(struct devfs_source *source, u32 clear, u32 set);
struct devfs_source *devfs_source_add_irq(struct devfs_device *dev, const char *name,
					  struct devfs_irq *irq, u32 flags);
struct devfs_source *devfs_source_find(struct devfs_device *dev, u32 id);

/* record.c */
void devfs_record(struct devfs_events *events, struct devfs_source *source);

/* listener.c */
enum devfs_take { DEVFS_TAKE_ALL, DEVFS_TAKE_EVENTFDS, DEVFS_TAKE_PROCESS };
void devfs_listeners_tell(struct list_head *listeners, unsigned int *count);
void devfs_listeners_take(struct list_head *listeners, unsigned int *count,
			  struct devfs_client *client, enum devfs_take what, struct pid *pid,
			  struct list_head *taken);
void devfs_listeners_free(struct list_head *taken);

/* irq.c */
int devfs_irq_set(struct devfs_irq *irq, u32 flags);

#endif /* DEVFS_DMA_SIGNAL_SOURCE_H */
