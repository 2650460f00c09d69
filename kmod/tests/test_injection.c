// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation and user copy of every command, failed one after the other
 * (/proc/thread-self/fail-nth): nothing may be left of a command that failed.
 * Needs the debug kernel.
 */
#include "tests/pci.h"

#include <signal.h>
#include <sys/eventfd.h>

#define STEPS_MAX 3000

static void setting(const char *path, const char *value)
{
	char name[128];
	int fd;

	snprintf(name, sizeof(name), "/sys/kernel/debug/%s", path);
	fd = open(name, O_WRONLY);
	if (fd < 0)
		return;
	write(fd, value, strlen(value));
	close(fd);
}

static int injector(void)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR);

	if (fd < 0)
		check_skip("the kernel injects no faults");
	/* Also where the caller could wait for memory; and no report of each. */
	setting("failslab/ignore-gfp-wait", "N");
	setting("fail_page_alloc/ignore-gfp-wait", "N");
	setting("fail_page_alloc/min-order", "0");
	setting("failslab/verbose", "0");
	setting("fail_page_alloc/verbose", "0");
	setting("fail_usercopy/verbose", "0");
	return fd;
}

static void counts(struct devfs_dma_info *info)
{
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_GET_INFO, info));
}

/* Called after each step, when no fault comes any more. */
static void (*settle)(void);

/*
 * Runs @step with the 1st, 2nd, ... fault until none was left to inject. The
 * step gives 0 or -1; @undo takes back what one that gave 0 made. Gives the
 * number of faults met.
 */
static int fail_each(int (*step)(void), void (*undo)(void))
{
	int fd = injector();
	bool injected = true;
	int faults = 0;

	for (int n = 1; injected && n < STEPS_MAX; n++) {
		char text[16];
		ssize_t got;
		int result;

		snprintf(text, sizeof(text), "%d", n);
		CHECK(pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
		result = step();
		/*
		 * What is left of n is not zero: it was not reached. Reading
		 * and resetting copy, too, and may meet the fault instead.
		 */
		got = pread(fd, text, sizeof(text) - 1, 0);
		text[got > 0 ? got : 0] = 0;
		injected = got > 0 && atoi(text) == 0;
		while (pwrite(fd, "0", 1, 0) != 1)
			;
		faults += injected;
		if (!result)
			undo();
		else
			CHECK(injected);
		if (settle)
			settle();
	}
	CHECK(!injected);
	/* One that met no fault has tested nothing. */
	CHECK(faults > 0);
	close(fd);
	return faults;
}

static struct devfs_dma_info before_all;
static void (*settle_step)(void);

static void as_before(void)
{
	struct devfs_dma_info after;

	if (settle_step)
		settle_step();
	EVENTUALLY((counts(&after), after.used == before_all.used &&
		    after.buffers == before_all.buffers));
	CHECK(after.sources == before_all.sources);
}

/* The same, of what changes the host's buffers and signals and takes that back. */
static int visit(int (*step)(void), void (*undo)(void))
{
	counts(&before_all);
	settle = as_before;
	return fail_each(step, undo);
}

static int made_fd, made_fd2;
static uint32_t made_id, heap_wanted;
static uint64_t kept_id;

static void close_made(void)
{
	close(made_fd);
}

static void nothing(void)
{
}

static int step_alloc(void)
{
	struct devfs_dma_alloc arg = request("inject", 37 * PAGE, heap_wanted);

	if (ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg))
		return -1;
	made_fd = arg.fd;
	return 0;
}

static int step_process_alloc(void)
{
	struct devfs_dma_alloc arg = request("inject", PAGE, DEVFS_DMA_HEAP_SYSTEM);

	arg.lease = DEVFS_DMA_LEASE_PROCESS;
	if (ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg))
		return -1;
	made_fd = arg.fd;
	return 0;
}

static void free_made(void)
{
	buffer_free(buffer_info(made_fd).id);
	close(made_fd);
}

