// SPDX-License-Identifier: GPL-2.0
/* Whose memory a buffer's is: that of the memory cgroup of who makes it, or has it made. */
#include "tests/libcheck.h"

#include <signal.h>
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

/* Makes the cgroup, with process @pid in it, 0 for this one. */
static void enter(const char *pid)
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
	CHECK(!mkdir(OWN, 0755) && tell(OWN "/cgroup.procs", pid));
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

	enter("0");
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

	enter("0");
	CHECK(tell(OWN "/memory.max", "8388608"));
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg), ENOMEM);
	CHECK(arg.why == DEVFS_DMA_WHY_MEMORY && bytes_used() == 0);
	arg.size = MIB;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
	close(arg.fd);
	leave();
}

/* A client, in the cgroup, of which this process is the server. */
static pid_t client(void)
{
	pid_t pid = fork();
	char text[16];

	CHECK(pid >= 0);
	if (!pid) {
		pause();
		_exit(0);
	}
	snprintf(text, sizeof(text), "%d", pid);
	enter(text);
	return pid;
}

static void dismiss(pid_t pid)
{
	int status;

	/* It was not killed before. */
	CHECK(!kill(pid, SIGTERM) && waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	leave();
}

TEST(client_charge, "what a server allocates for a client is charged to the client's cgroup")
{
	pid_t pid = client();

	for (uint32_t heap = DEVFS_DMA_HEAP_SYSTEM; heap <= DEVFS_DMA_HEAP_CONTIGUOUS; heap++) {
		size_t size = heap ? fitting(4 * MIB, heap) : 8 * MIB;
		struct devfs_dma_alloc arg = request("x", size, heap);
		uint64_t before = charged(), with;

		arg.charge = pid;
		CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
		with = charged();
		CHECK(with + SLACK >= before + size && with <= before + size + SLACK);
		if (!heap) {
			/* What it grows by is his, too. */
			CHECK(!ftruncate(arg.fd, 16 * MIB));
			CHECK(charged() + SLACK >= before + 16 * MIB);
		}
		close(arg.fd);
		EVENTUALLY(charged() <= before + SLACK);
	}
	dismiss(pid);
}

TEST(client_limit, "what is too large for a client's cgroup is ENOMEM, and kills nobody")
{
	pid_t pid = client();

	CHECK(tell(OWN "/memory.max", "8388608"));
	for (uint32_t heap = DEVFS_DMA_HEAP_SYSTEM; heap <= DEVFS_DMA_HEAP_CONTIGUOUS; heap++) {
		struct devfs_dma_alloc arg = request("x", 16 * MIB, heap);

		if (heap && fitting(16 * MIB, heap) < 16 * MIB)
			continue;
		arg.charge = pid;
		REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg), ENOMEM);
		CHECK(arg.why == DEVFS_DMA_WHY_MEMORY && bytes_used() == 0);
	}
	/* The last pages of it, one buffer after the other. */
	for (int i = 0; i < 3000; i++) {
		struct devfs_dma_alloc arg = request("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);

		arg.charge = pid;
		arg.lease = DEVFS_DMA_LEASE_PERSIST;
		snprintf(arg.name, sizeof(arg.name), "x%d", i);
		if (ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg)) {
			CHECK(errno == ENOMEM && arg.why == DEVFS_DMA_WHY_MEMORY && i > 1000);
			break;
		}
		close(arg.fd);
		CHECK(i < 2999);
	}
	CHECK(strstr(ask(OWN "/memory.events"), "oom_kill 0"));
	for (int i = 0; i < 3000; i++) {
		struct devfs_dma_open open_arg = { .fd_flags = O_RDWR };

		snprintf(open_arg.name, sizeof(open_arg.name), "x%d", i);
		if (ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg))
			break;
		buffer_free(open_arg.id);
		close(open_arg.fd);
	}
	dismiss(pid);
}

TEST(client_rights, "only who may exceed limits charges others")
{
	struct devfs_dma_alloc arg = request("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	int status;
	pid_t pid;

	arg.charge = getpid();
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
	close(arg.fd);
	pid = fork();
	if (!pid) {
		int own;

		CHECK(!setuid(1000));
		own = open(NODE, O_RDWR | O_CLOEXEC);
		CHECK(own >= 0);
		REFUSES(ioctl(own, DEVFS_DMA_IOC_ALLOC, &arg), EPERM);
		arg.charge = 0;
		CHECK(!ioctl(own, DEVFS_DMA_IOC_ALLOC, &arg));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	arg.charge = pid;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg), ESRCH);
	CHECK(arg.why == DEVFS_DMA_WHY_PROCESS);
}
