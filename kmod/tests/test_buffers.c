// SPDX-License-Identifier: GPL-2.0
/* The node's commands: making, finding, naming and freeing buffers. */
#include "tests/libcheck.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static int alloc(struct devfs_dma_alloc *arg)
{
	return ioctl(node(), DEVFS_DMA_IOC_ALLOC, arg);
}

static struct devfs_dma_open open_request(const char *name)
{
	struct devfs_dma_open arg = { .fd_flags = O_RDWR | O_CLOEXEC };

	strncpy(arg.name, name, sizeof(arg.name) - 1);
	return arg;
}

TEST(info, "GET_INFO describes the host device")
{
	struct devfs_dma_info info;

	memset(&info, 0xa5, sizeof(info));
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_GET_INFO, &info));
	CHECK(info.abi_version == DEVFS_DMA_ABI_VERSION);
	CHECK(!strcmp(info.device, "host"));
	CHECK((info.heaps & 7) == 7);
	CHECK(info.limit == 256 * MIB);
	CHECK(info.dma_mask == ~0ULL);
	/* Only x86 takes it for granted that caches are coherent. */
#if defined(__x86_64__) || defined(__i386__)
	CHECK(info.flags == (bounced() ? 0 : DEVFS_DMA_INFO_COHERENT));
#else
	CHECK(info.flags == 0);
#endif
	CHECK(zeroed(info.reserved, sizeof(info.reserved)));
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_GET_INFO, NULL), EFAULT);
	REFUSES(ioctl(node(), _IO(DEVFS_DMA_IOC_MAGIC, 0x3f)), ENOTTY);
	REFUSES(ioctl(node(), _IOR(DEVFS_DMA_IOC_MAGIC, 0, int), &info), ENOTTY);
}

TEST(heaps, "GET_HEAP describes each heap and refuses others")
{
	struct devfs_dma_heap heap = { .heap = DEVFS_DMA_HEAP_COHERENT };
	int fd = buffer("one", 3 * PAGE, DEVFS_DMA_HEAP_COHERENT);

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_GET_HEAP, &heap));
	CHECK(!strcmp(heap.name, "coherent"));
	CHECK(heap.used == 3 * PAGE && heap.buffers == 1);
	CHECK(heap.max > 0 && heap.max <= heap.size);
	close(fd);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_GET_HEAP, &heap));
	CHECK(heap.used == 0 && heap.buffers == 0);
	heap.heap = DEVFS_DMA_HEAPS;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_GET_HEAP, &heap), EINVAL);
	heap.heap = 0;
	heap.reserved[3] = 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_GET_HEAP, &heap), EINVAL);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_GET_HEAP, NULL), EFAULT);
}

TEST(bad_alloc, "ALLOC refuses every field out of its range and changes nothing")
{
	static const char *const names[] = { "", ".x", "a/b", "a b", "a\n", "\xc3\xa4" };
	struct devfs_dma_alloc good = request("x", PAGE, DEVFS_DMA_HEAP_SYSTEM), arg;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		arg = request(names[i], PAGE, DEVFS_DMA_HEAP_SYSTEM);
		REFUSES(alloc(&arg), EINVAL);
	}
	arg = good;
	memset(arg.name, 'n', sizeof(arg.name));
	REFUSES(alloc(&arg), EINVAL);
	arg = good;
	arg.name[10] = 'y';
	REFUSES(alloc(&arg), EINVAL);