static int step_open(void)
{
	struct devfs_dma_open arg = { .name = "kept", .fd_flags = O_RDWR };

	if (ioctl(node(), DEVFS_DMA_IOC_OPEN, &arg))
		return -1;
	made_fd = arg.fd;
	return 0;
}

static int step_grow(void)
{
	return ftruncate(made_fd2, 40 * PAGE);
}

static void shrink(void)
{
	CHECK(!ftruncate(made_fd2, 0));
}

static int step_write(void)
{
	static char data[40 * PAGE];

	/* A short write is one that worked. */
	return pwrite(made_fd2, data, sizeof(data), 0) < 0 ? -1 : 0;
}

static int step_map(void)
{
	volatile char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, made_fd2, 0);

	if (map == MAP_FAILED)
		return -1;
	munmap((void *)map, 2 * PAGE);
	return 0;
}

static int step_export(void)
{
	struct devfs_dma_buf_export arg = { .fd_flags = O_RDWR };

	if (ioctl(made_fd2, DEVFS_DMA_IOC_BUF_EXPORT, &arg))
		return -1;
	made_fd = arg.fd;
	return 0;
}

static int step_import(void)
{
	struct devfs_dma_import arg = {
		.alloc = request("inject", 0, DEVFS_DMA_HEAP_IMPORTED), .dmabuf_fd = made_fd2,
	};

	if (ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg))
		return -1;
	made_fd = arg.alloc.fd;
	return 0;
}

static struct pci_device peer;

static int step_region_export(void)
{
	struct devfs_dma_region_export arg = { .size = 4 * PAGE, .fd_flags = O_RDWR };

	if (ioctl(made_fd2, DEVFS_DMA_IOC_REGION_EXPORT, &arg))
		return -1;
	made_fd = arg.fd;
	return 0;
}

static int step_peer_import(void)
{
	struct devfs_dma_import arg = {
		.alloc = request("inject", 0, DEVFS_DMA_HEAP_IMPORTED), .dmabuf_fd = made_fd2,
	};

	if (ioctl(peer.node, DEVFS_DMA_IOC_IMPORT, &arg))
		return -1;
	made_fd = arg.alloc.fd;
	return 0;
}

static int step_pin(void)
{
	static char memory[20 * PAGE];
	struct devfs_dma_pin arg = {
		.alloc = request("inject", 19 * PAGE, DEVFS_DMA_HEAP_USER),
		.address = (uintptr_t)memory + 5,
	};

	if (ioctl(node(), DEVFS_DMA_IOC_PIN, &arg))
		return -1;
	made_fd = arg.alloc.fd;
	return 0;
}

static int other_fd;

/* A fault between two changes leaves the names that the first one gave. */
static void names_back(void)
{
	struct devfs_dma_buf_name away = { "away" }, other = { "other" }, kept = { "kept" };

	CHECK(!ioctl(made_fd2, DEVFS_DMA_IOC_BUF_SET_NAME, &away));
	CHECK(!ioctl(other_fd, DEVFS_DMA_IOC_BUF_SET_NAME, &other));
	CHECK(!ioctl(made_fd2, DEVFS_DMA_IOC_BUF_SET_NAME, &kept));
}

