// SPDX-License-Identifier: GPL-2.0
/*
 * Prints how many thousands of times a second the time stamp counter of this machine
 * counts, which is that of processors that QEMU emulates on it; nothing where it has none.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>

struct point {
	uint64_t ticks;
	uint64_t ns;
};

/* Of many pairs, that in which the least came between. */
static struct point point(void)
{
	struct point best = {};
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t before = __rdtsc(), after;
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		after = __rdtsc();
		if (after - before >= least)
			continue;
		least = after - before;
		best.ticks = before + least / 2;
		best.ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
	}
	return best;
}

int main(void)
{
	struct point from = point(), to;

	nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	to = point();
	printf("%.0f\n", (to.ticks - from.ticks) * 1e6 / (to.ns - from.ns));
	return 0;
}
#else
int main(void)
{
	return 0;
}
#endif
