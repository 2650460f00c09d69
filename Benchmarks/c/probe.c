// SPDX-License-Identifier: Apache-2.0
/*
 * One small workload a run, so that the harness can alternate between two subjects:
 * `probe WORKLOAD ARGUMENTS` prints one number, or a few, and nothing else.
 */
#include "probe.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	const char *arguments;
	int count;
	int (*run)(int argc, char **argv);
} workloads[] = {
	{ "stat", "DIRECTORY PREFIX FILES N", 4, status },
	{ "fstat", "PATH N", 2, descriptor_status },
	{ "readdir", "DIRECTORY N", 2, list_directory },
	{ "create", "DIRECTORY N", 2, create_free },
	{ "read", "PATH SIZE N", 3, read_blocks },
	{ "write", "PATH SIZE N", 3, write_blocks },
	{ "alloc", "CONTROL HEAP SIZE N", 4, allocate },
	{ "memcpy", "SIZE SPAN N", 3, copy_memory },
	{ "eventfd", "N", 1, wake_eventfd },
	{ "signal", "SIGNAL_DIRECTORY N", 2, wake_signal },
	{ "stream", "PATH BYTES BLOCK", 3, read_stream },
	{ "pipe", "BYTES BLOCK", 2, read_pipe },
	{ "ready", "STREAM RING BYTES TRIGGER PERIOD", 5, sum_ready },
	{ "sum", "RING BYTES", 2, sum_memory },
	{ "spin", "", 0, spin },
	{ "pair", "OPERATION A B SIZE ROUNDS MICROSECONDS", 6, compare_pair },
};

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
