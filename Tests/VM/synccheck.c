// SPDX-License-Identifier: GPL-2.0
/* synccheck FILE: removes it, and syncs what is still open; 0 if that works. */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int failed;

static void check(const char *what, int result)
{
	if (!result)
		return;
	fprintf(stderr, "synccheck: %s of a removed buffer: %s\n", what, strerror(errno));
	failed = 1;
}

int main(int argc, char **argv)
{
	struct dma_buf_sync start = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct dma_buf_sync end = { DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW };
	int fd;

	if (argc != 2 || (fd = open(argv[1], O_RDWR)) < 0 || unlink(argv[1])) {
		perror("synccheck: open and unlink");
		return 2;
	}
	check("fsync", fsync(fd));
	check("fdatasync", fdatasync(fd));
	check("the start of an access", ioctl(fd, DMA_BUF_IOCTL_SYNC, &start));
	check("the end of an access", ioctl(fd, DMA_BUF_IOCTL_SYNC, &end));
	return failed;
}
