// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: other NODE alloc NAME BYTES
 *        other NODE rename NAME NEW
 *        other NODE exchange NAME OTHER
 *        other NODE free NAME
 *        other NODE hold NAME BYTES     has it until its standard input ends
 *
 * A program that knows nothing of the mount and works on the module's device itself.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../kmod/uapi/devfs_dma.h"

static int node;

static void put(char *field, const char *name)
{
	snprintf(field, DEVFS_DMA_NAME_SIZE, "%s", name);
}

static int make(const char *name, const char *size, __u32 lease)
{
	struct devfs_dma_alloc arg = {
		.size = strtoull(size, NULL, 0), .lease = lease, .mode = 0644,
		.uid = DEVFS_DMA_NO_ID, .gid = DEVFS_DMA_NO_ID, .fd_flags = O_RDWR,
	};

	put(arg.name, name);
	if (ioctl(node, DEVFS_DMA_IOC_ALLOC, &arg))
		err(1, "%s", name);
	if (pwrite(arg.fd, name, strlen(name), 0) != (ssize_t)strlen(name))
		err(1, "%s", name);
	return arg.fd;
}

static __u64 find(const char *name)
{
	struct devfs_dma_open arg = { .fd_flags = O_RDWR };

	put(arg.name, name);
	if (ioctl(node, DEVFS_DMA_IOC_OPEN, &arg))
		err(1, "%s", name);
	close(arg.fd);
	return arg.id;
}

static void rename_to(const char *name, const char *new, __u32 flags)
{
	struct devfs_dma_rename arg = { .id = find(name), .flags = flags };

	put(arg.name, new);
	if (ioctl(node, DEVFS_DMA_IOC_RENAME, &arg))
		err(1, "%s", new);
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[2] : "";

	node = argc > 3 ? open(argv[1], O_RDWR) : -1;
	if (node < 0)
		err(2, "%s", argc > 1 ? argv[1] : "usage");
	if (argc == 5 && !strcmp(what, "alloc")) {
		make(argv[3], argv[4], DEVFS_DMA_LEASE_PERSIST);
	} else if (argc == 5 && !strcmp(what, "hold")) {
		make(argv[3], argv[4], DEVFS_DMA_LEASE_USE);
		puts("held");
		fflush(stdout);
		while (getchar() != EOF)
			;
	} else if (argc == 5 && !strcmp(what, "rename")) {
		rename_to(argv[3], argv[4], 0);
	} else if (argc == 5 && !strcmp(what, "exchange")) {
		rename_to(argv[3], argv[4], DEVFS_DMA_RENAME_EXCHANGE);
	} else if (argc == 4 && !strcmp(what, "free")) {
		struct devfs_dma_free arg = { .id = find(argv[3]) };

		if (ioctl(node, DEVFS_DMA_IOC_FREE, &arg))
			err(1, "%s", argv[3]);
	} else {
		errx(2, "no such command");
	}
	return 0;
}
