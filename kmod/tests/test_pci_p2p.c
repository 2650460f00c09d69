// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of one device as a buffer of another: that of an ivshmem, reached by
 * an edu. The third edu and the second ivshmem are behind one bridge.
 */
#include "tests/pci.h"

#include <linux/dma-buf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* QEMU's edu refuses to fill its 4096 bytes to the last. */
#define MOST 4095

/* Where in the memory the exports begin. */
#define AT (3 * PAGE)

static bool kernel_has_p2p(void)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[512];
	bool found = false;

	CHECK(file);
	while (!found && fgets(line, sizeof(line), file))
		found = strstr(line, " pci_p2pdma_distance_many") != NULL;
	fclose(file);
	return found;
}

static void need_p2p(void)
{
	if (!kernel_has_p2p())
		check_skip("the kernel was built without CONFIG_PCI_P2PDMA");
}

static int try_export(int region, uint64_t offset, uint64_t size, uint32_t flags)
{
	struct devfs_dma_region_export arg = { .offset = offset, .size = size, .fd_flags = flags };

	return ioctl(region, DEVFS_DMA_IOC_REGION_EXPORT, &arg) ? -1 : arg.fd;
}

static int export(int region, uint64_t size, uint32_t flags)
{
	int dmabuf = try_export(region, AT, size, flags);

	CHECK(dmabuf >= 0);
	return dmabuf;
}

static int try_import(int device, int dmabuf, uint32_t direction)
{
	struct devfs_dma_import arg = {
		.alloc = request("peer", 0, DEVFS_DMA_HEAP_IMPORTED), .dmabuf_fd = dmabuf,
	};

	arg.alloc.direction = direction;
	return ioctl(device, DEVFS_DMA_IOC_IMPORT, &arg) ? -1 : arg.alloc.fd;
}

static int import(const struct pci_device *device, int dmabuf)
{
	int fd = try_import(device->node, dmabuf, DEVFS_DMA_BIDIRECTIONAL);

	CHECK(fd >= 0);
	return fd;
}

/* The only bus range of a buffer. */
static uint64_t bus_address(int fd, uint64_t size)
{
	struct devfs_dma_sg entry;
	struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)&entry, .count = 1 };

	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg));
	CHECK(sg.count == 1 && sg.total == 1 && entry.length == size);
	CHECK(buffer_info(fd).flags & DEVFS_DMA_BUF_DMA_ADDR);
	CHECK(buffer_info(fd).dma_addr == entry.dma_addr);
	return entry.dma_addr;
}

static uint64_t used(const struct pci_device *device)
{
	return device_info(device->node).used;
}

/* The two that reach each other, and the memory of the one. */
struct peers {
	struct pci_device edu, memory;
	int bar, region;
};

static struct peers bind_peers(const char *region)
{
	struct peers peers;

	need_p2p();
	peers.edu = pci_bind(EDU, 2);
	peers.memory = pci_bind(IVSHMEM, 1);
	peers.bar = pci_open_region(&peers.edu, "bar0", O_RDWR);
	peers.region = pci_open_region(&peers.memory, region, O_RDWR);
	CHECK(peers.bar >= 0 && peers.region >= 0);
	return peers;
}

static void unbind_peers(struct peers *peers)
{
	close(peers->bar);
	close(peers->region);
	pci_unbind(&peers->memory);
	pci_unbind(&peers->edu);
}

TEST(without, "REGION_EXPORT is EOPNOTSUPP of a kernel without P2PDMA")
{
	struct pci_device memory;
	int region;

	if (kernel_has_p2p())
		check_skip("the kernel has it");
	memory = pci_bind(IVSHMEM, 1);
	region = pci_open_region(&memory, "bar2", O_RDWR);
	REFUSES(try_export(region, AT, PAGE, O_RDWR), EOPNOTSUPP);
	close(region);
	pci_unbind(&memory);
}

