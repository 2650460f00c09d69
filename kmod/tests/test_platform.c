// SPDX-License-Identifier: GPL-2.0
/* Platform devices, by the nodes that Tests/VM/arm64.dtsi adds to the guest's device tree. */
#include "tests/pci.h"

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

	CHECK(device_info(fd).sources == 3 && device_info(fd).flags & DEVFS_DMA_INFO_HARDWARE);
	CHECK(!strcmp(level.name, "irq0") && level.kind == DEVFS_DMA_SIGNAL_INTERRUPT);
	CHECK(level.flags == (DEVFS_DMA_SIGNAL_ENABLED | DEVFS_DMA_SIGNAL_AUTOMASK));
	CHECK(!strcmp(edge.name, "irq1") && edge.kind == DEVFS_DMA_SIGNAL_INTERRUPT);
	CHECK(edge.flags == DEVFS_DMA_SIGNAL_ENABLED);
	CHECK(!strcmp(signal_state(fd, 2).name, "error"));
	/* It has no interrupt. */
	CHECK(!strcmp(signal_state(device("dac"), 0).name, "error"));
	CHECK(device_info(device("dac")).sources == 1);
}

/* Registers of the PL031 clock, and what it is known by, a byte in each of eight words. */
enum {
	CLOCK_NOW	= 0x00,
	CLOCK_MATCH	= 0x04,
	CLOCK_MASK	= 0x10,
	CLOCK_CLEAR	= 0x1c,
	CLOCK_ID	= 0xfe0,
};

static const uint32_t clock_id[] = { 0x31, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

TEST(regions, "memory of the reg of a node is a region, of its size, mapped where it has whole pages")
{
	int fd = device("clock"), named = device("named");
	struct devfs_dma_region region = node_region(fd, "reg0");

	CHECK(device_info(fd).regions == 1 && device_info(named).regions == 2);
	CHECK(region.index == 0 && region.size == 0x1000 && region.phys_addr == 0x9010000);
	CHECK(region.ino && region.flags == (DEVFS_DMA_REGION_MMAP | DEVFS_DMA_REGION_WRITE));
	region = node_region(named, "fw_cfg");
	CHECK(region.index == 0 && region.size == 0x18 && region.phys_addr == 0x9020000);
	CHECK(region.flags == DEVFS_DMA_REGION_WRITE);
	region = node_region(named, "spare");
	CHECK(region.index == 1 && region.size == 0x3000);
	CHECK(region.flags == (DEVFS_DMA_REGION_MMAP | DEVFS_DMA_REGION_WRITE));
	/* A node without reg has none, nor has the host. */
	CHECK(!device_info(device("adc")).regions && !device_info(device("plain")).regions);
	CHECK(!device_info(node()).regions);
}

TEST(region_names, "regions of which one has no name of its own are reg0, reg1, ..., 16 at the most")
{
	int twice = device("twice"), bad = device("bad-names"), many = device("many");

	CHECK(device_info(twice).regions == 2);
	CHECK(node_region(twice, "reg0").phys_addr == 0xc008000);
	CHECK(node_region(twice, "reg1").phys_addr == 0xc009000);
	CHECK(device_info(bad).regions == 2);
	CHECK(node_region(bad, "reg0").phys_addr == 0xc010000);
	CHECK(node_region(bad, "reg1").phys_addr == 0xc011800);
	/* Neither starts or ends with a page. */
	CHECK(node_region(bad, "reg0").flags == DEVFS_DMA_REGION_WRITE);
	CHECK(node_region(bad, "reg1").flags == DEVFS_DMA_REGION_WRITE);
	CHECK(device_info(many).regions == 16);
	CHECK(node_region(many, "reg15").phys_addr == 0xc02003c);
}

TEST(registers, "registers are read and written with their width, and the mapping shows the same")
{
	int region = node_open_region(device("clock"), "reg0", O_RDWR);
	volatile uint32_t *map;
	uint32_t words[8];
	uint64_t wide;
	uint16_t half;
	uint8_t byte;

	CHECK(region >= 0 && lseek(region, 0, SEEK_END) == PAGE);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
	CHECK(map != MAP_FAILED);
	CHECK(pread(region, words, sizeof(words), CLOCK_ID) == sizeof(words));
	CHECK(!memcmp(words, clock_id, sizeof(words)));
	for (int i = 0; i < 8; i++)
		CHECK(map[CLOCK_ID / 4 + i] == words[i]);
	CHECK(pread(region, &byte, 1, CLOCK_ID) == 1 && byte == 0x31);
	CHECK(pread(region, &half, 2, CLOCK_ID + 4) == 2 && half == 0x10);
	CHECK(pread(region, &wide, 8, CLOCK_ID) == 8 && wide == 0x1000000031);
	write32(region, CLOCK_MATCH, 0x12345678);
	CHECK(map[CLOCK_MATCH / 4] == 0x12345678);
	map[CLOCK_MATCH / 4] = 0;
	CHECK(read32(region, CLOCK_MATCH) == 0);

	REFUSES(pread(region, words, 4, 2), EINVAL);
	REFUSES(pread(region, words, 3, 0), EINVAL);
	REFUSES(pread(region, words, 8, 4), EINVAL);
	REFUSES(pwrite(region, words, 4, PAGE), EINVAL);
	REFUSES(pread(region, words, 4, PAGE + 4), EINVAL);
	CHECK(pread(region, words, 4, PAGE) == 0 && pread(region, words, 32, PAGE - 16) == 16);
	CHECK(mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, region, 0) == MAP_FAILED);
	CHECK(errno == EINVAL);
}

