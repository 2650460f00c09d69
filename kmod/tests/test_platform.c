// SPDX-License-Identifier: GPL-2.0
/* Platform devices, by the nodes that Tests/VM/arm64.dtsi adds to the guest's device tree. */
#include "tests/libcheck.h"

#define DRIVER "/sys/bus/platform/drivers/devfs_dma/"

static int device(const char *name)
{
	char path[100];
	int fd;

	if (access("/proc/device-tree/adc", F_OK))
		check_skip("this guest has no device tree");
	snprintf(path, sizeof(path), "/dev/devfs/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

static int preset(int device, struct devfs_dma_buf_info *info)
{
	struct devfs_dma_open arg = { .name = "buffer", .fd_flags = O_RDWR | O_CLOEXEC };

	CHECK(!ioctl(device, DEVFS_DMA_IOC_OPEN, &arg));
	memset(info, 0, sizeof(*info));
	CHECK(!ioctl(arg.fd, DEVFS_DMA_IOC_BUF_INFO, info));
	return arg.fd;
}

TEST(reserved, "a node with a memory-region has its buffer there from the start")
{
	int fd = device("adc"), file;
	struct devfs_dma_heap heap = { .heap = DEVFS_DMA_HEAP_RESERVED };
	struct devfs_dma_info info = device_info(fd);
	struct devfs_dma_buf_info buf;
	static char data[4 * MIB];
	char *map;

	CHECK(!strcmp(info.device, "adc") && info.dma_mask == 0xffffffff && info.buffers == 1);
	/* No dma-coherent in the node: its caches are not the CPU's. */
	CHECK(!(info.flags & DEVFS_DMA_INFO_COHERENT));
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_GET_HEAP, &heap));
	CHECK(heap.size == 16 * MIB && heap.used == 4 * MIB && heap.max == 12 * MIB);
	file = preset(fd, &buf);
	CHECK(buf.size == 4 * MIB && buf.heap == DEVFS_DMA_HEAP_RESERVED);
	CHECK(buf.direction == DEVFS_DMA_FROM_DEVICE && buf.lease == DEVFS_DMA_LEASE_PERSIST);
	CHECK(buf.mode == 0600 && buf.uid == 0 && buf.gid == 0);
	CHECK(buf.phys_addr == 0x70000000 && buf.dma_addr == 0x70000000 && buf.nents == 1);
	map = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(map != MAP_FAILED && zeroed(map, 4 * MIB));
	fill(data, sizeof(data), 5);
	CHECK(pwrite(file, data, sizeof(data), 0) == sizeof(data) && filled(map, sizeof(data), 5));
	memset(map, 0, 4 * MIB);
}

TEST(coherent, "heap, direction, dma-mask and dma-coherent are the node's; its size has two cells")
{
	int fd = device("dac"), file;
	struct devfs_dma_info info = device_info(fd);
	struct devfs_dma_buf_info buf;
	char c;

	CHECK(info.dma_mask == (1ULL << 40) - 1 && info.flags & DEVFS_DMA_INFO_COHERENT);
	CHECK(!(info.heaps & 1 << DEVFS_DMA_HEAP_RESERVED));
	file = preset(fd, &buf);
	CHECK(buf.size == 0x10000 && buf.heap == DEVFS_DMA_HEAP_CONTIGUOUS && buf.nents == 1);
	CHECK(buf.direction == DEVFS_DMA_TO_DEVICE);
	CHECK(pread(file, &c, 1, 0xffff) == 1 && !c);
}

TEST(pool, "coherent memory comes from a reusable memory-region, larger than a block of pages")
{
	int fd = device("pool"), file;
	struct devfs_dma_buf_info buf;
	char *map;

	file = preset(fd, &buf);
	CHECK(buf.size == 6 * MIB && buf.heap == DEVFS_DMA_HEAP_COHERENT && buf.nents == 1);
	map = mmap(NULL, 6 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(map != MAP_FAILED && zeroed(map, 6 * MIB));
	map[6 * MIB - 1] = 9;
	CHECK(pread(file, map, 1, 6 * MIB - 1) == 1 && map[0] == 9);
	map[0] = map[6 * MIB - 1] = 0;
}

TEST(plain, "a node without properties has a name, no buffer, and all heaps but one")
{
	int fd = device("plain");
	struct devfs_dma_alloc arg = request("x", 3 * PAGE, DEVFS_DMA_HEAP_SYSTEM);

	CHECK(device_info(fd).buffers == 0);
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_ALLOC, &arg));
	CHECK(pwrite(arg.fd, "x", 1, 2 * PAGE) == 1);
}

