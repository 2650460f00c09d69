// SPDX-License-Identifier: Apache-2.0
/* From an event to the one who waits for it, and streams. */
#define _GNU_SOURCE 1
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *read_events(void *argument)
{
	struct wake *wake = argument;
	struct epoll_event event;
	char line[128];

	atomic_store(&wake->thread, (int)syscall(SYS_gettid));
	for (uint64_t i = 0; i < wake->count; i++) {
		if (wake->epoll >= 0 && epoll_wait(wake->epoll, &event, 1, -1) != 1)
			fail("epoll_wait");
		if (read(wake->reader, line, wake->size) <= 0)
			fail("read");
		atomic_store(&wake->woken, now());
	}
	return NULL;
}

/* Waits until the reader sleeps: only then does an event wake it. */
static void wait_for_sleep(struct wake *wake)
{
	char text[512];

	if (!wake->path[0]) {
		while (!atomic_load(&wake->thread))
			usleep(50);
		snprintf(wake->path, sizeof(wake->path), "/proc/self/task/%d/stat",
			 atomic_load(&wake->thread));
	}
	for (;;) {
		int fd = open(wake->path, O_RDONLY);
		ssize_t size = read(fd, text, sizeof(text) - 1);
		char *state;

		close(fd);
		if (size <= 0)
			fail(wake->path);
		text[size] = 0;
		state = strrchr(text, ')');
		if (state && state[2] == 'S')
			return;
		usleep(20);
	}
}

/* On a processor of its own: a reader on the writer's would wait for the end of its turn. */
static void pin(pthread_t thread, int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

void measure_wakes(struct wake *wake, uint64_t *latencies)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, read_events, wake))
		fail("a reader");
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
		pin(pthread_self(), 0);
		pin(thread, 1);
	}
	for (uint64_t i = 0; i < wake->count; i++) {
		uint64_t start, woken;

		wait_for_sleep(wake);
		/* In the read or the poll, not before: the state is the same for both. */
		usleep(100);
		atomic_store(&wake->woken, 0);
		start = now();
		wake->fire(wake->context);
		/* Asleep: the server may want this processor to tell the reader. */
		while (!(woken = atomic_load(&wake->woken)))
			usleep(20);
		latencies[i] = woken - start;
		if (wake->rearm)
			wake->rearm(wake->context);
	}
	pthread_join(thread, NULL);
}

static int print_wakes(struct wake *wake)
{
	uint64_t *latencies = calloc(wake->count, sizeof(*latencies));

	if (!latencies)
		fail("calloc");
	measure_wakes(wake, latencies);
	return print_percentiles(latencies, wake->count);
}

static void add_one(void *context)
{
	uint64_t one = 1;

	if (write(*(int *)context, &one, sizeof(one)) != sizeof(one))
		fail("eventfd");
}

static void trigger_once(void *context)
{
	if (write(*(int *)context, "1", 1) != 1)
		fail("trigger");
}

int wake_eventfd(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = eventfd(0, EFD_CLOEXEC);
	struct wake wake = {
		.reader = fd, .epoll = epoll_create1(EPOLL_CLOEXEC), .size = sizeof(uint64_t),
		.count = number(argv[0]),
		.fire = add_one, .context = &fd,
	};

	(void)argc;
	if (fd < 0 || epoll_ctl(wake.epoll, EPOLL_CTL_ADD, fd, &event))
		fail("epoll");
	return print_wakes(&wake);
}

int wake_signal(int argc, char **argv)
{
	int trigger;
	struct wake wake = {
		.epoll = -1, .size = 128, .count = number(argv[1]), .fire = trigger_once, .context = &trigger,
	};
	char path[4096];

	(void)argc;
	snprintf(path, sizeof(path), "%s/wait", argv[0]);
	wake.reader = open(path, O_RDONLY);
	if (wake.reader < 0)
		fail(path);
	snprintf(path, sizeof(path), "%s/trigger", argv[0]);
	trigger = open(path, O_WRONLY);
	if (trigger < 0)
		fail(path);
	return print_wakes(&wake);
}

/* ns a MiB, and how many 32-bit counter words are not the ones that follow. */
static int drain(int fd, uint64_t bytes, size_t block, int checks)
{
	uint64_t done = 0, start, gaps = 0;
	/* As dd and cat do: what is not aligned is a page more, and a request more. */
	uint32_t *words = aligned_alloc(4096, block), next = 0;
	int first = 1;

	if (!words)
		fail("aligned_alloc");
	start = now();
	while (done < bytes) {
		ssize_t size = read(fd, words, block);

		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			fail("read");
		if (checks && size >= 4) {
			if (!first && words[0] != next)
				gaps++;
			first = 0;
			next = words[size / 4 - 1] + 1;
		}
		done += (uint64_t)size;
	}
	printf("%.3f %llu\n", (double)(now() - start) / ((double)done / (1 << 20)),
	       (unsigned long long)gaps);
	return 0;
}