static int step_buffer_commands(void)
{
	static struct devfs_dma_buf_info infos[4];
	struct devfs_dma_list list = { .entries = (uintptr_t)infos, .count = 4 };
	struct devfs_dma_sg entries[4];
	struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)entries, .count = 4 };
	struct devfs_dma_buf_name name = { "kept2" }, back = { "kept" };
	struct devfs_dma_rename swap = {
		.id = kept_id, .name = "other", .flags = DEVFS_DMA_RENAME_EXCHANGE,
	};
	struct devfs_dma_buf_lease lease = { .lease = DEVFS_DMA_LEASE_PROCESS };
	struct devfs_dma_buf_sync sync = { .flags = 1, .direction = ~0U };
	int bad = 0;

	bad |= ioctl(node(), DEVFS_DMA_IOC_LIST, &list);
	bad |= ioctl(made_fd2, DEVFS_DMA_IOC_BUF_GET_SG, &sg);
	bad |= ioctl(made_fd2, DEVFS_DMA_IOC_BUF_SYNC, &sync);
	bad |= ioctl(made_fd2, DEVFS_DMA_IOC_BUF_SET_LEASE, &lease);
	lease.lease = DEVFS_DMA_LEASE_USE;
	bad |= ioctl(made_fd2, DEVFS_DMA_IOC_BUF_SET_LEASE, &lease);
	bad |= ioctl(made_fd2, DEVFS_DMA_IOC_BUF_SET_NAME, &name);
	bad |= ioctl(made_fd2, DEVFS_DMA_IOC_BUF_SET_NAME, &back);
	bad |= ioctl(node(), DEVFS_DMA_IOC_RENAME, &swap);
	strcpy(swap.name, "kept");
	bad |= ioctl(node(), DEVFS_DMA_IOC_RENAME, &swap);
	return bad;
}

static int step_source(void)
{
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_CREATE, .name = "inject" };

	if (ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &arg))
		return -1;
	made_id = arg.source;
	return 0;
}

static void drop_source(void)
{
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_REMOVE, .source = made_id };

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &arg));
}

static int step_listen(void)
{
	struct devfs_dma_eventfd event_arg = { .source = made_id, .fd = made_fd2 };
	struct devfs_dma_notify notify_arg = {
		.source = made_id, .pid = getpid(), .signo = SIGURG,
	};
	int bad = 0;

	bad |= ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &event_arg);
	bad |= ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &notify_arg);
	return bad;
}

static void unlisten(void)
{
	struct devfs_dma_eventfd event_arg = { .source = made_id, .fd = -1 };
	struct devfs_dma_notify notify_arg = { .source = made_id, .pid = getpid() };

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &event_arg));
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &notify_arg));
}

static int step_node(void)
{
	made_fd = open(NODE, O_RDWR);
	return made_fd < 0 ? -1 : 0;
}

TEST(inject_alloc, "ALLOC leaves nothing, whatever fails in it")
{
	for (heap_wanted = 0; heap_wanted <= DEVFS_DMA_HEAP_COHERENT; heap_wanted++)
		CHECK(visit(step_alloc, close_made) > 8);
	visit(step_process_alloc, free_made);
}