TEST(part_of_page, "registers that are no whole page are read and written, and not mapped")
{
	int region = node_open_region(device("named"), "fw_cfg", O_RDWR);
	uint16_t signature = 0;
	char text[5] = "";

	CHECK(region >= 0 && lseek(region, 0, SEEK_END) == 0x18);
	/* What is selected at 8 comes out at 0, byte by byte. */
	CHECK(pwrite(region, &signature, 2, 8) == 2);
	for (int i = 0; i < 4; i++)
		CHECK(pread(region, text + i, 1, 0) == 1);
	CHECK(!strcmp(text, "QEMU"));
	REFUSES(pread(region, text, 4, 0x1c), EINVAL);
	CHECK(pread(region, text, 4, 0x18) == 0);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, 0) == MAP_FAILED && errno == ENODEV);
}

static bool iomem_has(const char *range)
{
	static char text[65536];
	int fd = open("/proc/iomem", O_RDONLY | O_CLOEXEC);
	ssize_t size = 0, n;

	CHECK(fd >= 0);
	while ((n = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
		size += n;
	close(fd);
	text[size] = 0;
	return strstr(text, range);
}

TEST(claims, "registers that another driver has, and the kernel's own memory, make no device")
{
	static const char *const devices[] = { "c030000.bad-claim", "c040000.bad-ram" };
	char path[100];

	CHECK(device("clock") >= 0 && iomem_has("09010000-09010fff : devfs_dma"));
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/bus/platform/devices/%s", devices[i]);
		CHECK(!access(path, F_OK));
		strcat(path, "/driver");
		REFUSES(access(path, F_OK), ENOENT);
		snprintf(path, sizeof(path), "/dev/devfs/%s", strchr(devices[i], '.') + 1);
		REFUSES(access(path, F_OK), ENOENT);
	}
	/* What they had before that is given back. */
	CHECK(!iomem_has("0c030000-") && !iomem_has("0c040000-"));
}

TEST(interrupt, "an interrupt of the machine's clock is one event, until it is enabled again")
{
	int fd = device("clock"), region = node_open_region(fd, "reg0", O_RDWR);
	struct devfs_dma_signal set = {
		.op = DEVFS_DMA_SIGNAL_SET, .flags = DEVFS_DMA_SIGNAL_ENABLED,
	};
	struct devfs_dma_event event;

	for (uint64_t n = 1; n <= 2; n++) {
		write32(region, CLOCK_MASK, 1);
		write32(region, CLOCK_MATCH, read32(region, CLOCK_NOW) + 1);
		CHECK(read(fd, &event, sizeof(event)) == sizeof(event));
		CHECK(event.source == 0 && event.count == n);
		/* The line is still up, and it is silent. */
		CHECK(!(signal_state(fd, 0).flags & DEVFS_DMA_SIGNAL_ENABLED));
		CHECK(signal_state(fd, 0).count == n);
		write32(region, CLOCK_CLEAR, 1);
		CHECK(!ioctl(fd, DEVFS_DMA_IOC_SIGNAL_CTL, &set));
		CHECK(signal_state(fd, 0).flags & DEVFS_DMA_SIGNAL_ENABLED);
	}
	write32(region, CLOCK_MASK, 0);
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

/* The node's mode, and what its attribute says. */
static bool is_unsafe(const char *name)
{
	int fd = device(name), attribute;
	bool unsafe = device_info(fd).flags & DEVFS_DMA_INFO_UNSAFE;
	char path[100], text = 0;
	struct stat st;

	snprintf(path, sizeof(path), "/sys/class/misc/devfs!%s/unsafe", name);
	attribute = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(attribute >= 0 && read(attribute, &text, 1) == 1 && text == (unsafe ? '1' : '0'));
	close(attribute);
	CHECK(!fstat(fd, &st) && (st.st_mode & 0777) == (unsafe ? 0600 : 0660));
	close(fd);
	return unsafe;
}

TEST(unsafe, "a node with registers, which no IOMMU confines, is root's; memory alone is not")
{
	/* Bound without the module's parameter: the device tree asks for it. */
	CHECK(is_unsafe("clock") && is_unsafe("named"));
	CHECK(!is_unsafe("adc") && !is_unsafe("dac") && !is_unsafe("pool"));
}

TEST(region_removal, "registers of an unbound device: ENODEV, SIGBUS, and binding it again works")
{
	int fd = device("clock"), region = node_open_region(fd, "reg0", O_RDWR);
	struct devfs_dma_open_region arg = { .fd_flags = O_RDWR };
	uint32_t value = 0;
	char *map;

	CHECK(region >= 0);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
	CHECK(map != MAP_FAILED && *(volatile uint32_t *)(map + CLOCK_ID) == clock_id[0]);
	set_bound("9010000.clock", false);
	CHECK(is_zapped(map) && is_zapped(map + CLOCK_ID));
	REFUSES(pread(region, &value, 4, 0), ENODEV);
	REFUSES(pwrite(region, &value, 4, CLOCK_MATCH), ENODEV);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, 0) == MAP_FAILED && errno == ENODEV);
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_OPEN_REGION, &arg), ENODEV);
	CHECK(!iomem_has("09010000-"));

	set_bound("9010000.clock", true);
	CHECK(is_zapped(map));
	REFUSES(pread(region, &value, 4, 0), ENODEV);
	CHECK(read32(node_open_region(device("clock"), "reg0", O_RDONLY), CLOCK_ID) == clock_id[0]);
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
