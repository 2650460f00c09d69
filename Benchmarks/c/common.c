// SPDX-License-Identifier: Apache-2.0
/* What all workloads use. */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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

void sort_values(uint64_t *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
}

int print_percentiles(uint64_t *values, size_t count)
{
	sort_values(values, count);
	printf("%llu %llu %llu\n", (unsigned long long)values[count / 2],
	       (unsigned long long)values[count * 99 / 100],
	       (unsigned long long)values[count * 999 / 1000]);
	return 0;
}