#define BAD(field, value, error) \
	do { \
		arg = good; \
		arg.field = (value); \
		REFUSES(alloc(&arg), error); \
	} while (0)
	BAD(heap, DEVFS_DMA_HEAPS, EINVAL);
	BAD(direction, 3, EINVAL);
	BAD(lease, 3, EINVAL);
	BAD(mode, 01777, EINVAL);
	BAD(fd_flags, O_RDWR | O_NONBLOCK, EINVAL);
	BAD(fd_flags, 3, EINVAL);
	BAD(reserved[0], 1, EINVAL);
	BAD(reserved[2], 1, EINVAL);
	BAD(pad, 1, EINVAL);
	BAD(charge, 0x7ffffff0, ESRCH);
	BAD(charge, 0xffffffff, ESRCH);
	BAD(owner, 0x7ffffff0, ESRCH);
	BAD(owner, 0xffffffff, ESRCH);
	BAD(size, ~0ULL, EINVAL);
	BAD(size, 1ULL << 62, ENOSPC);
	CHECK(arg.why == DEVFS_DMA_WHY_LIMIT);
	good.heap = DEVFS_DMA_HEAP_CONTIGUOUS;
	BAD(size, 0, EINVAL);
	BAD(size, 64 * MIB, ENOMEM);
	CHECK(arg.why == DEVFS_DMA_WHY_ORDER && arg.fd == -1);
	good.heap = DEVFS_DMA_HEAP_COHERENT;
	BAD(size, 64 * MIB, ENOMEM);
	CHECK(arg.why == DEVFS_DMA_WHY_ORDER);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, NULL), EFAULT);
	CHECK(bytes_used() == 0);
}

TEST(no_fd, "ALLOC and OPEN without a free descriptor make nothing")
{
	struct devfs_dma_alloc arg = request("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_open open_arg = open_request("keep");
	struct rlimit limit;

	buffer("keep", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 3;
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	REFUSES(alloc(&arg), EMFILE);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg), EMFILE);
	CHECK(bytes_used() == PAGE);
}

TEST(names, "a name is taken once, renamed, and free again")
{
	struct devfs_dma_alloc arg = request("b", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_buf_name name = { "c" };
	struct devfs_dma_open open_arg;
	int a = buffer("a", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	int b = buffer("b", PAGE, DEVFS_DMA_HEAP_SYSTEM);

	REFUSES(alloc(&arg), EEXIST);
	CHECK(!ioctl(b, DEVFS_DMA_IOC_BUF_SET_NAME, &name));
	CHECK(!ioctl(b, DEVFS_DMA_IOC_BUF_SET_NAME, &name));
	CHECK(!strcmp(buffer_info(b).name, "c"));
	REFUSES(ioctl(a, DEVFS_DMA_IOC_BUF_SET_NAME, &name), EEXIST);
	name.name[0] = '.';
	REFUSES(ioctl(a, DEVFS_DMA_IOC_BUF_SET_NAME, &name), EINVAL);
	open_arg = open_request("b");
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg), ENOENT);
	open_arg = open_request("c");
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg));
	CHECK(buffer_info(open_arg.fd).opens == 2);
	CHECK(!alloc(&arg));
	memset(name.name, 'z', 63);
	CHECK(!ioctl(a, DEVFS_DMA_IOC_BUF_SET_NAME, &name));
}

TEST(open_same_inode, "every OPEN of a buffer is the same inode")
{
	struct devfs_dma_alloc arg = request("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_open open_arg = { .fd_flags = O_RDONLY };
	struct stat a, b, c;
	char path[64];
	int fd;

	arg.mode = 0640;
	arg.uid = 12;
	arg.gid = 34;
	CHECK(!alloc(&arg));
	open_arg.id = arg.id;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg));
	CHECK(!(fcntl(open_arg.fd, F_GETFD) & FD_CLOEXEC));
	CHECK((fcntl(open_arg.fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", arg.fd);
	fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	CHECK(!fstat(arg.fd, &a) && !fstat(open_arg.fd, &b) && !fstat(fd, &c));
	CHECK(a.st_ino == arg.ino && b.st_ino == arg.ino && c.st_ino == arg.ino);
	CHECK(a.st_dev == b.st_dev && a.st_dev == c.st_dev);
	CHECK(a.st_mode == (S_IFREG | 0640) && a.st_uid == 12 && a.st_gid == 34);
	CHECK(a.st_size == PAGE && a.st_nlink == 1 && a.st_blocks == PAGE / 512);
	CHECK(buffer_info(fd).opens == 3);
	REFUSES(write(open_arg.fd, "x", 1), EBADF);
	open_arg.reserved[1] = 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg), EINVAL);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_OPEN, NULL), EFAULT);
}

