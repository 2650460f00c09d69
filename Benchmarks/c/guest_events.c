// SPDX-License-Identifier: Apache-2.0
/* The module's signals in the guest: against a bare eventfd, and its interrupts against UIO. */
#define _GNU_SOURCE 1
#include "guest.h"

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

void measure_software(void)
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

	wake_rows("trigger to reader", "eventfd of the module", "eventfd + epoll", "", &event, &plain);
	create.op = DEVFS_DMA_SIGNAL_REMOVE;
	memset(create.name, 0, sizeof(create.name));
	create.kind = create.flags = 0;
	create.count = create.missed = create.last_ns = 0;
	create.listeners = 0;
	ioctl(ours.node, DEVFS_DMA_IOC_SIGNAL_CTL, &create);
	close(ours.node);
	close(bare.eventfd);
}

static volatile uint32_t *map_registers(int fd)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		fail("edu's registers");
	close(fd);
	return memory;
}

/* BAR 0 by the module, which has claimed it: sysfs refuses it then. */
static int open_registers(int node)
{
	struct devfs_dma_open_region request = { .index = 0, .fd_flags = O_RDWR | O_CLOEXEC };

	if (ioctl(node, DEVFS_DMA_IOC_OPEN_REGION, &request))
		fail("OPEN_REGION");
	return request.fd;
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
void measure_interrupts(void)
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
	ours.registers = map_registers(open_registers(ours.node));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", uio);
	theirs.registers = map_registers(open_node(path));
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
