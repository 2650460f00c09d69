// SPDX-License-Identifier: GPL-2.0
/* DMA by a real device, QEMU's edu: between its memory and buffers. */
#include "tests/pci.h"

#include <sys/uio.h>
#include <time.h>

/* QEMU's edu refuses to fill its 4096 bytes to the last. */
#define MOST 4095

static int edu_buffer(const struct pci_device *edu, const char *name, uint64_t size, uint32_t heap,
		      uint64_t *address)
{
	struct devfs_dma_alloc arg = request(name, size, heap);
	struct devfs_dma_sg entry;
	struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)&entry, .count = 1 };

	CHECK(!ioctl(edu->node, DEVFS_DMA_IOC_ALLOC, &arg));
	CHECK(!ioctl(arg.fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg) && sg.count == 1);
	CHECK(entry.length >= PAGE);
	*address = entry.dma_addr;
	return arg.fd;
}

static bool has_iommu(const struct pci_device *device)
{
	return device_info(device->node).flags & DEVFS_DMA_INFO_IOMMU;
}

/* The first edu drives 28 address bits, the second all of them. */
static void goes_round(uint32_t heap, unsigned int bits)
{
	struct pci_device edu = pci_bind(EDU, bits == 28 ? 0 : 1);
	int bar = pci_open_region(&edu, "bar0", O_RDWR), tx, rx;
	uint64_t from, to;
	char bytes[PAGE];

	if (bits == 28)
		CHECK(!pci_write(&edu, "dma_bits", "28"));
	tx = edu_buffer(&edu, "tx", PAGE, heap, &from);
	rx = edu_buffer(&edu, "rx", PAGE, heap, &to);
	CHECK(from != to);
	if (bits == 28)
		CHECK(from + PAGE <= 1 << 28 && to + PAGE <= 1 << 28);
	for (unsigned int seed = 1; seed <= 2; seed++) {
		fill(bytes, PAGE, seed);
		CHECK(pwrite(tx, bytes, PAGE, 0) == PAGE);
		edu_transfer(&edu, bar, from, MOST, EDU_TO_DEVICE);
		edu_transfer(&edu, bar, to, MOST, EDU_FROM_DEVICE);
		memset(bytes, 0xff, PAGE);
		CHECK(pread(rx, bytes, PAGE, 0) == PAGE);
		CHECK(filled(bytes, MOST, seed) && bytes[MOST] == 0);
	}
	close(tx);
	close(rx);
	close(bar);
	pci_unbind(&edu);
}

TEST(coherent, "a device copies from coherent memory and back, within the bits it drives")
{
	goes_round(DEVFS_DMA_HEAP_COHERENT, 28);
	goes_round(DEVFS_DMA_HEAP_COHERENT, 64);
}

TEST(system_pages, "a device copies from system memory and back")
{
	goes_round(DEVFS_DMA_HEAP_SYSTEM, 64);
}

TEST(mapped, "what a device writes is seen in a mapping, and what is stored there by the device")
{
	struct pci_device edu = pci_bind(EDU, 1);
	int bar = pci_open_region(&edu, "bar0", O_RDWR), fd;
	uint64_t address;
	char *map;

	if (bounced()) {
		pci_unbind(&edu);
		check_skip("msync copies what the CPU has over what the device wrote");
	}

	fd = edu_buffer(&edu, "both", 2 * PAGE, DEVFS_DMA_HEAP_CONTIGUOUS, &address);
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	fill(map, PAGE, 9);
	CHECK(!msync(map, 2 * PAGE, MS_SYNC));
	edu_transfer(&edu, bar, address, MOST, EDU_TO_DEVICE);
	edu_transfer(&edu, bar, address + PAGE, MOST, EDU_FROM_DEVICE);
	CHECK(!msync(map, 2 * PAGE, MS_SYNC));
	CHECK(filled(map + PAGE, MOST, 9) && map[PAGE + MOST] == 0);
	munmap(map, 2 * PAGE);
	close(fd);
	close(bar);
	pci_unbind(&edu);
}

TEST(one_range, "behind an IOMMU a contiguous buffer is one range, however long")
{
	struct pci_device edu = pci_bind(EDU, 0);
	struct devfs_dma_alloc arg = request("long", 24 * MIB, DEVFS_DMA_HEAP_CONTIGUOUS);
	struct devfs_dma_buf_info info;

	if (!has_iommu(&edu)) {
		pci_unbind(&edu);
		check_skip("the guest has no IOMMU");
	}
	CHECK(!pci_write(&edu, "dma_bits", "28"));
	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_ALLOC, &arg));
	info = buffer_info(arg.fd);
	CHECK(info.nents == 1 && info.flags & DEVFS_DMA_BUF_DMA_ADDR);
	CHECK(info.dma_addr + info.size <= 1 << 28);
	close(arg.fd);
	pci_unbind(&edu);
}

