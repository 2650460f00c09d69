/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_H
#define PROBE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Each runs one workload and prints its result: ns an operation, unless it says otherwise. */
int status(int argc, char **argv);
int descriptor_status(int argc, char **argv);
int list_directory(int argc, char **argv);
int create_free(int argc, char **argv);
int read_blocks(int argc, char **argv);
int write_blocks(int argc, char **argv);
int allocate(int argc, char **argv);
int copy_memory(int argc, char **argv);
int wake_eventfd(int argc, char **argv);
int wake_signal(int argc, char **argv);
int read_stream(int argc, char **argv);
int read_pipe(int argc, char **argv);
int sum_ready(int argc, char **argv);
int sum_memory(int argc, char **argv);
int compare_pair(int argc, char **argv);
int spin(int argc, char **argv);

/* Keeps the compiler from leaving out a copy that nobody reads. */
static inline void used(const void *memory)
{
	__asm__ volatile("" : : "r"(memory) : "memory");
}

/* CLOCK_MONOTONIC, ns. */
uint64_t now(void);
/* A number of the command line; the program ends where it is none. */
uint64_t number(const char *text);
/* Ends the program with what could not be done and why. */
_Noreturn void fail(const char *what);
/* The next number of a fixed sequence (splitmix64). */
uint64_t next_random(uint64_t *state);
/* Prints `ns` divided by `count`. */
int print_cost(uint64_t ns, uint64_t count);
/* Sorts, and prints the 50th, 99th and 99.9th percentile. */
int print_percentiles(uint64_t *values, size_t count);

/* Someone who waits for events, and the one who makes them. */
struct wake {
	int reader;	/* where the reader reads */
	int epoll;	/* what it waits on before, or -1 */
	size_t size;	/* bytes a read, 128 at the most */
	uint64_t count;	/* events */
	/* Makes an event; what is to do before the next one can come, or NULL. */
	void (*fire)(void *context);
	void (*rearm)(void *context);
	void *context;
	/* The rest is the measurement's own. */
	atomic_ulong woken;
	atomic_int thread;
	char path[64];
};

/* Measures ns from each event to the reader's return. Each event finds the reader asleep. */
void measure_wakes(struct wake *wake, uint64_t *latencies);
void sort_values(uint64_t *values, size_t count);

#endif
