// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and writes of a buffer on the module, by their medians: a row a heap, size and way.
 * Tests/VM/compare builds it against the interface of each module that it compares.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "uapi/devfs_dma.h"

#define SAMPLES 101
#define SIZE (1UL << 20)

static char data[SIZE];

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static int by_time(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, two = *(const uint64_t *)b;

	return (one > two) - (one < two);
}

static void row(int fd, const char *heap, size_t size, int writes)
{
	unsigned int often = size > 65536 ? 8 : 64;
	uint64_t times[SAMPLES];

	for (int i = 0; i < SAMPLES; i++) {
		uint64_t before = now();

		for (unsigned int n = 0; n < often; n++)
			if ((writes ? pwrite(fd, data, size, 0) : pread(fd, data, size, 0)) != (ssize_t)size)
				exit(1);
		times[i] = (now() - before) / often;
	}
	qsort(times, SAMPLES, sizeof(times[0]), by_time);
	printf("row\t%s %s %zu\t%llu\n", heap, writes ? "write" : "read", size,
	       (unsigned long long)times[SAMPLES / 2]);
}

int main(void)
{
	static const struct { const char *name; uint32_t heap; } heaps[] = {
		{ "system", DEVFS_DMA_HEAP_SYSTEM }, { "coherent", DEVFS_DMA_HEAP_COHERENT },
	};
	static const size_t sizes[] = { 64, 4096, 65536, SIZE };
	int node = open("/dev/devfs/host", O_RDWR);

	for (size_t i = 0; i < sizeof(heaps) / sizeof(heaps[0]); i++) {
		struct devfs_dma_alloc arg = {
			.size = SIZE, .heap = heaps[i].heap, .mode = 0600, .uid = DEVFS_DMA_NO_ID,
			.gid = DEVFS_DMA_NO_ID, .fd_flags = O_RDWR, .name = "bench",
		};

		if (ioctl(node, DEVFS_DMA_IOC_ALLOC, &arg))
			return 1;
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
			for (int writes = 0; writes <= 1; writes++)
				row(arg.fd, heaps[i].name, sizes[s], writes);
		close(arg.fd);
	}
	return 0;
}
