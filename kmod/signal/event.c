// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - signal sources: software, timers and interrupts, and what an event
 * does.
 *
 * A source is found by id under events.lock, or under devfs_device.lock by who
 * may sleep; it is freed only after it left the table under both.
 */
#include <linux/jiffies.h>
#include <linux/kmod.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "core/command.h"
#include "core/compat.h"
#include "core/module.h"
#include "core/trace.h"
#include "core/users.h"
#include "signal/source.h"

/* Between two uevents of a source: each of them starts programs. */
#define DEVFS_ANNOUNCE_PAUSE (HZ / 10)

#define DEVFS_SIGNAL_FLAGS (DEVFS_DMA_SIGNAL_ENABLED | DEVFS_DMA_SIGNAL_UEVENT)

/* With devfs_device.lock or events.lock held. */
struct devfs_source *devfs_source_find(struct devfs_device *dev, u32 id)
{
	if (id >= DEVFS_DMA_MAX_SOURCES)
		return NULL;
	return dev->events->sources[array_index_nospec(id, DEVFS_DMA_MAX_SOURCES)];
}

/* Tells user space: uevent, and the helper where there is one. */
static void devfs_announce(struct work_struct *work)
{
	struct devfs_source *source = container_of(to_delayed_work(work), struct devfs_source,
						    announce);
	struct devfs_device *dev = source->dev;
	char name[sizeof("DEVFS_SIGNAL=") + DEVFS_DMA_NAME_SIZE];
	char count[sizeof("DEVFS_COUNT=") + 20];
	char *env[3] = { name, count, NULL };

	WRITE_ONCE(source->announced, jiffies);
	snprintf(name, sizeof(name), "DEVFS_SIGNAL=%s", source->name);
	snprintf(count, sizeof(count), "DEVFS_COUNT=%llu", READ_ONCE(source->count));
	kobject_uevent_env(&dev->misc.this_device->kobj, KOBJ_CHANGE, env);
	if (*devfs_event_helper) {
		char *argv[5] = { devfs_event_helper, dev->name, source->name,
				 count + strlen("DEVFS_COUNT="), NULL };
		char *envp[3] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", NULL };

		call_usermodehelper(devfs_event_helper, argv, envp, UMH_WAIT_EXEC);
	}
}

/* What comes faster than user space should be told is told as one. Any context. */
static void devfs_announce_soon(struct devfs_source *source)
{
	unsigned long next = READ_ONCE(source->announced) + DEVFS_ANNOUNCE_PAUSE, now = jiffies;

	queue_delayed_work(devfs_workqueue, &source->announce,
			   time_before(now, next) ? next - now : 0);
}

/* One event. @told is what its record says, and flags change before anybody hears of it. */
static void devfs_fire(struct devfs_source *source, u64 missed, u32 clear, u32 set, u32 told)
{
	struct devfs_events *events = source->dev->events;
	unsigned long flags;
	bool enabled;

	spin_lock_irqsave(&events->lock, flags);
	enabled = source->flags & DEVFS_DMA_SIGNAL_ENABLED;
	source->flags = (source->flags & ~clear) | set;
	source->missed += missed;
	if (!enabled) {
		source->missed++;
		spin_unlock_irqrestore(&events->lock, flags);
		return;
	}
	source->last_ns = ktime_get_ns();
	source->told = told;
	source->history[source->count++ % DEVFS_DMA_HISTORY] = source->last_ns;
	trace_devfs_dma_event(source->id, source->count, source->missed, source->last_ns);
	devfs_record(events, source);
	devfs_listeners_tell(&source->listeners, &source->listener_count);
	if (source->flags & DEVFS_DMA_SIGNAL_UEVENT)
		devfs_announce_soon(source);
	spin_unlock_irqrestore(&events->lock, flags);

	wake_up_interruptible(&events->wait);
	kill_fasync(&events->fasync, SIGIO, POLL_IN);
}

/* One event, from any context. @missed periods went by before it unseen. */
void devfs_source_fire(struct devfs_source *source, u64 missed)
{
	devfs_fire(source, missed, 0, 0, 0);
}

/* The same, and changes flags before anybody hears of it. */
void devfs_source_fire_mark(struct devfs_source *source, u64 missed, u32 clear, u32 set)
{
	devfs_fire(source, missed, clear, set,
		   set & DEVFS_DMA_SIGNAL_STORM ? DEVFS_DMA_EVENT_STORM : 0);
}

/* Something befell the device, with the driver lock held: one of DEVFS_DMA_EVENT_*. */
void devfs_error_tell(struct devfs_device *dev, u32 what)
{
	devfs_fire(dev->error, 0, 0, 0, what);
}

