// SPDX-License-Identifier: Apache-2.0
/* The kernel's mount interface (5.12), younger than some C libraries. */
#define _GNU_SOURCE
#include "CFuse.h"

#include <errno.h>
#include <sys/syscall.h>

/* One number on all architectures. */
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY 1
#endif

int cfuse_clone_read_only(int directory)
{
	/* struct mount_attr */
	const struct {
		uint64_t set, clear, propagation, userns;
	} attributes = { .set = MOUNT_ATTR_RDONLY };
	int fd = (int)syscall(SYS_open_tree, directory, "",
			      OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH);

	if (fd < 0)
		return -1;
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes))) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}