TEST(permissions, "OPEN, FREE, rename and bus addresses ask for permission")
{
	struct devfs_dma_alloc arg = request("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_open open_arg = open_request("x");
	struct devfs_dma_buf_get_sg sg = {};
	struct devfs_dma_buf_name name = { "y" };
	struct devfs_dma_free free_arg = {};
	int told;

	arg.mode = 0604;
	CHECK(!alloc(&arg));
	free_arg.id = arg.id;
	CHECK(buffer_info(arg.fd).flags & DEVFS_DMA_BUF_DMA_ADDR);
	/* The host's memory is behind no IOMMU. */
	told = log_count("was told bus addresses");
	CHECK(told > 0 && buffer_info(arg.fd).dma_addr);
	CHECK(log_count("was told bus addresses") <= told);
	CHECK(!setgid(1000) && !setuid(1000));
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg), EACCES);
	open_arg.fd_flags = O_RDONLY;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg));
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_FREE, &free_arg), EPERM);
	REFUSES(ioctl(arg.fd, DEVFS_DMA_IOC_BUF_SET_NAME, &name), EPERM);
	REFUSES(ioctl(arg.fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg), EPERM);
	CHECK(!(buffer_info(arg.fd).flags & (DEVFS_DMA_BUF_DMA_ADDR | DEVFS_DMA_BUF_PHYS_ADDR)));
	CHECK(buffer_info(arg.fd).dma_addr == 0 && buffer_info(arg.fd).phys_addr == 0);
	arg = request("z", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	arg.uid = 0;
	REFUSES(alloc(&arg), EPERM);
	arg.uid = 1000;
	CHECK(!alloc(&arg));
}

TEST(use_lease, "a buffer of LEASE_USE goes with its last user")
{
	int fd = buffer("x", 8 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	void *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED);
	close(fd);
	CHECK(bytes_used() == 8 * PAGE);
	munmap(map, PAGE);
	CHECK(bytes_used() == 0);
}

TEST(persist, "a persistent buffer outlives its process and is adopted with its contents")
{
	struct devfs_dma_alloc arg = request("keep", 2 * MIB, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_open open_arg = open_request("keep");
	struct devfs_dma_buf_lease lease = { .lease = DEVFS_DMA_LEASE_PERSIST };
	static char data[2 * MIB], back[2 * MIB];
	int status;

	fill(data, sizeof(data), 5);
	if (!fork()) {
		arg.lease = DEVFS_DMA_LEASE_PERSIST;
		CHECK(!alloc(&arg));
		CHECK(write(arg.fd, data, sizeof(data)) == sizeof(data));
		kill(getpid(), 9);
	}
	wait(&status);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg));
	CHECK(buffer_info(open_arg.fd).owner == 0);
	CHECK(read(open_arg.fd, back, sizeof(back)) == sizeof(back));
	CHECK(!memcmp(data, back, sizeof(data)));
	lease.owner = getpid();
	CHECK(!ioctl(open_arg.fd, DEVFS_DMA_IOC_BUF_SET_LEASE, &lease));
	CHECK(buffer_info(open_arg.fd).owner == (uint32_t)getpid());
	buffer_free(open_arg.id);
	CHECK(buffer_info(open_arg.fd).flags & DEVFS_DMA_BUF_FREED);
	CHECK(pread(open_arg.fd, back, PAGE, 0) == (ssize_t)PAGE);
	REFUSES(ioctl(open_arg.fd, DEVFS_DMA_IOC_BUF_SET_LEASE, &lease), ENOENT);
}

TEST(process_lease, "a buffer of LEASE_PROCESS goes with its owner, not with its file")
{
	struct devfs_dma_alloc arg = request("mine", PAGE, DEVFS_DMA_HEAP_COHERENT);
	struct devfs_dma_open open_arg = open_request("mine");
	int pipes[2];
	char c;
	pid_t pid;

	CHECK(!pipe(pipes));
	pid = fork();
	if (!pid) {
		close(pipes[1]);
		read(pipes[0], &c, 1);
		_exit(0);
	}
	arg.lease = DEVFS_DMA_LEASE_PROCESS;
	arg.owner = pid;
	CHECK(!alloc(&arg));
	close(arg.fd);
	CHECK(bytes_used() == PAGE);
	close(pipes[1]);
	CHECK(waitpid(pid, NULL, 0) == pid);
	EVENTUALLY(bytes_used() == 0);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg), ENOENT);
	/* An owner that is dead when it is named. */
	REFUSES(alloc(&arg), ESRCH);
}