/* As iommu=pt has it for all devices. */
TEST(identity, "an IOMMU that lets the device reach everything is not said to translate")
{
	struct pci_device edu = pci_bind(EDU, 0);
	struct devfs_dma_buf_info info;
	struct devfs_dma_alloc arg;
	bool iommu = has_iommu(&edu), before;

	pci_unbind(&edu);
	if (!iommu)
		check_skip("the guest has no IOMMU");
	CHECK(!pci_write(&edu, "iommu_group/type", "identity"));
	before = pci_set_unsafe(true);
	edu = pci_bind(EDU, 0);
	CHECK(!has_iommu(&edu));
	/* What it allocates must be where the device reaches it. */
	CHECK(!pci_write(&edu, "dma_bits", "28"));
	for (uint32_t heap = DEVFS_DMA_HEAP_SYSTEM; heap <= DEVFS_DMA_HEAP_COHERENT; heap++) {
		arg = request("low", PAGE, heap);
		CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_ALLOC, &arg));
		info = buffer_info(arg.fd);
		CHECK(info.flags & DEVFS_DMA_BUF_DMA_ADDR && info.dma_addr + PAGE <= 1 << 28);
		CHECK(!(info.flags & DEVFS_DMA_BUF_PHYS_ADDR) || info.phys_addr == info.dma_addr);
		close(arg.fd);
	}
	CHECK(log_count("with no IOMMU") > 0);
	CHECK(device_info(edu.node).flags & DEVFS_DMA_INFO_UNSAFE);
	pci_unbind(&edu);
	pci_set_unsafe(before);
	CHECK(!pci_write(&edu, "iommu_group/type", "DMA"));
}

/*
 * The device is sent to memory that is not its own: another device's buffer,
 * by its physical address. Only an IOMMU is in the way.
 */
TEST(stray, "DMA outside of its buffers changes nothing where there is an IOMMU, and is in the log")
{
	struct pci_device edu = pci_bind(EDU, 1);
	int bar = pci_open_region(&edu, "bar0", O_RDWR), own, victim;
	struct devfs_dma_buf_info info;
	uint64_t address;
	char bytes[PAGE], fault[64];
	bool iommu = has_iommu(&edu);

	if (bounced()) {
		pci_unbind(&edu);
		check_skip("what the device reaches is a copy of the victim");
	}
	own = edu_buffer(&edu, "own", PAGE, DEVFS_DMA_HEAP_COHERENT, &address);
	victim = buffer("victim", PAGE, DEVFS_DMA_HEAP_CONTIGUOUS);
	info = buffer_info(victim);
	CHECK(info.flags & DEVFS_DMA_BUF_PHYS_ADDR);
	snprintf(fault, sizeof(fault), "fault addr 0x%llx ", (unsigned long long)info.phys_addr);
	fill(bytes, PAGE, 1);
	CHECK(pwrite(own, bytes, PAGE, 0) == PAGE);
	fill(bytes, PAGE, 2);
	CHECK(pwrite(victim, bytes, PAGE, 0) == PAGE);
	edu_transfer(&edu, bar, address, MOST, EDU_TO_DEVICE);
	/* The rig takes the fault that follows for what it is: asked for. */
	if (iommu)
		dprintf(1, "expect: DRHD: handling fault status reg\nexpect: %s\n", fault);
	edu_transfer(&edu, bar, info.phys_addr, MOST, EDU_FROM_DEVICE);
	if (iommu)
		EVENTUALLY(log_count(fault) > 0);
	CHECK(pread(victim, bytes, PAGE, 0) == PAGE);
	CHECK(filled(bytes, MOST, iommu ? 2 : 1));
	/* What is its own it can still write. */
	memset(bytes, 0, PAGE);
	CHECK(pwrite(own, bytes, PAGE, 0) == PAGE);
	edu_transfer(&edu, bar, address, MOST, EDU_FROM_DEVICE);
	CHECK(pread(own, bytes, PAGE, 0) == PAGE && filled(bytes, MOST, 1));
	close(own);
	close(victim);
	close(bar);
	pci_unbind(&edu);
}

/* A buffer's page as a pipe has it, which outlives the buffer. */
static int page_of(int fd)
{
	struct iovec iov = { .iov_len = PAGE };
	int pipes[2];

	CHECK(!pipe2(pipes, O_CLOEXEC));
	iov.iov_base = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(iov.iov_base != MAP_FAILED);
	memset(iov.iov_base, 0, PAGE);
	CHECK(vmsplice(pipes[1], &iov, 1, 0) == PAGE);
	munmap(iov.iov_base, PAGE);
	close(pipes[1]);
	return pipes[0];
}

