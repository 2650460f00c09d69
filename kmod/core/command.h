/* SPDX-License-Identifier: GPL-2.0 */
/*
 * devfs_dma - the commands (ioctls) of nodes, buffers and regions.
 *
 * A page of a user's may never come: a mapping of a file whose server hangs. So
 * arguments and answers are copied with no lock held, before and after the part
 * of a command that uses the device.
 */
#ifndef DEVFS_DMA_CORE_COMMAND_H
#define DEVFS_DMA_CORE_COMMAND_H

#include <linux/fs.h>
#include <uapi/linux/dma-buf.h>

#include "uapi/devfs_dma.h"

struct devfs_device;

union devfs_argument {
	struct devfs_dma_info info;
	struct devfs_dma_heap heap;
	struct devfs_dma_alloc alloc;
	struct devfs_dma_open open;
	struct devfs_dma_free free;
	struct devfs_dma_rename rename;
	struct devfs_dma_list list;
	struct devfs_dma_pin pin;
	struct devfs_dma_import import;
	struct devfs_dma_region region;
	struct devfs_dma_open_region open_region;
	struct devfs_dma_region_export region_export;
	struct devfs_dma_signal signal;
	struct devfs_dma_subscribe subscribe;
	struct devfs_dma_eventfd eventfd;
	struct devfs_dma_notify notify;
	struct devfs_dma_history history;
	struct devfs_dma_buf_info buf_info;
	struct devfs_dma_buf_sync buf_sync;
	struct devfs_dma_buf_get_sg buf_get_sg;
	struct devfs_dma_buf_rw buf_rw;
	struct devfs_dma_buf_name buf_name;
	struct devfs_dma_buf_lease buf_lease;
	struct devfs_dma_buf_export buf_export;
	struct dma_buf_sync dmabuf_sync;
};

/* A command under way. */
struct devfs_call {
	struct file *file;
	void __user *user;		/* where its argument is */
	union devfs_argument arg;	/* a copy of it */
	bool answered;			/* its caller knows all that there is to know */

	/* What the caller gets a descriptor of, if any: devfs_call_give(). */
	struct file *given;
	u32 fd_flags;
	__s32 *fd;
};

struct devfs_command {
	unsigned int nr;		/* the ioctl's number */
	bool gated;			/* it runs with the gate held, and copies nothing */
	long (*run)(struct devfs_call *call);
};

bool devfs_enter(struct devfs_device *dev);
void devfs_leave(struct devfs_device *dev);
int devfs_call_answer(struct devfs_call *call, const void *answer, size_t size);
long devfs_call_give(struct devfs_call *call, struct file *file, u32 fd_flags, __s32 *fd);
long devfs_command(struct devfs_device *dev, const struct devfs_command *commands, size_t count,
		   struct file *file, unsigned int nr, unsigned long user);

#endif /* DEVFS_DMA_CORE_COMMAND_H */