TEST(module_held, "the module cannot be unloaded while a buffer exists, though nothing is open")
{
	struct devfs_dma_alloc arg = request("keep", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_free free_arg = {};
	void *map;
	int fd;

	arg.lease = DEVFS_DMA_LEASE_PERSIST;
	CHECK(!alloc(&arg));
	close(arg.fd);
	close(node());
	REFUSES(syscall(SYS_delete_module, "devfs_dma", O_NONBLOCK), EWOULDBLOCK);
	fd = open(NODE, O_RDWR);
	free_arg.id = arg.id;
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_FREE, &free_arg));
	arg.lease = DEVFS_DMA_LEASE_USE;
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_ALLOC, &arg));
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, arg.fd, 0);
	CHECK(map != MAP_FAILED);
	close(arg.fd);
	close(fd);
	REFUSES(syscall(SYS_delete_module, "devfs_dma", O_NONBLOCK), EWOULDBLOCK);
}

TEST(lease_change, "BUF_SET_LEASE moves a buffer between the leases")
{
	struct devfs_dma_buf_lease lease = { .lease = DEVFS_DMA_LEASE_PROCESS };
	struct devfs_dma_open open_arg = open_request("x");
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);

	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_SET_LEASE, &lease));
	lease.lease = DEVFS_DMA_LEASE_PERSIST;
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_SET_LEASE, &lease));
	close(fd);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg));
	lease.lease = DEVFS_DMA_LEASE_USE;
	CHECK(!ioctl(open_arg.fd, DEVFS_DMA_IOC_BUF_SET_LEASE, &lease));
	lease.lease = 3;
	REFUSES(ioctl(open_arg.fd, DEVFS_DMA_IOC_BUF_SET_LEASE, &lease), EINVAL);
	close(open_arg.fd);
	CHECK(bytes_used() == 0);
}

TEST(list, "LIST gives every buffer once, in pieces of any size")
{
	static struct devfs_dma_buf_info infos[64];
	struct devfs_dma_list arg = {};
	uint64_t last = 0;
	unsigned int seen = 0;
	char name[8];

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "b%d", i);
		buffer(name, PAGE, i % 3);
	}
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_LIST, &arg));
	CHECK(arg.total == 50 && arg.count == 0);
	do {
		memset(infos, 0xa5, sizeof(infos));
		arg.entries = (uintptr_t)infos;
		arg.count = 7;
		CHECK(!ioctl(node(), DEVFS_DMA_IOC_LIST, &arg));
		for (unsigned int i = 0; i < arg.count; i++) {
			snprintf(name, sizeof(name), "b%u", seen++);
			CHECK(!strcmp(infos[i].name, name) && infos[i].id > last);
			CHECK(infos[i].pad == 0 && infos[i].size == PAGE);
			last = infos[i].id;
		}
	} while (arg.cursor);
	CHECK(seen == 50);
	arg.entries = 8;
	arg.count = 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_LIST, &arg), EFAULT);
	arg.pad = 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_LIST, &arg), EINVAL);
}

TEST(free_bad, "FREE of what is not there is ENOENT")
{
	struct devfs_dma_free arg = { .id = 1ULL << 60 };

	REFUSES(ioctl(node(), DEVFS_DMA_IOC_FREE, &arg), ENOENT);
	arg.id = 0;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_FREE, &arg), ENOENT);
	arg.flags = 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_FREE, &arg), EINVAL);
}

