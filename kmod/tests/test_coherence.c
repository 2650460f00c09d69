// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that needs a sync: nothing written is lost, and nothing written comes
 * over what others wrote. Where the kernel copies for the device (swiotlb=force)
 * each sync that is missing, or out of turn, shows; elsewhere the same holds.
 */
#include <linux/dma-buf.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/importer/importer.h"
#include "tests/pci.h"

#define SIZE (64UL << 10)

static void sync_dmabuf(int fd, uint64_t flags)
{
	struct dma_buf_sync arg = { flags };

	CHECK(!ioctl(fd, DMA_BUF_IOCTL_SYNC, &arg));
}

static void sync_range(int fd, uint32_t flags, uint64_t offset, uint64_t length)
{
	struct devfs_dma_buf_sync arg = {
		.offset = offset, .length = length, .flags = flags,
		.direction = DEVFS_DMA_SYNC_BUFFER_DIRECTION,
	};

	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &arg));
}

/* What goes on beside a writer, until it ends. */
static atomic_bool over;

struct beside {
	void (*once)(int fd);
	int fd;
	pthread_t thread;
};

static void *go_on(void *arg)
{
	struct beside *beside = arg;

	while (!atomic_load(&over))
		beside->once(beside->fd);
	return NULL;
}

static void start(struct beside *beside, unsigned int count)
{
	atomic_store(&over, false);
	for (unsigned int i = 0; i < count; i++)
		CHECK(!pthread_create(&beside[i].thread, NULL, go_on, &beside[i]));
}

static void finish(struct beside *beside, unsigned int count)
{
	atomic_store(&over, true);
	for (unsigned int i = 0; i < count; i++)
		CHECK(!pthread_join(beside[i].thread, NULL));
}

static void read_once(int fd)
{
	static _Thread_local char data[SIZE];

	CHECK(pread(fd, data, SIZE, 0) == SIZE);
}

static void fsync_once(int fd)
{
	CHECK(!fsync(fd));
}

static void sync_once(int fd)
{
	sync_range(fd, DEVFS_DMA_SYNC_FOR_CPU, 0, 0);
	sync_range(fd, DEVFS_DMA_SYNC_FOR_DEVICE, 0, 0);
}

static void access_once(int fd)
{
	sync_dmabuf(fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	sync_dmabuf(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
}

/* The test importer begins and ends an access of the CPU to what it holds. */
static void touch_once(int fd)
{
	CHECK(write(fd, "1", 1) == 1);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* One writer of all of @fd that looks at what it wrote, by @back, for a second and a half. */
static void writes_stay(int fd, int back, struct beside *beside, unsigned int count)
{
	static char data[SIZE], found[SIZE];
	unsigned int lost = 0, seed = 0;
	double end = seconds() + 1.5;

	start(beside, count);
	while (seconds() < end) {
		memset(data, ++seed, SIZE);
		CHECK(pwrite(fd, data, SIZE, 0) == SIZE);
		CHECK(pread(back, found, SIZE, 0) == SIZE);
		lost += memcmp(data, found, SIZE) != 0;
	}
	finish(beside, count);
	if (lost) {
		char what[80];

		snprintf(what, sizeof(what), "%u of %u writes are lost", lost, seed);
		check_fail(__LINE__, what, 0);
	}
}

TEST(readers, "what is written is there for the next read, whoever reads beside it")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", SIZE, heap);
		struct beside beside[] = {
			{ .once = read_once, .fd = fd }, { .once = read_once, .fd = fd },
		};

		writes_stay(fd, fd, beside, 2);
		close(fd);
	}
}

TEST(syncers, "what is written is there for the next read, whoever syncs beside it")
{
	int fd = buffer("x", SIZE, DEVFS_DMA_HEAP_SYSTEM);
	struct beside fsyncs[] = { { .once = fsync_once, .fd = fd } };
	struct beside syncs[] = { { .once = sync_once, .fd = fd } };
	struct beside accesses[] = { { .once = access_once, .fd = fd } };

	writes_stay(fd, fd, fsyncs, 1);
	writes_stay(fd, fd, syncs, 1);
	writes_stay(fd, fd, accesses, 1);
}

TEST(exports, "what is written is there for the next read, whoever accesses an export beside it")
{
	int fd = buffer("x", SIZE, DEVFS_DMA_HEAP_SYSTEM), dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC);
	struct beside beside[] = { { .once = access_once, .fd = dmabuf } };

	writes_stay(fd, fd, beside, 1);
	close(dmabuf);
	EVENTUALLY(buffer_info(fd).exports == 0);
}

