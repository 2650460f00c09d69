// SPDX-License-Identifier: GPL-2.0
/* The device goes while it is used: unbound from its driver, and bound again. */
#include "tests/removal.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>

static uint32_t make_source(uint32_t kind, const char *name, uint64_t period_ns)
{
	struct devfs_dma_signal arg = {
		.op = DEVFS_DMA_SIGNAL_CREATE, .kind = kind, .period_ns = period_ns,
		.flags = DEVFS_DMA_SIGNAL_ENABLED,
	};

	strncpy(arg.name, name, sizeof(arg.name) - 1);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &arg));
	return arg.source;
}

TEST(commands, "once the device is gone every command of an open node is ENODEV")
{
	static const unsigned long commands[] = {
		DEVFS_DMA_IOC_GET_INFO, DEVFS_DMA_IOC_GET_HEAP, DEVFS_DMA_IOC_ALLOC,
		DEVFS_DMA_IOC_OPEN, DEVFS_DMA_IOC_LIST, DEVFS_DMA_IOC_FREE, DEVFS_DMA_IOC_PIN,
		DEVFS_DMA_IOC_IMPORT, DEVFS_DMA_IOC_GET_REGION, DEVFS_DMA_IOC_SIGNAL_CTL,
		DEVFS_DMA_IOC_SIGNAL_NOTIFY, DEVFS_DMA_IOC_SET_EVENTFD,
		DEVFS_DMA_IOC_SIGNAL_SUBSCRIBE, DEVFS_DMA_IOC_SIGNAL_HISTORY,
	};
	struct pollfd p = { .fd = node(), .events = POLLIN };
	struct devfs_dma_event event;
	char zero[512] = "";

	unbind();
	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		REFUSES(ioctl(node(), commands[i], zero), ENODEV);
	REFUSES(read(node(), &event, sizeof(event)), ENODEV);
	CHECK(poll(&p, 1, 0) == 1 && p.revents == (POLLERR | POLLHUP));
	REFUSES(open(NODE, O_RDWR), ENOENT);
	bind_again();
	/* The device that is there now is another one. */
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_GET_INFO, zero), ENODEV);
	works();
}

TEST(buffers, "once the device is gone all that is asked of an open buffer is ENODEV")
{
	static const unsigned long commands[] = {
		DEVFS_DMA_IOC_BUF_INFO, DEVFS_DMA_IOC_BUF_SYNC, DEVFS_DMA_IOC_BUF_GET_SG,
		DEVFS_DMA_IOC_BUF_READ, DEVFS_DMA_IOC_BUF_WRITE, DEVFS_DMA_IOC_BUF_SET_NAME,
		DEVFS_DMA_IOC_BUF_SET_LEASE, DEVFS_DMA_IOC_BUF_EXPORT,
	};
	char path[40], zero[512] = "";

	FOR_EACH_HEAP(heap) {
		int fd;

		/* The node of the round before is that of a device that is gone. */
		if (heap)
			CHECK(dup2(open(NODE, O_RDWR | O_CLOEXEC), node()) == node());
		fd = buffer("x", 2 * PAGE, heap);
		unbind();
		for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
			REFUSES(ioctl(fd, commands[i], zero), ENODEV);
		REFUSES(pread(fd, zero, 1, 0), ENODEV);
		REFUSES(pwrite(fd, zero, 1, 0), ENODEV);
		REFUSES(pwrite(fd, zero, 1, 9 * PAGE), ENODEV);
		REFUSES((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), ENODEV);
		REFUSES(fsync(fd), ENODEV);
		REFUSES(ftruncate(fd, PAGE), ENODEV);
		REFUSES(fallocate(fd, 0, 0, 9 * PAGE), ENODEV);
		REFUSES(fchmod(fd, 0644), ENODEV);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		REFUSES(open(path, O_RDONLY), ENODEV);
		bind_again();
		REFUSES(pread(fd, zero, 1, 0), ENODEV);
		close(fd);
	}
	works();
}

/* A child whose copy of a mapping goes as well: it waits for @first, and looks at @then. */
static pid_t watch(volatile char *first, volatile char *then)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid)
		return pid;
	while (!is_zapped(first))
		check_pause();
	_exit(!is_zapped(then));
}

