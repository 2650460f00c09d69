// SPDX-License-Identifier: Apache-2.0
/*
 * What is measured in the guest, on the kernel module: `guest MOUNT DIRECTORY ROUNDS`, with MOUNT
 * over /dev/devfs/host and a buffer `bench` in it, and DIRECTORY on a tmpfs. Prints one line a row,
 * which Benchmarks/vm reads: fields with tabs between, the costs of the rounds at the end.
 */
#define _GNU_SOURCE 1
#include "guest.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (16u << 20)
#define MEASURE_NS 30000000u

unsigned int rounds;

/* linux/dma-heap.h */
struct heap_request {
	uint64_t len;
	uint32_t fd;
	uint32_t fd_flags;
	uint64_t heap_flags;
};
#define HEAP_ALLOC _IOWR('H', 0, struct heap_request)

static void print_costs(const double *costs)
{
	for (unsigned int i = 0; i < rounds; i++)
		printf("%s%.3f", i ? "," : "", costs[i]);
}

void row(const char *group, const char *workload, const char *subject, const char *baseline,
		const char *view, const char *goal, double (*cost)(void *), void *ours, void *theirs)
{
	double left[MAX_ROUNDS], right[MAX_ROUNDS];

	for (unsigned int i = 0; i <= rounds; i++) {
		double a = cost(ours), b = cost(theirs);

		if (i) {
			left[i - 1] = a;
			right[i - 1] = b;
		}
	}
	printf("row\t%s\t%s\t%s\t%s\t%s\t%s\t\t", group, workload, subject, baseline, view, goal);
	print_costs(left);
	printf("\t");
	print_costs(right);
	printf("\n");
	fflush(stdout);
}

void missing(const char *group, const char *workload, const char *subject,
		    const char *baseline, const char *why)
{
	printf("row\t%s\t%s\t%s\t%s\tspeed\t\t%s\t\t\n", group, workload, subject, baseline, why);
	fflush(stdout);
}

/* ------------------------------------------------------------------ files */

struct file {
	int fd;
	size_t block;
	bool writes;
	void *bytes;
};

static double transfer(void *context)
{
	struct file *file = context;
	uint64_t start = now(), end, count = 0;
	off_t offset = 0;

	do {
		for (int i = 0; i < 16; i++, count++) {
			ssize_t done = file->writes ?
				pwrite(file->fd, file->bytes, file->block, offset) :
				pread(file->fd, file->bytes, file->block, offset);

			if (done != (ssize_t)file->block)
				fail("transfer");
			offset += (off_t)file->block;
			if (offset + file->block > SIZE)
				offset = 0;
		}
		end = now();
	} while (end - start < MEASURE_NS);
	return (double)(end - start) / (double)count;
}

static double copy_out(void *context)
{
	struct file *file = context;
	char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	uint64_t start;
	double cost;

	if (memory == MAP_FAILED)
		fail("mmap");
	for (size_t i = 0; i < SIZE; i += 4096)
		*(volatile char *)(memory + i) = 1;
	start = now();
	for (size_t i = 0; i < SIZE; i += 1u << 20)
		memcpy(file->bytes, memory + i, 1u << 20);
	cost = (double)(now() - start) / (SIZE >> 20);
	munmap(memory, SIZE);
	return cost;
}

static double first_touch(void *context)
{
	struct file *file = context;
	char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	uint64_t start = now();
	double cost;

	if (memory == MAP_FAILED)
		fail("mmap");
	for (size_t i = 0; i < SIZE; i += 4096)
		*(volatile char *)(memory + i) = 1;
	cost = (double)(now() - start) / (SIZE / 4096);
	munmap(memory, SIZE);
	return cost;
}

static int open_file(const char *directory, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		fail(path);
	return fd;
}

/* The module's own descriptor of the mount's buffer: the same inode. */
static int open_buffer(const char *name)
{
	struct devfs_dma_open request = { .fd_flags = O_RDWR | O_CLOEXEC };
	int node = open(NODE, O_RDWR | O_CLOEXEC);

	strncpy(request.name, name, sizeof(request.name) - 1);
	if (node < 0 || ioctl(node, DEVFS_DMA_IOC_OPEN, &request))
		fail("the buffer's own descriptor");
	close(node);
	return request.fd;
}