TEST(importer, "what is written stays while another driver has the memory mapped and looks at it")
{
	int fd = buffer("x", SIZE, DEVFS_DMA_HEAP_SYSTEM), dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC);
	int hold = open("/sys/module/devfs_importer/parameters/hold", O_WRONLY);
	int touch = open("/sys/module/devfs_importer/parameters/touch", O_WRONLY);
	struct beside beside[] = {
		{ .once = touch_once, .fd = touch }, { .once = read_once, .fd = fd },
	};
	char text[16];

	if (hold < 0 || touch < 0)
		check_skip("the test importer is not loaded");
	snprintf(text, sizeof(text), "%d", dmabuf);
	CHECK(write(hold, text, strlen(text)) == (ssize_t)strlen(text));
	writes_stay(fd, fd, beside, 2);
	CHECK(pwrite(fd, "last", 4, 100) == 4);
	CHECK(write(hold, "-1", 2) == 2);
	CHECK(pread(fd, text, 4, 100) == 4 && !memcmp(text, "last", 4));
	close(dmabuf);
	EVENTUALLY(buffer_info(fd).exports == 0);
}

TEST(imports, "what is written through an import is there for whoever reads either buffer")
{
	int fd = buffer("x", SIZE, DEVFS_DMA_HEAP_SYSTEM), dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC);
	int peer = import_dmabuf("y", dmabuf);
	struct beside beside[] = {
		{ .once = read_once, .fd = fd }, { .once = read_once, .fd = peer },
	};

	close(dmabuf);
	writes_stay(peer, fd, beside, 2);
	writes_stay(fd, peer, beside, 2);
	close(peer);
	close(fd);
	EVENTUALLY(bytes_used() == 0);
}

/* Two writers, each of every second descriptor of 16 bytes, and nothing of the other's changes. */
#define ENTRY 16

static void write_entries(int fd)
{
	static _Thread_local unsigned int turn;
	char entry[ENTRY];

	turn++;
	for (unsigned int at = 0; at < 64; at += 2) {
		memset(entry, turn, ENTRY);
		CHECK(pwrite(fd, entry, ENTRY, (at + 1) * ENTRY) == ENTRY);
	}
}

TEST(neighbours, "writers of a line's parts leave each other's alone")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", SIZE, heap);
		struct beside beside[] = {
			{ .once = write_entries, .fd = fd }, { .once = fsync_once, .fd = fd },
		};
		char entry[ENTRY], back[ENTRY];
		double end = seconds() + 1;

		start(beside, 2);
		for (unsigned int turn = 0; seconds() < end; turn++) {
			for (unsigned int at = 0; at < 64; at += 2) {
				memset(entry, turn + at, ENTRY);
				CHECK(pwrite(fd, entry, ENTRY, at * ENTRY) == ENTRY);
				CHECK(pread(fd, back, ENTRY, at * ENTRY) == ENTRY);
				CHECK(!memcmp(entry, back, ENTRY));
			}
		}
		finish(beside, 2);
		close(fd);
	}
}

/* A device that writes 16 bytes of its own, and a buffer of its own to write them to. */
struct engine {
	struct pci_device edu;
	int bar;
	int fd;
	uint64_t address;
};

static const char own[ENTRY] = "of the device's";

/* The device has its bytes from the second page of a buffer that it has. */
static void start_engine(struct engine *engine, int fd)
{
	struct devfs_dma_sg entry;
	struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)&entry, .count = 1 };

	engine->bar = pci_open_region(&engine->edu, "bar0", O_RDWR);
	CHECK(!ioctl(engine->fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg) && sg.count == 1);
	engine->address = entry.dma_addr;
	CHECK(pwrite(fd, own, ENTRY, PAGE) == ENTRY);
	edu_transfer(&engine->edu, engine->bar, engine->address + PAGE, ENTRY, EDU_TO_DEVICE);
}

