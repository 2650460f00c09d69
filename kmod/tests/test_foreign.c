// SPDX-License-Identifier: GPL-2.0
/* Memory shared with others: exported and imported dma-bufs, pinned pages. */
#include "tests/importer/importer.h"
#include "tests/libcheck.h"

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

static struct devfs_dma_import import_request(const char *name, int dmabuf)
{
	return (struct devfs_dma_import){
		.alloc = request(name, 0, DEVFS_DMA_HEAP_IMPORTED), .dmabuf_fd = dmabuf,
	};
}

static struct devfs_dma_pin pin_request(const char *name, void *memory, uint64_t size)
{
	return (struct devfs_dma_pin){
		.alloc = request(name, size, DEVFS_DMA_HEAP_USER), .address = (uintptr_t)memory,
	};
}

static int pin(const char *name, void *memory, uint64_t size)
{
	struct devfs_dma_pin arg = pin_request(name, memory, size);

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_PIN, &arg));
	return arg.alloc.fd;
}

static void sync_dmabuf(int fd, uint64_t flags)
{
	struct dma_buf_sync arg = { flags };

	CHECK(!ioctl(fd, DMA_BUF_IOCTL_SYNC, &arg));
}

TEST(exported, "an exported dma-buf is the buffer's memory, keeps it, and keeps it large")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", 4 * PAGE, heap), dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC);
		char back[PAGE], *map, *own;

		own = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
		CHECK(map != MAP_FAILED && own != MAP_FAILED);
		CHECK(lseek(dmabuf, 0, SEEK_END) == 4 * (off_t)PAGE);
		sync_dmabuf(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
		fill(map, 4 * PAGE, heap);
		sync_dmabuf(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
		CHECK(pread(fd, back, PAGE, 0) == (ssize_t)PAGE && filled(back, PAGE, heap));
		own[9] = 99;
		CHECK(map[9] == 99);
		CHECK(buffer_info(fd).exports == 1 && buffer_info(fd).mappings == 2);
		munmap(own, 4 * PAGE);
		munmap(map, 4 * PAGE);
		REFUSES(ftruncate(fd, PAGE), EBUSY);
		REFUSES((intptr_t)mmap(NULL, 5 * PAGE, PROT_READ, MAP_SHARED, dmabuf, 0), EINVAL);
		buffer_free(buffer_info(fd).id);
		close(fd);
		CHECK(bytes_used() == 4 * PAGE);
		map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dmabuf, 3 * PAGE);
		CHECK(map != MAP_FAILED && map[5] == (char)((3 * PAGE + 5) * 7 + (3 * PAGE >> 8) * 13 + heap));
		munmap(map, PAGE);
		close(dmabuf);
		EVENTUALLY(bytes_used() == 0);
	}
}

TEST(export_bad, "BUF_EXPORT refuses what is wrong")
{
	struct devfs_dma_open open_arg = { .name = "x", .fd_flags = O_RDONLY };
	struct devfs_dma_buf_export arg = { .fd_flags = O_WRONLY };
	int fd = buffer("x", 0, DEVFS_DMA_HEAP_SYSTEM), dmabuf;

	REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_EXPORT, &arg), EINVAL);
	arg.fd_flags = O_RDWR | O_NONBLOCK;
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_EXPORT, &arg), EINVAL);
	arg.fd_flags = O_RDWR;
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_EXPORT, &arg), EINVAL);
	CHECK(!ftruncate(fd, PAGE));
	arg.reserved = 1;
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_EXPORT, &arg), EINVAL);
	arg.reserved = 0;
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_EXPORT, NULL), EFAULT);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg));
	REFUSES(ioctl(open_arg.fd, DEVFS_DMA_IOC_BUF_EXPORT, &arg), EACCES);
	dmabuf = export_buffer(open_arg.fd, O_RDONLY);
	REFUSES((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0), EACCES);
	CHECK(buffer_info(fd).exports == 1);
	close(dmabuf);
	EVENTUALLY(buffer_info(fd).exports == 0);
	CHECK(!ftruncate(fd, 0));
}

#define IMPORTER "/sys/module/devfs_importer/parameters/"

/* What the test importer says of one use of a dma-buf: 0 or an errno. */
static int importer_says(const char *parameter, const char *text)
{
	char path[96];
	int fd, error;

	snprintf(path, sizeof(path), IMPORTER "%s", parameter);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		check_skip("the test importer is not loaded");
	error = write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	return error;
}

