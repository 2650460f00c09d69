// SPDX-License-Identifier: GPL-2.0
/* A buffer's file: read, write, mmap, truncate, sync, addresses. */
#include "tests/libcheck.h"

#include <linux/dma-buf.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static sigjmp_buf bus_error;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(bus_error, 1);
}

TEST(fresh, "new memory is zero, also after use and free")
{
	static char data[MIB];

	FOR_EACH_HEAP(heap) {
		for (int round = 0; round < 4; round++) {
			size_t size = fitting(MIB, heap);
			int fd = buffer("x", size, heap);

			CHECK(read(fd, data, MIB) == (ssize_t)size && zeroed(data, size));
			CHECK(read(fd, data, 1) == 0);
			memset(data, 0xff, size);
			CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
			close(fd);
		}
	}
}

TEST(same_memory, "read, write and mmap reach the same memory")
{
	static char data[200001], back[200001];

	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", sizeof(data), heap);
		char *map = mmap(NULL, sizeof(data), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		char *tail = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE);

		CHECK(map != MAP_FAILED && tail != MAP_FAILED);
		fill(data, sizeof(data), heap);
		CHECK(pwrite(fd, data, sizeof(data), 0) == sizeof(data));
		CHECK(filled(map, sizeof(data), heap));
		CHECK(!memcmp(tail, data + 2 * PAGE, PAGE));
		map[77777] ^= 0xff;
		if (bounced())
			CHECK(!msync(map, sizeof(data), MS_SYNC));
		CHECK(pread(fd, back, sizeof(back), 0) == sizeof(back));
		CHECK(back[77777] == (char)(data[77777] ^ 0xff));
		back[77777] ^= 0xff;
		CHECK(!memcmp(data, back, sizeof(data)));
		CHECK(!msync(map, sizeof(data), MS_SYNC));
		CHECK(buffer_info(fd).mappings == 2);
		munmap(tail, PAGE);
		CHECK(buffer_info(fd).mappings == 1);
		close(fd);
		CHECK(map[5] == data[5]);
		munmap(map, sizeof(data));
	}
}

TEST(positions, "lseek, readv, append and the end of the file are those of a regular file")
{
	char a[10], b[10];
	struct iovec iov[2] = { { a, 10 }, { b, 10 } };
	int fd = buffer("x", 15, DEVFS_DMA_HEAP_CONTIGUOUS);

	CHECK(lseek(fd, 0, SEEK_END) == 15);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK(readv(fd, iov, 2) == 15 && read(fd, a, 1) == 0);
	CHECK(pread(fd, a, 1, 15) == 0 && pread(fd, a, 1, 1ULL << 40) == 0);
	REFUSES(lseek(fd, -1, SEEK_SET), EINVAL);
	/* The part that fits is written first. */
	CHECK(pwrite(fd, "0123456789", 10, 10) == 5);
	REFUSES(pwrite(fd, "x", 1, 15), ENOSPC);
	CHECK(!fcntl(fd, F_SETFL, O_APPEND));
	REFUSES(write(fd, "x", 1), ENOSPC);
	REFUSES(ftruncate(fd, 16), ENOSPC);
	REFUSES(fallocate(fd, 0, 0, 16), ENOSPC);
	CHECK(!ftruncate(fd, 3));
	CHECK(write(fd, "ab", 2) == 2);
	CHECK(pread(fd, a, 10, 0) == 5 && !memcmp(a, "\0\0\0ab", 5));
	CHECK(!ftruncate(fd, 15));
	CHECK(pread(fd, a, 10, 5) == 10 && zeroed(a, 10));
	REFUSES(ftruncate(fd, -1), EINVAL);
}

