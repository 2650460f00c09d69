// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - whose memory cgroup the memory of a buffer is charged to.
 *
 * A server allocates for its clients: what it makes for one is charged to his
 * cgroup, by the scope that loop devices use for what they read and write.
 */
#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>

#include "core/memcg.h"

#ifdef CONFIG_MEMCG
/* Reclaim in a cgroup of version 1 waits for writeback, and so for a client's file system. */
static struct mem_cgroup *devfs_memcg_of_task(struct task_struct *task)
{
	if (!cgroup_subsys_on_dfl(memory_cgrp_subsys))
		return NULL;
	return mem_cgroup_from_css(task_get_css(task, memory_cgrp_id));
}
#else
static struct mem_cgroup *devfs_memcg_of_task(struct task_struct *task)
{
	return NULL;
}
#endif

/* The cgroup of process @nr of the caller's namespace, NULL where there are none, or an ERR_PTR. */
struct mem_cgroup *devfs_memcg_get(u32 nr)
{
	struct mem_cgroup *memcg;
	struct task_struct *task;
	struct pid *pid;

	if (nr > INT_MAX)
		return ERR_PTR(-ESRCH);
	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return ERR_PTR(-ESRCH);
	memcg = devfs_memcg_of_task(task);
	put_task_struct(task);
	return memcg;
}

void devfs_memcg_put(struct mem_cgroup *memcg)
{
#ifdef CONFIG_MEMCG
	if (memcg)
		css_put(&memcg->css);
#endif
}

/*
 * Until the end, what is allocated is charged to @memcg; NULL is who runs. Nothing
 * is killed for want of it: heaps ask for no more than one try.
 */
struct mem_cgroup *devfs_memcg_begin(struct mem_cgroup *memcg)
{
	return set_active_memcg(memcg);
}

void devfs_memcg_end(struct mem_cgroup *before)
{
	set_active_memcg(before);
}