static void measure_files(const char *mount, const char *directory)
{
	static const size_t blocks[] = { 64, 4096, 128u << 10, 1u << 20, 4u << 20 };
	static const char *const names[] = { "64 B", "4k", "128k", "1M", "4M" };
	int through = open_file(mount, "buffers/bench", O_RDWR);
	int direct = open_buffer("bench");
	int tmpfs = open_file(directory, "bench", O_RDWR | O_CREAT);
	char *bytes = malloc(4u << 20), workload[64];
	struct file a = { through, 0, false, bytes }, b = { direct, 0, false, bytes };
	struct file c = { tmpfs, 0, false, bytes };

	memset(bytes, 1, 4u << 20);
	for (size_t i = 0; i < SIZE; i += 1u << 20) {
		if (pwrite(tmpfs, bytes, 1u << 20, (off_t)i) != 1 << 20 ||
		    pwrite(direct, bytes, 1u << 20, (off_t)i) != 1 << 20)
			fail("filling");
	}
	for (int writes = 0; writes < 2; writes++) {
		for (size_t i = 0; i < 5; i++) {
			a.block = b.block = c.block = blocks[i];
			a.writes = b.writes = c.writes = writes;
			snprintf(workload, sizeof(workload), "%s %s", writes ? "write" : "read",
				 names[i]);
			row("module, bytes", workload, "module fd", "tmpfs", "speed", ">=1",
			    transfer, &b, &c);
			row("mount on the module", workload, "passthrough", "module fd", "speed",
			    blocks[i] >= 128u << 10 ? ">=0.98" : "", transfer, &a, &b);
		}
	}
	row("module, bytes", "mmap copy", "module fd", "tmpfs", "speed", ">=0.98", copy_out, &b,
	    &c);
	row("module, bytes", "mmap first touch, a page", "module fd", "tmpfs", "cost", "<=1.1",
	    first_touch, &b, &c);
	row("mount on the module", "mmap copy", "passthrough", "module fd", "speed", ">=0.98",
	    copy_out, &a, &b);
	row("mount on the module", "mmap first touch, a page", "passthrough", "module fd", "cost",
	    "<=1.1", first_touch, &a, &b);
	close(through);
	close(direct);
	close(tmpfs);
}

/* ------------------------------------------------------------ allocations */

#define ALLOCATION (64u << 20)

struct allocator {
	bool is_heap;
	bool frees;	/* measures the free as well */
};

static double allocate_one(void *context)
{
	struct allocator *allocator = context;
	struct devfs_dma_alloc ours = {
		.size = ALLOCATION, .heap = DEVFS_DMA_HEAP_SYSTEM, .lease = DEVFS_DMA_LEASE_USE,
		.mode = 0600, .uid = DEVFS_DMA_NO_ID, .gid = DEVFS_DMA_NO_ID,
		.fd_flags = O_RDWR | O_CLOEXEC, .name = "allocation",
	};
	struct heap_request theirs = { .len = ALLOCATION, .fd_flags = O_RDWR | O_CLOEXEC };
	int device = open(allocator->is_heap ? "/dev/dma_heap/system" : NODE, O_RDWR | O_CLOEXEC);
	uint64_t start, end;
	int fd;

	if (device < 0)
		fail("a heap");
	start = now();
	if (allocator->is_heap ? ioctl(device, HEAP_ALLOC, &theirs) :
				 ioctl(device, DEVFS_DMA_IOC_ALLOC, &ours))
		fail("an allocation");
	fd = allocator->is_heap ? (int)theirs.fd : ours.fd;
	end = now();
	close(fd);
	if (allocator->frees)
		end = now();
	close(device);
	/* Both give the memory back after an RCU grace period or a work item at the latest. */
	usleep(50000);
	return (double)(end - start);
}

static void measure_allocations(void)
{
	struct allocator ours = { false, false }, theirs = { true, false };
	static const char group[] = "module, allocations";

	if (access("/dev/dma_heap/system", R_OK)) {
		missing(group, "64 MiB scatter-gather", "heap=system", "system dma-heap",
			"this kernel has no /dev/dma_heap/system");
		return;
	}
	row(group, "64 MiB scatter-gather", "heap=system", "system dma-heap", "speed", ">=1",
	    allocate_one, &ours, &theirs);
	ours.frees = theirs.frees = true;
	row(group, "64 MiB scatter-gather, and free", "heap=system", "system dma-heap", "speed", "",
	    allocate_one, &ours, &theirs);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "guest MOUNT DIRECTORY ROUNDS\n");
		return 2;
	}
	rounds = (unsigned int)number(argv[3]);
	if (rounds < 1 || rounds > MAX_ROUNDS)
		return 2;
	measure_files(argv[1], argv[2]);
	measure_allocations();
	measure_software();
	measure_interrupts();
	return 0;
}