/* Changes flags. Any context. */
void devfs_source_mark(struct devfs_source *source, u32 clear, u32 set)
{
	struct devfs_events *events = source->dev->events;
	unsigned long flags;

	spin_lock_irqsave(&events->lock, flags);
	source->flags = (source->flags & ~clear) | set;
	spin_unlock_irqrestore(&events->lock, flags);
}

static enum hrtimer_restart devfs_source_tick(struct hrtimer *timer)
{
	struct devfs_source *source = container_of(timer, struct devfs_source, timer);
	u64 periods = hrtimer_forward_now(timer, ns_to_ktime(READ_ONCE(source->period_ns)));

	devfs_source_fire(source, periods ? periods - 1 : 0);
	return HRTIMER_RESTART;
}

/* With devfs_device.lock held: the timer runs as flags and period say. */
static void devfs_source_run(struct devfs_source *source)
{
	if (source->kind != DEVFS_DMA_SIGNAL_TIMER)
		return;
	hrtimer_cancel(&source->timer);
	if (source->flags & DEVFS_DMA_SIGNAL_ENABLED)
		hrtimer_start(&source->timer, ns_to_ktime(source->period_ns),
			      HRTIMER_MODE_REL_SOFT);
}

static bool devfs_period_valid(u64 period_ns)
{
	return period_ns >= DEVFS_DMA_PERIOD_MIN && period_ns <= DEVFS_DMA_PERIOD_MAX;
}

static struct devfs_source *devfs_source_new(struct devfs_device *dev, const char *name, u32 kind,
					     u32 flags)
{
	struct devfs_source *source = kzalloc(sizeof(*source), GFP_KERNEL_ACCOUNT);

	if (!source)
		return NULL;
	source->dev = dev;
	source->serial = atomic64_inc_return(&dev->next_id);
	source->kind = kind;
	source->flags = flags;
	strscpy(source->name, name, sizeof(source->name));
	INIT_LIST_HEAD(&source->listeners);
	INIT_DELAYED_WORK(&source->announce, devfs_announce);
	source->announced = jiffies - DEVFS_ANNOUNCE_PAUSE;
	devfs_hrtimer_setup(&source->timer, devfs_source_tick, CLOCK_MONOTONIC,
			    HRTIMER_MODE_REL_SOFT);
	return source;
}

/* Into the table, with devfs_device.lock held. */
static int devfs_source_enlist(struct devfs_source *source)
{
	struct devfs_events *events = source->dev->events;
	u32 id, slot = DEVFS_DMA_MAX_SOURCES;

	for (id = 0; id < DEVFS_DMA_MAX_SOURCES; id++) {
		struct devfs_source *other = events->sources[id];

		if (!other)
			slot = min(slot, id);
		else if (!strcmp(other->name, source->name))
			return -EEXIST;
	}
	if (slot == DEVFS_DMA_MAX_SOURCES)
		return -ENOSPC;
	source->id = slot;
	spin_lock_irq(&events->lock);
	events->sources[slot] = source;
	events->count++;
	spin_unlock_irq(&events->lock);
	return 0;
}

/* The same for who has the node open. */
static int devfs_source_enlist_for(struct devfs_source *source, struct devfs_client *client)
{
	struct devfs_user *user = devfs_user_get(client, DEVFS_USER_SIGNALS);
	int err;

	if (IS_ERR(user))
		return PTR_ERR(user);
	err = devfs_source_enlist(source);
	if (err)
		devfs_user_put(user, DEVFS_USER_SIGNALS);
	else
		source->user = user;
	return err;
}

static int devfs_source_create(struct devfs_client *client, struct devfs_dma_signal *arg,
			       u64 *serial)
{
	struct devfs_device *dev = client->dev;
	struct devfs_source *source;
	int err;

	if (!devfs_name_valid(arg->name) || arg->source || arg->flags & ~DEVFS_SIGNAL_FLAGS)
		return -EINVAL;
	if (arg->kind == DEVFS_DMA_SIGNAL_TIMER ? !devfs_period_valid(arg->period_ns) :
	    arg->kind != DEVFS_DMA_SIGNAL_SOFTWARE || arg->period_ns)
		return -EINVAL;
	if (arg->period_ns && !devfs_user_period(client, arg->period_ns))
		return -EPERM;
	source = devfs_source_new(dev, arg->name, arg->kind, arg->flags);
	if (!source)
		return -ENOMEM;
	source->period_ns = arg->period_ns;
	*serial = source->serial;

	mutex_lock(&dev->lock);
	err = devfs_source_enlist_for(source, client);
	if (!err) {
		arg->source = source->id;
		devfs_source_run(source);
	}
	mutex_unlock(&dev->lock);
	if (err)
		kfree(source);
	return err;
}