TEST(inject_open, "OPEN and opening the node leave nothing, whatever fails in them")
{
	buffer("kept", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	visit(step_open, close_made);
	visit(step_node, close_made);
}

TEST(inject_grow, "growing leaves the buffer as it was, whatever fails in it")
{
	made_fd2 = buffer("kept", 0, DEVFS_DMA_HEAP_SYSTEM);
	visit(step_grow, shrink);
	visit(step_write, shrink);
}

TEST(inject_map, "mmap leaves nothing, whatever fails in it")
{
	made_fd2 = buffer("kept", 2 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	visit(step_map, nothing);
	CHECK(buffer_info(made_fd2).mappings == 0);
	close(made_fd2);
	made_fd2 = buffer("kept", 2 * PAGE, DEVFS_DMA_HEAP_COHERENT);
	visit(step_map, nothing);
	CHECK(buffer_info(made_fd2).mappings == 0);
}

TEST(inject_export, "BUF_EXPORT and IMPORT leave nothing, whatever fails in them")
{
	int fd;

	fd = made_fd2 = buffer("kept", 20 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	visit(step_export, close_made);
	EVENTUALLY(buffer_info(fd).exports == 0);
	close(fd);
	fd = made_fd2 = buffer("kept", 2 * PAGE, DEVFS_DMA_HEAP_COHERENT);
	visit(step_export, close_made);
	EVENTUALLY(buffer_info(fd).exports == 0);
	CHECK(!step_export());
	made_fd2 = made_fd;
	visit(step_import, close_made);
	close(made_fd2);
	close(fd);
	made_fd2 = buffer("kept", 20 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	CHECK(!step_export());
	made_fd2 = made_fd;
	visit(step_import, close_made);
}

TEST(inject_peer, "REGION_EXPORT and IMPORT of it leave nothing, whatever fails in them")
{
	struct pci_device memory;
	int region;

	close(injector());
	memory = pci_bind(IVSHMEM, 1);
	region = made_fd2 = pci_open_region(&memory, "bar2", O_RDWR);
	CHECK(visit(step_region_export, close_made) > 4);
	CHECK(!step_region_export());
	made_fd2 = made_fd;
	peer = pci_bind(EDU, 2);
	CHECK(visit(step_peer_import, close_made) > 8);
	close(made_fd2);
	close(region);
	pci_unbind(&memory);
	pci_unbind(&peer);
}

TEST(inject_pin, "PIN leaves nothing, whatever fails in it")
{
	CHECK(visit(step_pin, close_made) > 8);
}

TEST(inject_commands, "a buffer's commands leave it whole, whatever fails in them")
{
	made_fd2 = buffer("kept", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	kept_id = buffer_info(made_fd2).id;
	other_fd = buffer("other", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	settle_step = names_back;
	visit(step_buffer_commands, nothing);
}

TEST(inject_signals, "SIGNAL_CTL and listeners leave nothing, whatever fails in them")
{
	visit(step_source, drop_source);
	CHECK(!step_source());
	made_fd2 = eventfd(0, 0);
	visit(step_listen, unlisten);
	drop_source();
}

#define DRIVER "/sys/bus/%s/drivers/devfs_dma/%s"

static const char *bus, *bound;

static int tell_driver(const char *what)
{
	char path[64];
	int fd, done;

	snprintf(path, sizeof(path), DRIVER, bus, what);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	done = write(fd, bound, strlen(bound)) == (ssize_t)strlen(bound) ? 0 : -1;
	close(fd);
	return done;
}

static int step_bind(void)
{
	return tell_driver("bind");
}

static void unbind_again(void)
{
	CHECK(!tell_driver("unbind"));
}

/* Returns whether it did. */
static bool uses_messages(bool may)
{
	int fd = open("/sys/module/devfs_dma/parameters/msi", O_RDWR | O_CLOEXEC);
	char before;

	CHECK(fd >= 0 && read(fd, &before, 1) == 1);
	CHECK(pwrite(fd, may ? "Y" : "N", 1, 0) == 1);
	close(fd);
	return before == 'Y';
}

/*
 * By its line: the kernel warns when it frees vectors for which it could not make
 * what it shows of them.
 */
TEST(inject_probe, "a PCI device is bound or left as it was, whatever fails in it")
{
	struct pci_device edu;
	bool before;
	int bar;

	/* Each of hundreds of steps is long. */
	alarm(900);
	close(injector());
	before = uses_messages(false);
	edu = pci_bind(EDU, 1);
	pci_unbind(&edu);
	bus = "pci";
	bound = edu.address;
	settle = NULL;
	CHECK(fail_each(step_bind, unbind_again) > 30);
	uses_messages(before);
	edu = pci_bind(EDU, 1);
	bar = pci_open_region(&edu, "bar0", O_RDWR);
	CHECK(read32(bar, EDU_ID) == 0x010000ed);
	close(bar);
	pci_unbind(&edu);
}

TEST(inject_host, "the host is there or it is not, whatever fails in binding it")
{
	/* Each of hundreds of steps is long. */
	alarm(900);
	close(injector());
	bus = "platform";
	bound = "devfs_dma_host";
	settle = NULL;
	unbind_again();
	CHECK(fail_each(step_bind, unbind_again) > 30);
	CHECK(!step_bind());
	close(buffer("works", PAGE, DEVFS_DMA_HEAP_SYSTEM));
	if (device_info(node()).heaps & 1 << DEVFS_DMA_HEAP_RESERVED)
		close(buffer("works", PAGE, DEVFS_DMA_HEAP_RESERVED));
}
