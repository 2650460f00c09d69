// SPDX-License-Identifier: GPL-2.0
/* Regions of real devices, those of QEMU. */
#include "tests/pci.h"

#include <linux/pci_regs.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

static sigjmp_buf faulted;

static void on_fault(int signal)
{
	siglongjmp(faulted, signal);
}

/* The signal that reading there brings, 0 for none. */
static int read_signal(const volatile uint32_t *at, uint32_t *value)
{
	int signal;

	sigaction(SIGBUS, &(struct sigaction){ .sa_handler = on_fault }, NULL);
	sigaction(SIGSEGV, &(struct sigaction){ .sa_handler = on_fault }, NULL);
	signal = sigsetjmp(faulted, 1);
	if (!signal)
		*value = *at;
	return signal;
}

TEST(info, "a bound device says that it is hardware, and what regions it has")
{
	struct pci_device edu = pci_bind(EDU, 0);
	struct devfs_dma_region region = { .index = 99 };
	struct devfs_dma_info info;

	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_GET_INFO, &info));
	CHECK(info.flags & DEVFS_DMA_INFO_HARDWARE);
	CHECK(!strncmp(info.device, "pci-0000:", 9) && !strcmp(info.device + 4, edu.address));
	CHECK(info.regions == 2);
	REFUSES(ioctl(edu.node, DEVFS_DMA_IOC_GET_REGION, &region), EINVAL);
	region.index = 0;
	region.flags = 1;
	REFUSES(ioctl(edu.node, DEVFS_DMA_IOC_GET_REGION, &region), EINVAL);
	REFUSES(ioctl(edu.node, DEVFS_DMA_IOC_GET_REGION, nowhere()), EFAULT);

	region = pci_region(&edu, "bar0");
	CHECK(region.size == MIB && region.phys_addr && region.ino);
	CHECK(region.flags == (DEVFS_DMA_REGION_MMAP | DEVFS_DMA_REGION_WRITE));
	region = pci_region(&edu, "config");
	CHECK(region.size == 256 && !region.phys_addr);
	CHECK(region.flags == (DEVFS_DMA_REGION_CONFIG | DEVFS_DMA_REGION_WRITE));

	/* The host has none. */
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_GET_INFO, &info));
	CHECK(!info.regions && !(info.flags & DEVFS_DMA_INFO_HARDWARE));
	memset(&region, 0, sizeof(region));
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_GET_REGION, &region), EINVAL);
	pci_unbind(&edu);
}

TEST(open_region, "a region opens as its node is open, and is a regular file")
{
	struct pci_device edu = pci_bind(EDU, 0);
	struct devfs_dma_open_region arg = { .fd_flags = O_RDWR };
	struct stat st;
	int fd, reader;
	uint32_t value;

	fd = pci_open_region(&edu, "bar0", O_RDWR);
	CHECK(fd >= 0 && !fstat(fd, &st));
	CHECK(S_ISREG(st.st_mode) && st.st_size == MIB);
	CHECK(st.st_ino == pci_region(&edu, "bar0").ino);
	CHECK(lseek(fd, 0, SEEK_END) == MIB);
	REFUSES(ftruncate(fd, 0), EINVAL);
	CHECK(fsync(fd) == 0);
	close(fd);

	arg.index = 99;
	REFUSES(ioctl(edu.node, DEVFS_DMA_IOC_OPEN_REGION, &arg), EINVAL);
	arg.index = 0;
	arg.pad = 1;
	REFUSES(ioctl(edu.node, DEVFS_DMA_IOC_OPEN_REGION, &arg), EINVAL);
	arg.pad = 0;
	arg.fd_flags = O_RDWR | O_APPEND;
	REFUSES(ioctl(edu.node, DEVFS_DMA_IOC_OPEN_REGION, &arg), EINVAL);
	arg.fd_flags = O_RDWR;
	reader = pci_open(&edu, O_RDONLY);
	CHECK(reader >= 0);
	REFUSES(ioctl(reader, DEVFS_DMA_IOC_OPEN_REGION, &arg), EACCES);
	arg.fd_flags = O_RDONLY;
	CHECK(!ioctl(reader, DEVFS_DMA_IOC_OPEN_REGION, &arg));
	CHECK(read32(arg.fd, EDU_ID) == 0x010000ed);
	REFUSES(pwrite(arg.fd, &value, 4, EDU_LIVENESS), EBADF);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, arg.fd, 0) == MAP_FAILED);
	CHECK(errno == EACCES);
	close(arg.fd);
	close(reader);
	pci_unbind(&edu);
}

