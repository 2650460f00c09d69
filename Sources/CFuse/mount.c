// SPDX-License-Identifier: Apache-2.0
/* Mounts by descriptor, and what tells them apart without asking their file systems. */
#define _GNU_SOURCE 1
#include "CFuse.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* <linux/mount.h>, which cannot be included together with <sys/mount.h>. */
#define OPEN_CLOEXEC 1
#define CONFIG_SET_FLAG 0
#define CONFIG_SET_STRING 1
#define CONFIG_CREATE 6
#define FROM_EMPTY_PATH 0x04
#define TO_EMPTY_PATH 0x40
/* STATX_ATTR_MOUNT_ROOT of <linux/stat.h>, kernel 5.8. */
#define ATTRIBUTE_MOUNT_ROOT 0x2000

int cfuse_fsopen(const char *type)
{
	return syscall(SYS_fsopen, type, OPEN_CLOEXEC);
}

int cfuse_fsconfig(int context, const char *key, const char *value)
{
	int command = value ? CONFIG_SET_STRING : CONFIG_SET_FLAG;

	return syscall(SYS_fsconfig, context, command, key, value, 0);
}

int cfuse_fsmount(int context, unsigned int attributes)
{
	if (syscall(SYS_fsconfig, context, CONFIG_CREATE, NULL, NULL, 0))
		return -1;
	return syscall(SYS_fsmount, context, OPEN_CLOEXEC, attributes);
}

int cfuse_move_mount(int mount, int directory)
{
	return syscall(SYS_move_mount, mount, "", directory, "", FROM_EMPTY_PATH | TO_EMPTY_PATH);
}

int cfuse_is_mount_root(int fd)
{
	struct statx status;

	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &status))
		return -1;
	return !!(status.stx_attributes & ATTRIBUTE_MOUNT_ROOT);
}

int cfuse_is_on_tmpfs(int fd)
{
	struct statfs status;

	if (fstatfs(fd, &status))
		return -1;
	return status.f_type == 0x01021994;
}

int cfuse_lock_byte(int fd, off_t offset)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = offset, .l_len = 1,
	};

	return fcntl(fd, F_OFD_SETLK, &lock);
}