static int importer_tries(int dmabuf, const char *what)
{
	char text[32];

	snprintf(text, sizeof(text), "%d %s", dmabuf, what);
	return importer_says("try", text);
}

static void importer_shows(int dmabuf)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", dmabuf);
	CHECK(importer_says("show", text) == 0);
}

/* Each dma-buf has an inode of its own. */
static bool is_same(int dmabuf, int other)
{
	struct stat one, two;

	CHECK(!fstat(dmabuf, &one) && !fstat(other, &two));
	return one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

TEST(export_twice, "a buffer has one dma-buf for each way and size, however often it is exported")
{
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM), first = export_buffer(fd, O_RDWR);
	int second = export_buffer(fd, O_RDWR), reading = export_buffer(fd, O_RDONLY), larger;

	CHECK(is_same(first, second) && !is_same(first, reading));
	CHECK(buffer_info(fd).exports == 2);
	CHECK(is_same(reading, export_buffer(fd, O_RDONLY)));
	close(first);
	/* One of its descriptors is open still. */
	CHECK(is_same(second, export_buffer(fd, O_RDWR)));
	CHECK(!ftruncate(fd, 2 * PAGE));
	larger = export_buffer(fd, O_RDWR);
	CHECK(!is_same(second, larger) && lseek(larger, 0, SEEK_END) == 2 * (off_t)PAGE);
	CHECK(is_same(larger, export_buffer(fd, O_RDWR)));
	CHECK(buffer_info(fd).exports == 3);
}

static void *exports_and_closes(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 2000; i++)
		close(export_buffer(fd, O_RDWR));
	return NULL;
}

TEST(export_races, "a dma-buf that is let go of while it is exported again does no harm")
{
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, exports_and_closes, &fd));
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
	EVENTUALLY(buffer_info(fd).exports == 0);
	close(export_buffer(fd, O_RDWR));
	EVENTUALLY(buffer_info(fd).exports == 0);
}

TEST(blind, "a dma-buf that the kernel cannot map is refused, and left as it was")
{
	int other = open("/dev/devfs_importer", O_RDWR | O_CLOEXEC), dmabuf;
	struct devfs_dma_import arg;

	if (other < 0)
		check_skip("the test importer is not loaded");
	dmabuf = ioctl(other, IMPORTER_EXPORT_BLIND);
	CHECK(dmabuf >= 0);
	arg = import_request("y", dmabuf);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg), EINVAL);
	CHECK(importer_tries(dmabuf, "map-both") == 0);
	EVENTUALLY(bytes_used() == 0);
}

TEST(loose, "a dma-buf that its exporter cannot keep in place is refused")
{
	int other = open("/dev/devfs_importer", O_RDWR | O_CLOEXEC), dmabuf;
	struct devfs_dma_import arg;

	if (other < 0)
		check_skip("the test importer is not loaded");
	dmabuf = ioctl(other, IMPORTER_EXPORT_LOOSE);
	CHECK(dmabuf >= 0);
	arg = import_request("y", dmabuf);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg), EBUSY);
	EVENTUALLY(bytes_used() == 0);
}