static struct engine engine(uint32_t heap)
{
	struct engine engine = { .edu = pci_bind(EDU, 1) };
	struct devfs_dma_alloc arg = request("ring", SIZE, heap);

	CHECK(!ioctl(engine.edu.node, DEVFS_DMA_IOC_ALLOC, &arg));
	engine.fd = arg.fd;
	start_engine(&engine, engine.fd);
	return engine;
}

/* The device writes at @at. */
static void device_writes(struct engine *engine, uint64_t at)
{
	edu_transfer(&engine->edu, engine->bar, engine->address + at, ENTRY, EDU_FROM_DEVICE);
}

static bool device_wrote(struct engine *engine, uint64_t at)
{
	char back[ENTRY];

	CHECK(pread(engine->fd, back, ENTRY, at) == ENTRY);
	return !memcmp(back, own, ENTRY);
}

static void end_engine(struct engine *engine)
{
	close(engine->fd);
	close(engine->bar);
	pci_unbind(&engine->edu);
}

TEST(ring, "a write beside what the device wrote leaves that as it is")
{
	FOR_EACH_HEAP(heap) {
		struct engine device = engine(heap);
		char back[ENTRY];

		/* What the CPU has of the line is older than what the device writes. */
		CHECK(pread(device.fd, back, ENTRY, 0) == ENTRY && zeroed(back, ENTRY));
		device_writes(&device, 0);
		device_writes(&device, 2 * ENTRY);
		CHECK(pwrite(device.fd, "cpu", 3, ENTRY + 1) == 3);
		CHECK(device_wrote(&device, 0) && device_wrote(&device, 2 * ENTRY));
		CHECK(pread(device.fd, back, 3, ENTRY + 1) == 3 && !memcmp(back, "cpu", 3));
		end_engine(&device);
	}
}

TEST(import_ring, "a write through an import leaves what the device wrote elsewhere")
{
	FOR_EACH_HEAP(heap) {
		struct engine device = engine(heap);
		int dmabuf = export_buffer(device.fd, O_RDWR | O_CLOEXEC), peer = import_dmabuf("y", dmabuf);
		char back[ENTRY];

		CHECK(pread(peer, back, ENTRY, 0) == ENTRY && zeroed(back, ENTRY));
		device_writes(&device, 0);
		CHECK(pwrite(peer, "cpu", 3, ENTRY) == 3);
		CHECK(device_wrote(&device, 0));
		device_writes(&device, 4 * ENTRY);
		CHECK(pread(peer, back, ENTRY, 8 * ENTRY) == ENTRY);
		CHECK(device_wrote(&device, 4 * ENTRY));
		close(peer);
		close(dmabuf);
		end_engine(&device);
	}
}

