// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - who is told of events: eventfds, and processes by a signal.
 *
 * A listener belongs to the open node that registered it and ends with it.
 */
#include <linux/cred.h>
#include <linux/eventfd.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/slab.h>

#include "core/command.h"
#include "core/compat.h"
#include "core/users.h"
#include "signal/source.h"

static void devfs_listener_free(struct devfs_listener *listener)
{
	if (listener->eventfd)
		eventfd_ctx_put(listener->eventfd);
	put_pid(listener->pid);
	if (listener->cred)
		put_cred(listener->cred);
	kfree(listener);
}

/* The rule of kill(2), with the credentials of the registration. */
static bool devfs_may_signal(struct devfs_listener *listener, struct task_struct *task)
{
	const struct cred *cred = listener->cred, *to;
	bool may;

	if (listener->may_kill)
		return true;
	rcu_read_lock();
	to = __task_cred(task);
	may = uid_eq(cred->euid, to->suid) || uid_eq(cred->euid, to->uid) ||
	      uid_eq(cred->uid, to->suid) || uid_eq(cred->uid, to->uid);
	rcu_read_unlock();
	return may;
}

/* False once the process is gone. Any context. */
static bool devfs_send_signal(struct devfs_listener *listener)
{
	struct task_struct *task = get_pid_task(listener->pid, PIDTYPE_TGID);
	struct kernel_siginfo info;

	if (!task)
		return false;
	if (devfs_may_signal(listener, task)) {
		clear_siginfo(&info);
		info.si_signo = listener->signo;
		info.si_code = SI_QUEUE;
		info.si_ptr = (void __user *)(uintptr_t)listener->value;
		send_sig_info(listener->signo, &info, task);
	}
	put_task_struct(task);
	return true;
}

/* With the lock of the list held. Any context. */
void devfs_listeners_tell(struct list_head *listeners, unsigned int *count)
{
	struct devfs_listener *listener, *next;

	list_for_each_entry_safe(listener, next, listeners, entry) {
		if (listener->eventfd) {
			devfs_eventfd_signal(listener->eventfd);
		} else if (!devfs_send_signal(listener)) {
			list_del(&listener->entry);
			(*count)--;
			devfs_user_uncharge(listener->client->user, DEVFS_USER_LISTENERS);
			devfs_listener_free(listener);
		}
	}
}

/*
 * Moves listeners to @taken, with the lock of the list held: those of @client
 * (any for NULL), and of them the eventfds, the ones of process @pid, or all.
 */
void devfs_listeners_take(struct list_head *listeners, unsigned int *count,
			  struct devfs_client *client, enum devfs_take what, struct pid *pid,
			  struct list_head *taken)
{
	struct devfs_listener *listener, *next;

	list_for_each_entry_safe(listener, next, listeners, entry) {
		if ((client && listener->client != client) ||
		    (what == DEVFS_TAKE_EVENTFDS && !listener->eventfd) ||
		    (what == DEVFS_TAKE_PROCESS && listener->pid != pid))
			continue;
		list_move(&listener->entry, taken);
		(*count)--;
		devfs_user_uncharge(listener->client->user, DEVFS_USER_LISTENERS);
	}
}

void devfs_listeners_free(struct list_head *taken)
{
	struct devfs_listener *listener, *next;

	list_for_each_entry_safe(listener, next, taken, entry)
		devfs_listener_free(listener);
}

static int devfs_source_listen(struct devfs_client *client, u32 id,
			       struct devfs_listener *listener)
{
	struct devfs_events *events = client->dev->events;
	struct devfs_source *source;
	int err = 0;

	spin_lock_irq(&events->lock);
	source = devfs_source_find(client->dev, id);
	if (!source)
		err = -ENOENT;
	else if (source->listener_count >= DEVFS_LISTENERS_MAX)
		err = -ENOSPC;
	else
		err = devfs_user_charge(client, DEVFS_USER_LISTENERS);
	if (!err) {
		list_add_tail(&listener->entry, &source->listeners);
		source->listener_count++;
	}
	spin_unlock_irq(&events->lock);
	return err;
}