static void saw_its_end(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

TEST(huge, "mappings by huge pages of memory without pages are SIGBUS as well")
{
	int fd = buffer("h", 4 * MIB, DEVFS_DMA_HEAP_COHERENT);
	char *map = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t pid;

	CHECK(map != MAP_FAILED);
	fill(map, 2 * MIB, 1);
	pid = watch(map, map + 3 * MIB);
	unbind();
	for (size_t at = 0; at < 4 * MIB; at += 64 * PAGE)
		CHECK(is_zapped(map + at));
	saw_its_end(pid);
	munmap(map, 4 * MIB);
	close(fd);
	bind_again();
	works();
}

TEST(mapped, "once the device is gone its mappings are SIGBUS, touched before or not")
{
	FOR_EACH_HEAP(heap) {
		char *map, *own = NULL, *shared;
		int fd, dmabuf;
		size_t size;
		pid_t pid;

		if (heap)
			CHECK(dup2(open(NODE, O_RDWR | O_CLOEXEC), node()) == node());
		size = fitting(300 * PAGE, heap);
		fd = buffer("x", size, heap);
		dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC);
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
		CHECK(map != MAP_FAILED && shared != MAP_FAILED);
		if (heap != DEVFS_DMA_HEAP_COHERENT) {
			own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
			CHECK(own != MAP_FAILED);
			own[1] = 1;
		}
		fill(map, size / 2, heap);
		CHECK(!is_zapped(map + PAGE) && !is_zapped(shared));
		pid = watch(map, map + size - 5 * PAGE);
		unbind();
		for (size_t at = 0; at < size; at += PAGE)
			CHECK(is_zapped(map + at));
		CHECK(is_zapped(shared));
		CHECK(!own || is_zapped(own));
		saw_its_end(pid);
		munmap(map, size);
		munmap(shared, PAGE);
		if (own)
			munmap(own, PAGE);
		close(dmabuf);
		close(fd);
		bind_again();
	}
	works();
}

static pid_t waiter(void (*wait_for_end)(void))
{
	pid_t pid = fork();

	if (!pid) {
		wait_for_end();
		_exit(0);
	}
	EVENTUALLY(sleeps(pid));
	return pid;
}

static void wait_by_read(void)
{
	struct devfs_dma_event event;

	REFUSES(read(node(), &event, sizeof(event)), ENODEV);
}

static void wait_by_poll(void)
{
	struct pollfd p = { .fd = node(), .events = POLLIN };

	CHECK(poll(&p, 1, 30000) == 1 && p.revents == (POLLERR | POLLHUP));
}

static void wait_by_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	CHECK(!epoll_ctl(epoll, EPOLL_CTL_ADD, node(), &event));
	CHECK(epoll_wait(epoll, &event, 1, 30000) == 1);
	CHECK(event.events == (EPOLLERR | EPOLLHUP));
}

TEST(waiters, "who waits for events is woken with ENODEV")
{
	void (*ways[])(void) = { wait_by_read, wait_by_poll, wait_by_epoll,
				 wait_by_read };
	enum { WAYS = sizeof(ways) / sizeof(ways[0]) };
	int status;
	pid_t pids[WAYS];

	make_source(DEVFS_DMA_SIGNAL_SOFTWARE, "go", 0);
	for (int i = 0; i < WAYS; i++)
		pids[i] = waiter(ways[i]);
	unbind();
	for (int i = 0; i < WAYS; i++)
		CHECK(waitpid(pids[i], &status, 0) == pids[i] && !status);
	bind_again();
	works();
}

static volatile sig_atomic_t hang_ups, notes;

static void on_io(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	hang_ups += info->si_code == POLL_HUP;
}

static void on_note(int signal)
{
	(void)signal;
	notes++;
}

TEST(listeners, "F_SETSIG is told of the end; eventfds and notified processes get no more")
{
	struct sigaction io = { .sa_sigaction = on_io, .sa_flags = SA_SIGINFO };
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct devfs_dma_eventfd eventfd_arg = { .fd = event };
	struct devfs_dma_notify notify = { .pid = getpid(), .signo = SIGUSR1 };
	uint64_t count;
	sig_atomic_t before;

	/* Queued, as SIGIO is not: the end would be lost behind an event that is pending. */
	sigaction(SIGRTMIN, &io, NULL);
	signal(SIGUSR1, on_note);
	eventfd_arg.source = make_source(DEVFS_DMA_SIGNAL_TIMER, "tick", 1000000);
	notify.source = eventfd_arg.source;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &eventfd_arg));
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &notify));
	EVENTUALLY(notes > 5);
	CHECK(read(event, &count, sizeof(count)) == sizeof(count));
	CHECK(!fcntl(node(), F_SETOWN, getpid()) && !fcntl(node(), F_SETSIG, SIGRTMIN));
	CHECK(!fcntl(node(), F_SETFL, O_RDWR | O_ASYNC));
	unbind();
	EVENTUALLY(hang_ups == 1);
	(void)read(event, &count, sizeof(count));
	before = notes;
	/* A timer that ran on would be heard in 50 of its periods. */
	CHECK(poll(&(struct pollfd){ .fd = event, .events = POLLIN }, 1, 50) == 0);
	CHECK(notes == before);
	bind_again();
	works();
}

