// SPDX-License-Identifier: Apache-2.0
/*
 * Two paths in turns, A B A B, in slices of milliseconds: what the machine does
 * meanwhile meets both alike, and there are enough rounds to tell some percent.
 */
#define _GNU_SOURCE 1
#include "probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u

struct side {
	const char *path;
	size_t block;
	int fd;
	size_t size;
	uint64_t seed;
	char *memory;	/* the mapping, where the operation has one */
	char *bytes;	/* a block of the program's own, the same one for both */
};

static void prepare(struct side *side, const char *path, size_t block, char *bytes)
{
	struct stat status;

	side->path = path;
	side->block = block;
	side->fd = open(path, O_RDWR);
	side->bytes = bytes;
	if (side->fd < 0 || fstat(side->fd, &status))
		fail(path);
	side->size = (size_t)status.st_size;
}

/* At random: one side after the other would find in the cache what the other has read. */
static size_t next_offset(struct side *side)
{
	return next_random(&side->seed) % (side->size / side->block) * side->block;
}

static void read_once(struct side *side)
{
	off_t offset = (off_t)next_offset(side);

	if (pread(side->fd, side->bytes, side->block, offset) != (ssize_t)side->block)
		fail(side->path);
}

static void write_once(struct side *side)
{
	off_t offset = (off_t)next_offset(side);

	if (pwrite(side->fd, side->bytes, side->block, offset) != (ssize_t)side->block)
		fail(side->path);
}

static void open_once(struct side *side)
{
	int fd = open(side->path, O_RDWR);

	if (fd < 0)
		fail(side->path);
	close(fd);
}

static char *map(struct side *side)
{
	char *memory = mmap(NULL, side->size, PROT_READ | PROT_WRITE, MAP_SHARED, side->fd, 0);

	if (memory == MAP_FAILED)
		fail(side->path);
	return memory;
}

static void copy_once(struct side *side)
{
	if (!side->memory) {
		side->memory = map(side);
		for (size_t i = 0; i < side->size; i += PAGE)
			side->bytes[0] = side->memory[i];
	}
	memcpy(side->bytes, side->memory + next_offset(side), side->block);
	used(side->bytes);
}

/* A new mapping, and a store to each page of it. */
static void touch_once(struct side *side)
{
	char *memory = map(side);

	for (size_t i = 0; i < side->size; i += PAGE)
		*(volatile char *)(memory + i) = 1;
	munmap(memory, side->size);
}

static const struct {
	const char *name;
	void (*run)(struct side *side);
} operations[] = {
	{ "read", read_once }, { "write", write_once },	{ "open", open_once },
	{ "copy", copy_once }, { "touch", touch_once },
};

static uint64_t timed(void (*run)(struct side *side), struct side *side, uint64_t count)
{
	uint64_t start = now();

	for (uint64_t i = 0; i < count; i++)
		run(side);
	return now() - start;
}

/* For each round ns an operation of A, and of B. A slice of the faster takes MICROSECONDS. */
int compare_pair(int argc, char **argv)
{
	uint64_t block = number(argv[3]), rounds = number(argv[4]), slice = number(argv[5]) * 1000;
	void (*run)(struct side *side) = NULL;
	struct side a = { .seed = 1 }, b = { .seed = 2 };
	char *bytes = aligned_alloc(PAGE, (block + PAGE) / PAGE * PAGE);
	uint64_t count = 1;

	(void)argc;
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (!strcmp(argv[0], operations[i].name))
			run = operations[i].run;
	if (!run || !block) {
		fprintf(stderr, "probe: pair: read, write, open, copy or touch, and a size\n");
		return 2;
	}
	if (!bytes)
		fail("aligned_alloc");
	memset(bytes, 1, block);
	prepare(&a, argv[1], block, bytes);
	prepare(&b, argv[2], block, bytes);
	timed(run, &a, 1);
	while (timed(run, &b, count) < slice)
		count *= 2;
	timed(run, &a, count);
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t first = timed(run, &a, count), second = timed(run, &b, count);

		printf("%.3f %.3f\n", (double)first / (double)count, (double)second / (double)count);
	}
	return 0;
}