TEST(export_read_only, "a dma-buf that was exported for reading is written by no other driver")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", PAGE, heap), dmabuf = export_buffer(fd, O_RDONLY), node;
		char *map;

		CHECK(pwrite(fd, "old", 3, 0) == 3);
		CHECK(importer_tries(dmabuf, "map-to") == 0);
		CHECK(importer_tries(dmabuf, "begin-read") == 0);
		CHECK(importer_tries(dmabuf, "map-from") == EACCES);
		CHECK(importer_tries(dmabuf, "map-both") == EACCES);
		CHECK(importer_tries(dmabuf, "vmap") == EINVAL);
		CHECK(importer_tries(dmabuf, "begin-write") == EACCES);
		CHECK(importer_tries(dmabuf, "end-write") == EACCES);
		/* A driver's own file, open to write, that maps the memory of others. */
		importer_shows(dmabuf);
		node = open("/dev/devfs_importer", O_RDWR | O_CLOEXEC);
		CHECK(node >= 0);
		REFUSES((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0), EACCES);
		map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, node, 0);
		CHECK(map != MAP_FAILED && !memcmp(map, "old", 3));
		REFUSES(mprotect(map, PAGE, PROT_READ | PROT_WRITE), EACCES);
		munmap(map, PAGE);
		importer_shows(-1);
		close(dmabuf);

		/* All of that it may with one that was exported to be written. */
		dmabuf = export_buffer(fd, O_RDWR);
		CHECK(importer_tries(dmabuf, "map-from") == 0 && importer_tries(dmabuf, "map-both") == 0);
		CHECK(importer_tries(dmabuf, "vmap") == 0 && importer_tries(dmabuf, "begin-write") == 0);
		importer_shows(dmabuf);
		map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, node, 0);
		CHECK(map != MAP_FAILED);
		munmap(map, PAGE);
		importer_shows(-1);
		close(node);
		close(dmabuf);
		buffer_free(buffer_info(fd).id);
		close(fd);
		EVENTUALLY(bytes_used() == 0);
	}
	CHECK(log_count("a dma-buf that was exported for reading is not written") >= 1);
}

TEST(read_only, "a dma-buf that is open for reading does not become a buffer that can be written")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", PAGE, heap), dmabuf = export_buffer(fd, O_RDONLY), peer;
		struct devfs_dma_buf_rw rw = { .address = (uintptr_t)"new", .length = 3 };
		struct devfs_dma_import arg;
		char byte, *map;

		CHECK(pwrite(fd, "old", 3, 0) == 3);
		for (uint32_t way = 0; way <= DEVFS_DMA_FROM_DEVICE; way++) {
			arg = import_request("y", dmabuf);
			arg.alloc.direction = way;
			if (way != DEVFS_DMA_TO_DEVICE)
				REFUSES(ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg), EACCES);
		}
		arg = import_request("y", dmabuf);
		arg.alloc.direction = DEVFS_DMA_TO_DEVICE;
		CHECK(!ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg));
		peer = arg.alloc.fd;
		CHECK(pread(peer, &byte, 1, 1) == 1 && byte == 'l');
		REFUSES(pwrite(peer, "new", 3, 0), EACCES);
		REFUSES(ioctl(peer, DEVFS_DMA_IOC_BUF_WRITE, &rw), EACCES);
		REFUSES(fallocate(peer, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2), EACCES);
		REFUSES((intptr_t)mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, peer, 0), EACCES);
		map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, peer, 0);
		CHECK(map != MAP_FAILED && !memcmp(map, "old", 3));
		REFUSES(mprotect(map, PAGE, PROT_READ | PROT_WRITE), EACCES);
		munmap(map, PAGE);
		close(peer);
		close(dmabuf);
		close(fd);
		EVENTUALLY(bytes_used() == 0);
	}
}

TEST(importer, "another driver attaches to an exported dma-buf and changes its bytes")
{
	FOR_EACH_HEAP(heap) {
		size_t size = fitting(300 * PAGE + 5, heap);
		int fd = buffer("x", size, heap), dmabuf = export_buffer(fd, O_RDWR);
		int param = open("/sys/module/devfs_importer/parameters/invert", O_WRONLY);
		static unsigned char data[300 * PAGE + 5];
		char text[16];

		if (param < 0)
			check_skip("the test importer is not loaded");
		fill(data, size, 1);
		CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
		snprintf(text, sizeof(text), "%d", dmabuf);
		CHECK(write(param, text, strlen(text)) == (ssize_t)strlen(text));
		CHECK(pread(fd, data, size, 0) == (ssize_t)size);
		for (size_t i = 0; i < size; i++)
			data[i] ^= 0xff;
		CHECK(filled(data, size, 1));
		close(param);
		close(dmabuf);
		close(fd);
		EVENTUALLY(bytes_used() == 0);
	}
}

