// SPDX-License-Identifier: Apache-2.0
/*
 * What is measured in the guest, on the kernel module: `guest MOUNT DIRECTORY ROUNDS`, with MOUNT
 * over /dev/devfs/host and a buffer `bench` in it, and DIRECTORY on a tmpfs. Prints one line a row,
 * which Benchmarks/vm reads: fields with tabs between, the costs of the rounds at the end.
 */
#define _GNU_SOURCE 1
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../kmod/uapi/devfs_dma.h"

#define NODE "/dev/devfs/host"
#define SIZE (16u << 20)
#define MEASURE_NS 30000000u
#define MAX_ROUNDS 64

static unsigned int rounds;

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

/* Measures both in turns; the first round only warms up. */
static void row(const char *group, const char *workload, const char *subject, const char *baseline,
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

static void missing(const char *group, const char *workload, const char *subject,
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

/* ----------------------------------------------------------------- events */

/* A source of the module, or a bare eventfd where `node` is -1. */
struct source {
	int node;
	uint32_t id;
	int eventfd;
	volatile uint32_t *registers;	/* of edu */
	int config;			/* of edu under UIO */
};

static void fire_software(void *context)
{
	struct source *source = context;
	struct devfs_dma_signal request = {
		.op = DEVFS_DMA_SIGNAL_TRIGGER, .source = source->id,
	};

	if (ioctl(source->node, DEVFS_DMA_IOC_SIGNAL_CTL, &request))
		fail("a trigger");
}

static void fire_eventfd(void *context)
{
	uint64_t one = 1;

	if (write(((struct source *)context)->eventfd, &one, sizeof(one)) != sizeof(one))
		fail("eventfd");
}

/* edu's registers, in words: raise and acknowledge an interrupt. */
enum { EDU_RAISE = 0x60 / 4, EDU_ACKNOWLEDGE = 0x64 / 4 };

static void fire_edu(void *context)
{
	((struct source *)context)->registers[EDU_RAISE] = 1;
}

static void rearm_edu(void *context)
{
	struct source *source = context;
	uint16_t command;

	source->registers[EDU_ACKNOWLEDGE] = 1;
	if (source->config < 0) {
		/* A level interrupt is masked at each event. */
		struct devfs_dma_signal request = {
			.op = DEVFS_DMA_SIGNAL_SET, .source = source->id,
			.flags = DEVFS_DMA_SIGNAL_ENABLED,
		};

		if (ioctl(source->node, DEVFS_DMA_IOC_SIGNAL_CTL, &request))
			fail("enabling");
		return;
	}
	/* uio_pci_generic has set Interrupt Disable. */
	if (pread(source->config, &command, 2, 4) != 2)
		fail("the command register");
	command &= (uint16_t)~0x400;
	if (pwrite(source->config, &command, 2, 4) != 2)
		fail("the command register");
}

struct waiting {
	struct source *source;
	int reader;
	size_t size;	/* bytes a read */
	bool polls;
	void (*fire)(void *context);
	void (*rearm)(void *context);
	unsigned int percentile;
};

/* ns at the percentile. */
static double wake(void *context)
{
	struct waiting *waiting = context;
	struct epoll_event event = { .events = EPOLLIN };
	uint64_t latencies[300];
	struct wake wake = {
		.reader = waiting->reader, .epoll = -1, .size = waiting->size, .count = 300, .fire = waiting->fire,
		.rearm = waiting->rearm, .context = waiting->source,
	};

	if (waiting->polls) {
		wake.epoll = epoll_create1(EPOLL_CLOEXEC);
		if (epoll_ctl(wake.epoll, EPOLL_CTL_ADD, waiting->reader, &event))
			fail("epoll");
	}
	measure_wakes(&wake, latencies);
	if (wake.epoll >= 0)
		close(wake.epoll);
	sort_values(latencies, wake.count);
	return (double)latencies[wake.count * waiting->percentile / 100];
}

static void wake_rows(const char *workload, const char *subject, const char *baseline,
		      const char *goal, struct waiting *ours, struct waiting *theirs)
{
	char text[128];

	for (unsigned int percentile = 50; percentile <= 99; percentile += 49) {
		ours->percentile = theirs->percentile = percentile;
		snprintf(text, sizeof(text), "%s, p%u", workload, percentile);
		row("module, signals", text, subject, baseline, "cost",
		    percentile == 50 ? goal : "", wake, ours, theirs);
	}
}

static int open_node(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail(path);
	return fd;
}

static void add_eventfd(struct source *source)
{
	struct devfs_dma_eventfd request = { .source = source->id };

	source->eventfd = eventfd(0, EFD_CLOEXEC);
	request.fd = source->eventfd;
	if (ioctl(source->node, DEVFS_DMA_IOC_SET_EVENTFD, &request))
		fail("SET_EVENTFD");
}

static void measure_software(void)
{
	struct devfs_dma_signal create = {
		.op = DEVFS_DMA_SIGNAL_CREATE, .kind = DEVFS_DMA_SIGNAL_SOFTWARE,
		.flags = DEVFS_DMA_SIGNAL_ENABLED, .name = "bench",
	};
	struct source ours = { .node = open_node(NODE) };
	struct source bare = { .node = -1, .eventfd = eventfd(0, EFD_CLOEXEC) };
	struct waiting plain = { &bare, bare.eventfd, 8, true, fire_eventfd, NULL, 50 };

	if (ioctl(ours.node, DEVFS_DMA_IOC_SIGNAL_CTL, &create))
		fail("a source");
	ours.id = create.source;
	struct waiting node = { &ours, ours.node, 48, false, fire_software, NULL, 50 };

	wake_rows("trigger to reader", "read of the node", "eventfd + epoll", "", &node, &plain);
	close(ours.node);
	ours.node = open_node(NODE);
	add_eventfd(&ours);
	struct waiting event = { &ours, ours.eventfd, 8, true, fire_software, NULL, 50 };

	wake_rows("trigger to reader", "eventfd of the module", "eventfd + epoll", "<=1.5", &event,
		  &plain);
	create.op = DEVFS_DMA_SIGNAL_REMOVE;
	memset(create.name, 0, sizeof(create.name));
	create.kind = create.flags = 0;
	create.count = create.missed = create.last_ns = 0;
	create.listeners = 0;
	ioctl(ours.node, DEVFS_DMA_IOC_SIGNAL_CTL, &create);
	close(ours.node);
	close(bare.eventfd);
}

static volatile uint32_t *map_registers(const char *device)
{
	char path[256];
	int fd;
	void *memory;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", device);
	fd = open_node(path);
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		fail(path);
	close(fd);
	return memory;
}

/* The first interrupt among the sources of a node. */
static bool find_interrupt(struct source *source)
{
	struct devfs_dma_signal request = { .op = DEVFS_DMA_SIGNAL_NEXT };

	while (!ioctl(source->node, DEVFS_DMA_IOC_SIGNAL_CTL, &request)) {
		if (request.kind == DEVFS_DMA_SIGNAL_INTERRUPT) {
			source->id = request.source;
			return true;
		}
		request = (struct devfs_dma_signal){
			.op = DEVFS_DMA_SIGNAL_NEXT, .source = request.source + 1,
		};
	}
	return false;
}

/* UIO has the edu $EDU_UIO, the module has $EDU_MODULE. */
static void measure_interrupts(void)
{
	static const char workload[] = "interrupt of edu to reader", group[] = "module, signals";
	const char *uio = getenv("EDU_UIO"), *own = getenv("EDU_MODULE");
	struct source theirs = { .node = -1 }, ours = { .config = -1 };
	char path[256];

	if (!uio || access("/dev/uio0", R_OK)) {
		missing(group, workload, "module", "UIO", "no edu under uio_pci_generic here");
		return;
	}
	snprintf(path, sizeof(path), "/dev/devfs/pci-%s", own ? own : "");
	ours.node = own ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (ours.node < 0 || !find_interrupt(&ours)) {
		missing(group, workload, "module", "UIO",
			"this module gives no interrupts of PCI devices");
		return;
	}
	ours.registers = map_registers(own);
	theirs.registers = map_registers(uio);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", uio);
	theirs.config = open_node(path);
	rearm_edu(&theirs);
	rearm_edu(&ours);
	struct waiting other = { &theirs, open_node("/dev/uio0"), 4, false, fire_edu, rearm_edu, 50 };
	struct waiting node = { &ours, ours.node, 48, false, fire_edu, rearm_edu, 50 };

	wake_rows(workload, "read of the node", "read of UIO", "<=1.5", &node, &other);
	add_eventfd(&ours);
	struct waiting event = { &ours, ours.eventfd, 8, false, fire_edu, rearm_edu, 50 };

	wake_rows(workload, "eventfd of the module", "read of UIO", "<=1.5", &event, &other);
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
