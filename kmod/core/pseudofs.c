// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the internal file system whose regular files are buffers and
 * regions.
 *
 * The file system type has no owner, or its own mount would keep the module
 * for ever. Each buffer keeps the module instead, until the RCU callback that
 * frees its inode; devfs_pseudofs_exit() waits for those callbacks.
 */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "core/compat.h"
#include "core/device.h"
#include "core/inode.h"
#include "core/rights.h"

#define DEVFS_MAGIC 0x44564d41

static struct vfsmount *devfs_mount;

/* Bytes of the largest kind: what an inode is becomes known only after it was allocated. */
static size_t devfs_inode_room;

static struct inode *devfs_alloc_inode(struct super_block *sb)
{
	struct devfs_inode *base = kzalloc(devfs_inode_room, GFP_KERNEL_ACCOUNT);

	if (!base)
		return NULL;
	inode_init_once(&base->inode);
	return &base->inode;
}

static struct devfs_inode *devfs_inode_of(struct inode *inode)
{
	return container_of(inode, struct devfs_inode, inode);
}

static void devfs_free_inode(struct inode *inode)
{
	struct devfs_inode *base = devfs_inode_of(inode);
	bool pins_module = base->pins_module;

	kfree(base);
	if (pins_module)
		module_put(THIS_MODULE);
}

static void devfs_evict_inode(struct inode *inode)
{
	struct devfs_inode *base = devfs_inode_of(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (!base->kind)
		return;
	if (base->kind->evict)
		base->kind->evict(base);
	devfs_device_put(base->dev);
}

static const struct super_operations devfs_sops = {
	.alloc_inode	= devfs_alloc_inode,
	.free_inode	= devfs_free_inode,
	.evict_inode	= devfs_evict_inode,
	.drop_inode	= devfs_drop_inode,
	.statfs		= simple_statfs,
};

static char *devfs_dname(struct dentry *dentry, char *buffer, int buflen)
{
	struct devfs_inode *base = devfs_inode_of(d_inode(dentry));
	char name[sizeof("/devfs_dma:") + DEVFS_DMA_NAME_SIZE] = "/devfs_dma";
	int len = strlen(name);

	if (base->kind)
		len = base->kind->describe(base, name, sizeof(name));
	len++;
	/* A d_dname() fills its buffer from the end. */
	if (len > buflen)
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(buffer + buflen - len, name, len);
}

static const struct dentry_operations devfs_dops = {
	.d_dname = devfs_dname,
};

static int devfs_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, DEVFS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &devfs_sops;
	ctx->dops = &devfs_dops;
	return 0;
}

static struct file_system_type devfs_fs_type = {
	.name			= "devfs_dma",
	.init_fs_context	= devfs_init_fs_context,
	.kill_sb		= kill_anon_super,
};

/* A new inode that is nothing more yet. iput() frees it. */
struct inode *devfs_inode_new(struct devfs_device *dev, const struct devfs_inode_kind *kind)
{
	struct inode *inode = alloc_anon_inode(devfs_mount->mnt_sb);
	struct devfs_inode *base;

	if (IS_ERR(inode))
		return inode;
	base = devfs_inode_of(inode);
	inode->i_mode = S_IFREG;
	inode->i_op = kind->iops;
	/* FUSE passthrough opens the path anew, by way of i_fop. */
	inode->i_fop = kind->fops;
	devfs_device_get(dev);
	base->dev = dev;
	base->kind = kind;
	return inode;
}

/* Opens an inode as open(2) would, short of the permission check. */
struct file *devfs_inode_open(struct inode *inode, unsigned int flags)
{
	struct path path = { .mnt = devfs_mount };
	struct file *file;

	ihold(inode);
	path.dentry = d_obtain_alias(inode);
	if (IS_ERR(path.dentry))
		return ERR_CAST(path.dentry);
	file = dentry_open(&path, (flags & O_ACCMODE) | O_LARGEFILE, current_cred());
	dput(path.dentry);
	return file;
}

/* What an export of @file may be asked for: by its flags, and by how the file is open. */
int devfs_export_check(struct devfs_device *dev, struct file *file, u32 fd_flags)
{
	if (fd_flags & ~(O_RDWR | O_CLOEXEC))
		return -EINVAL;
	return devfs_may_as_asked(dev, file, fd_flags);
}

/* @room: bytes of the largest kind of inode */
int devfs_pseudofs_init(size_t room)
{
	devfs_inode_room = room;
	devfs_mount = kern_mount(&devfs_fs_type);
	if (IS_ERR(devfs_mount))
		return PTR_ERR(devfs_mount);
	/* The end of the last one uses the type, which goes with the module: it is ours. */
	atomic_inc(&devfs_mount->mnt_sb->s_active);
	return 0;
}

void devfs_pseudofs_exit(void)
{
	struct super_block *sb = devfs_mount->mnt_sb;

	kern_unmount(devfs_mount);
	/* A last fput() may hold the mount a moment longer than its buffer. */
	while (atomic_read(&sb->s_active) > 1)
		usleep_range(1000, 2000);
	deactivate_super(sb);
	rcu_barrier();
}
