// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - whether a caller may do what he asks for, and who is told why not.
 *
 * Of the table devfs_command() checks how the file is open. What takes a look at the
 * buffer, the region or the arguments is checked where these are known.
 */
#include <linux/build_bug.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>

#include "core/client.h"
#include "core/command.h"
#include "core/compat.h"
#include "core/device.h"
#include "core/rights.h"

struct devfs_right {
	enum devfs_rights_of of;
	unsigned int nr;
	u32 op;
	u32 takes;
};

#define RIGHT(whose, command, op, takes) \
	{ DEVFS_##whose, DEVFS_DMA_IOC_##command, DEVFS_DMA_SIGNAL_##op, takes },
static const struct devfs_right devfs_rights[] = { DEVFS_RIGHTS(RIGHT) };
#undef RIGHT

static const char * const devfs_refusals[] = {
	[DEVFS_REFUSED_OPEN]	= "opening a device that no IOMMU confines takes CAP_SYS_RAWIO",
	[DEVFS_REFUSED_WRITE]	= "a node that is open for reading changes nothing",
	[DEVFS_REFUSED_AS_ASKED] = "the descriptor is not open in the way that was asked for",
	[DEVFS_REFUSED_MODE]	= "the permission bits of the buffer or region are for others",
	[DEVFS_REFUSED_OWNER]	= "it is for the buffer's owner, or CAP_FOWNER",
	[DEVFS_REFUSED_ADDRESS]	= "addresses are for the node's owner, or CAP_SYS_RAWIO",
	[DEVFS_REFUSED_EXPORT]	= "a dma-buf that was exported for reading is not written",
};

/* The reason of a refusal, once a device: users can have as many as they like. */
void devfs_refused(struct devfs_device *dev, enum devfs_refusal why)
{
	BUILD_BUG_ON(ARRAY_SIZE(devfs_refusals) > BITS_PER_LONG);
	if (!test_and_set_bit(why, &dev->refused))
		dev_notice(dev->dev, "%s[%d] is refused: %s\n", current->comm,
			   task_pid_nr(current), devfs_refusals[why]);
}

static const struct devfs_right *devfs_right(unsigned int nr, u32 op)
{
	const struct devfs_right *right;

	for (right = devfs_rights; right < devfs_rights + ARRAY_SIZE(devfs_rights); right++)
		if (right->nr == nr && right->op == op)
			return right;
	return NULL;
}

/**
 * devfs_may - whether a file is open in the way that a command takes
 * @dev: whose log has the reason
 * @file: the node's, a buffer's or a region's, which has the command
 * @nr: the command
 * @arg: its argument
 *
 * Return: 0, or an errno.
 */
int devfs_may(struct devfs_device *dev, struct file *file, unsigned int nr,
	      const union devfs_argument *arg)
{
	bool has_op = nr == DEVFS_DMA_IOC_SIGNAL_CTL;
	const struct devfs_right *right = devfs_right(nr, has_op ? arg->signal.op : 0);

	/* What is no op is for the command to say. One that is not in the table is none. */
	if (!right)
		return has_op ? 0 : -ENOTTY;
	if ((!(right->takes & DEVFS_WRITE) || file->f_mode & FMODE_WRITE) &&
	    (!(right->takes & DEVFS_READ) || file->f_mode & FMODE_READ))
		return 0;
	if (right->takes & DEVFS_AS_ASKED) {
		devfs_refused(dev, DEVFS_REFUSED_AS_ASKED);
		return -EACCES;
	}
	/* As of read(2) and write(2). */
	if (right->of != DEVFS_NODE)
		return -EBADF;
	devfs_refused(dev, DEVFS_REFUSED_WRITE);
	return -EACCES;
}

/* What was exported for reading is written by nobody, whoever asks. */
int devfs_may_write_export(struct devfs_device *dev, struct file *file)
{
	if (file->f_mode & FMODE_WRITE)
		return 0;
	devfs_refused(dev, DEVFS_REFUSED_EXPORT);
	return -EACCES;
}

/* Whether @file is open in the way in which another is to be opened. */
int devfs_may_as_asked(struct devfs_device *dev, struct file *file, u32 fd_flags)
{
	static const fmode_t modes[O_ACCMODE + 1] = {
		[O_RDONLY]	= FMODE_READ,
		[O_WRONLY]	= FMODE_WRITE,
		[O_RDWR]	= FMODE_READ | FMODE_WRITE,
	};
	fmode_t mode = modes[fd_flags & O_ACCMODE];

	if ((file->f_mode & mode) == mode)
		return 0;
	devfs_refused(dev, DEVFS_REFUSED_AS_ASKED);
	return -EACCES;
}

/* As open(2) of the buffer's or region's file would be. */
int devfs_may_access(struct devfs_device *dev, struct inode *inode, u32 fd_flags)
{
	static const int masks[O_ACCMODE + 1] = {
		[O_RDONLY]	= MAY_READ,
		[O_WRONLY]	= MAY_WRITE,
		[O_RDWR]	= MAY_READ | MAY_WRITE,
	};
	int err = inode_permission(devfs_nop_idmap, inode, masks[fd_flags & O_ACCMODE]);

	if (err)
		devfs_refused(dev, DEVFS_REFUSED_MODE);
	return err;
}

/* The administrator gave the node to the caller: so are the device and its addresses. */
bool devfs_owns_node(struct devfs_client *client)
{
	return uid_eq(current_fsuid(), READ_ONCE(client->node->i_uid));
}

/*
 * Whether physical addresses, and bus addresses that no IOMMU makes, are for who
 * has this file of a buffer. It is marked where the node's owner opened it; whom
 * he hands the descriptor to gets the memory by it, and not the addresses.
 */
bool devfs_knows_addresses(struct file *buffer)
{
	if (buffer->private_data && uid_eq(current_fsuid(), buffer->f_cred->fsuid))
		return true;
	return capable(CAP_SYS_RAWIO);
}