TEST(limit, "the limit of the device holds for all ways to grow")
{
	struct devfs_dma_alloc arg = request("big", 200 * MIB, DEVFS_DMA_HEAP_SYSTEM);
	int fd;

	CHECK(!alloc(&arg));
	fd = arg.fd;
	arg = request("more", 100 * MIB, DEVFS_DMA_HEAP_SYSTEM);
	REFUSES(alloc(&arg), ENOSPC);
	CHECK(arg.why == DEVFS_DMA_WHY_LIMIT);
	REFUSES(ftruncate(fd, 300 * MIB), ENOSPC);
	REFUSES(fallocate(fd, 0, 0, 300 * MIB), ENOSPC);
	REFUSES(pwrite(fd, "x", 1, 300 * MIB), ENOSPC);
	CHECK(bytes_used() == 200 * MIB);
	/* A write gets the part that fits. */
	CHECK(pwrite(fd, arg.name, 64, 256 * MIB - 10) == 10);
	REFUSES(pwrite(fd, "x", 1, 256 * MIB), ENOSPC);
	CHECK(bytes_used() == 256 * MIB && lseek(fd, 0, SEEK_END) == 256 * (off_t)MIB);
}

TEST(many, "each of two thousand buffers is found by its name")
{
	enum { COUNT = 2000 };
	static uint64_t ids[COUNT];
	char name[16];

	for (int i = 0; i < COUNT; i++) {
		struct devfs_dma_alloc arg;

		snprintf(name, sizeof(name), "b%d", i);
		arg = request(name, PAGE, DEVFS_DMA_HEAP_SYSTEM);
		arg.lease = DEVFS_DMA_LEASE_PERSIST;
		CHECK(!alloc(&arg));
		close(arg.fd);
		ids[i] = arg.id;
	}
	for (int i = 0; i < COUNT; i++) {
		struct devfs_dma_open arg;

		snprintf(name, sizeof(name), "b%d", i);
		arg = open_request(name);
		CHECK(!ioctl(node(), DEVFS_DMA_IOC_OPEN, &arg) && arg.id == ids[i]);
		close(arg.fd);
		buffer_free(arg.id);
	}
}

TEST(races, "four processes that make, write, map, rename and free at once do no harm")
{
	int status;

	for (int p = 0; p < 4; p++) {
		if (fork())
			continue;
		srand(p);
		for (int i = 0; i < 300; i++) {
			struct devfs_dma_alloc arg;
			struct devfs_dma_open open_arg;
			struct devfs_dma_buf_name rename_arg = {};
			struct devfs_dma_free free_arg = {};
			char name[8];
			void *map;

			snprintf(name, sizeof(name), "r%d", rand() % 4);
			arg = request(name, (1 + rand() % 20) * PAGE, rand() % 3);
			arg.lease = rand() % 3;
			if (!alloc(&arg)) {
				pwrite(arg.fd, &arg, sizeof(arg), 0);
				map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, arg.fd, 0);
				ftruncate(arg.fd, (rand() % 40) * PAGE);
				if (map != MAP_FAILED) {
					munmap(map, PAGE);
				}
				snprintf(rename_arg.name, sizeof(rename_arg.name), "r%d", rand() % 4);
				ioctl(arg.fd, DEVFS_DMA_IOC_BUF_SET_NAME, &rename_arg);
				close(arg.fd);
			}
			snprintf(name, sizeof(name), "r%d", rand() % 4);
			open_arg = open_request(name);
			if (!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg)) {
				free_arg.id = open_arg.id;
				ioctl(node(), DEVFS_DMA_IOC_FREE, &free_arg);
				close(open_arg.fd);
			}
		}
		_exit(0);
	}
	while (wait(&status) > 0)
		CHECK(status == 0);
	for (int i = 0; i < 4; i++) {
		char name[8];
		struct devfs_dma_open open_arg;

		snprintf(name, sizeof(name), "r%d", i);
		open_arg = open_request(name);
		if (!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg)) {
			struct devfs_dma_free free_arg = { .id = open_arg.id };

			ioctl(node(), DEVFS_DMA_IOC_FREE, &free_arg);
			close(open_arg.fd);
		}
	}
	EVENTUALLY(bytes_used() == 0);
}
