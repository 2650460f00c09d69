/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The little that the guest tests need: named tests, each in a process of its
 * own with a time limit, and the node of the host device.
 */
#ifndef LIBCHECK_H
#define LIBCHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "uapi/devfs_dma.h"

#define NODE "/dev/devfs/host"
#define PAGE 4096UL
#define MIB (1024UL * 1024)

/* A test: TEST(function, "what holds") { ... } */
#define TEST(id, title) \
	static void id(void); \
	__attribute__((constructor)) static void id##_add(void) { check_add(title, id); } \
	static void id(void)

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			check_fail(__LINE__, #condition, errno); \
	} while (0)

/* The call gives -1 and this errno. */
#define REFUSES(call, error) \
	do { \
		errno = 0; \
		if ((call) != -1 || errno != (error)) \
			check_fail(__LINE__, #call " is " #error, errno); \
	} while (0)

/* Whether a condition comes to hold, looked at over and over, in so many milliseconds. */
#define WITHIN(ms, condition) \
	({ \
		uint64_t until_ = check_now() + (ms) * 1000000ULL; \
		bool met_ = condition; \
		\
		while (!met_ && check_now() < until_) { \
			check_pause(); \
			met_ = condition; \
		} \
		met_; \
	})

/* Waits for a condition; a kernel with KASAN on an emulated processor is slow. */
#define EVENTUALLY(condition) CHECK(WITHIN(10000, condition))

/* A condition holds as long as it is looked at: what is not to come has no other witness. */
#define STAYS(ms, condition) CHECK(!WITHIN(ms, !(condition)))

void check_add(const char *title, void (*test)(void));
void check_fail(int line, const char *what, int error) __attribute__((noreturn));
void check_skip(const char *why) __attribute__((noreturn));

/* Nanoseconds of the monotonic clock; a little while, between two looks. */
uint64_t check_now(void);
void check_pause(void);

/* True once the process sleeps, as one does that waits. */
bool sleeps(pid_t pid);

/* A pointer that faults, which the compiler does not know. */
void *nowhere(void);

/* Open files of this process, to be compared. */
unsigned int descriptors(void);

/* The node, opened on first use. */
int node(void);

/* ALLOC arguments with what nearly every test wants; the lease is USE. */
struct devfs_dma_alloc request(const char *name, uint64_t size, uint32_t heap);

/* A buffer's descriptor, or the test fails. */
int buffer(const char *name, uint64_t size, uint32_t heap);

/* The heaps that every device has. */
#define FOR_EACH_HEAP(heap) \
	for (uint32_t heap = DEVFS_DMA_HEAP_SYSTEM; heap <= DEVFS_DMA_HEAP_COHERENT; heap++)

/* A dma-buf of a buffer, and a buffer of a dma-buf; or the test fails. */
int export_buffer(int fd, uint32_t flags);
int import_dmabuf(const char *name, int dmabuf);

/* Of the device whose node this is. */
struct devfs_dma_info device_info(int node);
struct devfs_dma_buf_info buffer_info(int fd);
void buffer_free(uint64_t id);
uint64_t bytes_used(void);

/* How often the kernel's log has a text. */
int log_count(const char *text);

/* A page that can only be read, with @size bytes of @data in it. */
void *read_only_page(const void *data, size_t size);

/* The size, or the largest that the heap promises where that is less. */
size_t fitting(size_t size, uint32_t heap);

/*
 * The device has copies of the memory (swiotlb=force): what the CPU stores in a mapping is lost
 * in a read unless it is synced, and bus addresses have offsets of their own.
 */
bool bounced(void);
/*
 * Memory that has no pages, and registers, are mapped by huge pages where address and memory
 * are aligned: from 6.12 on, for programs of 64 bits.
 */
bool maps_huge_frames(void);
/* Page faults of this process so far that found their page in memory. */
long minor_faults(void);
/* Binds a platform device to the driver, or takes it away from it. */
void set_bound(const char *device, bool bound);

/* True where a read of the byte is SIGBUS. */
bool is_zapped(volatile char *at);

/* Bytes that tell their place. */
void fill(void *memory, size_t size, unsigned int seed);
bool filled(const void *memory, size_t size, unsigned int seed);
bool zeroed(const void *memory, size_t size);

#endif