int read_stream(int argc, char **argv)
{
	int fd = open(argv[0], O_RDONLY);

	(void)argc;
	if (fd < 0)
		fail(argv[0]);
	return drain(fd, number(argv[1]), number(argv[2]), 1);
}

/* The writer makes the same words as a stream's pattern generator does. */
int read_pipe(int argc, char **argv)
{
	uint64_t bytes = number(argv[0]), block = number(argv[1]);
	int ends[2], result;
	pid_t child;

	(void)argc;
	if (pipe(ends))
		fail("pipe");
	fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
	child = fork();
	if (!child) {
		uint32_t *words = malloc(block), next = 0;

		close(ends[0]);
		for (;;) {
			for (size_t i = 0; i < block / 4; i++)
				words[i] = next++;
			if (write(ends[1], words, block) != (ssize_t)block)
				_exit(0);
		}
	}
	close(ends[1]);
	result = drain(ends[0], bytes, block, 1);
	close(ends[0]);
	waitpid(child, NULL, 0);
	return result;
}

/* What both readers do with the memory. */
static uint64_t sum(const uint64_t *words, size_t bytes)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;
	size_t i, count = bytes / 8;

	for (i = 0; i + 4 <= count; i += 4) {
		a += words[i];
		b += words[i + 1];
		c += words[i + 2];
		d += words[i + 3];
	}
	return a + b + c + d;
}

static const char *map_ring(const char *path, size_t *size)
{
	struct stat status;
	int fd = open(path, O_RDONLY);
	const char *ring;

	if (fd < 0 || fstat(fd, &status))
		fail(path);
	*size = (size_t)status.st_size;
	ring = mmap(NULL, *size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (ring == MAP_FAILED)
		fail("mmap");
	return ring;
}

static void trigger_periods(int fd, uint64_t count)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)count);

	if (write(fd, text, (size_t)length) != length)
		fail("trigger");
}

/*
 * Sums a stream where it lies: ns a MiB, gaps between counter words, and lines of `ready`. With a
 * TRIGGER the probe makes the source's events itself, and nobody fills the ring; without ("-") the
 * stream's generator does.
 */
int sum_ready(int argc, char **argv)
{
	uint64_t bytes = number(argv[2]), period = number(argv[4]), done = 0, start, total = 0;
	uint64_t gaps = 0, lines = 0, expected = 0;
	char path[4096];
	size_t size;
	const char *ring = map_ring(argv[1], &size);
	int ready, trigger = -1;

	(void)argc;
	snprintf(path, sizeof(path), "%s/ready", argv[0]);
	ready = open(path, O_RDWR);
	if (ready < 0)
		fail(path);
	if (strcmp(argv[3], "-")) {
		trigger = open(argv[3], O_WRONLY);
		if (trigger < 0)
			fail(argv[3]);
		trigger_periods(trigger, size / period - 1);
	}
	start = now();
	while (done < bytes) {
		unsigned long long position, offset, length, overruns;
		char line[128];
		ssize_t count = read(ready, line, sizeof(line) - 1);
		int written;

		if (count <= 0)
			fail("read of ready");
		line[count] = 0;
		if (sscanf(line, "%llu %llu %llu %llu", &position, &offset, &length, &overruns) != 4)
			fail("a line of ready");
		total += sum((const uint64_t *)(ring + offset), length);
		if (trigger < 0) {
			uint32_t first = *(const uint32_t *)(ring + offset);
			uint32_t last = *(const uint32_t *)(ring + offset + length - 4);

			if (position != expected || first != (uint32_t)(position / 4) ||
			    last != (uint32_t)((position + length) / 4 - 1))
				gaps++;
			expected = position + length;
		}
		written = snprintf(line, sizeof(line), "+%llu\n", length);
		if (write(ready, line, (size_t)written) != written)
			gaps++;
		if (trigger >= 0)
			trigger_periods(trigger, length / period);
		done += length;
		lines++;
	}
	used(&total);
	printf("%.3f %llu %llu\n", (double)(now() - start) / ((double)done / (1 << 20)),
	       (unsigned long long)gaps, (unsigned long long)lines);
	return 0;
}

/* The same over the memory alone. */
int sum_memory(int argc, char **argv)
{
	uint64_t bytes = number(argv[1]), done = 0, start, total = 0;
	size_t size;
	const char *ring = map_ring(argv[0], &size);

	(void)argc;
	start = now();
	while (done < bytes) {
		total += sum((const uint64_t *)ring, size);
		done += size;
	}
	used(&total);
	printf("%.3f\n", (double)(now() - start) / ((double)done / (1 << 20)));
	return 0;
}