TEST(registers, "registers are read and written, with effect")
{
	struct pci_device edu = pci_bind(EDU, 0);
	int fd = pci_open_region(&edu, "bar0", O_RDWR);

	CHECK(read32(fd, EDU_ID) == 0x010000ed);
	write32(fd, EDU_LIVENESS, 0x12345678);
	CHECK(read32(fd, EDU_LIVENESS) == ~0x12345678U);
	write32(fd, EDU_FACTORIAL, 10);
	EVENTUALLY(!(read32(fd, EDU_STATUS) & 1));
	CHECK(read32(fd, EDU_FACTORIAL) == 3628800);
	close(fd);
	pci_unbind(&edu);
}

TEST(bad_access, "an access that no bus has is EINVAL, and a pointer that faults costs nothing")
{
	struct pci_device edu = pci_bind(EDU, 0);
	int fd = pci_open_region(&edu, "bar0", O_RDWR);
	static char bytes[64];
	char *edge;

	REFUSES(pread(fd, bytes, 4, 2), EINVAL);
	REFUSES(pread(fd, bytes, 2, 1), EINVAL);
	REFUSES(pread(fd, bytes, 8, 4), EINVAL);
	REFUSES(pread(fd, bytes, 3, 0), EINVAL);
	REFUSES(pread(fd, bytes, 16, 2), EINVAL);
	REFUSES(pread(fd, bytes, 10, 0), EINVAL);
	REFUSES(pread(fd, bytes, 4, MIB + 4), EINVAL);
	REFUSES(pwrite(fd, bytes, 4, MIB), EINVAL);
	REFUSES(pwrite(fd, bytes, 16, MIB - 8), EINVAL);
	REFUSES(pwrite(fd, bytes, 5, 0), EINVAL);
	CHECK(pread(fd, bytes, 4, MIB) == 0);
	CHECK(pread(fd, bytes, 0, 1) == 0);
	/* cat and dd ask for more than there is. */
	CHECK(pread(fd, bytes, 64, MIB - 32) == 32);
	REFUSES(pread(fd, nowhere(), 4, 0), EFAULT);
	REFUSES(pwrite(fd, nowhere(), 4, EDU_LIVENESS), EFAULT);
	edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(edge != MAP_FAILED && !munmap(edge + PAGE, PAGE));
	CHECK(pread(fd, edge + PAGE - 16, 64, 0x80) == 16);
	CHECK(pwrite(fd, edge + PAGE - 2, 4, EDU_LIVENESS) == -1 && errno == EFAULT);
	close(fd);
	pci_unbind(&edu);
}

/* What a test of QEMU's pci-testdev says of itself. */
struct testdev {
	uint8_t test;
	uint8_t width;
	uint8_t pad[2];
	uint32_t offset;
	uint32_t data;
	uint32_t count;
	char name[8];
};

TEST(memory_width, "1, 2, 4 and 8 bytes of memory are one access of that width")
{
	struct pci_device edu = pci_bind(EDU, 0);
	int fd = pci_open_region(&edu, "bar0", O_RDWR);
	uint64_t wide = 0, one = 1;
	uint16_t word = 0x00ed;
	uint8_t byte = 0xed;

	/* These registers answer to 4 bytes alone: ones for 8, nothing for less. */
	CHECK(pread(fd, &byte, 1, EDU_ID) == 1 && byte != 0xed);
	CHECK(pread(fd, &word, 2, EDU_ID) == 2 && word != 0x00ed);
	CHECK(pread(fd, &wide, 8, EDU_ID) == 8 && wide == ~0ULL);
	write32(fd, EDU_LIVENESS, 5);
	CHECK(pwrite(fd, &one, 8, 0) == 8 && pwrite(fd, &one, 2, EDU_LIVENESS) == 2);
	CHECK(read32(fd, EDU_LIVENESS) == ~5U);
	/* This one takes 8. */
	CHECK(pwrite(fd, &one, 8, EDU_DMA_COUNT) == 8);
	CHECK(pread(fd, &wide, 8, EDU_DMA_COUNT) == 8 && wide == 1);
	close(fd);
	pci_unbind(&edu);
}