/* The same page once more. */
static int again(int page)
{
	int pipes[2];

	CHECK(!pipe2(pipes, O_CLOEXEC) && tee(page, pipes[1], PAGE, 0) == PAGE);
	close(pipes[1]);
	return pipes[0];
}

/*
 * The device is told to write, which takes it a tenth of a second, and the buffer
 * is freed meanwhile. Whether the page was written to by then, and whether afterwards.
 */
static bool writes_after_free(const struct pci_device *edu, int bar, long wait_us, bool *early)
{
	uint64_t address;
	int fd = edu_buffer(edu, "freed", PAGE, DEVFS_DMA_HEAP_SYSTEM, &address);
	int page = page_of(fd), later = again(page);
	char freed[PAGE], bytes[PAGE];
	uint64_t told;

	/* The IOMMU has its address now. */
	edu_transfer(edu, bar, address, 16, EDU_TO_DEVICE);
	write64(bar, EDU_DMA_SOURCE, EDU_DMA_BUFFER);
	write64(bar, EDU_DMA_TARGET, address);
	write64(bar, EDU_DMA_COUNT, MOST);
	write64(bar, EDU_DMA_COMMAND, EDU_FROM_DEVICE);
	told = check_now();
	/* How long it is before the buffer goes is what is tried. */
	CHECK(WITHIN(1000, check_now() - told >= wait_us * 1000ULL));
	close(fd);
	CHECK(read(page, freed, PAGE) == PAGE);
	*early = !zeroed(freed, PAGE);
	EVENTUALLY(!(read32(bar, EDU_DMA_COMMAND) & 1));
	CHECK(read(later, bytes, PAGE) == PAGE);
	close(page);
	close(later);
	return memcmp(freed, bytes, PAGE);
}

TEST(lazy, "behind an IOMMU that flushes late a device reaches no memory that was freed")
{
	struct pci_device edu = pci_bind(EDU, 1);
	int bar = pci_open_region(&edu, "bar0", O_RDWR), own;
	unsigned int in_time = 0, written = 0;
	uint64_t address;
	char bytes[PAGE];
	bool early;

	if (!has_iommu(&edu) || pci_write(&edu, "iommu_group/type", "DMA-FQ")) {
		close(bar);
		pci_unbind(&edu);
		check_skip("the guest has no IOMMU");
	}
	own = edu_buffer(&edu, "own", PAGE, DEVFS_DMA_HEAP_SYSTEM, &address);
	fill(bytes, PAGE, 1);
	CHECK(pwrite(own, bytes, PAGE, 0) == PAGE);
	edu_transfer(&edu, bar, address, MOST, EDU_TO_DEVICE);
	dprintf(1, "expect: DRHD: handling fault status reg\nexpect: fault addr 0x\n");
	for (long wait = 64000; wait < 104000; wait += 1000) {
		written += writes_after_free(&edu, bar, wait, &early);
		in_time += !early;
	}
	CHECK(!written);
	close(own);
	close(bar);
	pci_unbind(&edu);
	CHECK(!pci_write(&edu, "iommu_group/type", "DMA"));
	if (!in_time)
		check_skip("on so slow a machine all came before the memory was freed");
}

/* Milliseconds that unbinding took after the device began to write to @phys_addr. */
static long unbind_while_writing(uint64_t phys_addr)
{
	struct pci_device edu = pci_bind(EDU, 1);
	int bar = pci_open_region(&edu, "bar0", O_RDWR);
	struct timespec from, to;

	write64(bar, EDU_DMA_SOURCE, EDU_DMA_BUFFER);
	write64(bar, EDU_DMA_TARGET, phys_addr);
	write64(bar, EDU_DMA_COUNT, MOST);
	clock_gettime(CLOCK_MONOTONIC, &from);
	write64(bar, EDU_DMA_COMMAND, EDU_FROM_DEVICE);
	close(bar);
	pci_unbind(&edu);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
}

TEST(no_master, "after unbinding a device reaches no memory")
{
	/* Without an IOMMU this is an address that would work. */
	int victim = buffer("victim", PAGE, DEVFS_DMA_HEAP_CONTIGUOUS);
	uint64_t address = buffer_info(victim).phys_addr;
	char bytes[PAGE];
	bool reached;

	for (int i = 0; i < 5; i++) {
		long took;

		fill(bytes, PAGE, 2);
		CHECK(pwrite(victim, bytes, PAGE, 0) == PAGE);
		took = unbind_while_writing(address);
		/* Three times as long as it takes the device. */
		reached = WITHIN(300, pread(victim, bytes, PAGE, 0) == PAGE &&
				 !filled(bytes, PAGE, 2));
		/* The device takes a tenth of a second, in which the driver goes. */
		if (took < 100) {
			CHECK(!reached);
			return;
		}
	}
	check_skip("unbinding takes longer than the device's DMA here");
}
