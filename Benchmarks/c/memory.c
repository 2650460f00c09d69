// SPDX-License-Identifier: Apache-2.0
/* Plain memory, and a plain processor. */
#include "probe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/*
 * Until its parent has ended. A kernel that preempts lazily takes the processor away
 * where a system call ends, and from one that makes none at the next tick.
 */
int spin(int argc, char **argv)
{
	pid_t parent = getppid();

	(void)argc;
	(void)argv;
	while (getppid() == parent)
		;
	return 0;
}
