// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - how a command is found, gets its argument and gives its answer.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "core/command.h"
#include "core/device.h"
#include "core/rights.h"

/* The gate, while the device is there. Nobody but removal has it to itself, or waits for it. */
bool devfs_enter(struct devfs_device *dev)
{
	if (!down_read_trylock(&dev->gate))
		return false;
	if (!devfs_dead(dev))
		return true;
	up_read(&dev->gate);
	return false;
}

void devfs_leave(struct devfs_device *dev)
{
	up_read(&dev->gate);
}

/* What the caller reads where its argument was; no lock is held. */
int devfs_call_answer(struct devfs_call *call, const void *answer, size_t size)
{
	call->answered = true;
	return copy_to_user(call->user, answer, size) ? -EFAULT : 0;
}

/* The call's result is a descriptor of @file, which may be an ERR_PTR; @fd is in its argument. */
long devfs_call_give(struct devfs_call *call, struct file *file, u32 fd_flags, __s32 *fd)
{
	if (IS_ERR(file))
		return PTR_ERR(file);
	call->given = file;
	call->fd_flags = fd_flags;
	call->fd = fd;
	return 0;
}

static long devfs_call_hand_out(struct devfs_call *call, size_t size)
{
	int fd = get_unused_fd_flags(call->fd_flags & O_CLOEXEC);
	long err;

	if (fd < 0) {
		fput(call->given);
		return fd;
	}
	*call->fd = fd;
	err = devfs_call_answer(call, &call->arg, size);
	if (err) {
		put_unused_fd(fd);
		fput(call->given);
		return err;
	}
	fd_install(fd, call->given);
	return 0;
}

static const struct devfs_command *devfs_find_command(const struct devfs_command *commands,
						      size_t count, unsigned int nr)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (commands[i].nr == nr)
			return &commands[i];
	return NULL;
}

/**
 * devfs_command - carry out an ioctl
 * @dev: the device
 * @commands: those of the file's kind
 * @count: how many there are
 * @file: the node, buffer or region
 * @nr: which it is
 * @user: where its argument is
 *
 * With no lock held. A command that fails has no answer but what it gave itself.
 *
 * Return: 0 or an errno.
 */
long devfs_command(struct devfs_device *dev, const struct devfs_command *commands, size_t count,
		   struct file *file, unsigned int nr, unsigned long user)
{
	const struct devfs_command *command = devfs_find_command(commands, count, nr);
	struct devfs_call call;
	long err;

	if (!command)
		return -ENOTTY;
	memset(&call, 0, sizeof(call));
	call.file = file;
	call.user = (void __user *)user;
	if (_IOC_DIR(nr) & _IOC_WRITE && copy_from_user(&call.arg, call.user, _IOC_SIZE(nr)))
		return -EFAULT;
	err = devfs_may(dev, file, nr, &call.arg);
	if (err)
		return err;
	if (command->gated && !devfs_enter(dev))
		return -ENODEV;
	err = command->run(&call);
	if (command->gated)
		devfs_leave(dev);
	if (err)
		return err;
	if (call.given)
		return devfs_call_hand_out(&call, _IOC_SIZE(nr));
	if (_IOC_DIR(nr) & _IOC_READ && !call.answered)
		return devfs_call_answer(&call, &call.arg, _IOC_SIZE(nr));
	return 0;
}