TEST(ports, "ports are read and written, by no more than 4 bytes, and have no mmap")
{
	struct pci_device device = pci_bind(TESTDEV, 0);
	struct devfs_dma_region region = pci_region(&device, "bar1");
	int fd = pci_open_region(&device, "bar1", O_RDWR);
	uint32_t offset, data, before;
	uint8_t test = 0, width, bytes[16];

	CHECK(fd >= 0);
	CHECK(region.flags == (DEVFS_DMA_REGION_PORTS | DEVFS_DMA_REGION_WRITE));
	CHECK(!region.phys_addr);
	/* Test 0 counts what is written to its offset. */
	CHECK(pwrite(fd, &test, 1, 0) == 1);
	CHECK(pread(fd, &width, 1, offsetof(struct testdev, width)) == 1);
	CHECK(width == 1 || width == 2 || width == 4);
	offset = read32(fd, offsetof(struct testdev, offset));
	data = read32(fd, offsetof(struct testdev, data));
	before = read32(fd, offsetof(struct testdev, count));
	for (int i = 0; i < 5; i++)
		CHECK(pwrite(fd, &data, width, offset) == width);
	CHECK(read32(fd, offsetof(struct testdev, count)) == before + 5);
	CHECK(pread(fd, bytes, 16, 0) == 16);
	CHECK(!memcmp(bytes + offsetof(struct testdev, offset), &offset, 4));
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
	close(fd);
	pci_unbind(&device);
}

TEST(mapping, "mmap shows the registers themselves, and only as they were opened")
{
	struct pci_device edu = pci_bind(EDU, 0);
	int fd = pci_open_region(&edu, "bar0", O_RDWR), reader;
	volatile uint32_t *map;

	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	CHECK(map[EDU_ID / 4] == 0x010000ed);
	map[EDU_LIVENESS / 4] = 0xcafe;
	CHECK(read32(fd, EDU_LIVENESS) == ~0xcafeU);
	write32(fd, EDU_LIVENESS, 7);
	CHECK(map[EDU_LIVENESS / 4] == ~7U);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, MIB) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, 2 * MIB, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(!msync((void *)map, PAGE, MS_SYNC));
	munmap((void *)map, MIB);

	reader = pci_open_region(&edu, "bar0", O_RDONLY);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
	CHECK(map != MAP_FAILED && map[0] == 0x010000ed);
	REFUSES(mprotect((void *)map, PAGE, PROT_READ | PROT_WRITE), EACCES);
	close(reader);
	close(fd);
	/* The mapping keeps what it needs. */
	CHECK(map[0] == 0x010000ed);
	munmap((void *)map, PAGE);
	pci_unbind(&edu);
}

TEST(large_mapping, "a large region is mapped by huge pages where the kernel has them")
{
	struct pci_device memory = pci_bind(IVSHMEM, 0);
	int fd = pci_open_region(&memory, "bar2", O_RDWR);
	char *map, *part;
	long parts;

	map = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	parts = -minor_faults();
	for (size_t at = 0; at < 4 * MIB; at += PAGE)
		*(volatile uint32_t *)(map + at) = at + 1;
	parts += minor_faults();
	for (size_t at = 0; at < 4 * MIB; at += PAGE)
		CHECK(read32(fd, at) == at + 1);
	/* A part of it taken away, and one page of another mapping. */
	CHECK(!munmap(map + MIB, PAGE) && *(volatile uint32_t *)(map + 2 * PAGE) == 2 * PAGE + 1);
	part = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, MIB);
	CHECK(part != MAP_FAILED && *(volatile uint32_t *)part == MIB + 1);
	munmap(map, 4 * MIB);
	munmap(part, PAGE);
	close(fd);
	pci_unbind(&memory);
	CHECK(maps_huge_frames() ? parts <= 4 : parts >= 1024);
}

