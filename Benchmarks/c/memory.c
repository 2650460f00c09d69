// SPDX-License-Identifier: Apache-2.0
/* What is done with mapped memory. */
#define _GNU_SOURCE 1
#include "probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u

/* Keeps the compiler from leaving out a copy that nobody reads. */
static void used(const void *memory)
{
	__asm__ volatile("" : : "r"(memory) : "memory");
}

/* ns a copy of SIZE bytes, from the blocks of SPAN bytes in turn. */
int copy_memory(int argc, char **argv)
{
	uint64_t size = number(argv[0]), span = number(argv[1]), count = number(argv[2]);
	uint64_t offset = 0, start;
	char *from = malloc(span), *to = malloc(size);

	(void)argc;
	if (!from || !to)
		fail("malloc");
	memset(from, 1, span);
	memset(to, 1, size);
	start = now();
	for (uint64_t i = 0; i < count; i++) {
		memcpy(to, from + offset, size);
		used(to);
		offset = offset + 2 * size > span ? 0 : offset + size;
	}
	return print_cost(now() - start, count);
}

static char *map(const char *path, size_t *size)
{
	struct stat status;
	int fd = open(path, O_RDWR);
	char *memory;

	if (fd < 0 || fstat(fd, &status))
		fail(path);
	*size = (size_t)status.st_size;
	memory = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		fail(path);
	close(fd);
	return memory;
}

/* ns a MiB, copied out of a mapping that is touched already. */
int copy_mapping(int argc, char **argv)
{
	uint64_t passes = number(argv[1]), start;
	size_t size, block = 1u << 20;
	char *from = map(argv[0], &size), *to = malloc(block);

	(void)argc;
	memset(to, 1, block);
	for (size_t i = 0; i < size; i += PAGE)
		used(to + (from[i] & 1));
	start = now();
	for (uint64_t pass = 0; pass < passes; pass++) {
		for (size_t i = 0; i + block <= size; i += block) {
			memcpy(to, from + i, block);
			used(to);
		}
	}
	return print_cost(now() - start, passes * (size / block));
}

/* ns a page of memory that is there, by the first store to it in a new mapping. */
int touch_mapping(int argc, char **argv)
{
	uint64_t passes = number(argv[1]), total = 0, pages = 0;
	size_t size;

	(void)argc;
	for (uint64_t pass = 0; pass < passes; pass++) {
		char *memory = map(argv[0], &size);
		uint64_t start = now();

		for (size_t i = 0; i < size; i += PAGE)
			*(volatile char *)(memory + i) = 1;
		total += now() - start;
		pages += size / PAGE;
		munmap(memory, size);
	}
	return print_cost(total, pages);
}