TEST(growth, "a system buffer grows by writing, keeps its addresses, and shrinks")
{
	struct devfs_dma_sg first[64], after[600];
	struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)first, .count = 64 };
	static char block[128 * 1024], back[128 * 1024];
	struct stat status;
	uint64_t sum = 0;
	uint32_t kept;
	int fd = buffer("x", 0, DEVFS_DMA_HEAP_SYSTEM);

	CHECK(buffer_info(fd).capacity == 0 && buffer_info(fd).nents == 0);
	CHECK(read(fd, back, 1) == 0);
	CHECK(!ftruncate(fd, 100));
	CHECK(buffer_info(fd).capacity == PAGE && buffer_info(fd).size == 100);
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg));
	kept = sg.count;
	CHECK(kept == 1);
	for (int i = 0; i < 100; i++) {
		fill(block, sizeof(block), i);
		CHECK(write(fd, block, sizeof(block)) == sizeof(block));
	}
	CHECK(buffer_info(fd).size == 100 * sizeof(block));
	CHECK(buffer_info(fd).segments < 20);
	for (int i = 0; i < 100; i++) {
		CHECK(pread(fd, back, sizeof(back), i * sizeof(back)) == sizeof(back));
		CHECK(filled(back, sizeof(back), i));
	}
	sg = (struct devfs_dma_buf_get_sg){ .entries = (uintptr_t)after, .count = 600 };
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg));
	CHECK(sg.count == sg.total && !memcmp(first, after, kept * sizeof(first[0])));
	for (uint32_t i = 0; i < sg.count; i++)
		sum += after[i].length;
	CHECK(sum == buffer_info(fd).capacity);
	CHECK(!fstat(fd, &status) && status.st_blocks * 512ULL == sum);
	CHECK(!ftruncate(fd, PAGE + 1));
	CHECK(buffer_info(fd).capacity <= 64 * PAGE);
	CHECK(!ftruncate(fd, 4 * PAGE));
	CHECK(pread(fd, back, 3 * PAGE, PAGE + 1) == (ssize_t)(3 * PAGE - 1));
	CHECK(zeroed(back, 3 * PAGE - 1));
	CHECK(!ftruncate(fd, 0));
	CHECK(bytes_used() == 0);
}

TEST(holes, "writing past the end leaves zeroes, also where a mapping had written")
{
	char back[3 * PAGE];
	int fd = buffer("x", 10, DEVFS_DMA_HEAP_SYSTEM);
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	memset(map, 0xff, PAGE);
	if (bounced())
		CHECK(!msync(map, PAGE, MS_SYNC));
	CHECK(pwrite(fd, "z", 1, 2 * PAGE) == 1);
	CHECK(pread(fd, back, sizeof(back), 0) == (ssize_t)(2 * PAGE + 1));
	CHECK(back[9] == (char)0xff && zeroed(back + 10, 2 * PAGE - 10) && back[2 * PAGE] == 'z');
}

TEST(fallocate_modes, "fallocate grows, keeps the size, zeroes ranges, and refuses the rest")
{
	char back[PAGE];
	struct stat st;
	int fd = buffer("x", 0, DEVFS_DMA_HEAP_SYSTEM);

	CHECK(!fallocate(fd, 0, 0, 5000));
	CHECK(!fstat(fd, &st) && st.st_size == 5000);
	CHECK(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, MIB));
	CHECK(!fstat(fd, &st) && st.st_size == 5000 && buffer_info(fd).capacity == MIB);
	memset(back, 0xff, sizeof(back));
	CHECK(pwrite(fd, back, PAGE, 0) == (ssize_t)PAGE);
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 100));
	CHECK(!fallocate(fd, FALLOC_FL_ZERO_RANGE, 200, 100));
	CHECK(pread(fd, back, PAGE, 0) == (ssize_t)PAGE);
	CHECK(zeroed(back + 10, 100) && zeroed(back + 200, 100));
	CHECK(back[9] && back[110] && back[199] && back[300]);
	REFUSES(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE), EOPNOTSUPP);
}

TEST(shrink_busy, "a mapped buffer does not shrink, but grows")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", 8 * PAGE, heap);
		char *map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		CHECK(map != MAP_FAILED);
		map[7 * PAGE] = 1;
		REFUSES(ftruncate(fd, PAGE), EBUSY);
		if (heap == DEVFS_DMA_HEAP_SYSTEM)
			CHECK(!ftruncate(fd, 64 * PAGE));
		CHECK(map[7 * PAGE] == 1);
		munmap(map, 8 * PAGE);
		CHECK(!ftruncate(fd, PAGE));
		close(fd);
	}
}