TEST(bad, "a node with a property that cannot be makes no device")
{
	static const char *const names[] = {
		"bad-name", "bad-heap", "bad-mask", "bad-direction", "bad-memory", "bad-size",
	};
	char path[100];

	close(device("plain"));
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/proc/device-tree/%s", names[i]);
		CHECK(!access(path, F_OK));
		snprintf(path, sizeof(path), DRIVER "%s", names[i]);
		REFUSES(access(path, F_OK), ENOENT);
		snprintf(path, sizeof(path), "/dev/devfs/%s", names[i]);
		REFUSES(access(path, F_OK), ENOENT);
	}
}

static struct devfs_dma_signal signal_state(int fd, uint32_t id)
{
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_GET, .source = id };

	CHECK(!ioctl(fd, DEVFS_DMA_IOC_SIGNAL_CTL, &arg));
	return arg;
}

TEST(sources, "interrupts of the node are sources, in order: a level masks itself, an edge does not")
{
	int fd = device("adc");
	struct devfs_dma_signal level = signal_state(fd, 0), edge = signal_state(fd, 1);

	CHECK(device_info(fd).sources == 2 && device_info(fd).flags & DEVFS_DMA_INFO_HARDWARE);
	CHECK(!strcmp(level.name, "irq0") && level.kind == DEVFS_DMA_SIGNAL_INTERRUPT);
	CHECK(level.flags == (DEVFS_DMA_SIGNAL_ENABLED | DEVFS_DMA_SIGNAL_AUTOMASK));
	CHECK(!strcmp(edge.name, "irq1") && edge.kind == DEVFS_DMA_SIGNAL_INTERRUPT);
	CHECK(edge.flags == DEVFS_DMA_SIGNAL_ENABLED);
	CHECK(device_info(device("dac")).sources == 0);
}

/* Registers of the PL031 clock. */
enum { CLOCK_NOW = 0x00 / 4, CLOCK_MATCH = 0x04 / 4, CLOCK_MASK = 0x10 / 4, CLOCK_CLEAR = 0x1c / 4 };

TEST(interrupt, "an interrupt of the machine's clock is one event, until it is enabled again")
{
	int fd = device("clock"), memory = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	struct devfs_dma_signal set = {
		.op = DEVFS_DMA_SIGNAL_SET, .flags = DEVFS_DMA_SIGNAL_ENABLED,
	};
	volatile uint32_t *clock;
	struct devfs_dma_event event;

	CHECK(memory >= 0);
	clock = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0x9010000);
	CHECK(clock != MAP_FAILED);
	for (uint64_t n = 1; n <= 2; n++) {
		clock[CLOCK_MASK] = 1;
		clock[CLOCK_MATCH] = clock[CLOCK_NOW] + 1;
		CHECK(read(fd, &event, sizeof(event)) == sizeof(event));
		CHECK(event.source == 0 && event.count == n);
		/* The line is still up, and it is silent. */
		CHECK(!(signal_state(fd, 0).flags & DEVFS_DMA_SIGNAL_ENABLED));
		CHECK(signal_state(fd, 0).count == n);
		clock[CLOCK_CLEAR] = 1;
		CHECK(!ioctl(fd, DEVFS_DMA_IOC_SIGNAL_CTL, &set));
		CHECK(signal_state(fd, 0).flags & DEVFS_DMA_SIGNAL_ENABLED);
	}
	clock[CLOCK_MASK] = 0;
}

TEST(removal, "an unbound device is gone for who uses it, and new when it is bound again")
{
	static const char *const names[] = { "adc", "dac", "pool" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = device(names[i]), file;
		struct devfs_dma_buf_info buf;
		char c, *map;

		file = preset(fd, &buf);
		map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		CHECK(map != MAP_FAILED);
		map[0] = 77;
		set_bound(names[i], false);
		CHECK(is_zapped(map));
		REFUSES(pread(file, &c, 1, 0), ENODEV);
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_INFO, &buf), ENODEV);
		set_bound(names[i], true);
		file = preset(device(names[i]), &buf);
		CHECK(pread(file, &c, 1, 0) == 1 && c == 0);
	}
}

TEST(freed, "a buffer that a device has from the start is freed like any other")
{
	static const char *const names[] = { "adc", "dac", "pool" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = device(names[i]);
		struct devfs_dma_open open_arg = { .name = "buffer" };
		struct devfs_dma_buf_info buf;
		struct devfs_dma_free arg;

		close(preset(fd, &buf));
		arg = (struct devfs_dma_free){ .id = buf.id };
		CHECK(!ioctl(fd, DEVFS_DMA_IOC_FREE, &arg));
		CHECK(device_info(fd).buffers == 0);
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_OPEN, &open_arg), ENOENT);
		EVENTUALLY(device_info(fd).used == 0);
	}
}
