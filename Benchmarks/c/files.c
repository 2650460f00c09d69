// SPDX-License-Identifier: Apache-2.0
/* What is done with names and descriptors. */
#define _GNU_SOURCE 1
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files are PREFIX0 to PREFIX(FILES - 1); a fixed sequence of them is asked for. */
int status(int argc, char **argv)
{
	uint64_t files = number(argv[2]), count = number(argv[3]), seed = 1, start;
	struct stat result;
	char name[128];
	int directory = open(argv[0], O_RDONLY | O_DIRECTORY);

	(void)argc;
	if (directory < 0)
		fail(argv[0]);
	start = now();
	for (uint64_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s%llu", argv[1],
			 (unsigned long long)(next_random(&seed) % files));
		if (fstatat(directory, name, &result, 0))
			fail(name);
	}
	return print_cost(now() - start, count);
}

int descriptor_status(int argc, char **argv)
{
	uint64_t count = number(argv[1]), start;
	struct stat result;
	int fd = open(argv[0], O_RDONLY);

	(void)argc;
	if (fd < 0)
		fail(argv[0]);
	start = now();
	for (uint64_t i = 0; i < count; i++)
		if (fstat(fd, &result))
			fail(argv[0]);
	return print_cost(now() - start, count);
}

/* ns an entry. */
int list_directory(int argc, char **argv)
{
	uint64_t passes = number(argv[1]), entries = 0, start = now();

	(void)argc;
	for (uint64_t i = 0; i < passes; i++) {
		DIR *directory = opendir(argv[0]);

		if (!directory)
			fail(argv[0]);
		while (readdir(directory))
			entries++;
		closedir(directory);
	}
	return print_cost(now() - start, entries);
}

int create_free(int argc, char **argv)
{
	uint64_t count = number(argv[1]), start;
	char name[64];
	int directory = open(argv[0], O_RDONLY | O_DIRECTORY);

	(void)argc;
	if (directory < 0)
		fail(argv[0]);
	start = now();
	for (uint64_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "probe-%llu", (unsigned long long)i);
		int fd = openat(directory, name, O_CREAT | O_EXCL | O_RDWR, 0600);

		if (fd < 0)
			fail(name);
		close(fd);
		if (unlinkat(directory, name, 0))
			fail(name);
	}
	return print_cost(now() - start, count);
}

static int transfer(char **argv, int flags)
{
	uint64_t size = number(argv[1]), count = number(argv[2]), start;
	int fd = open(argv[0], flags);
	struct stat result;
	char *bytes = malloc(size);
	off_t offset = 0;

	if (fd < 0 || fstat(fd, &result) || !bytes)
		fail(argv[0]);
	memset(bytes, 1, size);
	start = now();
	for (uint64_t i = 0; i < count; i++) {
		ssize_t done = flags == O_RDONLY ? pread(fd, bytes, size, offset) :
						   pwrite(fd, bytes, size, offset);

		if (done != (ssize_t)size)
			fail(argv[0]);
		offset += (off_t)size;
		if (offset + (off_t)size > result.st_size)
			offset = 0;
	}
	return print_cost(now() - start, count);
}

int read_blocks(int argc, char **argv)
{
	(void)argc;
	return transfer(argv, O_RDONLY);
}

int write_blocks(int argc, char **argv)
{
	(void)argc;
	return transfer(argv, O_RDWR);
}

static void put(const char *directory, const char *file, const char *text)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(path);
	close(fd);
}

/* ns an allocation, and ns a free. */
int allocate(int argc, char **argv)
{
	uint64_t count = number(argv[3]), start, middle;
	char line[256];

	(void)argc;
	start = now();
	for (uint64_t i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "probe-%llu %s heap=%s\n", (unsigned long long)i,
			 argv[2], argv[1]);
		put(argv[0], "alloc", line);
	}
	middle = now();
	for (uint64_t i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "probe-%llu\n", (unsigned long long)i);
		put(argv[0], "free", line);
	}
	printf("%.3f %.3f\n", (double)(middle - start) / (double)count,
	       (double)(now() - middle) / (double)count);
	return 0;
}
