// SPDX-License-Identifier: GPL-2.0
/* Platform devices, by the nodes that Tests/VM/arm64.dtsi adds to the guest's device tree. */
#include "tests/libcheck.h"

#include <setjmp.h>
#include <signal.h>

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

static struct devfs_dma_info device_info(int fd)
{
	struct devfs_dma_info info;

	CHECK(!ioctl(fd, DEVFS_DMA_IOC_GET_INFO, &info));
	return info;
}

static void set_bound(const char *name, bool bound)
{
	int fd = open(bound ? DRIVER "bind" : DRIVER "unbind", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && write(fd, name, strlen(name)) == (ssize_t)strlen(name));
	close(fd);
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

static sigjmp_buf bus_error;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(bus_error, 1);
}

TEST(removal, "an unbound device is gone for who uses it, and new when it is bound again")
{
	static const char *const names[] = { "adc", "dac", "pool" };

	signal(SIGBUS, on_bus_error);
	for (volatile unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = device(names[i]), file;
		struct devfs_dma_buf_info buf;
		char c, *map;

		file = preset(fd, &buf);
		map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		CHECK(map != MAP_FAILED);
		map[0] = 77;
		set_bound(names[i], false);
		if (!sigsetjmp(bus_error, 1)) {
			map[0] = 2;
			check_fail(__LINE__, "the mapping is still there", 0);
		}
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
