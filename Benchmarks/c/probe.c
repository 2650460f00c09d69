// SPDX-License-Identifier: Apache-2.0
/*
 * One small workload a run, so that the harness can alternate between two subjects:
 * `probe WORKLOAD ARGUMENTS` prints one number, or a few, and nothing else.
 */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
	const char *name;
	const char *arguments;
	int count;
	int (*run)(int argc, char **argv);
} workloads[] = {
	{ "open", "PATH N", 2, open_close },
	{ "stat", "DIRECTORY PREFIX FILES N", 4, status },
	{ "fstat", "PATH N", 2, descriptor_status },
	{ "readdir", "DIRECTORY N", 2, list_directory },
	{ "create", "DIRECTORY N", 2, create_free },
	{ "read", "PATH SIZE N", 3, read_blocks },
	{ "write", "PATH SIZE N", 3, write_blocks },
	{ "alloc", "CONTROL HEAP SIZE N", 4, allocate },
	{ "memcpy", "SIZE SPAN N", 3, copy_memory },
	{ "copy", "PATH N", 2, copy_mapping },
	{ "touch", "PATH N", 2, touch_mapping },
	{ "eventfd", "N", 1, wake_eventfd },
	{ "signal", "SIGNAL_DIRECTORY N", 2, wake_signal },
	{ "stream", "PATH BYTES BLOCK", 3, read_stream },
	{ "pipe", "BYTES BLOCK", 2, read_pipe },
};

uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*end || !*text) {
		fprintf(stderr, "probe: not a number: %s\n", text);
		exit(2);
	}
	return value;
}

void fail(const char *what)
{
	perror(what);
	exit(1);
}

uint64_t next_random(uint64_t *state)
{
	uint64_t word = *state += 0x9e3779b97f4a7c15u;

	word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
	word = (word ^ word >> 27) * 0x94d049bb133111ebu;
	return word ^ word >> 31;
}

int print_cost(uint64_t ns, uint64_t count)
{
	printf("%.3f\n", (double)ns / (double)count);
	return 0;
}

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

int print_percentiles(uint64_t *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	printf("%llu %llu %llu\n", (unsigned long long)values[count / 2],
	       (unsigned long long)values[count * 99 / 100],
	       (unsigned long long)values[count * 999 / 1000]);
	return 0;
}

int main(int argc, char **argv)
{
	size_t i, count = sizeof(workloads) / sizeof(workloads[0]);

	for (i = 0; argc > 1 && i < count; i++)
		if (!strcmp(argv[1], workloads[i].name) && argc - 2 == workloads[i].count)
			return workloads[i].run(argc - 2, argv + 2);
	for (i = 0; i < count; i++)
		fprintf(stderr, "probe %s %s\n", workloads[i].name, workloads[i].arguments);
	return 2;
}