/* The source of an interrupt, which owns @irq from now on; NULL is the device itself. */
struct devfs_source *devfs_source_add_irq(struct devfs_device *dev, const char *name,
					  struct devfs_irq *irq, u32 flags)
{
	struct devfs_source *source = devfs_source_new(dev, name, DEVFS_DMA_SIGNAL_INTERRUPT,
						       flags);
	int err;

	if (!source)
		return ERR_PTR(-ENOMEM);
	source->irq = irq;
	mutex_lock(&dev->lock);
	err = devfs_source_enlist(source);
	mutex_unlock(&dev->lock);
	if (err) {
		kfree(source);
		return ERR_PTR(err);
	}
	return source;
}

/* What hardware has besides its interrupts: the caller ends it at an error. */
int devfs_error_add(struct devfs_device *dev)
{
	struct devfs_source *source = devfs_source_add_irq(dev, "error", NULL,
							   DEVFS_DMA_SIGNAL_ENABLED);

	if (IS_ERR(source))
		return PTR_ERR(source);
	dev->error = source;
	return 0;
}

/* With devfs_device.lock held. */
static void devfs_source_destroy(struct devfs_source *source)
{
	struct devfs_events *events = source->dev->events;
	LIST_HEAD(taken);

	spin_lock_irq(&events->lock);
	source->flags = 0;
	events->sources[source->id] = NULL;
	events->count--;
	devfs_listeners_take(&source->listeners, &source->listener_count, NULL,
			     DEVFS_TAKE_ALL, NULL, &taken);
	spin_unlock_irq(&events->lock);
	hrtimer_cancel(&source->timer);
	cancel_delayed_work_sync(&source->announce);
	devfs_listeners_free(&taken);
	devfs_user_put(source->user, DEVFS_USER_SIGNALS);
	kfree(source->irq);
	kfree(source);
}

/* The caller could not be told what was made. */
static void devfs_source_undo(struct devfs_device *dev, u32 id, u64 serial)
{
	struct devfs_source *source;

	mutex_lock(&dev->lock);
	source = devfs_source_find(dev, id);
	if (source && source->serial == serial)
		devfs_source_destroy(source);
	mutex_unlock(&dev->lock);
}

static int devfs_source_set(struct devfs_source *source, struct devfs_client *client,
			    struct devfs_dma_signal *arg)
{
	struct devfs_events *events = source->dev->events;

	if (arg->flags & ~DEVFS_SIGNAL_FLAGS)
		return -EINVAL;
	if (arg->period_ns && (source->kind != DEVFS_DMA_SIGNAL_TIMER ||
			       !devfs_period_valid(arg->period_ns)))
		return -EINVAL;
	if (arg->period_ns && !devfs_user_period(client, arg->period_ns))
		return -EPERM;
	if (source->irq)
		return devfs_irq_set(source->irq, arg->flags);
	spin_lock_irq(&events->lock);
	source->flags = arg->flags;
	if (arg->period_ns)
		WRITE_ONCE(source->period_ns, arg->period_ns);
	spin_unlock_irq(&events->lock);
	devfs_source_run(source);
	return 0;
}

/* With devfs_device.lock held. */
static void devfs_source_get(struct devfs_source *source, struct devfs_dma_signal *arg)
{
	struct devfs_events *events = source->dev->events;

	arg->source = source->id;
	memcpy(arg->name, source->name, sizeof(arg->name));
	arg->kind = source->kind;
	spin_lock_irq(&events->lock);
	arg->flags = source->flags;
	arg->period_ns = source->period_ns;
	arg->count = source->count;
	arg->missed = source->missed;
	arg->last_ns = source->last_ns;
	arg->listeners = source->listener_count;
	arg->told = source->told;
	spin_unlock_irq(&events->lock);
}

static struct devfs_source *devfs_source_next(struct devfs_device *dev, u32 id)
{
	for (; id < DEVFS_DMA_MAX_SOURCES; id++) {
		struct devfs_source *source = devfs_source_find(dev, id);

		if (source)
			return source;
	}
	return NULL;
}

static int devfs_signal_do(struct devfs_client *client, struct devfs_dma_signal *arg)
{
	struct devfs_device *dev = client->dev;
	struct devfs_source *source;
	int err = 0;

	if (arg->op != DEVFS_DMA_SIGNAL_SET && (arg->flags || arg->period_ns))
		return -EINVAL;
	if (arg->kind || memchr_inv(arg->name, 0, sizeof(arg->name)))
		return -EINVAL;

	mutex_lock(&dev->lock);
	if (arg->op == DEVFS_DMA_SIGNAL_NEXT)
		source = devfs_source_next(dev, arg->source);
	else
		source = devfs_source_find(dev, arg->source);
	if (!source) {
		err = -ENOENT;
		goto out_unlock;
	}
	switch (arg->op) {
	case DEVFS_DMA_SIGNAL_REMOVE:
		if (source->kind == DEVFS_DMA_SIGNAL_INTERRUPT)
			err = -EPERM;
		else
			devfs_source_destroy(source);
		break;
	case DEVFS_DMA_SIGNAL_SET:
		err = devfs_source_set(source, client, arg);
		break;
	case DEVFS_DMA_SIGNAL_TRIGGER:
		if (source->kind == DEVFS_DMA_SIGNAL_SOFTWARE)
			devfs_source_fire(source, 0);
		else
			err = -EINVAL;
		break;
	default:
		devfs_source_get(source, arg);
	}
out_unlock:
	mutex_unlock(&dev->lock);
	return err;
}