TEST(mmap_range, "mmap past the end is EINVAL, and partly unmapping and splitting counts right")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", 4 * PAGE, heap);
		char *map;

		REFUSES((intptr_t)mmap(NULL, 5 * PAGE, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
		REFUSES((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 4 * PAGE), EINVAL);
		REFUSES((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 1LL << 40), EINVAL);
		map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(map != MAP_FAILED);
		memset(map, 1, 4 * PAGE);
		CHECK(!munmap(map + PAGE, PAGE));
		CHECK(buffer_info(fd).mappings == 2);
		CHECK(!munmap(map, 4 * PAGE));
		CHECK(buffer_info(fd).mappings == 0);
		close(fd);
	}
}

TEST(mmap_fork, "a mapping goes on in a child, after the buffer was freed")
{
	FOR_EACH_HEAP(heap) {
		int status, fd = buffer("x", PAGE, heap);
		volatile char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		buffer_free(buffer_info(fd).id);
		close(fd);
		if (!fork()) {
			map[3] = 42;
			_exit(0);
		}
		wait(&status);
		CHECK(status == 0 && map[3] == 42);
		munmap((void *)map, PAGE);
		CHECK(bytes_used() == 0);
	}
}

TEST(read_only_map, "a read-only descriptor gives no writable mapping")
{
	struct devfs_dma_alloc arg = request("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	char *map;

	arg.fd_flags = O_RDONLY;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
	REFUSES((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, arg.fd, 0), EACCES);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, arg.fd, 0);
	CHECK(map != MAP_FAILED);
	REFUSES(mprotect(map, PAGE, PROT_READ | PROT_WRITE), EACCES);
	REFUSES(ftruncate(arg.fd, 0), EINVAL);
}

TEST(own_mapping, "reading and writing a buffer by way of its own mapping works")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", 8 * PAGE, heap);
		char *map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		CHECK(pwrite(fd, "hello", 5, 0) == 5);
		CHECK(pread(fd, map + 4 * PAGE, PAGE, 0) == (ssize_t)PAGE);
		CHECK(!memcmp(map + 4 * PAGE, "hello", 5));
		CHECK(pwrite(fd, map + 4 * PAGE, 5, 6 * PAGE) == 5);
		CHECK(!memcmp(map + 6 * PAGE, "hello", 5));
		munmap(map, 8 * PAGE);
		close(fd);
	}
}

TEST(o_direct, "O_DIRECT works on a buffer, and from the mapping of pages")
{
	FOR_EACH_HEAP(heap) {
		int pipes[2], fd = buffer("x", 4 * PAGE, heap);
		char path[64], back[PAGE];
		struct iovec iov;
		ssize_t moved;
		char *map;
		int direct;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		direct = open(path, O_RDWR | O_DIRECT);
		CHECK(direct >= 0);
		CHECK(pwrite(direct, "direct", 6, 1) == 6);
		CHECK(pread(fd, back, 7, 0) == 7 && !memcmp(back + 1, "direct", 6));
		map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(map != MAP_FAILED);
		/* vmsplice pins pages as O_DIRECT does. */
		CHECK(!pipe(pipes));
		iov.iov_base = map;
		iov.iov_len = PAGE;
		errno = 0;
		moved = vmsplice(pipes[1], &iov, 1, 0);
		if (heap == DEVFS_DMA_HEAP_COHERENT) {
			CHECK(moved == -1 && errno == EFAULT);
		} else {
			CHECK(moved == (ssize_t)PAGE);
			munmap(map, 4 * PAGE);
			close(direct);
			close(fd);
			/* The page outlives the buffer. */
			CHECK(read(pipes[0], back, PAGE) == (ssize_t)PAGE);
			CHECK(!memcmp(back + 1, "direct", 6));
			continue;
		}
		munmap(map, 4 * PAGE);
		close(direct);
		close(fd);
	}
}