static int devfs_source_unlisten(struct devfs_client *client, u32 id, enum devfs_take what,
				 struct pid *pid)
{
	struct devfs_events *events = client->dev->events;
	struct devfs_source *source;
	LIST_HEAD(taken);

	spin_lock_irq(&events->lock);
	source = devfs_source_find(client->dev, id);
	if (source)
		devfs_listeners_take(&source->listeners, &source->listener_count, client, what,
				     pid, &taken);
	spin_unlock_irq(&events->lock);
	devfs_listeners_free(&taken);
	return source ? 0 : -ENOENT;
}

long devfs_set_eventfd(struct devfs_call *call)
{
	struct devfs_client *client = call->file->private_data;
	struct devfs_dma_eventfd *arg = &call->arg.eventfd;
	struct devfs_listener *listener;
	long err;

	if (arg->flags || arg->pad || arg->fd < -1)
		return -EINVAL;
	if (arg->fd == -1)
		return devfs_source_unlisten(client, arg->source, DEVFS_TAKE_EVENTFDS, NULL);

	listener = kzalloc(sizeof(*listener), GFP_KERNEL_ACCOUNT);
	if (!listener)
		return -ENOMEM;
	listener->client = client;
	listener->eventfd = eventfd_ctx_fdget(arg->fd);
	if (IS_ERR(listener->eventfd)) {
		err = PTR_ERR(listener->eventfd);
		listener->eventfd = NULL;
	} else {
		err = devfs_source_listen(client, arg->source, listener);
	}
	if (err)
		devfs_listener_free(listener);
	return err;
}

long devfs_signal_notify(struct devfs_call *call)
{
	struct devfs_client *client = call->file->private_data;
	struct devfs_dma_notify *arg = &call->arg.notify;
	struct devfs_listener *listener;
	struct task_struct *task;
	struct pid *pid;
	long err;

	if (arg->flags || arg->signo > _NSIG || !arg->pid || arg->pid > INT_MAX)
		return -EINVAL;
	pid = find_get_pid(arg->pid);
	task = get_pid_task(pid, PIDTYPE_TGID);
	if (!task) {
		put_pid(pid);
		return -ESRCH;
	}
	if (!arg->signo) {
		err = devfs_source_unlisten(client, arg->source, DEVFS_TAKE_PROCESS, pid);
		put_task_struct(task);
		put_pid(pid);
		return err;
	}

	listener = kzalloc(sizeof(*listener), GFP_KERNEL_ACCOUNT);
	if (!listener) {
		put_task_struct(task);
		put_pid(pid);
		return -ENOMEM;
	}
	listener->client = client;
	listener->pid = pid;
	listener->cred = get_current_cred();
	listener->signo = arg->signo;
	listener->value = arg->value;
	if (!devfs_may_signal(listener, task))
		listener->may_kill = capable(CAP_KILL);
	err = devfs_may_signal(listener, task) ? 0 : -EPERM;
	put_task_struct(task);
	if (!err)
		err = devfs_source_listen(client, arg->source, listener);
	if (err)
		devfs_listener_free(listener);
	return err;
}

/* The node is closed: nothing it registered stays. */
void devfs_client_end(struct devfs_client *client)
{
	struct devfs_events *events = client->dev->events;
	LIST_HEAD(taken);
	u32 id;

	spin_lock_irq(&events->lock);
	for (id = 0; id < DEVFS_DMA_MAX_SOURCES; id++) {
		struct devfs_source *source = events->sources[id];

		if (source)
			devfs_listeners_take(&source->listeners, &source->listener_count, client,
					     DEVFS_TAKE_ALL, NULL, &taken);
	}
	spin_unlock_irq(&events->lock);
	devfs_listeners_free(&taken);
}