/* With the gate held. */
static int devfs_signal_run(struct devfs_client *client, struct devfs_dma_signal *arg,
			    u64 *serial)
{
	if (arg->op == DEVFS_DMA_SIGNAL_CREATE)
		return devfs_source_create(client, arg, serial);
	return devfs_signal_do(client, arg);
}

long devfs_signal_ctl(struct devfs_call *call)
{
	struct devfs_client *client = call->file->private_data;
	struct devfs_dma_signal *arg = &call->arg.signal;
	struct devfs_device *dev = client->dev;
	u64 serial;
	int err;

	if (arg->op > DEVFS_DMA_SIGNAL_NEXT || arg->count || arg->missed || arg->last_ns ||
	    arg->listeners || arg->told || memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return -EINVAL;
	if (!devfs_enter(dev))
		return -ENODEV;
	err = devfs_signal_run(client, arg, &serial);
	devfs_leave(dev);
	if (err)
		return err;
	/* The others have nothing to tell, which could fail now. */
	call->answered = arg->op != DEVFS_DMA_SIGNAL_GET && arg->op != DEVFS_DMA_SIGNAL_NEXT;
	if (arg->op == DEVFS_DMA_SIGNAL_CREATE) {
		err = devfs_call_answer(call, arg, sizeof(*arg));
		if (err)
			devfs_source_undo(dev, arg->source, serial);
	}
	return err;
}

long devfs_signal_history(struct devfs_call *call)
{
	struct devfs_client *client = call->file->private_data;
	struct devfs_dma_history *arg = &call->arg.history;
	struct devfs_events *events = client->dev->events;
	struct devfs_source *source;
	u64 *times, oldest, i;
	u32 room;
	long err = 0;

	times = kcalloc(DEVFS_DMA_HISTORY, sizeof(*times), GFP_KERNEL);
	if (!times)
		return -ENOMEM;
	room = min_t(u32, arg->count, DEVFS_DMA_HISTORY);
	arg->count = 0;

	spin_lock_irq(&events->lock);
	source = devfs_source_find(client->dev, arg->source);
	if (source) {
		oldest = source->count > DEVFS_DMA_HISTORY ?
			 source->count - DEVFS_DMA_HISTORY + 1 : 1;
		arg->first = max(arg->first, oldest);
		for (i = arg->first; i <= source->count && arg->count < room; i++)
			times[arg->count++] = source->history[(i - 1) % DEVFS_DMA_HISTORY];
	} else {
		err = -ENOENT;
	}
	spin_unlock_irq(&events->lock);

	if (!err && copy_to_user(u64_to_user_ptr(arg->times), times, arg->count * sizeof(*times)))
		err = -EFAULT;
	kfree(times);
	return err;
}

int devfs_events_init(struct devfs_device *dev)
{
	struct devfs_events *events = kzalloc(sizeof(*events), GFP_KERNEL);

	if (!events)
		return -ENOMEM;
	spin_lock_init(&events->lock);
	init_waitqueue_head(&events->wait);
	events->next_seq = 1;
	events->ring = kvcalloc(DEVFS_RECORDS, sizeof(*events->ring), GFP_KERNEL);
	if (!events->ring) {
		kfree(events);
		return -ENOMEM;
	}
	dev->events = events;
	return 0;
}

void devfs_events_exit(struct devfs_device *dev)
{
	kvfree(dev->events->ring);
	kfree(dev->events);
}

unsigned int devfs_source_count(struct devfs_device *dev)
{
	return READ_ONCE(dev->events->count);
}

/* The device is dead: no more events come, and who waits for them is told. */
void devfs_events_end(struct devfs_device *dev)
{
	u32 id;

	mutex_lock(&dev->lock);
	for (id = 0; id < DEVFS_DMA_MAX_SOURCES; id++)
		if (dev->events->sources[id])
			devfs_source_destroy(dev->events->sources[id]);
	mutex_unlock(&dev->lock);
	wake_up_interruptible(&dev->events->wait);
	kill_fasync(&dev->events->fasync, SIGIO, POLL_HUP);
}