TEST(splicing, "splice and sendfile go in and out")
{
	FOR_EACH_HEAP(heap) {
		int pipes[2], a = buffer("a", 4 * PAGE, heap), b = buffer("b", 4 * PAGE, heap);
		static char data[4 * PAGE], back[4 * PAGE];
		size_t done = 0;
		loff_t from = 0, to = 0;

		fill(data, sizeof(data), 3);
		CHECK(pwrite(a, data, sizeof(data), 0) == sizeof(data));
		CHECK(!pipe(pipes));
		while (done < sizeof(data)) {
			ssize_t n = splice(a, &from, pipes[1], NULL, sizeof(data) - done, 0);

			CHECK(n > 0);
			CHECK(splice(pipes[0], NULL, b, &to, n, 0) == n);
			done += n;
		}
		CHECK(pread(b, back, sizeof(back), 0) == sizeof(back));
		CHECK(!memcmp(data, back, sizeof(data)));
		CHECK(!ftruncate(b, 0) && !lseek(b, 0, SEEK_SET));
		from = 0;
		CHECK(sendfile(b, a, &from, sizeof(data)) == sizeof(data));
		close(a);
		close(b);
		close(pipes[0]);
		close(pipes[1]);
	}
}

/* Bytes before a fault: some machines' copy routines leave out the last few. */
static bool before_fault(uint64_t copied, uint64_t there)
{
#if defined(__x86_64__) || defined(__i386__)
	return copied == there;
#else
	return copied > 0 && copied <= there;
#endif
}

TEST(faults, "a faulting pointer gives the bytes before it, or EFAULT")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", 8 * PAGE, heap);
		char *area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct devfs_dma_buf_rw rw = { .offset = 5, .length = PAGE };

		munmap(area + PAGE, PAGE);
		rw.address = (uintptr_t)area + PAGE - 100;
		memset(area, 'q', PAGE);
		CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_WRITE, &rw));
		CHECK(before_fault(rw.copied, 100));
		CHECK(pwrite(fd, area, 100, 5) == 100);
		memset(area, 0, PAGE);
		rw.copied = 0;
		CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_READ, &rw));
		CHECK(before_fault(rw.copied, 100) && area[PAGE - 101 + rw.copied] == 'q');
		rw.copied = 0;
		rw.address = (uintptr_t)area + PAGE;
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_READ, &rw), EFAULT);
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_WRITE, &rw), EFAULT);
		rw.address = ~0ULL - 10;
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_READ, &rw), EFAULT);
		REFUSES(pread(fd, area + PAGE, 10, 0), EFAULT);
		REFUSES(pwrite(fd, area + PAGE, 10, 0), EFAULT);
		CHECK(before_fault(pread(fd, area + PAGE - 50, 100, 0), 50));
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_READ, NULL), EFAULT);
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_INFO, area + PAGE), EFAULT);
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, area + PAGE), EFAULT);
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, area + PAGE), EFAULT);
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_SET_NAME, area + PAGE), EFAULT);
		REFUSES(ioctl(fd, DMA_BUF_IOCTL_SYNC, area + PAGE), EFAULT);
		REFUSES(ioctl(fd, _IO(DEVFS_DMA_IOC_MAGIC, 0x7f)), ENOTTY);
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_ALLOC, area), ENOTTY);
		close(fd);
	}
}

TEST(rw_ioctl, "BUF_READ and BUF_WRITE are pread and pwrite")
{
	char data[100] = "data", back[100] = "";
	struct devfs_dma_buf_rw rw = { .address = (uintptr_t)data, .length = 100, .offset = 10 };
	struct devfs_dma_open open_arg = { .name = "x", .fd_flags = O_RDONLY };
	int fd = buffer("x", 10, DEVFS_DMA_HEAP_SYSTEM);

	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_WRITE, &rw) && rw.copied == 100);
	CHECK(buffer_info(fd).size == 110);
	/* What cannot be told does not happen. */
	data[0] = 'n';
	rw.copied = 0;
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_WRITE, read_only_page(&rw, sizeof(rw))), EFAULT);
	data[0] = 'd';
	rw = (struct devfs_dma_buf_rw){ .address = (uintptr_t)back, .length = 1 << 30, .offset = 10 };
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_READ, &rw) && rw.copied == 100);
	CHECK(!memcmp(data, back, 100));
	rw.copied = 0;
	rw.offset = 110;
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_READ, &rw) && rw.copied == 0);
	rw.offset = 1ULL << 63;
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_READ, &rw), EINVAL);
	rw.offset = 8;
	rw.length = ~0ULL;
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_WRITE, &rw), EINVAL);
	rw.length = 1;
	rw.copied = 1;
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_READ, &rw), EINVAL);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg));
	rw.copied = 0;
	REFUSES(ioctl(open_arg.fd, DEVFS_DMA_IOC_BUF_WRITE, &rw), EBADF);
}

