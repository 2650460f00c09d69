// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings by huge pages: what is mapped so, that it is the right memory, and
 * what takes such a mapping apart.
 */
#include <sys/uio.h>

#include "libcheck.h"

#define HUGE (2 * MIB)

/* Kilobytes that smaps says of the mapping that begins at @map. */
static long smaps(const void *map, const char *field)
{
	char line[256], start[32];
	bool here = false;
	long value = -1;
	FILE *file = fopen("/proc/self/smaps", "r");

	CHECK(file);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)map);
	while (value < 0 && fgets(line, sizeof(line), file)) {
		if (strchr(line, '-') && !strchr(line, ':'))
			here = false;
		if (!strncmp(line, start, strlen(start)))
			here = true;
		if (here && !strncmp(line, field, strlen(field)))
			value = strtol(line + strlen(field) + 1, NULL, 10);
	}
	fclose(file);
	return value;
}

static long huge_kilobytes(const void *map)
{
	return smaps(map, "FilePmdMapped");
}

static void need_huge_pages(void)
{
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
		check_skip("the kernel has no transparent huge pages");
}

static char *map_all(int fd, size_t size)
{
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED);
	return map;
}

TEST(one_fault, "a large buffer is mapped by huge pages, a fault each")
{
	int fd = buffer("h", 16 * MIB, DEVFS_DMA_HEAP_SYSTEM);
	char *map = map_all(fd, 16 * MIB);
	long before;
	size_t at;

	need_huge_pages();
	CHECK((unsigned long)map % HUGE == 0);
	before = minor_faults();
	for (at = 0; at < 16 * MIB; at += PAGE)
		map[at] = at / PAGE;
	/* A few blocks may have been had in small ones only. */
	CHECK(minor_faults() - before < 2048);
	CHECK(huge_kilobytes(map) >= 8 * 1024);
	CHECK(!msync(map, 16 * MIB, MS_SYNC));
	for (at = 0; at < 16 * MIB; at += PAGE) {
		char byte;

		CHECK(pread(fd, &byte, 1, at) == 1 && byte == (char)(at / PAGE));
	}
}

TEST(one_call, "one read and one write go over many huge pages, of a buffer's and of a program's")
{
	struct devfs_dma_pin pin = { .alloc = request("u", 4 * HUGE, DEVFS_DMA_HEAP_USER) };
	int fd = buffer("h", 4 * HUGE, DEVFS_DMA_HEAP_SYSTEM);
	char *own = aligned_alloc(HUGE, 4 * HUGE), *back = malloc(4 * HUGE);

	CHECK(own && back);
	madvise(own, 4 * HUGE, MADV_HUGEPAGE);
	fill(own, 4 * HUGE, 1);
	CHECK(pwrite(fd, own, 4 * HUGE, 0) == (ssize_t)(4 * HUGE));
	CHECK(pread(fd, back, 4 * HUGE, 0) == (ssize_t)(4 * HUGE));
	CHECK(!memcmp(own, back, 4 * HUGE));
	CHECK(pread(fd, back, 3 * HUGE, PAGE + 5) == (ssize_t)(3 * HUGE));
	CHECK(!memcmp(own + PAGE + 5, back, 3 * HUGE));
	pin.address = (uintptr_t)own;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_PIN, &pin));
	memset(back, 0, 4 * HUGE);
	CHECK(pread(pin.alloc.fd, back, 4 * HUGE, 0) == (ssize_t)(4 * HUGE));
	CHECK(!memcmp(own, back, 4 * HUGE));
	fill(back, 4 * HUGE, 2);
	CHECK(pwrite(pin.alloc.fd, back, 4 * HUGE, 0) == (ssize_t)(4 * HUGE));
	if (!bounced())
		CHECK(filled(own, 4 * HUGE, 2));
}

