// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - buffers that end with the process they belong to.
 *
 * A lease waits on the queue that pidfds poll, so a reused process id is never
 * mistaken for the owner. It names its buffer by id and holds no reference.
 */
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "buffer/object.h"
#include "core/module.h"

struct devfs_lease {
	struct devfs_device *dev;
	u64 id;
	struct pid *pid;
	struct wait_queue_entry wait;
	struct work_struct work;
	unsigned long fired;
};

/* True once no thread of the process is left. */
static bool devfs_pid_dead(struct pid *pid)
{
	struct task_struct *task;
	bool dead;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	dead = !task || (READ_ONCE(task->exit_state) && thread_group_empty(task));
	rcu_read_unlock();
	return dead;
}

static void devfs_lease_free(struct devfs_lease *lease)
{
	remove_wait_queue(&lease->pid->wait_pidfd, &lease->wait);
	put_pid(lease->pid);
	devfs_device_put(lease->dev);
	kfree(lease);
}

static void devfs_lease_work(struct work_struct *work)
{
	struct devfs_lease *lease = container_of(work, struct devfs_lease, work);

	/* Who takes the lease off its buffer frees it: this, or devfs_lease_end(). */
	if (devfs_buffer_expire(lease->dev, lease->id, lease))
		devfs_lease_free(lease);
}

static void devfs_lease_fire(struct devfs_lease *lease)
{
	if (!test_and_set_bit(0, &lease->fired))
		queue_work(devfs_workqueue, &lease->work);
}

static int devfs_lease_wake(struct wait_queue_entry *wait, unsigned int mode, int sync, void *key)
{
	struct devfs_lease *lease = container_of(wait, struct devfs_lease, wait);

	if (devfs_pid_dead(lease->pid))
		devfs_lease_fire(lease);
	return 0;
}

struct devfs_lease *devfs_lease_new(struct devfs_device *dev, u64 id, struct pid *pid)
{
	struct devfs_lease *lease = kzalloc(sizeof(*lease), GFP_KERNEL_ACCOUNT);

	if (!lease)
		return NULL;
	devfs_device_get(dev);
	lease->dev = dev;
	lease->id = id;
	lease->pid = get_pid(pid);
	INIT_WORK(&lease->work, devfs_lease_work);
	init_waitqueue_func_entry(&lease->wait, devfs_lease_wake);
	INIT_LIST_HEAD(&lease->wait.entry);
	return lease;
}

/* Called once the buffer has the lease: the owner may be dead already. */
void devfs_lease_start(struct devfs_lease *lease)
{
	add_wait_queue(&lease->pid->wait_pidfd, &lease->wait);
	if (devfs_pid_dead(lease->pid))
		devfs_lease_fire(lease);
}

/* For one that is off its buffer, or never was on. May sleep. */
void devfs_lease_end(struct devfs_lease *lease)
{
	if (!lease)
		return;
	remove_wait_queue(&lease->pid->wait_pidfd, &lease->wait);
	cancel_work_sync(&lease->work);
	INIT_LIST_HEAD(&lease->wait.entry);
	devfs_lease_free(lease);
}