TEST(bad, "REGION_EXPORT refuses what is wrong")
{
	struct devfs_dma_region_export arg = { .size = PAGE, .fd_flags = O_RDWR, .reserved = 1 };
	struct pci_device memory = pci_bind(IVSHMEM, 1);
	int region = pci_open_region(&memory, "bar2", O_RDWR), reader, writer, config, registers;
	uint64_t size = lseek(region, 0, SEEK_END);

	CHECK(size == 4 * MIB);
	REFUSES(ioctl(region, DEVFS_DMA_IOC_REGION_EXPORT, &arg), EINVAL);
	REFUSES(ioctl(region, DEVFS_DMA_IOC_REGION_EXPORT, nowhere()), EFAULT);
	REFUSES(ioctl(region, DEVFS_DMA_IOC_BUF_EXPORT, &arg), ENOTTY);
	REFUSES(try_export(region, 0, 0, O_RDWR), EINVAL);
	REFUSES(try_export(region, 8, PAGE, O_RDWR), EINVAL);
	REFUSES(try_export(region, 0, PAGE + 8, O_RDWR), EINVAL);
	REFUSES(try_export(region, size, PAGE, O_RDWR), EINVAL);
	REFUSES(try_export(region, PAGE, size, O_RDWR), EINVAL);
	REFUSES(try_export(region, PAGE, -PAGE, O_RDWR), EINVAL);
	REFUSES(try_export(region, -PAGE, 2 * PAGE, O_RDWR), EINVAL);
	REFUSES(try_export(region, 0, PAGE, O_WRONLY), EINVAL);
	REFUSES(try_export(region, 0, PAGE, O_RDWR | O_NONBLOCK), EINVAL);
	reader = pci_open_region(&memory, "bar2", O_RDONLY);
	writer = pci_open_region(&memory, "bar2", O_WRONLY);
	REFUSES(try_export(reader, 0, PAGE, O_RDWR), EACCES);
	REFUSES(try_export(writer, 0, PAGE, O_RDONLY), EACCES);
	config = pci_open_region(&memory, "config", O_RDWR);
	REFUSES(try_export(config, 0, PAGE, O_RDWR), EOPNOTSUPP);
	/* 256 bytes, in a page that may have more in it. */
	registers = pci_open_region(&memory, "bar0", O_RDWR);
	REFUSES(try_export(registers, 0, PAGE, O_RDWR), EOPNOTSUPP);
	close(reader);
	close(writer);
	close(config);
	close(registers);
	close(region);
	pci_unbind(&memory);
}

TEST(answer, "REGION_EXPORT whose answer cannot be written leaves nothing")
{
	struct devfs_dma_region_export arg = { .size = PAGE, .fd_flags = O_RDWR };
	struct pci_device memory;
	unsigned int before;
	int region;

	need_p2p();
	memory = pci_bind(IVSHMEM, 1);
	region = pci_open_region(&memory, "bar2", O_RDWR);
	before = descriptors();
	REFUSES(ioctl(region, DEVFS_DMA_IOC_REGION_EXPORT, read_only_page(&arg, sizeof(arg))), EFAULT);
	CHECK(descriptors() == before);
	close(region);
	/* The other file of the same BAR is refused while this one has users. */
	region = pci_open_region(&memory, "bar2-wc", O_RDWR);
	CHECK(region >= 0);
	close(region);
	pci_unbind(&memory);
}

TEST(ports, "ports are not exported")
{
	struct pci_device testdev = pci_bind(TESTDEV, 0);
	int region = pci_open_region(&testdev, "bar1", O_RDWR);

	CHECK(pci_region(&testdev, "bar1").flags & DEVFS_DMA_REGION_PORTS);
	REFUSES(try_export(region, 0, PAGE, O_RDWR), EOPNOTSUPP);
	close(region);
	pci_unbind(&testdev);
}

TEST(guard, "a range with a part of the MSI-X table is not exported")
{
	struct pci_device nvme = pci_bind(NVME, 0);
	int region = pci_open_region(&nvme, "bar0", O_RDWR), dmabuf;
	uint64_t size = lseek(region, 0, SEEK_END), guarded = 0;

	for (uint64_t at = 0; at < size; at += PAGE) {
		dmabuf = try_export(region, at, PAGE, O_RDWR);
		if (dmabuf >= 0)
			close(dmabuf);
		else if (errno == EPERM)
			guarded++;
		else
			CHECK(errno == EOPNOTSUPP && !kernel_has_p2p());
	}
	CHECK(guarded && guarded < size / PAGE);
	REFUSES(try_export(region, 0, size, O_RDWR), EPERM);
	close(region);
	pci_unbind(&nvme);
}