TEST(right_memory, "memory that grew from odd sizes is mapped where it belongs")
{
	static char back[PAGE];
	int fd = buffer("g", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	size_t sizes[] = { 3 * PAGE, HUGE + 5 * PAGE, 4 * HUGE, 7 * HUGE + PAGE }, i, at;
	char *map;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CHECK(!ftruncate(fd, sizes[i]));
		map = map_all(fd, sizes[i]);
		for (at = 0; at < sizes[i]; at += PAGE)
			fill(map + at, PAGE, at / PAGE + i);
		/* The mapping and the memory that read finds, page for page. */
		for (at = 0; at < sizes[i]; at += PAGE) {
			if (bounced())
				CHECK(!msync(map + at, PAGE, MS_SYNC));
			CHECK(pread(fd, back, PAGE, at) == (ssize_t)PAGE);
			CHECK(filled(back, PAGE, at / PAGE + i));
		}
		CHECK(!munmap(map, sizes[i]));
	}
	CHECK(!ftruncate(fd, HUGE + PAGE));
	CHECK(!ftruncate(fd, 0) && bytes_used() == 0);
}

TEST(taken_apart, "unmapping, protecting and moving a part of a huge page keep the rest")
{
	static char want[4 * HUGE];
	int fd = buffer("p", 4 * HUGE, DEVFS_DMA_HEAP_SYSTEM);
	char *map = map_all(fd, 4 * HUGE), *to = map_all(fd, 4 * HUGE), *moved;

	fill(want, sizeof(want), 1);
	memcpy(map, want, sizeof(want));
	CHECK(!munmap(map + HUGE / 2, PAGE));
	CHECK(!memcmp(map, want, HUGE / 2));
	CHECK(!memcmp(map + HUGE / 2 + PAGE, want + HUGE / 2 + PAGE, HUGE / 2 - PAGE));
	CHECK(!mprotect(map + HUGE + PAGE, PAGE, PROT_READ));
	CHECK(!madvise(map + 2 * HUGE + PAGE, PAGE, MADV_DONTNEED));
	CHECK(!memcmp(map + HUGE, want + HUGE, 2 * HUGE));
	moved = mremap(map + 3 * HUGE, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE);
	CHECK(moved == to + PAGE);
	CHECK(!memcmp(moved, want + 3 * HUGE, HUGE));
	moved[5] = 77;
	CHECK(to[3 * HUGE + 5] == 77);
	CHECK(buffer_info(fd).mappings > 2);
}

TEST(private_copy, "a private mapping of huge pages is copied page by page when written")
{
	int fd = buffer("c", HUGE, DEVFS_DMA_HEAP_SYSTEM);
	char *shared = map_all(fd, HUGE);
	char *own = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	pid_t child;
	int status;

	CHECK(own != MAP_FAILED);
	fill(shared, HUGE, 3);
	CHECK(filled(own, HUGE, 3));
	own[PAGE] ^= 0xff;
	CHECK(filled(shared, HUGE, 3));
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		shared[9] = 42;
		own[9] = 43;
		_exit(own[PAGE + 1] == shared[PAGE + 1] ? 0 : 1);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(shared[9] == 42 && own[9] == 42);
}

TEST(outlived, "pages of a huge one that a pipe holds outlive the buffer")
{
	static char back[PAGE], want[8 * PAGE];
	int fd = buffer("o", HUGE, DEVFS_DMA_HEAP_SYSTEM), pipes[2], i;
	char *map = map_all(fd, HUGE);
	struct iovec iov = { map + HUGE / 2, 8 * PAGE };

	CHECK(!pipe(pipes));
	fill(want, sizeof(want), 5);
	memcpy(map + HUGE / 2, want, sizeof(want));
	CHECK(!msync(map, HUGE, MS_SYNC));
	CHECK(vmsplice(pipes[1], &iov, 1, 0) == (ssize_t)iov.iov_len);
	CHECK(!munmap(map, HUGE) && !close(fd));
	EVENTUALLY(bytes_used() == 0);
	/* Others get what was given back, and write to it. */
	fd = buffer("n", 64 * MIB, DEVFS_DMA_HEAP_SYSTEM);
	memset(map_all(fd, 64 * MIB), 0xee, 64 * MIB);
	for (i = 0; i < 8; i++) {
		CHECK(read(pipes[0], back, PAGE) == (ssize_t)PAGE);
		CHECK(!memcmp(back, want + i * PAGE, PAGE));
	}
}

static bool has_heap(uint32_t heap)
{
	return device_info(node()).heaps & 1U << heap;
}