static void use_imported(int fd, uint64_t size, char *memory)
{
	struct devfs_dma_sg entries[300];
	struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)entries, .count = 300 };
	struct devfs_dma_buf_sync sync = {
		.flags = DEVFS_DMA_SYNC_FOR_CPU, .direction = DEVFS_DMA_SYNC_BUFFER_DIRECTION,
	};
	uint64_t sum = 0;
	char *map, back[PAGE], data[PAGE];

	CHECK(buffer_info(fd).size == size && buffer_info(fd).heap == DEVFS_DMA_HEAP_IMPORTED);
	fill(data, PAGE, 7);
	CHECK(pwrite(fd, data, PAGE, PAGE) == (ssize_t)PAGE);
	CHECK(filled(memory + PAGE, PAGE, 7));
	memory[3] = 33;
	if (bounced())
		sync_dmabuf(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
	CHECK(pread(fd, back, PAGE, 0) == (ssize_t)PAGE && back[3] == 33);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED && map[3] == 33);
	map[4] = 44;
	CHECK(memory[4] == 44);
	munmap(map, size);
	REFUSES(pwrite(fd, "x", 1, size), ENOSPC);
	REFUSES(ftruncate(fd, size + 1), ENOSPC);
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync));
	CHECK(!fsync(fd));
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg));
	for (uint32_t i = 0; i < sg.count; i++)
		sum += entries[i].length;
	CHECK(sum == size);
}

TEST(import_own, "a buffer's own export, imported, is the same memory")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", 8 * PAGE, heap), dmabuf = export_buffer(fd, O_RDWR);
		char *own = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		int imported = import_dmabuf("y", dmabuf);
		struct devfs_dma_buf_export arg = { .fd_flags = O_RDWR };

		close(dmabuf);
		use_imported(imported, 8 * PAGE, own);
		REFUSES(ioctl(imported, DEVFS_DMA_IOC_BUF_EXPORT, &arg), EOPNOTSUPP);
		munmap(own, 8 * PAGE);
		close(fd);
		CHECK(bytes_used() == 16 * PAGE);
		close(imported);
		EVENTUALLY(bytes_used() == 0);
	}
}

TEST(import_udmabuf, "a dma-buf of udmabuf is imported")
{
	struct udmabuf_create create = { .size = 4 * PAGE };
	int device = open("/dev/udmabuf", O_RDWR), memory, dmabuf, fd;
	char *map;

	if (device < 0)
		check_skip("the kernel has no udmabuf");
	/* udmabuf maps its pages for itself, too, at the first CPU access. */
	if (!access("/sys/kernel/debug/dma-api", F_OK))
		check_skip("udmabuf maps its pages twice, of which DMA_API_DEBUG warns");
	memory = memfd_create("memory", MFD_ALLOW_SEALING);
	CHECK(!ftruncate(memory, 4 * PAGE) && !fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK));
	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	create.memfd = memory;
	dmabuf = ioctl(device, UDMABUF_CREATE, &create);
	CHECK(dmabuf >= 0);
	fd = import_dmabuf("y", dmabuf);
	close(dmabuf);
	use_imported(fd, 4 * PAGE, map);
}

TEST(import_heap, "a dma-buf of a dma-heap is imported")
{
	struct dma_heap_allocation_data data = { .len = 2 * MIB, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDWR), fd;
	char *map;

	if (heap < 0)
		check_skip("the kernel has no dma-heap");
	if (bounced())
		check_skip("the ranges of a dma-heap are longer than swiotlb copies");
	CHECK(!ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data));
	map = mmap(NULL, data.len, PROT_READ | PROT_WRITE, MAP_SHARED, data.fd, 0);
	CHECK(map != MAP_FAILED);
	fd = import_dmabuf("y", data.fd);
	use_imported(fd, data.len, map);
}

TEST(import_bad, "IMPORT refuses what is no dma-buf")
{
	struct devfs_dma_import arg = import_request("y", 0);

	arg.dmabuf_fd = node();
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg), EINVAL);
	arg.dmabuf_fd = 999;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg), EBADF);
	arg.dmabuf_fd = -1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg), EBADF);
	arg.alloc.size = 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg), EINVAL);
	arg.alloc.size = 0;
	arg.pad = 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg), EINVAL);
	arg.pad = 0;
	arg.alloc.heap = DEVFS_DMA_HEAP_SYSTEM;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg), EINVAL);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_IMPORT, NULL), EFAULT);
	arg.alloc.heap = DEVFS_DMA_HEAP_IMPORTED;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg.alloc), EOPNOTSUPP);
}