static void goes_round(const char *name)
{
	struct peers peers = bind_peers(name);
	int dmabuf = export(peers.region, 4 * PAGE, O_RDWR), peer = import(&peers.edu, dmabuf);
	struct devfs_dma_alloc arg = request("own", 2 * PAGE, DEVFS_DMA_HEAP_CONTIGUOUS);
	uint64_t from = bus_address(peer, 4 * PAGE), own;
	char bytes[PAGE];

	CHECK(!ioctl(peers.edu.node, DEVFS_DMA_IOC_ALLOC, &arg));
	own = bus_address(arg.fd, 2 * PAGE);
	close(dmabuf);
	for (unsigned int seed = 1; seed <= 2; seed++) {
		/* From the other device's memory to a buffer of its own ... */
		fill(bytes, PAGE, seed);
		CHECK(pwrite(peers.region, bytes, PAGE, AT + PAGE) == PAGE);
		edu_transfer(&peers.edu, peers.bar, from + PAGE, MOST, EDU_TO_DEVICE);
		edu_transfer(&peers.edu, peers.bar, own, MOST, EDU_FROM_DEVICE);
		memset(bytes, 0xff, PAGE);
		CHECK(pread(arg.fd, bytes, PAGE, 0) == PAGE);
		CHECK(filled(bytes, MOST, seed) && bytes[MOST] == 0);
		/* ... and from its own to the other's. */
		fill(bytes, PAGE, seed + 100);
		CHECK(pwrite(arg.fd, bytes, PAGE, PAGE) == PAGE);
		memset(bytes, 0, PAGE);
		CHECK(pwrite(peers.region, bytes, PAGE, AT + 2 * PAGE) == PAGE);
		edu_transfer(&peers.edu, peers.bar, own + PAGE, MOST, EDU_TO_DEVICE);
		edu_transfer(&peers.edu, peers.bar, from + 2 * PAGE, MOST, EDU_FROM_DEVICE);
		CHECK(pread(peers.region, bytes, PAGE, AT + 2 * PAGE) == PAGE);
		CHECK(filled(bytes, MOST, seed + 100) && bytes[MOST] == 0);
		CHECK(pread(peer, bytes, PAGE, 2 * PAGE) == PAGE);
		CHECK(filled(bytes, MOST, seed + 100));
	}
	close(arg.fd);
	close(peer);
	EVENTUALLY(used(&peers.edu) == 0);
	unbind_peers(&peers);
}

TEST(dma, "a device reads and writes another's memory, which it was given as a buffer")
{
	goes_round("bar2");
	goes_round("bar2-wc");
}

TEST(file, "imported device memory is read, written, mapped and cut as a buffer")
{
	struct peers peers = bind_peers("bar2");
	int dmabuf = export(peers.region, 4 * PAGE, O_RDWR), peer = import(&peers.edu, dmabuf);
	struct devfs_dma_buf_export again = { .fd_flags = O_RDWR };
	struct dma_buf_sync sync = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	static char bytes[4 * PAGE], back[4 * PAGE];
	volatile char *map, *theirs;

	fill(bytes, sizeof(bytes), 5);
	CHECK(pwrite(peer, bytes, sizeof(bytes), 0) == sizeof(bytes));
	CHECK(pread(peers.region, back, sizeof(back), AT) == sizeof(back));
	CHECK(!memcmp(bytes, back, sizeof(back)));
	/* At any place and of any length, which the region itself refuses. */
	CHECK(pwrite(peer, "0123456789abc", 13, 4091) == 13);
	memcpy(bytes + 4091, "0123456789abc", 13);
	memset(back, 0, sizeof(back));
	CHECK(pread(peer, back, 5001, 3) == 5001 && !memcmp(bytes + 3, back, 5001));
	CHECK(pread(peer, back, sizeof(back), 4 * PAGE - 7) == 7);
	CHECK(pread(peer, back, 1, 4 * PAGE) == 0);
	REFUSES(pwrite(peer, "x", 1, 4 * PAGE), ENOSPC);
	REFUSES(pread(peer, nowhere(), 100, 0), EFAULT);
	REFUSES(pwrite(peer, nowhere(), 100, 0), EFAULT);

	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, peer, 0);
	theirs = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dmabuf, PAGE);
	CHECK(map != MAP_FAILED && theirs != MAP_FAILED);
	map[PAGE + 9] = 99;
	CHECK(theirs[9] == 99);
	CHECK(pread(peer, back, 1, PAGE + 9) == 1 && back[0] == 99);
	CHECK(mmap(NULL, 5 * PAGE, PROT_READ, MAP_SHARED, peer, 0) == MAP_FAILED);
	CHECK(errno == EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, peer, 4 * PAGE) == MAP_FAILED);
	munmap((void *)map, 4 * PAGE);
	munmap((void *)theirs, PAGE);

	CHECK(!fsync(peer) && !ioctl(peer, DMA_BUF_IOCTL_SYNC, &sync));
	CHECK(!ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
	REFUSES(ioctl(peer, DEVFS_DMA_IOC_BUF_EXPORT, &again), EOPNOTSUPP);
	/* What is cut off comes back as zeros. */
	CHECK(!ftruncate(peer, PAGE + 10) && !ftruncate(peer, 4 * PAGE));
	CHECK(pread(peer, back, sizeof(back), 0) == sizeof(back));
	CHECK(back[PAGE + 9] == 99 && zeroed(back + PAGE + 10, 3 * PAGE - 10));
	REFUSES(ftruncate(peer, 4 * PAGE + 1), ENOSPC);
	CHECK(pread(peers.region, back, PAGE, AT + 4 * PAGE) == PAGE);
	close(peer);
	close(dmabuf);
	unbind_peers(&peers);
}