TEST(spliced, "pages that a pipe has from a mapping outlive the device and the buffer")
{
	int fd = buffer("x", 8 * PAGE, DEVFS_DMA_HEAP_SYSTEM), pipes[2];
	struct iovec iov = { .iov_len = 8 * PAGE };
	static char data[8 * PAGE];

	CHECK(!pipe2(pipes, O_CLOEXEC));
	iov.iov_base = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill(iov.iov_base, 8 * PAGE, 3);
	CHECK(!msync(iov.iov_base, 8 * PAGE, MS_SYNC));
	CHECK(vmsplice(pipes[1], &iov, 1, 0) == 8 * (ssize_t)PAGE);
	unbind();
	CHECK(is_zapped(iov.iov_base));
	munmap(iov.iov_base, 8 * PAGE);
	close(fd);
	CHECK(read(pipes[0], data, sizeof(data)) == sizeof(data) && filled(data, sizeof(data), 3));
	bind_again();
	works();
}

static atomic_bool stop;

static size_t direct_size;

static void *write_directly(void *map)
{
	int fd = open("/tmp/direct", O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);

	/* tmpfs takes O_DIRECT since 6.6. */
	if (fd < 0)
		fd = open("/tmp/direct", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	while (pwrite(fd, map, direct_size, 0) > 0 && pread(fd, map, direct_size, 0) > 0)
		;
	CHECK(errno == EFAULT);
	close(fd);
	unlink("/tmp/direct");
	return NULL;
}

TEST(direct, "file I/O from a mapping that is under way ends with EFAULT")
{
	FOR_EACH_HEAP(heap) {
		pthread_t thread;
		char *map;
		int fd;

		if (heap)
			CHECK(dup2(open(NODE, O_RDWR | O_CLOEXEC), node()) == node());
		direct_size = fitting(MIB, heap);
		fd = buffer("x", direct_size, heap);
		map = mmap(NULL, direct_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(map != MAP_FAILED);
		CHECK(!pthread_create(&thread, NULL, write_directly, map));
		EVENTUALLY(!access("/tmp/direct", F_OK));
		unbind();
		CHECK(!pthread_join(thread, NULL));
		munmap(map, direct_size);
		close(fd);
		bind_again();
	}
	works();
}

TEST(leases, "names and leases end with the device, and so do buffers nobody uses")
{
	struct devfs_dma_alloc arg = request("kept", MIB, DEVFS_DMA_HEAP_SYSTEM);
	int fds[2], ready[2];
	struct devfs_dma_list list = {};
	pid_t pid;
	char c;

	CHECK(!pipe(fds) && !pipe(ready));
	/* What tests before this one left goes after a while. */
	EVENTUALLY(module_users() == 0);
	arg.lease = DEVFS_DMA_LEASE_PERSIST;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
	close(arg.fd);
	pid = fork();
	if (!pid) {
		close(fds[1]);
		arg = request("leased", 64 * PAGE, DEVFS_DMA_HEAP_CONTIGUOUS);
		arg.lease = DEVFS_DMA_LEASE_PROCESS;
		CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
		close(arg.fd);
		CHECK(write(ready[1], "", 1) == 1);
		_exit(read(fds[0], &c, 1) != 0);
	}
	close(fds[0]);
	close(ready[1]);
	CHECK(read(ready[0], &c, 1) == 1);
	EVENTUALLY(module_users() == 3);
	unbind();
	/* What is left is the node that this process has open. */
	EVENTUALLY(module_users() == 1);
	bind_again();
	CHECK(dup2(open(NODE, O_RDWR | O_CLOEXEC), node()) == node());
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_LIST, &list) && list.total == 0);
	/* The same name is free, and the death of the owner is not its end. */
	close(buffer("leased", PAGE, DEVFS_DMA_HEAP_SYSTEM));
	close(fds[1]);
	CHECK(waitpid(pid, &(int){ 0 }, 0) == pid);
	works();
}