TEST(pinned, "pinned memory of any alignment is read and written as a buffer")
{
	static const struct { unsigned int offset; uint64_t size; bool bounced; } cases[] = {
		{ 0, 4 * PAGE, false }, { 1, 4 * PAGE, true }, { 4095, 2, true }, { 100, 50, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *memory = area + cases[i].offset;
		uint64_t size = cases[i].size;
		static char data[4 * PAGE];
		int fd;

		memset(area, 'e', 8 * PAGE);
		fd = pin("p", memory, size);
		CHECK(buffer_info(fd).size == size && buffer_info(fd).capacity == size);
		CHECK(!!(buffer_info(fd).flags & DEVFS_DMA_BUF_BOUNCED) == cases[i].bounced);
		CHECK(device_info(node()).bounced == cases[i].bounced);
		fill(data, size, i);
		CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
		CHECK(!memcmp(memory, data, size));
		CHECK(memory[size] == 'e' && (!cases[i].offset || memory[-1] == 'e'));
		memory[size - 1] ^= 1;
		CHECK(pread(fd, data, size, 0) == (ssize_t)size && !memcmp(memory, data, size));
		REFUSES(pwrite(fd, "x", 1, size), ENOSPC);
		REFUSES((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), ENODEV);
		CHECK(!fsync(fd));
		close(fd);
		munmap(area, 8 * PAGE);
		EVENTUALLY(bytes_used() == 0);
	}
}

TEST(pin_sg, "bus ranges of pinned memory begin where it does")
{
	char *area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct devfs_dma_sg entries[8];
	struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)entries, .count = 8 };
	uint64_t sum = 0;
	int fd = pin("p", area + 123, 4 * PAGE);

	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg));
	CHECK(bounced() || entries[0].dma_addr % PAGE == 123);
	for (uint32_t i = 0; i < sg.count; i++)
		sum += entries[i].length;
	CHECK(sum == 4 * PAGE);
}

TEST(pin_bad, "PIN refuses memory that is not there, not writable, or too much")
{
	char *area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct devfs_dma_pin arg = pin_request("p", area, 8 * PAGE);
	struct rlimit limit = { 2 * PAGE, 2 * PAGE };

	munmap(area + 6 * PAGE, 2 * PAGE);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, &arg), EFAULT);
	mprotect(area + 2 * PAGE, PAGE, PROT_READ);
	arg.alloc.size = 4 * PAGE;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, &arg), EFAULT);
	arg.alloc.direction = DEVFS_DMA_TO_DEVICE;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, &arg), EFAULT);
	arg.alloc.size = 0;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, &arg), EINVAL);
	arg.alloc.size = ~0ULL;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, &arg), EINVAL);
	arg.address = ~0ULL - PAGE + 1;
	arg.alloc.size = PAGE - 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, &arg), EFAULT);
	arg.address = (uintptr_t)area;
	arg.alloc.size = 1ULL << 40;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, &arg), ENOSPC);
	arg.alloc.size = PAGE;
	arg.reserved[0] = 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, &arg), EINVAL);
	arg.reserved[0] = 0;
	arg.alloc.heap = DEVFS_DMA_HEAP_SYSTEM;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, &arg), EINVAL);
	arg.alloc.heap = DEVFS_DMA_HEAP_USER;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, NULL), EFAULT);
	CHECK(bytes_used() == 0);
	node();
	CHECK(!setrlimit(RLIMIT_MEMLOCK, &limit) && !setuid(1000));
	arg.alloc.size = 2 * PAGE;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_PIN, &arg));
	arg.alloc.name[0] = 'q';
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_PIN, &arg), ENOMEM);
	CHECK(arg.alloc.why == DEVFS_DMA_WHY_MEMLOCK);
}

TEST(pin_life, "pinned memory outlives its process, and goes when it is freed")
{
	struct devfs_dma_open open_arg = { .name = "p", .fd_flags = O_RDWR };
	int status;
	char back[6];

	if (!fork()) {
		char *area = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct devfs_dma_pin arg = pin_request("p", area + 10, 100);

		strcpy(area + 10, "alive");
		arg.alloc.lease = DEVFS_DMA_LEASE_PERSIST;
		CHECK(!ioctl(node(), DEVFS_DMA_IOC_PIN, &arg));
		_exit(0);
	}
	wait(&status);
	CHECK(status == 0);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg));
	CHECK(pread(open_arg.fd, back, 6, 0) == 6 && !strcmp(back, "alive"));
	buffer_free(open_arg.id);
}
