/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - the internal file system, of whose files buffers and regions are two kinds. */
#ifndef DEVFS_DMA_CORE_INODE_H
#define DEVFS_DMA_CORE_INODE_H

#include <linux/fs.h>
#include <linux/mm.h>

#include "core/compat.h"

struct devfs_device;
struct devfs_inode;

/* What a kind of file is. */
struct devfs_inode_kind {
	const struct inode_operations *iops;
	const struct file_operations *fops;
	/* At its end, or NULL. */
	void (*evict)(struct devfs_inode *base);
	/* What /proc/PID/fd and /proc/PID/maps show. */
	int (*describe)(struct devfs_inode *base, char *text, size_t size);
};

/* What every inode of the file system begins with. */
struct devfs_inode {
	struct inode inode;
	const struct devfs_inode_kind *kind;
	bool pins_module;
	struct devfs_device *dev;
};

/* For those who may read alone: false where the mapping is to be written at once. */
static inline bool devfs_map_read_only(struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_WRITE)
		return false;
	vm_flags_clear(vma, VM_MAYWRITE);
	return true;
}

int devfs_pseudofs_init(size_t room);
void devfs_pseudofs_exit(void);
struct inode *devfs_inode_new(struct devfs_device *dev, const struct devfs_inode_kind *kind);
struct file *devfs_inode_open(struct inode *inode, unsigned int flags);
int devfs_export_check(struct devfs_device *dev, struct file *file, u32 fd_flags);

#endif /* DEVFS_DMA_CORE_INODE_H */