TEST(long_runs, "long reads and writes of device memory are whole and in place")
{
	struct pci_device device = pci_bind(IVSHMEM, 0);
	int fd = pci_open_region(&device, "bar2", O_RDWR);
	char *from = malloc(4 * MIB), *to = malloc(4 * MIB);
	volatile char *map;

	CHECK(fd >= 0 && from && to && pci_region(&device, "bar2").size == 4 * MIB);
	fill(from, 4 * MIB, 3);
	CHECK(pwrite(fd, from, 4 * MIB, 0) == 4 * MIB);
	CHECK(pread(fd, to, 4 * MIB, 0) == 4 * MIB && filled(to, 4 * MIB, 3));
	/* Starts and ends at multiples of 4 that are none of 8. */
	fill(from, 1020, 5);
	CHECK(pwrite(fd, from, 1020, 1004) == 1020);
	memset(to, 0, MIB);
	CHECK(pread(fd, to, 1020, 1004) == 1020 && filled(to, 1020, 5));
	fill(from, 4096, 3);
	CHECK(pread(fd, to, 1004, 0) == 1004 && !memcmp(to, from, 1004));
	CHECK(pread(fd, to, 8, 2024) == 8 && !memcmp(to, from + 2024, 8));
	map = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	for (int width = 1; width <= 8; width *= 2) {
		uint64_t value = 0x8877665544332211ULL, got = 0;

		CHECK(pwrite(fd, &value, width, 0x100) == width);
		CHECK(pread(fd, &got, width, 0x100) == width && !memcmp(&got, &value, width));
		for (int i = 0; i < width; i++)
			CHECK(map[0x100 + i] == ((const char *)&value)[i]);
	}
	munmap((void *)map, 4 * MIB);
	close(fd);
	pci_unbind(&device);
}