TEST(read_only, "of a dma-buf that is read-only devices only read")
{
	struct peers peers = bind_peers("bar2");
	int dmabuf = export(peers.region, PAGE, O_RDONLY), peer;
	char byte;

	REFUSES(try_import(peers.edu.node, dmabuf, DEVFS_DMA_BIDIRECTIONAL), EACCES);
	REFUSES(try_import(peers.edu.node, dmabuf, DEVFS_DMA_FROM_DEVICE), EACCES);
	peer = try_import(peers.edu.node, dmabuf, DEVFS_DMA_TO_DEVICE);
	CHECK(peer >= 0);
	CHECK(pwrite(peers.region, "1234", 4, AT) == 4);
	CHECK(pread(peer, &byte, 1, 3) == 1 && byte == '4');
	REFUSES(pwrite(peer, "x", 1, 0), EACCES);
	REFUSES(fallocate(peer, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4), EACCES);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, peer, 0) == MAP_FAILED);
	CHECK(errno == EACCES);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, peer, 0) != MAP_FAILED);
	close(peer);
	close(dmabuf);
	unbind_peers(&peers);
}

TEST(read_only_cpu, "nor does the CPU write it, for whatever driver")
{
	struct peers peers = bind_peers("bar2");
	int dmabuf = export(peers.region, PAGE, O_RDONLY), writable = export(peers.region, PAGE, O_RDWR);
	int try = open("/sys/module/devfs_importer/parameters/try", O_WRONLY | O_CLOEXEC);
	int show = open("/sys/module/devfs_importer/parameters/show", O_WRONLY | O_CLOEXEC);
	int node = open("/dev/devfs_importer", O_RDWR | O_CLOEXEC);
	char text[32];

	if (try < 0) {
		unbind_peers(&peers);
		check_skip("the test importer is not loaded");
	}
	snprintf(text, sizeof(text), "%d begin-write", dmabuf);
	REFUSES(write(try, text, strlen(text)), EACCES);
	snprintf(text, sizeof(text), "%d begin-read", dmabuf);
	CHECK(write(try, text, strlen(text)) > 0);
	snprintf(text, sizeof(text), "%d begin-write", writable);
	CHECK(write(try, text, strlen(text)) > 0);
	snprintf(text, sizeof(text), "%d", dmabuf);
	CHECK(write(show, text, strlen(text)) > 0);
	REFUSES((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0), EACCES);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, node, 0) != MAP_FAILED);
	CHECK(write(show, "-1", 2) == 2);
	close(dmabuf);
	close(writable);
	unbind_peers(&peers);
}

TEST(refused, "a device that cannot reach the memory is EREMOTEIO, one that cannot address it EIO")
{
	struct peers peers = bind_peers("bar2");
	struct pci_device other = pci_bind(EDU, 1);
	int dmabuf = export(peers.region, PAGE, O_RDWR), peer;
	struct devfs_dma_info info;

	/* On the other side of a host bridge that the kernel does not know, and no PCI device. */
	REFUSES(try_import(other.node, dmabuf, DEVFS_DMA_BIDIRECTIONAL), EREMOTEIO);
	REFUSES(try_import(node(), dmabuf, DEVFS_DMA_BIDIRECTIONAL), EREMOTEIO);
	CHECK(used(&other) == 0);
	/* The device itself reaches its own. */
	peer = import(&peers.memory, dmabuf);
	close(peer);
	CHECK(!ioctl(peers.edu.node, DEVFS_DMA_IOC_GET_INFO, &info));
	if (!(info.flags & DEVFS_DMA_INFO_IOMMU)) {
		CHECK(pci_region(&peers.memory, "bar2").phys_addr >= 1UL << 31);
		CHECK(!pci_write(&peers.edu, "dma_bits", "31"));
		REFUSES(try_import(peers.edu.node, dmabuf, DEVFS_DMA_BIDIRECTIONAL), EIO);
		CHECK(used(&peers.edu) == 0);
	}
	close(dmabuf);
	pci_unbind(&other);
	unbind_peers(&peers);
}