TEST(sync_ranges, "BUF_SYNC takes ranges and directions and refuses wrong ones")
{
	FOR_EACH_HEAP(heap) {
		struct devfs_dma_alloc arg = request("x", 5 * PAGE + 7, heap);
		struct devfs_dma_buf_sync sync = {
			.flags = DEVFS_DMA_SYNC_FOR_CPU,
			.direction = DEVFS_DMA_SYNC_BUFFER_DIRECTION,
		};
		struct dma_buf_sync dmabuf = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
		int fd;

		arg.direction = DEVFS_DMA_FROM_DEVICE;
		CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
		fd = arg.fd;
		CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync));
		sync.offset = PAGE + 3;
		sync.length = 4 * PAGE + 4;
		CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync));
		CHECK(buffer_info(fd).sync_owner == DEVFS_DMA_OWNER_CPU);
		sync.flags = DEVFS_DMA_SYNC_FOR_DEVICE;
		CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync));
		CHECK(buffer_info(fd).sync_owner == DEVFS_DMA_OWNER_DEVICE);
		sync.length++;
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync), EINVAL);
		sync.offset = ~0ULL;
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync), EINVAL);
		sync.offset = 0;
		sync.length = ~0ULL;
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync), EINVAL);
		sync.length = 0;
		sync.flags = 3;
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync), EINVAL);
		sync.flags = 0;
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync), EINVAL);
		sync.flags = DEVFS_DMA_SYNC_FOR_CPU;
		sync.direction = DEVFS_DMA_TO_DEVICE;
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync), EINVAL);
		sync.direction = 3;
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &sync), EINVAL);
		CHECK(!ioctl(fd, DMA_BUF_IOCTL_SYNC, &dmabuf));
		dmabuf.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE;
		CHECK(!ioctl(fd, DMA_BUF_IOCTL_SYNC, &dmabuf));
		dmabuf.flags = DMA_BUF_SYNC_END;
		REFUSES(ioctl(fd, DMA_BUF_IOCTL_SYNC, &dmabuf), EINVAL);
		dmabuf.flags = 1ULL << 40 | DMA_BUF_SYNC_RW;
		REFUSES(ioctl(fd, DMA_BUF_IOCTL_SYNC, &dmabuf), EINVAL);
		CHECK(!fsync(fd) && !fdatasync(fd));
		CHECK(buffer_info(fd).sync_cpu == 5 && buffer_info(fd).sync_device == 2);
		close(fd);
	}
}

TEST(addresses, "bus addresses are those of the heap")
{
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", 3 * PAGE, heap);
		struct devfs_dma_buf_info info = buffer_info(fd);
		struct devfs_dma_sg entries[4] = {};
		struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)entries, .count = 4 };
		uint64_t sum = 0;

		CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg));
		CHECK(sg.count == info.nents && sg.total == info.nents);
		for (uint32_t i = 0; i < sg.count; i++) {
			CHECK(entries[i].dma_addr % PAGE == 0 && entries[i].dma_addr);
			sum += entries[i].length;
		}
		CHECK(sum == 3 * PAGE);
		CHECK(!!(info.flags & DEVFS_DMA_BUF_DMA_ADDR) == (info.nents == 1));
		if (heap != DEVFS_DMA_HEAP_SYSTEM)
			CHECK(info.nents == 1 && info.dma_addr == entries[0].dma_addr);
		CHECK(!!(info.flags & DEVFS_DMA_BUF_COHERENT) ==
		      (heap == DEVFS_DMA_HEAP_COHERENT ||
		       device_info(node()).flags & DEVFS_DMA_INFO_COHERENT));
		CHECK(!!(info.flags & DEVFS_DMA_BUF_FIXED) == (heap != DEVFS_DMA_HEAP_SYSTEM));
		sg = (struct devfs_dma_buf_get_sg){ .first = sg.total };
		CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg));
		CHECK(sg.count == 0 && sg.total == info.nents);
		sg = (struct devfs_dma_buf_get_sg){ .entries = 8, .count = 1 };
		REFUSES(ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg), EFAULT);
		close(fd);
	}
}