TEST(combined, "a prefetchable BAR can be mapped write-combined, one way at a time")
{
	struct pci_device device = pci_bind(IVSHMEM, 0);
	struct devfs_dma_region plain = pci_region(&device, "bar2");
	struct devfs_dma_region combined = pci_region(&device, "bar2-wc");
	uint32_t *map;
	int fd;

	CHECK(combined.size == plain.size && combined.phys_addr == plain.phys_addr);
	CHECK(combined.ino != plain.ino);
	CHECK(combined.flags == (plain.flags | DEVFS_DMA_REGION_COMBINED));
	fd = pci_open_region(&device, "bar2-wc", O_RDWR);
	CHECK(fd >= 0);
	REFUSES(pci_open_region(&device, "bar2", O_RDWR), EBUSY);
	map = mmap(NULL, plain.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	for (unsigned int i = 0; i < plain.size / 4; i++)
		map[i] = i * 3;
	CHECK(!msync(map, plain.size, MS_SYNC));
	CHECK(read32(fd, 0x1000) == 0x400 * 3);
	close(fd);
	REFUSES(pci_open_region(&device, "bar2", O_RDWR), EBUSY);
	munmap(map, plain.size);
	EVENTUALLY((fd = pci_open_region(&device, "bar2", O_RDWR)) >= 0);
	CHECK(read32(fd, 0x2000) == 0x800 * 3);
	REFUSES(pci_open_region(&device, "bar2-wc", O_RDWR), EBUSY);
	close(fd);
	pci_unbind(&device);
}

TEST(config, "the configuration space is read by all widths and written where it is the device's")
{
	struct pci_device device = pci_bind(RNG, 0);
	int fd = pci_open_region(&device, "config", O_RDWR);
	uint8_t header[256], at, type, value, old;
	uint16_t word;

	CHECK(read32(fd, 0) == (0x1005 << 16 | 0x1af4));
	CHECK(pread(fd, &word, 2, PCI_DEVICE_ID) == 2 && word == 0x1005);
	CHECK(pread(fd, &value, 1, PCI_VENDOR_ID) == 1 && value == 0xf4);
	CHECK(pread(fd, header, 256, 0) == 256 && header[0] == 0xf4 && header[3] == 0x10);
	REFUSES(pread(fd, &word, 2, 3), EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);

	/* The kernel's own. */
	CHECK(header[PCI_COMMAND] & PCI_COMMAND_MASTER);
	word = 0;
	REFUSES(pwrite(fd, &word, 2, PCI_COMMAND), EPERM);
	REFUSES(pwrite(fd, header + PCI_COMMAND, 4, PCI_COMMAND), EPERM);
	REFUSES(pwrite(fd, header + PCI_BASE_ADDRESS_0, 4, PCI_BASE_ADDRESS_0), EPERM);
	REFUSES(pwrite(fd, &value, 1, PCI_INTERRUPT_LINE), EPERM);
	REFUSES(pwrite(fd, header, 256, 0), EPERM);
	REFUSES(pwrite(fd, header, 4, 256), EINVAL);
	word = 0;
	CHECK(pwrite(fd, &word, 2, PCI_STATUS) == 2);
	CHECK(pread(fd, &word, 2, PCI_COMMAND) == 2 && word & PCI_COMMAND_MASTER);

	/* Virtio's window (type 5) into its BARs: a body that can be written. */
	for (at = header[PCI_CAPABILITY_LIST]; at; at = header[at + 1]) {
		type = header[at + 3];
		if (header[at] == PCI_CAP_ID_MSIX)
			REFUSES(pwrite(fd, header + at + 2, 2, at + 2), EPERM);
		if (header[at] == PCI_CAP_ID_VNDR && type == 5)
			break;
	}
	CHECK(at);
	REFUSES(pwrite(fd, header + at, 4, at), EPERM);
	CHECK(pread(fd, &old, 1, at + 4) == 1);
	value = old ^ 1;
	CHECK(pwrite(fd, &value, 1, at + 4) == 1);
	CHECK(pread(fd, &value, 1, at + 4) == 1 && value == (old ^ 1));
	CHECK(pwrite(fd, &old, 1, at + 4) == 1);
	close(fd);
	pci_unbind(&device);
}

TEST(config_rights, "writing the configuration space needs CAP_SYS_ADMIN of who opened it")
{
	struct pci_device device = pci_bind(RNG, 0);
	uint16_t word = 0;
	int status, config;
	pid_t pid;

	config = pci_open_region(&device, "config", O_RDONLY);
	CHECK(!fchmod(config, 0666));
	close(config);
	if (!(pid = fork())) {
		int fd;

		CHECK(!setuid(1000));
		fd = pci_open_region(&device, "config", O_RDWR);
		CHECK(fd >= 0 && pread(fd, &word, 2, 0) == 2 && word == 0x1af4);
		REFUSES(pwrite(fd, &word, 2, PCI_STATUS), EPERM);
		/* Nor is a physical address for everybody. */
		CHECK(pci_region(&device, "bar1").size && !pci_region(&device, "bar1").phys_addr);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	CHECK(status == 0);
	pci_unbind(&device);
}

TEST(msix_table, "the MSI-X table can be read, and neither written nor mapped")
{
	struct pci_device device = pci_bind(NVME, 0);
	int config = pci_open_region(&device, "config", O_RDONLY);
	int fd = pci_open_region(&device, "bar0", O_RDWR);
	uint64_t size = pci_region(&device, "bar0").size, table;
	volatile uint32_t *map;
	uint32_t value = 0;
	uint8_t at;

	CHECK(fd >= 0 && config >= 0);
	CHECK(pread(config, &at, 1, PCI_CAPABILITY_LIST) == 1);
	while (at && pread(config, &value, 2, at) == 2 && (value & 0xff) != PCI_CAP_ID_MSIX)
		at = value >> 8;
	CHECK(at);
	table = read32(config, at + PCI_MSIX_TABLE);
	CHECK((table & PCI_MSIX_TABLE_BIR) == 0);
	CHECK(pread(fd, &value, 4, table) == 4);
	REFUSES(pwrite(fd, &value, 4, table), EPERM);
	REFUSES(pwrite(fd, &value, 4, table + 16), EPERM);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	/* The version register, readable both ways. */
	CHECK(map[2] && map[2] == read32(fd, 8));
	CHECK(read_signal(map + table / 4, &value) == SIGBUS);
	munmap((void *)map, size);
	close(fd);
	close(config);
	pci_unbind(&device);
}

TEST(mask, "the bits a device drives can be set while it has no buffers")
{
	struct pci_device edu = pci_bind(EDU, 0);
	struct devfs_dma_alloc arg = request("small", MIB, DEVFS_DMA_HEAP_COHERENT);
	struct devfs_dma_pin pin = {};
	struct devfs_dma_info info;

	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_GET_INFO, &info) && info.dma_mask == ~0ULL);
	CHECK(!pci_write(&edu, "dma_bits", "28"));
	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_GET_INFO, &info) && info.dma_mask == (1 << 28) - 1);
	REFUSES(pci_write(&edu, "dma_bits", "65"), EINVAL);
	REFUSES(pci_write(&edu, "dma_bits", "0"), EINVAL);
	REFUSES(pci_write(&edu, "dma_bits", "x"), EINVAL);
	for (uint32_t heap = 0; heap <= DEVFS_DMA_HEAP_COHERENT; heap++) {
		struct devfs_dma_sg entries[256];
		struct devfs_dma_buf_get_sg sg = {
			.entries = (uintptr_t)entries,
			.count = 256,
		};

		arg = request("small", MIB, heap);
		if (ioctl(edu.node, DEVFS_DMA_IOC_ALLOC, &arg)) {
			/* The memory it is copied to may be out of reach (swiotlb=force). */
			CHECK(errno == EIO && arg.why == DEVFS_DMA_WHY_MAPPING);
			CHECK(heap != DEVFS_DMA_HEAP_COHERENT);
			continue;
		}
		REFUSES(pci_write(&edu, "dma_bits", "32"), EBUSY);
		CHECK(!ioctl(arg.fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg) && sg.total == sg.count);
		for (uint32_t i = 0; i < sg.count; i++)
			CHECK(entries[i].dma_addr + entries[i].length <= 1 << 28);
		close(arg.fd);
		EVENTUALLY(!ioctl(edu.node, DEVFS_DMA_IOC_GET_INFO, &info) && !info.used);
	}
	/* The caller's memory is where it is: in reach, or refused. */
	pin.alloc = request("pinned", MIB, DEVFS_DMA_HEAP_USER);
	pin.address = (uintptr_t)mmap(NULL, MIB, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (ioctl(edu.node, DEVFS_DMA_IOC_PIN, &pin))
		CHECK(errno == EIO && pin.alloc.why == DEVFS_DMA_WHY_MAPPING);
	else
		close(pin.alloc.fd);
	EVENTUALLY(!ioctl(edu.node, DEVFS_DMA_IOC_GET_INFO, &info) && !info.used && !info.buffers);
	CHECK(!pci_write(&edu, "dma_bits", "32"));
	pci_unbind(&edu);
}

