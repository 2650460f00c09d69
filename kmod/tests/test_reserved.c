// SPDX-License-Identifier: GPL-2.0
/* The reserved heap: the guest boots with 16 MiB that its kernel does not use. */
#include "tests/libcheck.h"

#include <sys/uio.h>

#define SIZE (16 * MIB)
#define RESERVED DEVFS_DMA_HEAP_RESERVED

/* The address in the module's parameter, SIZE@ADDRESS. */
static uint64_t range_start(void)
{
	FILE *file = fopen("/sys/module/devfs_dma/parameters/reserved", "re");
	unsigned long long start;

	CHECK(file && fscanf(file, "16M@%lli", &start) == 1);
	fclose(file);
	return start;
}

static struct devfs_dma_heap heap_info(void)
{
	struct devfs_dma_heap arg = { .heap = RESERVED };

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_GET_HEAP, &arg));
	return arg;
}

TEST(info, "the heap is as large as its range, and knows what it can still give")
{
	struct devfs_dma_info info;
	struct devfs_dma_heap heap;
	uint64_t used = bytes_used();
	int a, b, c;

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_GET_INFO, &info) && info.heaps & 1 << RESERVED);
	heap = heap_info();
	CHECK(!strcmp(heap.name, "reserved") && heap.size == SIZE && heap.used == 0);
	CHECK(heap.max == SIZE && heap.buffers == 0);
	a = buffer("a", 4 * MIB, RESERVED);
	b = buffer("b", 2 * MIB + 1, RESERVED);
	c = buffer("c", 5 * MIB, RESERVED);
	heap = heap_info();
	CHECK(heap.used == 11 * MIB + PAGE && heap.max == 5 * MIB - PAGE && heap.buffers == 3);
	/* The longest hole is now in the middle or at the end. */
	close(b);
	EVENTUALLY(heap_info().used == 9 * MIB);
	CHECK(heap_info().max == 5 * MIB - PAGE);
	close(a);
	EVENTUALLY(heap_info().max == 6 * MIB + PAGE);
	/* It has its own limit, not the one of the other heaps. */
	CHECK(bytes_used() == used);
	close(c);
	EVENTUALLY(heap_info().max == SIZE && heap_info().buffers == 0);
}

TEST(memory, "a buffer is one range of the memory set aside, and zero even if it was used before")
{
	for (int round = 0; round < 2; round++) {
		int fd = buffer("x", SIZE, RESERVED);
		struct devfs_dma_buf_info info = buffer_info(fd);
		char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		static char data[MIB], back[MIB];
		struct devfs_dma_sg sg;
		struct devfs_dma_buf_get_sg get = { .entries = (uintptr_t)&sg, .count = 1 };

		CHECK(info.flags & DEVFS_DMA_BUF_PHYS_ADDR && info.phys_addr == range_start());
		CHECK(info.flags & DEVFS_DMA_BUF_DMA_ADDR && info.nents == 1);
		CHECK(info.flags & DEVFS_DMA_BUF_COHERENT && info.flags & DEVFS_DMA_BUF_FIXED);
		CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, &get));
		CHECK(get.total == 1 && sg.dma_addr == info.dma_addr && sg.length == SIZE);
		CHECK(map != MAP_FAILED && zeroed(map, SIZE));
		for (size_t at = 0; at < SIZE; at += MIB) {
			fill(data, MIB, at >> 20);
			CHECK(pwrite(fd, data, MIB, at) == (ssize_t)MIB);
			CHECK(filled(map + at, MIB, at >> 20));
			fill(map + at, MIB, (at >> 20) + 1);
			CHECK(pread(fd, back, MIB, at) == (ssize_t)MIB);
			CHECK(filled(back, MIB, (at >> 20) + 1));
		}
		CHECK(!fsync(fd) && !msync(map, SIZE, MS_SYNC));
		munmap(map, SIZE);
		close(fd);
		EVENTUALLY(heap_info().used == 0);
	}
}

TEST(refused, "what the heap cannot do is refused: too much, nothing, growing, sharing, pinning")
{
	struct devfs_dma_alloc arg = request("x", SIZE + 1, RESERVED);
	struct devfs_dma_buf_export export = { .fd_flags = O_RDWR };
	struct iovec iov = { .iov_len = PAGE };
	int fd, pipes[2];

	REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg), ENOMEM);
	CHECK(arg.why == DEVFS_DMA_WHY_MEMORY);
	arg = request("x", 0, RESERVED);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg), EINVAL);
	arg = request("x", UINT64_MAX, RESERVED);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg), EINVAL);
	/* Whose pages are no 32-bit number, or one that looks small as such. */
	for (unsigned int bits = 33; bits < 63; bits++) {
		for (uint64_t more = 0; more <= PAGE; more += PAGE) {
			arg = request("x", (1ULL << bits) + more, RESERVED);
			CHECK(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg) == -1);
			CHECK(errno == ENOMEM || errno == ENOSPC || errno == EINVAL);
		}
	}

	fd = buffer("x", PAGE, RESERVED);
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_EXPORT, &export), EOPNOTSUPP);
	REFUSES(ftruncate(fd, 2 * PAGE), ENOSPC);
	REFUSES(pwrite(fd, "x", 1, PAGE), ENOSPC);
	iov.iov_base = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(iov.iov_base != MAP_FAILED && !pipe(pipes));
	REFUSES(vmsplice(pipes[1], &iov, 1, 0), EFAULT);
	REFUSES((intptr_t)mmap(NULL, PAGE, PROT_WRITE, MAP_PRIVATE, fd, 0), EINVAL);
	REFUSES((intptr_t)mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	CHECK(heap_info().used == PAGE);
}

TEST(removal, "when the device goes its range is free for the next, whoever has files open")
{
	int fd = buffer("x", SIZE, RESERVED);
	char c, *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED);
	map[0] = 1;
	map[SIZE - 1] = 2;
	set_bound("devfs_dma_host", false);
	CHECK(is_zapped(map) && is_zapped(map + SIZE - 1));
	REFUSES(pread(fd, &c, 1, 0), ENODEV);
	set_bound("devfs_dma_host", true);
	CHECK(dup2(open(NODE, O_RDWR | O_CLOEXEC), node()) == node());
	CHECK(heap_info().max == SIZE && heap_info().used == 0);
	close(buffer("y", SIZE, RESERVED));
}

TEST(absent, "without a range there is no reserved heap")
{
	struct devfs_dma_alloc arg = request("x", PAGE, RESERVED);
	struct devfs_dma_heap heap = { .heap = RESERVED };

	if (device_info(node()).heaps & 1 << RESERVED)
		check_skip("run once more when the module is loaded without one");
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg), EOPNOTSUPP);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_GET_HEAP, &heap), EINVAL);
}