TEST(foreign, "an importer that does not give memory back gets none of a device")
{
	struct peers peers = bind_peers("bar2");
	int dmabuf = export(peers.region, PAGE, O_RDWR);
	int param = open("/sys/module/devfs_importer/parameters/hold", O_WRONLY);
	char text[16];

	if (param < 0) {
		close(dmabuf);
		unbind_peers(&peers);
		check_skip("the test importer is not loaded");
	}
	snprintf(text, sizeof(text), "%d", dmabuf);
	REFUSES(write(param, text, strlen(text)), EOPNOTSUPP);
	close(param);
	close(dmabuf);
	unbind_peers(&peers);
}

TEST(one_mapping, "an export keeps the memory mapped in one way")
{
	struct peers peers = bind_peers("bar2");
	int dmabuf = export(peers.region, PAGE, O_RDWR), peer = import(&peers.edu, dmabuf), other;
	char byte;

	close(peers.region);
	close(dmabuf);
	REFUSES(pci_open_region(&peers.memory, "bar2-wc", O_RDWR), EBUSY);
	CHECK(pread(peer, &byte, 1, 0) == 1);
	close(peer);
	EVENTUALLY((other = pci_open_region(&peers.memory, "bar2-wc", O_RDWR)) >= 0);
	peers.region = other;
	unbind_peers(&peers);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* What is left of a buffer whose memory was taken back: its name. */
static void is_revoked(int peer)
{
	struct devfs_dma_buf_sync sync = {
		.flags = DEVFS_DMA_SYNC_FOR_CPU, .direction = DEVFS_DMA_SYNC_BUFFER_DIRECTION,
	};
	struct devfs_dma_buf_get_sg sg = {};
	char byte;

	REFUSES(pread(peer, &byte, 1, 0), ENODEV);
	REFUSES(pwrite(peer, "x", 1, 0), ENODEV);
	REFUSES(ftruncate(peer, 1), ENODEV);
	REFUSES(fsync(peer), ENODEV);
	REFUSES(ioctl(peer, DEVFS_DMA_IOC_BUF_GET_SG, &sg), ENODEV);
	REFUSES(ioctl(peer, DEVFS_DMA_IOC_BUF_SYNC, &sync), ENODEV);
	CHECK(buffer_info(peer).nents == 0 && !(buffer_info(peer).flags & DEVFS_DMA_BUF_DMA_ADDR));
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, peer, 0) == MAP_FAILED && errno == ENODEV);
}

TEST(exporter_goes, "memory of a device that is removed is taken back from those who imported it")
{
	struct peers peers = bind_peers("bar2");
	int dmabuf = export(peers.region, 2 * PAGE, O_RDWR), peer = import(&peers.edu, dmabuf);
	struct devfs_dma_open again = { .name = "peer", .fd_flags = O_RDWR };
	struct devfs_dma_free gone = { .id = buffer_info(peer).id };
	volatile char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, peer, 0);
	volatile char *theirs = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dmabuf, PAGE);
	double before = seconds();

	CHECK(map != MAP_FAILED && theirs != MAP_FAILED && !is_zapped(map) && !is_zapped(theirs));
	pci_unbind(&peers.memory);
	/* It waits for those who do not give it back. */
	CHECK(seconds() - before < 4);
	CHECK(is_zapped(map) && is_zapped(theirs));
	is_revoked(peer);
	CHECK(used(&peers.edu) == 0);
	CHECK(!ioctl(peers.edu.node, DEVFS_DMA_IOC_OPEN, &again));
	is_revoked(again.fd);
	CHECK(!fchmod(again.fd, 0640));
	close(again.fd);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dmabuf, 0) == MAP_FAILED && errno == ENODEV);
	REFUSES(try_import(peers.edu.node, dmabuf, DEVFS_DMA_BIDIRECTIONAL), EEXIST);
	CHECK(!ioctl(peers.edu.node, DEVFS_DMA_IOC_FREE, &gone));
	REFUSES(try_import(peers.edu.node, dmabuf, DEVFS_DMA_BIDIRECTIONAL), ENODEV);
	REFUSES(try_export(peers.region, 0, PAGE, O_RDWR), ENODEV);
	close(peer);
	close(dmabuf);
	close(peers.region);
	close(peers.bar);

	/* Both go on with new ones. */
	peers.memory = pci_bind(IVSHMEM, 1);
	peers.bar = pci_open_region(&peers.edu, "bar0", O_RDWR);
	peers.region = pci_open_region(&peers.memory, "bar2", O_RDWR);
	dmabuf = export(peers.region, PAGE, O_RDWR);
	peer = import(&peers.edu, dmabuf);
	CHECK(pwrite(peer, "x", 1, 0) == 1);
	close(peer);
	close(dmabuf);
	unbind_peers(&peers);
}

