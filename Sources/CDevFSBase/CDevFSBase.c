// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "CDevFSBase.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* glibc has it from 2.32 on. */
const char *strerrorname_np(int error);

const char *devfs_errno_name(int error)
{
	return strerrorname_np(error);
}

void *devfs_map(int fd, off_t offset, size_t size, int writable)
{
	void *base = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, offset);

	return base == MAP_FAILED ? NULL : base;
}

int devfs_epoll(void)
{
	return epoll_create1(EPOLL_CLOEXEC);
}

int devfs_epoll_wish(int epoll, int fd, uint64_t number)
{
	struct epoll_event wish = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = number };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wish);
}

void devfs_epoll_forget(int epoll, int fd)
{
	(void)epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

int devfs_epoll_wait(int epoll, uint64_t *numbers, int room)
{
	struct epoll_event events[16];
	int count;

	do
		count = epoll_wait(epoll, events, room < 16 ? room : 16, -1);
	while (count < 0 && errno == EINTR);
	for (int i = 0; i < count; i++)
		numbers[i] = events[i].data.u64;
	return count;
}

/* What asks may never come back, not even killed: a request that the server has read is waited out. */
int devfs_answers(const char *path, int milliseconds)
{
	struct pollfd end = { .events = POLLIN };
	struct statx status;
	int ready;
	pid_t pid = fork();

	if (!pid) {
		/* Who reads our output waits for all that have it open. The call came with Linux 5.9. */
		if (syscall(SYS_close_range, 0, ~0U, 0))
			for (int fd = 0; fd < 1024; fd++)
				close(fd);
		/* The kernel may know the status; the server is asked in any case. */
		(void)!statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &status);
		_exit(0);
	}
	if (pid < 0)
		return -1;
	end.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (end.fd < 0) {
		kill(pid, SIGKILL);
		return -1;
	}
	do
		ready = poll(&end, 1, milliseconds);
	while (ready < 0 && errno == EINTR);
	close(end.fd);
	if (ready > 0)
		waitpid(pid, NULL, 0);
	else
		kill(pid, SIGKILL);
	return ready > 0;
}