TEST(removal, "unbinding a device in use: ENODEV, SIGBUS, and binding it again works")
{
	struct pci_device edu = pci_bind(EDU, 0);
	int fd = pci_open_region(&edu, "bar0", O_RDWR);
	int config = pci_open_region(&edu, "config", O_RDWR);
	volatile uint32_t *map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct devfs_dma_open_region arg = { .fd_flags = O_RDWR };
	struct devfs_dma_region region = {};
	uint32_t value;

	CHECK(map != MAP_FAILED && map[0] == 0x010000ed);
	CHECK(!pci_write(&edu, "driver/unbind", edu.address));
	CHECK(read_signal(map, &value) == SIGBUS);
	CHECK(read_signal(map + PAGE / 4, &value) == SIGBUS);
	REFUSES(pread(fd, &value, 4, 0), ENODEV);
	REFUSES(pwrite(fd, &value, 4, EDU_LIVENESS), ENODEV);
	REFUSES(pread(config, &value, 4, 0), ENODEV);
	REFUSES(fsync(fd), ENODEV);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
	REFUSES(ioctl(edu.node, DEVFS_DMA_IOC_GET_REGION, &region), ENODEV);
	REFUSES(ioctl(edu.node, DEVFS_DMA_IOC_OPEN_REGION, &arg), ENODEV);
	CHECK(pci_open(&edu, O_RDWR) < 0 && errno == ENOENT);

	/* The old ones stay as they are while a new device is there. */
	close(edu.node);
	edu = pci_bind(EDU, 0);
	REFUSES(pread(fd, &value, 4, 0), ENODEV);
	CHECK(read_signal(map, &value) == SIGBUS);
	close(fd);
	fd = pci_open_region(&edu, "bar0", O_RDWR);
	CHECK(read32(fd, EDU_ID) == 0x010000ed);
	munmap((void *)map, MIB);
	close(fd);
	close(config);
	pci_unbind(&edu);
}
