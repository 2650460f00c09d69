// SPDX-License-Identifier: Apache-2.0
/*
 * The few calls that Swift cannot say, for the server and for programs that use a mount: nothing here
 * needs libfuse.
 */
#ifndef CDEVFSBASE_H
#define CDEVFSBASE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* `ENOSPC` for 28; NULL where there is no such errno. */
const char *_Nullable devfs_errno_name(int error);

/*
 * Whether stat(2) of a path comes back in time, with whatever answer. A process of its own asks, and
 * is left to itself where it doesn't: 1, 0, or -1 where there can be none.
 */
int devfs_answers(const char *_Nonnull path, int milliseconds);

/* mmap(2), MAP_SHARED; NULL with errno where it fails. */
void *_Nullable devfs_map(int fd, off_t offset, size_t size, int writable);

/* epoll(7), close-on-exec, of one event for each wish: readable, or at its end. -1 with errno. */
int devfs_epoll(void);
int devfs_epoll_wish(int epoll, int fd, uint64_t number);
void devfs_epoll_forget(int epoll, int fd);
/* Waits without a limit; how many numbers there are, or -1. */
int devfs_epoll_wait(int epoll, uint64_t *_Nonnull numbers, int room);

#endif