/* Users of the module; each buffer that exists is one, listed or not. */
static int module_users(void)
{
	FILE *file = fopen("/sys/module/devfs_dma/refcnt", "re");
	int users = -1;

	CHECK(file && fscanf(file, "%d", &users) == 1);
	fclose(file);
	return users;
}

TEST(name_goes, "the name of memory that was taken back goes with the device that has it")
{
	struct devfs_dma_import arg = { .alloc = request("peer", 0, DEVFS_DMA_HEAP_IMPORTED) };
	struct peers peers = bind_peers("bar2");
	int dmabuf = export(peers.region, PAGE, O_RDWR);

	arg.dmabuf_fd = dmabuf;
	arg.alloc.lease = DEVFS_DMA_LEASE_PERSIST;
	CHECK(!ioctl(peers.edu.node, DEVFS_DMA_IOC_IMPORT, &arg));
	close(arg.alloc.fd);
	pci_unbind(&peers.memory);
	close(dmabuf);
	close(peers.region);
	close(peers.bar);
	pci_unbind(&peers.edu);
	EVENTUALLY(module_users() == 0);
}

TEST(importer_goes, "the memory stays where it is when a device that imported it is removed")
{
	struct peers peers = bind_peers("bar2");
	int dmabuf = export(peers.region, PAGE, O_RDWR), peer = import(&peers.edu, dmabuf);
	volatile char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, peer, 0);
	double before;
	char byte;

	CHECK(map != MAP_FAILED && pwrite(peer, "abcd", 4, 0) == 4);
	pci_unbind(&peers.edu);
	REFUSES(pread(peer, &byte, 1, 0), ENODEV);
	CHECK(pread(peers.region, &byte, 1, AT) == 1 && byte == 'a');
	/* Mappings are of the memory, which is there. */
	CHECK(map[2] == 'c');
	peers.edu = pci_bind(EDU, 2);
	close(import(&peers.edu, dmabuf));
	before = seconds();
	pci_unbind(&peers.memory);
	CHECK(seconds() - before < 4);
	CHECK(is_zapped(map));
	close(peer);
	close(dmabuf);
	close(peers.region);
	close(peers.bar);
	pci_unbind(&peers.edu);
}

static atomic_int shared_dmabuf = -1;
static atomic_uint shared_turns;
static atomic_bool ended;

static void *uses(void *arg)
{
	const struct pci_device *edu = arg;
	char bytes[PAGE];

	while (!ended) {
		int fd = try_import(edu->node, shared_dmabuf, DEVFS_DMA_BIDIRECTIONAL);

		if (fd < 0)
			continue;
		for (int i = 0; i < 20; i++) {
			pwrite(fd, bytes, PAGE, i);
			pread(fd, bytes, PAGE, i);
		}
		close(fd);
		atomic_fetch_add(&shared_turns, 1);
	}
	return NULL;
}

TEST(race, "a device may be removed while its memory is imported, used and let go of")
{
	struct peers peers = bind_peers("bar2");
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, uses, &peers.edu));
	for (int i = 0; i < 8; i++) {
		int dmabuf = export(peers.region, 4 * PAGE, O_RDWR);
		unsigned int turns;

		atomic_store(&shared_dmabuf, dmabuf);
		turns = atomic_load(&shared_turns);
		EVENTUALLY(atomic_load(&shared_turns) > turns + 2);
		close(peers.region);
		pci_unbind(&peers.memory);
		atomic_store(&shared_dmabuf, -1);
		close(dmabuf);
		peers.memory = pci_bind(IVSHMEM, 1);
		peers.region = pci_open_region(&peers.memory, "bar2", O_RDWR);
		CHECK(peers.region >= 0);
	}
	ended = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EVENTUALLY(used(&peers.edu) == 0);
	unbind_peers(&peers);
}
