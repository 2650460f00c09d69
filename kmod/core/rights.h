/* SPDX-License-Identifier: GPL-2.0 */
/*
 * devfs_dma - what each command takes: the one table. The module goes by it, the
 * guest's tests walk it, and docs/reference/rights.md has it in the same order, which
 * Tests/lint-rights compares. A command that is not here is ENOTTY.
 */
#ifndef DEVFS_DMA_CORE_RIGHTS_H
#define DEVFS_DMA_CORE_RIGHTS_H

#ifdef __KERNEL__
#include <linux/fs.h>
#include <uapi/linux/dma-buf.h>
#else
#include <linux/dma-buf.h>
#endif

/* Of which file a command is. */
enum devfs_rights_of { DEVFS_NODE, DEVFS_BUFFER, DEVFS_REGION };

/* The file is open for reading, for writing: EACCES of a node, EBADF of a buffer. */
#define DEVFS_READ	0x01
#define DEVFS_WRITE	0x02
/* It is open in the way that the command asks for: EACCES. */
#define DEVFS_AS_ASKED	0x04
/* The permission bits of the buffer or region let the caller: EACCES. */
#define DEVFS_MODE	0x08
/* The caller is the buffer's owner, or has CAP_FOWNER: EPERM. */
#define DEVFS_OWNER	0x10
/* Bus and physical addresses are for those below: EPERM, or zeros among the answer. */
#define DEVFS_ADDRESS	0x20
#define DEVFS_SHOWS	0x40

/* RIGHT(whose, command, op, what it takes) */
#define DEVFS_RIGHTS(RIGHT) \
	RIGHT(NODE, GET_INFO, NONE, 0) \
	RIGHT(NODE, GET_HEAP, NONE, 0) \
	RIGHT(NODE, ALLOC, NONE, DEVFS_WRITE) \
	RIGHT(NODE, OPEN, NONE, DEVFS_AS_ASKED | DEVFS_MODE) \
	RIGHT(NODE, LIST, NONE, DEVFS_SHOWS) \
	RIGHT(NODE, FREE, NONE, DEVFS_WRITE | DEVFS_OWNER) \
	RIGHT(NODE, PIN, NONE, DEVFS_WRITE) \
	RIGHT(NODE, IMPORT, NONE, DEVFS_WRITE) \
	RIGHT(NODE, GET_REGION, NONE, DEVFS_SHOWS) \
	RIGHT(NODE, RENAME, NONE, DEVFS_WRITE | DEVFS_OWNER) \
	RIGHT(NODE, OPEN_REGION, NONE, DEVFS_AS_ASKED | DEVFS_MODE) \
	RIGHT(NODE, RESET, NONE, DEVFS_WRITE) \
	RIGHT(NODE, SIGNAL_CTL, CREATE, DEVFS_WRITE) \
	RIGHT(NODE, SIGNAL_CTL, REMOVE, DEVFS_WRITE) \
	RIGHT(NODE, SIGNAL_CTL, SET, DEVFS_WRITE) \
	RIGHT(NODE, SIGNAL_CTL, TRIGGER, DEVFS_WRITE) \
	RIGHT(NODE, SIGNAL_CTL, GET, 0) \
	RIGHT(NODE, SIGNAL_CTL, NEXT, 0) \
	RIGHT(NODE, SIGNAL_NOTIFY, NONE, DEVFS_WRITE) \
	RIGHT(NODE, SET_EVENTFD, NONE, DEVFS_WRITE) \
	RIGHT(NODE, SIGNAL_SUBSCRIBE, NONE, 0) \
	RIGHT(NODE, SIGNAL_HISTORY, NONE, 0) \
	RIGHT(BUFFER, BUF_INFO, NONE, DEVFS_SHOWS) \
	RIGHT(BUFFER, BUF_SYNC, NONE, 0) \
	RIGHT(BUFFER, DMA_BUF_SYNC, NONE, 0) \
	RIGHT(BUFFER, BUF_GET_SG, NONE, DEVFS_ADDRESS) \
	RIGHT(BUFFER, BUF_READ, NONE, DEVFS_READ) \
	RIGHT(BUFFER, BUF_WRITE, NONE, DEVFS_WRITE) \
	RIGHT(BUFFER, BUF_SET_NAME, NONE, DEVFS_OWNER) \
	RIGHT(BUFFER, BUF_SET_LEASE, NONE, DEVFS_OWNER) \
	RIGHT(BUFFER, BUF_EXPORT, NONE, DEVFS_READ | DEVFS_AS_ASKED) \
	RIGHT(REGION, REGION_EXPORT, NONE, DEVFS_READ | DEVFS_AS_ASKED)

/* The one that is not the module's own. */
#define DEVFS_DMA_IOC_DMA_BUF_SYNC	DMA_BUF_IOCTL_SYNC

/* Commands without one have this for their op. */
#define DEVFS_DMA_SIGNAL_NONE	0

#ifdef __KERNEL__
struct devfs_client;
struct devfs_device;
union devfs_argument;

/* Reasons that the kernel's log has. */
enum devfs_refusal {
	DEVFS_REFUSED_OPEN,
	DEVFS_REFUSED_WRITE,
	DEVFS_REFUSED_AS_ASKED,
	DEVFS_REFUSED_MODE,
	DEVFS_REFUSED_OWNER,
	DEVFS_REFUSED_ADDRESS,
	DEVFS_REFUSED_EXPORT,
};

void devfs_refused(struct devfs_device *dev, enum devfs_refusal why);
int devfs_may(struct devfs_device *dev, struct file *file, unsigned int nr,
	      const union devfs_argument *arg);
int devfs_may_as_asked(struct devfs_device *dev, struct file *file, u32 fd_flags);
int devfs_may_access(struct devfs_device *dev, struct inode *inode, u32 fd_flags);
int devfs_may_write_export(struct devfs_device *dev, struct file *file);
bool devfs_owns_node(struct devfs_client *client);
bool devfs_knows_addresses(struct file *buffer);
#endif

#endif /* DEVFS_DMA_CORE_RIGHTS_H */