static uint64_t state_count(uint32_t source)
{
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_GET, .source = source };

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &arg));
	return arg.count;
}

TEST(running, "timers at full rate stop with the device, ten times over")
{
	uint32_t last = 0;

	for (int round = 0; round < 10; round++) {
		if (round)
			CHECK(dup2(open(NODE, O_RDWR | O_CLOEXEC), node()) == node());
		for (int i = 0; i < 4; i++) {
			char name[8];

			snprintf(name, sizeof(name), "t%d", i);
			last = make_source(DEVFS_DMA_SIGNAL_TIMER, name, DEVFS_DMA_PERIOD_MIN);
		}
		EVENTUALLY(state_count(last) > 20);
		unbind();
		bind_again();
	}
	works();
}

/* What the racers do of the device that happens to be there. Any errno may come of it. */
static void race_once(int fd, unsigned int turn, char *name)
{
	static const uint32_t heaps[] = {
		DEVFS_DMA_HEAP_SYSTEM, DEVFS_DMA_HEAP_CONTIGUOUS, DEVFS_DMA_HEAP_COHERENT,
	};
	struct devfs_dma_alloc arg = request(name, 16 * PAGE, heaps[turn % 3]);
	struct devfs_dma_buf_export export_arg = { .fd_flags = O_RDWR | O_CLOEXEC };
	char data[PAGE] = "", *map;

	arg.lease = turn % 2 ? DEVFS_DMA_LEASE_PERSIST : DEVFS_DMA_LEASE_PROCESS;
	if (ioctl(fd, DEVFS_DMA_IOC_ALLOC, &arg))
		return;
	map = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, arg.fd, 0);
	(void)pwrite(arg.fd, data, sizeof(data), turn % 20 * PAGE);
	if (!ioctl(arg.fd, DEVFS_DMA_IOC_BUF_EXPORT, &export_arg)) {
		struct devfs_dma_import import = {
			.alloc = request("race-import", 0, DEVFS_DMA_HEAP_IMPORTED),
			.dmabuf_fd = export_arg.fd,
		};

		if (!ioctl(fd, DEVFS_DMA_IOC_IMPORT, &import)) {
			(void)pread(import.alloc.fd, data, sizeof(data), PAGE);
			close(import.alloc.fd);
		}
		close(export_arg.fd);
	}
	if (map != MAP_FAILED) {
		/* The kernel's own touch is EFAULT where the program's would be SIGBUS. */
		int null = open("/dev/zero", O_RDONLY | O_CLOEXEC);

		(void)read(null, map, 16 * PAGE);
		close(null);
		munmap(map, 16 * PAGE);
	}
	(void)pread(arg.fd, data, sizeof(data), 0);
	close(arg.fd);
	if (turn % 3)
		ioctl(fd, DEVFS_DMA_IOC_FREE, &(struct devfs_dma_free){ .id = arg.id });
}

static atomic_uint turns;

static void *race(void *number)
{
	char name[16], memory[3 * PAGE];

	snprintf(name, sizeof(name), "race%d", (int)(intptr_t)number);
	for (unsigned int turn = 0; !stop; turn++, turns++) {
		struct devfs_dma_pin pin = {
			.alloc = request("race-pin", sizeof(memory), DEVFS_DMA_HEAP_USER),
			.address = (uintptr_t)memory,
		};
		int fd = open(NODE, O_RDWR | O_CLOEXEC);

		if (fd < 0)
			continue;
		for (int i = 0; i < 5; i++)
			race_once(fd, turn + i, name);
		if (!ioctl(fd, DEVFS_DMA_IOC_PIN, &pin))
			close(pin.alloc.fd);
		close(fd);
	}
	return NULL;
}

TEST(races, "allocating, mapping, reading race with removal, and nothing is left")
{
	enum { RACERS = 4 };
	pthread_t racers[RACERS];
	unsigned int before;

	for (intptr_t i = 0; i < RACERS; i++)
		CHECK(!pthread_create(&racers[i], NULL, race, (void *)i));
	for (int round = 0; round < 100; round++) {
		before = turns;
		/* At once, and after some of what they do. */
		EVENTUALLY(turns >= before + round % 10);
		unbind();
		bind_again();
	}
	stop = true;
	for (int i = 0; i < RACERS; i++)
		CHECK(!pthread_join(racers[i], NULL));
	unbind();
	EVENTUALLY(module_users() == 0);
	bind_again();
	works();
}