/* A buffer of memory without pages. */
static void maps_at_once(uint32_t heap)
{
	static char back[HUGE];
	long before;
	char *map;
	int fd;

	if (!maps_huge_frames())
		check_skip("the kernel does not map memory without pages so");
	if (!has_heap(heap))
		check_skip("the device has no such heap");
	fd = buffer("r", HUGE, heap);
	map = map_all(fd, HUGE);
	before = minor_faults();
	CHECK((unsigned long)map % HUGE == 0);
	fill(map, HUGE, 1);
	/* Some may be the test's own. */
	CHECK(minor_faults() - before <= 3);
	CHECK(pread(fd, back, HUGE, 0) == (ssize_t)HUGE && filled(back, HUGE, 1));
	fill(back, HUGE, 2);
	CHECK(pwrite(fd, back, HUGE, 0) == (ssize_t)HUGE && filled(map, HUGE, 2));
}

TEST(coherent_fault, "coherent memory is mapped by huge pages, a fault each")
{
	if (!(device_info(node()).flags & DEVFS_DMA_INFO_COHERENT))
		check_skip("the device is not coherent, so its memory is remapped in small pages");
	maps_at_once(DEVFS_DMA_HEAP_COHERENT);
}

TEST(reserved_fault, "reserved memory is mapped by huge pages where it begins at one")
{
	maps_at_once(DEVFS_DMA_HEAP_RESERVED);
}

TEST(range_taken_apart, "such mappings are unmapped, protected, moved and inherited in part")
{
	static char want[2 * HUGE];
	uint32_t heaps[] = { DEVFS_DMA_HEAP_COHERENT, DEVFS_DMA_HEAP_RESERVED };
	size_t i;

	for (i = 0; i < 2; i++) {
		char *map, *moved, *room;
		int fd, status;
		pid_t child;

		if (!has_heap(heaps[i]))
			continue;
		fd = buffer("t", 2 * HUGE, heaps[i]);
		map = map_all(fd, 2 * HUGE);
		fill(want, sizeof(want), 7 + i);
		memcpy(map, want, sizeof(want));
		child = fork();
		CHECK(child >= 0);
		if (!child) {
			map[HUGE + 9] ^= 1;
			_exit(!memcmp(map, want, HUGE) ? 0 : 1);
		}
		CHECK(waitpid(child, &status, 0) == child && status == 0);
		CHECK((map[HUGE + 9] ^ 1) == want[HUGE + 9]);
		map[HUGE + 9] ^= 1;
		CHECK(!munmap(map + HUGE / 2, PAGE));
		CHECK(!mprotect(map + 3 * PAGE, PAGE, PROT_READ));
		/* As of any memory that has no pages. */
		REFUSES(madvise(map + 5 * PAGE, PAGE, MADV_DONTNEED), EINVAL);
		CHECK(!memcmp(map, want, HUGE / 2));
		CHECK(!memcmp(map + HUGE / 2 + PAGE, want + HUGE / 2 + PAGE, HUGE / 2 - PAGE));
		map[4 * PAGE] = 1;
		room = mmap(NULL, 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		moved = mremap(map + HUGE, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + PAGE);
		CHECK(moved == room + PAGE && !memcmp(moved, want + HUGE, HUGE));
		moved[5] = 77;
		CHECK(pread(fd, want, 1, HUGE + 5) == 1 && want[0] == 77);
		/* None of the odd pieces is left mapped. */
		munmap(map, HUGE);
		munmap(room, 2 * HUGE);
		EVENTUALLY(buffer_info(fd).mappings == 0);
		close(fd);
	}
}

TEST(half_in, "an area that has a part of a huge page, or lies askew, is mapped all the same")
{
	int fd = buffer("a", 2 * HUGE, DEVFS_DMA_HEAP_COHERENT);
	char *whole = map_all(fd, 2 * HUGE), *room, *part;

	fill(whole, 2 * HUGE, 3);
	room = mmap(NULL, 4 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(room != MAP_FAILED);
	part = mmap(room + PAGE, 2 * HUGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	CHECK(part == room + PAGE && filled(part, 2 * HUGE, 3));
	part = mmap(NULL, HUGE, PROT_READ, MAP_SHARED, fd, HUGE - PAGE);
	CHECK(part != MAP_FAILED && !memcmp(part, whole + HUGE - PAGE, HUGE));
}