TEST(importing, "a device that imported memory has what is written to it, and gives what it writes")
{
	FOR_EACH_HEAP(heap) {
		struct engine device = { .edu = pci_bind(EDU, 1) };
		int fd = buffer("x", SIZE, heap), dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC);
		struct devfs_dma_import arg = {
			.alloc = request("ring", 0, DEVFS_DMA_HEAP_IMPORTED), .dmabuf_fd = dmabuf,
		};
		char back[ENTRY];

		CHECK(!ioctl(device.edu.node, DEVFS_DMA_IOC_IMPORT, &arg));
		device.fd = arg.alloc.fd;
		start_engine(&device, fd);
		device_writes(&device, 0);
		CHECK(device_wrote(&device, 0));
		device_writes(&device, 2 * ENTRY);
		sync_dmabuf(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
		sync_dmabuf(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
		CHECK(pread(fd, back, ENTRY, 2 * ENTRY) == ENTRY && !memcmp(back, own, ENTRY));
		device_writes(&device, 4 * ENTRY);
		CHECK(pwrite(fd, "cpu", 3, 5 * ENTRY) == 3);
		CHECK(device_wrote(&device, 4 * ENTRY));
		end_engine(&device);
		close(dmabuf);
		close(fd);
		EVENTUALLY(bytes_used() == 0);
	}
}

TEST(read_access, "the end of an access that only read leaves what the device wrote meanwhile")
{
	struct engine device = engine(DEVFS_DMA_HEAP_SYSTEM);
	int dmabuf = export_buffer(device.fd, O_RDWR | O_CLOEXEC);

	sync_dmabuf(device.fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	device_writes(&device, 0);
	sync_dmabuf(device.fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
	CHECK(device_wrote(&device, 0));
	sync_dmabuf(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	device_writes(&device, 2 * ENTRY);
	sync_dmabuf(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
	CHECK(device_wrote(&device, 2 * ENTRY));
	close(dmabuf);
	end_engine(&device);
}

/* A descriptor of the buffer that cannot write. */
static int reader_of(struct engine *engine)
{
	struct devfs_dma_open arg = { .name = "ring", .fd_flags = O_RDONLY | O_CLOEXEC };

	CHECK(!ioctl(engine->edu.node, DEVFS_DMA_IOC_OPEN, &arg));
	return arg.fd;
}

TEST(readers_access, "who cannot write puts nothing over what the device wrote, whatever he ends")
{
	struct engine device = engine(DEVFS_DMA_HEAP_SYSTEM);
	struct dma_buf_sync end = { DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW };
	struct devfs_dma_buf_sync sync = {
		.flags = DEVFS_DMA_SYNC_FOR_DEVICE, .direction = DEVFS_DMA_SYNC_BUFFER_DIRECTION,
	};
	int fd = reader_of(&device), dmabuf = export_buffer(fd, O_RDONLY | O_CLOEXEC);

	device_writes(&device, 0);
	REFUSES(ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &end), EACCES);
	CHECK(device_wrote(&device, 0));
	device_writes(&device, 2 * ENTRY);
	CHECK(!ioctl(fd, DMA_BUF_IOCTL_SYNC, &end));
	CHECK(device_wrote(&device, 2 * ENTRY));
	device_writes(&device, 4 * ENTRY);
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync));
	CHECK(device_wrote(&device, 4 * ENTRY));
	device_writes(&device, 6 * ENTRY);
	CHECK(!fsync(fd));
	CHECK(device_wrote(&device, 6 * ENTRY));
	close(dmabuf);
	close(fd);
	end_engine(&device);
}

/* Who maps the buffer, by itself or by an export of it, sees zeros from @end on. */
static void ends_in_zeros(int fd, size_t end)
{
	size_t room = (end + PAGE - 1) / PAGE * PAGE;
	int dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC);
	char *map = mmap(NULL, room, PROT_READ, MAP_SHARED, fd, 0);
	char *other = mmap(NULL, room, PROT_READ, MAP_SHARED, dmabuf, 0);

	CHECK(map != MAP_FAILED && other != MAP_FAILED);
	CHECK(map[end - 1] && zeroed(map + end, room - end) && zeroed(other + end, room - end));
	/* What is in the device's copy is seen after a sync, too. */
	sync_dmabuf(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	CHECK(zeroed(other + end, room - end));
	sync_dmabuf(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
	munmap(map, room);
	munmap(other, room);
	close(dmabuf);
	EVENTUALLY(buffer_info(fd).exports == 0 && buffer_info(fd).mappings == 0);
}

TEST(last_page, "past the new end of a buffer that was made smaller its last page is zero")
{
	static char data[4 * PAGE], back[4 * PAGE];

	memset(data, 0xff, sizeof(data));
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", sizeof(data), heap);

		CHECK(pwrite(fd, data, sizeof(data), 0) == sizeof(data));
		CHECK(!ftruncate(fd, 2 * PAGE + 100));
		ends_in_zeros(fd, 2 * PAGE + 100);
		CHECK(!ftruncate(fd, 10));
		ends_in_zeros(fd, 10);
		CHECK(!ftruncate(fd, 4 * PAGE));
		CHECK(pread(fd, back, sizeof(back), 0) == sizeof(back));
		CHECK(!memcmp(back, data, 10) && zeroed(back + 10, sizeof(back) - 10));
		close(fd);
	}
}

TEST(grown, "past the end of a buffer that grew again its last page is zero")
{
	static char data[4 * PAGE];
	int fd = buffer("x", sizeof(data), DEVFS_DMA_HEAP_SYSTEM);

	memset(data, 0xff, sizeof(data));
	CHECK(pwrite(fd, data, sizeof(data), 0) == sizeof(data));
	CHECK(!ftruncate(fd, 10));
	CHECK(pwrite(fd, "more", 4, PAGE) == 4);
	ends_in_zeros(fd, PAGE + 4);
	CHECK(!ftruncate(fd, 2 * PAGE + 7) && pwrite(fd, "x", 1, 2 * PAGE + 6) == 1);
	ends_in_zeros(fd, 2 * PAGE + 7);
	CHECK(!ftruncate(fd, 10));
	CHECK(!fallocate(fd, 0, 0, 3 * PAGE + 9) && pwrite(fd, "x", 1, 3 * PAGE + 8) == 1);
	ends_in_zeros(fd, 3 * PAGE + 9);
}

TEST(absent, "reads to and writes from memory that is not there yet are whole, of any length")
{
	const size_t size = 3 * MIB + 5;

	FOR_EACH_HEAP(heap) {
		size_t length = fitting(size, heap);
		int fd = buffer("x", length, heap);
		char *data = mmap(NULL, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *back = mmap(NULL, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(data != MAP_FAILED && back != MAP_FAILED);
		/* Never touched: zeros, over bytes that are not. */
		memset(back, 0xff, length);
		CHECK(pwrite(fd, back, length, 0) == (ssize_t)length);
		CHECK(!madvise(back, size, MADV_DONTNEED));
		CHECK(pwrite(fd, data, length, 0) == (ssize_t)length);
		CHECK(pread(fd, back, length, 0) == (ssize_t)length && zeroed(back, length));
		fill(data, length, heap);
		CHECK(pwrite(fd, data, length, 0) == (ssize_t)length);
		CHECK(!madvise(back, size, MADV_DONTNEED));
		CHECK(pread(fd, back, length, 0) == (ssize_t)length);
		CHECK(filled(back, length, heap));
		munmap(data, size);
		munmap(back, size);
		close(fd);
	}
}

/* A page that does not come before userfaultfd is told to give it. */
static char *page_of(int uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(page != MAP_FAILED && !ioctl(uffd, UFFDIO_API, &api));
	range.range.start = (uintptr_t)page;
	range.range.len = PAGE;
	CHECK(!ioctl(uffd, UFFDIO_REGISTER, &range));
	return page;
}

static int stalled_fd;
static char *stalled_page;

static void *write_stalled(void *arg)
{
	(void)arg;
	CHECK(pwrite(stalled_fd, stalled_page, PAGE, PAGE) == PAGE);
	return NULL;
}

static void *read_stalled(void *arg)
{
	(void)arg;
	CHECK(pread(stalled_fd, stalled_page, PAGE, PAGE) == PAGE);
	return NULL;
}

TEST(stalled, "whoever's own memory does not come stops no other reader, writer or sync")
{
	void *(*const stalls[])(void *) = { write_stalled, read_stalled };

	FOR_EACH_HEAP(heap) {
		for (int i = 0; i < 2; i++) {
			int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
			struct uffdio_zeropage zero = { .range.len = PAGE };
			struct uffd_msg fault;
			pthread_t thread;
			char back[8];

			if (uffd < 0)
				check_skip("the kernel has no userfaultfd");
			stalled_fd = buffer("x", SIZE, heap);
			stalled_page = page_of(uffd);
			CHECK(!pthread_create(&thread, NULL, stalls[i], NULL));
			CHECK(read(uffd, &fault, sizeof(fault)) == sizeof(fault));
			CHECK(pwrite(stalled_fd, "others", 6, 0) == 6);
			CHECK(pread(stalled_fd, back, 6, 0) == 6 && !memcmp(back, "others", 6));
			CHECK(!fsync(stalled_fd));
			sync_once(stalled_fd);
			sync_dmabuf(stalled_fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
			sync_dmabuf(stalled_fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
			zero.range.start = (uintptr_t)stalled_page;
			CHECK(!ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
			CHECK(!pthread_join(thread, NULL));
			munmap(stalled_page, PAGE);
			close(stalled_fd);
			close(uffd);
		}
	}
}

TEST(directions, "memory of every direction is zero at first, and keeps what is written")
{
	for (uint32_t way = 0; way <= DEVFS_DMA_FROM_DEVICE; way++) {
		FOR_EACH_HEAP(heap) {
			struct devfs_dma_alloc arg = request("x", SIZE, heap);
			static char data[SIZE];

			arg.direction = way;
			CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
			sync_range(arg.fd, DEVFS_DMA_SYNC_FOR_CPU, 0, 0);
			CHECK(pread(arg.fd, data, SIZE, 0) == SIZE && zeroed(data, SIZE));
			fill(data, SIZE, way);
			CHECK(pwrite(arg.fd, data, SIZE, 0) == SIZE);
			CHECK(pread(arg.fd, data, SIZE, 0) == SIZE);
			CHECK(filled(data, SIZE, way));
			CHECK(!fallocate(arg.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					 10, PAGE));
			CHECK(pread(arg.fd, data, PAGE, 10) == (ssize_t)PAGE && zeroed(data, PAGE));
			close(arg.fd);
		}
	}
}

TEST(told, "where every mapping is copied the device is not said to see the caches")
{
	if (!bounced())
		check_skip("the kernel does not copy for the device");
	CHECK(!(device_info(node()).flags & DEVFS_DMA_INFO_COHERENT));
}

static bool needs_no_sync(int fd)
{
	return buffer_info(fd).flags & DEVFS_DMA_BUF_COHERENT;
}

/* A device reads what was stored in a mapping, and writes behind it: with no sync anywhere. */
static bool goes_round_unsynced(const struct pci_device *edu, int bar, int fd, uint64_t address)
{
	char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bool is_there;

	CHECK(map != MAP_FAILED);
	fill(map, PAGE, 5);
	edu_transfer(edu, bar, address, PAGE / 2, EDU_TO_DEVICE);
	edu_transfer(edu, bar, address + PAGE, PAGE / 2, EDU_FROM_DEVICE);
	is_there = filled(map + PAGE, PAGE / 2, 5);
	munmap(map, 2 * PAGE);
	return is_there;
}

TEST(unsynced, "a buffer is said to need no sync where what is stored reaches its device without")
{
	struct pci_device edu = pci_bind(EDU, 1);
	int bar = pci_open_region(&edu, "bar0", O_RDWR);
	bool sees_caches = device_info(edu.node).flags & DEVFS_DMA_INFO_COHERENT;

	FOR_EACH_HEAP(heap) {
		struct devfs_dma_alloc arg = request("x", 2 * PAGE, heap);
		struct devfs_dma_sg entry;
		struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)&entry, .count = 1 };

		CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_ALLOC, &arg));
		CHECK(!ioctl(arg.fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg) && entry.length == 2 * PAGE);
		CHECK(needs_no_sync(arg.fd) == (sees_caches || heap == DEVFS_DMA_HEAP_COHERENT));
		CHECK(goes_round_unsynced(&edu, bar, arg.fd, entry.dma_addr) == needs_no_sync(arg.fd));
		close(arg.fd);
	}
	close(bar);
	pci_unbind(&edu);
}

TEST(unsynced_heaps, "what is empty, pinned or imported is said to need no sync where that is so")
{
	bool sees_caches = device_info(node()).flags & DEVFS_DMA_INFO_COHERENT;
	int empty = buffer("empty", 0, DEVFS_DMA_HEAP_SYSTEM);
	int own = buffer("own", PAGE, DEVFS_DMA_HEAP_COHERENT);
	int other = open("/dev/devfs_importer", O_RDWR | O_CLOEXEC);
	char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct devfs_dma_pin pin = {
		.alloc = request("pinned", 100, DEVFS_DMA_HEAP_USER), .address = (uintptr_t)memory + 9,
	};

	CHECK(needs_no_sync(empty) == sees_caches);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_PIN, &pin) && needs_no_sync(pin.alloc.fd) == sees_caches);
	if (!bounced())
		CHECK(needs_no_sync(import_dmabuf("again", export_buffer(own, O_RDWR))) == sees_caches);
	/* Only its exporter knows. */
	if (other >= 0)
		CHECK(!needs_no_sync(import_dmabuf("foreign", ioctl(other, IMPORTER_EXPORT))));
}