TEST(attributes, "chmod, chown, times and link count are true")
{
	struct stat st, after;
	char byte = 1;
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);

	CHECK(!fchmod(fd, 0444) && !fchown(fd, 7, 8));
	CHECK(!fstat(fd, &st) && st.st_mode == (S_IFREG | 0444) && st.st_uid == 7 && st.st_gid == 8);
	CHECK(buffer_info(fd).uid == 7 && buffer_info(fd).gid == 8 && buffer_info(fd).mode == 0444);
	/* The clock of files goes on by ticks. */
	EVENTUALLY(pwrite(fd, &byte, 1, 0) == 1 && !fstat(fd, &after) &&
		   (after.st_mtim.tv_sec > st.st_mtim.tv_sec ||
		    (after.st_mtim.tv_sec == st.st_mtim.tv_sec &&
		     after.st_mtim.tv_nsec > st.st_mtim.tv_nsec)));
	CHECK(!futimens(fd, (struct timespec[2]){ { 1, 2 }, { 3, 4 } }));
	CHECK(!fstat(fd, &st) && st.st_mtim.tv_sec == 3 && st.st_atim.tv_sec == 1);
	buffer_free(buffer_info(fd).id);
	CHECK(!fstat(fd, &st) && st.st_nlink == 0);
}

static int gap_fd;
static char *gap_page;
static atomic_bool gap_ended;
static atomic_uint gap_looks;

static void *writes_behind_a_gap(void *arg)
{
	(void)arg;
	while (!gap_ended) {
		unsigned int before;

		CHECK(pwrite(gap_fd, gap_page, 1, 2 * MIB) == 1);
		/* Until it was looked at, too, however slow the machine. */
		before = gap_looks;
		while (gap_looks - before < 2 && !gap_ended)
			sched_yield();
		CHECK(!ftruncate(gap_fd, 0) || errno == EBUSY);
	}
	return NULL;
}

TEST(gap, "what is mapped of a file stays in it, whatever becomes of a write that makes it larger")
{
	uint64_t until = check_now() + 3000000000ULL;
	unsigned int mapped = 0;
	pthread_t thread;
	struct stat st;

	gap_fd = buffer("x", 0, DEVFS_DMA_HEAP_SYSTEM);
	gap_page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(gap_page != MAP_FAILED);
	CHECK(!pthread_create(&thread, NULL, writes_behind_a_gap, NULL));
	/* A write whose data went away is tried again, and took no memory meanwhile. */
	while (check_now() < until) {
		char *map;

		CHECK(!madvise(gap_page, PAGE, MADV_DONTNEED));
		map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, gap_fd, MIB);
		gap_looks++;
		if (map == MAP_FAILED)
			continue;
		mapped++;
		for (int i = 0; i < 20; i++)
			CHECK(!fstat(gap_fd, &st) && st.st_size >= MIB + (off_t)PAGE);
		CHECK(buffer_info(gap_fd).capacity >= 2 * MIB && !*map);
		munmap(map, PAGE);
	}
	CHECK(mapped);
	gap_ended = true;
	CHECK(!pthread_join(thread, NULL));
	munmap(gap_page, PAGE);
}

TEST(sigbus, "what lies past the memory of a grown mapping is SIGBUS, not an oops")
{
	int fd = buffer("x", 2 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *moved = mremap(map, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);

	signal(SIGBUS, on_bus_error);
	if (moved == MAP_FAILED)
		return;
	if (!sigsetjmp(bus_error, 1)) {
		moved[3 * PAGE] = 1;
		CHECK(!"SIGBUS");
	}
}

TEST(private_map, "a private mapping of pages is a copy")
{
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	char back, *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	CHECK(map != MAP_FAILED && map[0] == 0);
	map[0] = 9;
	CHECK(pread(fd, &back, 1, 0) == 1 && back == 0);
	close(fd);
	fd = buffer("y", PAGE, DEVFS_DMA_HEAP_COHERENT);
	REFUSES((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), EINVAL);
	CHECK(buffer_info(fd).mappings == 0);
}

TEST(leases, "no lease can be taken, for which others would have to wait")
{
	char path[64];
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM), again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY);
	CHECK(again >= 0);
	REFUSES(fcntl(fd, F_SETLEASE, F_WRLCK), EINVAL);
	REFUSES(fcntl(again, F_SETLEASE, F_RDLCK), EINVAL);
}
