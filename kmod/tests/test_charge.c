// SPDX-License-Identifier: GPL-2.0
/* Whose memory a buffer's is: that of the memory cgroup of who makes it. */
#include "tests/libcheck.h"

#include <sys/mount.h>

#define CGROUPS "/tmp/cgroups"
#define OWN CGROUPS "/devfs"

/* The kernel charges in advance, some pages a processor. */
#define SLACK MIB

static bool tell(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static const char *ask(const char *file)
{
	static char text[256];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	CHECK(got >= 0);
	text[got] = 0;
	close(fd);
	return text;
}

static uint64_t charged(void)
{
	return strtoull(ask(OWN "/memory.current"), NULL, 10);
}

static void enter(void)
{
	mkdir(CGROUPS, 0755);
	if (mount("none", CGROUPS, "cgroup2", 0, NULL))
		check_skip("the kernel has no cgroups of version 2");
	if (!strstr(ask(CGROUPS "/cgroup.controllers"), "memory")) {
		umount(CGROUPS);
		check_skip("the kernel has no memory controller");
	}
	node();
	CHECK(tell(CGROUPS "/cgroup.subtree_control", "+memory"));
	CHECK(!mkdir(OWN, 0755) && tell(OWN "/cgroup.procs", "0"));
}

static void leave(void)
{
	CHECK(tell(CGROUPS "/cgroup.procs", "0"));
	CHECK(!rmdir(OWN) && !umount(CGROUPS));
}

TEST(charge, "system memory is charged to the cgroup of who makes the buffer, until it is gone")
{
	uint64_t before, with;
	int fd;

	enter();
	before = charged();
	fd = buffer("x", 8 * MIB, DEVFS_DMA_HEAP_SYSTEM);
	with = charged();
	CHECK(with + SLACK >= before + 8 * MIB && with <= before + 8 * MIB + SLACK);
	CHECK(!ftruncate(fd, 16 * MIB));
	CHECK(charged() + SLACK >= before + 16 * MIB);
	close(fd);
	EVENTUALLY(charged() <= before + SLACK);
	leave();
}

TEST(past_limit, "a buffer that is too large for the cgroup is ENOMEM, and kills nobody")
{
	struct devfs_dma_alloc arg = request("x", 16 * MIB, DEVFS_DMA_HEAP_SYSTEM);

	enter();
	CHECK(tell(OWN "/memory.max", "8388608"));
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg), ENOMEM);
	CHECK(arg.why == DEVFS_DMA_WHY_MEMORY && bytes_used() == 0);
	arg.size = MIB;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
	close(arg.fd);
	leave();
}
