// SPDX-License-Identifier: GPL-2.0
/*
 * A buffer as the backing file of a FUSE mount: /mnt/buffer is served by a
 * process that answers INIT, LOOKUP, GETATTR and OPEN and nothing else, so
 * whatever read, write and mmap reach, they reach without it.
 */
#include "tests/libcheck.h"

#include <linux/fuse.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/uio.h>

/* Since protocol 7.40; the distribution's header may be older. */
#define PASSTHROUGH_FLAG2	(1U << 5)
#define INIT_EXT_FLAG		(1U << 30)
#define OPEN_PASSTHROUGH	(1U << 7)

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define BACKING_OPEN _IOW(229, 1, struct backing_map)

#define MOUNT "/mnt"
#define FILE_PATH MOUNT "/buffer"
#define FILE_NODE 2

static int fuse, backing, backing_id;

static void reply(const struct fuse_in_header *in, int error, const void *data, size_t size)
{
	struct fuse_out_header out = {
		.len = sizeof(out) + size, .error = error, .unique = in->unique,
	};
	struct iovec iov[2] = { { &out, sizeof(out) }, { (void *)data, size } };

	writev(fuse, iov, size ? 2 : 1);
}

static struct fuse_attr attributes(uint64_t inode)
{
	struct fuse_attr attr = { .ino = inode, .nlink = 1, .blksize = 4096 };
	struct stat st;

	if (inode == FUSE_ROOT_ID) {
		attr.mode = S_IFDIR | 0755;
		return attr;
	}
	fstat(backing, &st);
	attr.mode = st.st_mode;
	attr.size = st.st_size;
	return attr;
}

static void serve_init(const struct fuse_in_header *in, const struct fuse_init_in *init)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 40,
		.max_readahead = init->max_readahead,
		.flags = FUSE_BIG_WRITES | INIT_EXT_FLAG,
		.flags2 = PASSTHROUGH_FLAG2,
		.max_write = 131072,
	};

	/* max_stack_depth follows flags2. */
	*(uint32_t *)((char *)&out + offsetof(struct fuse_init_out, flags2) + 4) = 1;
	reply(in, 0, &out, sizeof(out));
}

static void serve_open(const struct fuse_in_header *in)
{
	struct backing_map map = { .fd = backing };
	struct fuse_open_out out = { .fh = 1, .open_flags = OPEN_PASSTHROUGH };

	/* One id serves every open of the inode. */
	if (!backing_id)
		backing_id = ioctl(fuse, BACKING_OPEN, &map);
	if (backing_id <= 0) {
		reply(in, -EIO, NULL, 0);
		return;
	}
	/* The last field: `padding` in headers before 6.9, `backing_id` since. */
	*(int32_t *)((char *)&out + offsetof(struct fuse_open_out, open_flags) + 4) = backing_id;
	reply(in, 0, &out, sizeof(out));
}

static void serve(void)
{
	static char request[1 << 20];
	const struct fuse_in_header *in = (void *)request;
	const void *body = request + sizeof(*in);

	while (read(fuse, request, sizeof(request)) > 0) {
		struct fuse_entry_out entry = { .nodeid = FILE_NODE, .attr_valid = 0 };
		struct fuse_attr_out attr = { .attr = attributes(in->nodeid) };

		switch (in->opcode) {
		case FUSE_INIT:
			serve_init(in, body);
			break;
		case FUSE_LOOKUP:
			if (strcmp(body, "buffer")) {
				reply(in, -ENOENT, NULL, 0);
				break;
			}
			entry.attr = attributes(FILE_NODE);
			reply(in, 0, &entry, sizeof(entry));
			break;
		case FUSE_GETATTR:
			reply(in, 0, &attr, sizeof(attr));
			break;
		case FUSE_OPEN:
			serve_open(in);
			break;
		case FUSE_FLUSH:
		case FUSE_RELEASE:
		case FUSE_FSYNC:
			reply(in, 0, NULL, 0);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
			break;
		default:
			reply(in, -ENOSYS, NULL, 0);
		}
	}
	_exit(0);
}

/* Mounts @fd as /mnt/buffer and gives the server's pid. */
static pid_t mount_buffer(int fd)
{
	char options[100];
	pid_t pid;

	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	CHECK(fuse >= 0);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	CHECK(!mount("test", MOUNT, "fuse", 0, options));
	pid = fork();
	if (!pid) {
		backing = fd;
		serve();
	}
	close(fuse);
	return pid;
}

static void unmount(pid_t pid)
{
	umount2(MOUNT, MNT_DETACH);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static bool passthrough_exists(void)
{
	FILE *version = fopen("/proc/version", "r");
	int major = 0, minor = 0;

	CHECK(version && fscanf(version, "Linux version %d.%d", &major, &minor) == 2);
	fclose(version);
	return major > 6 || (major == 6 && minor >= 9);
}

static void need_passthrough(void)
{
	if (!passthrough_exists())
		check_skip("FUSE passthrough came with kernel 6.9");
}

TEST(same, "read, write and mmap of the mounted path reach the buffer's memory itself")
{
	enum { SIZE = 64 * PAGE };
	static char data[SIZE], back[SIZE];

	need_passthrough();
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", SIZE, heap), through, other;
		char *own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		pid_t pid = mount_buffer(fd);
		char *map;

		through = open(FILE_PATH, O_RDWR);
		CHECK(through >= 0);
		fill(data, sizeof(data), heap);
		CHECK(pwrite(through, data, SIZE, 0) == (ssize_t)SIZE);
		CHECK(filled(own, SIZE, heap));
		fill(own, SIZE, heap + 9);
		if (bounced())
			CHECK(!msync(own, SIZE, MS_SYNC));
		CHECK(pread(through, back, SIZE, 0) == (ssize_t)SIZE && filled(back, SIZE, heap + 9));

		map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, through, 0);
		CHECK(map != MAP_FAILED);
		CHECK(filled(map, SIZE, heap + 9));
		map[SIZE - 3] = 77;
		CHECK(own[SIZE - 3] == 77);
		if (bounced())
			CHECK(!msync(map, SIZE, MS_SYNC));
		CHECK(pread(fd, back, 1, SIZE - 3) == 1 && back[0] == 77);
		own[5] = 78;
		CHECK(map[5] == 78);
		CHECK(!msync(map, SIZE, MS_SYNC));

		/* Another open of the path shares the backing id. */
		other = open(FILE_PATH, O_RDONLY);
		CHECK(other >= 0 && pread(other, back, 1, 5) == 1 && back[0] == 78);
		close(other);
		other = open(FILE_PATH, O_RDWR | O_DIRECT);
		CHECK(other >= 0 && pwrite(other, "d", 1, 6) == 1 && own[6] == 'd');
		close(other);
		munmap(map, SIZE);
		close(through);
		unmount(pid);
		munmap(own, SIZE);
		close(fd);
	}
}

TEST(busy, "a mapping through the mount is counted: the buffer does not shrink under it")
{
	int fd = buffer("x", 8 * PAGE, DEVFS_DMA_HEAP_SYSTEM), through;
	pid_t pid;
	char *map;

	need_passthrough();
	pid = mount_buffer(fd);
	through = open(FILE_PATH, O_RDWR);
	map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, through, 0);
	CHECK(map != MAP_FAILED);
	close(through);
	CHECK(buffer_info(fd).mappings == 1);
	REFUSES(ftruncate(fd, PAGE), EBUSY);
	munmap(map, 8 * PAGE);
	CHECK(buffer_info(fd).mappings == 0);
	CHECK(!ftruncate(fd, PAGE));
	unmount(pid);
}

TEST(pin, "O_DIRECT can pin pages mapped through the mount")
{
	int fd = buffer("x", 4 * PAGE, DEVFS_DMA_HEAP_SYSTEM), through, pipes[2];
	struct iovec iov = { .iov_len = 4 * PAGE };
	pid_t pid;

	need_passthrough();
	pid = mount_buffer(fd);
	through = open(FILE_PATH, O_RDWR);
	iov.iov_base = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, through, 0);
	CHECK(iov.iov_base != MAP_FAILED && !pipe(pipes));
	CHECK(vmsplice(pipes[1], &iov, 1, 0) == 4 * (ssize_t)PAGE);
	unmount(pid);
}

TEST(survival, "an open file and a mapping go on after the server was killed")
{
	int fd = buffer("x", 8 * PAGE, DEVFS_DMA_HEAP_COHERENT), through;
	pid_t pid;
	char c, *map;

	need_passthrough();
	pid = mount_buffer(fd);
	through = open(FILE_PATH, O_RDWR);
	CHECK(through >= 0);
	map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, through, 0);
	CHECK(map != MAP_FAILED);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fd);
	map[7 * PAGE] = 55;
	CHECK(pread(through, &c, 1, 7 * PAGE) == 1 && c == 55);
	CHECK(pwrite(through, "y", 1, 3) == 1 && map[3] == 'y');
	REFUSES(open(FILE_PATH, O_RDWR), ENOTCONN);
	umount2(MOUNT, MNT_DETACH);
	munmap(map, 8 * PAGE);
	close(through);
	EVENTUALLY(bytes_used() == 0);
}

TEST(removal, "when the device goes, a mapping through the mount is SIGBUS, a file ENODEV")
{
	need_passthrough();
	FOR_EACH_HEAP(heap) {
		int fd, through;
		char c, *map;
		pid_t pid;

		if (heap)
			CHECK(dup2(open(NODE, O_RDWR | O_CLOEXEC), node()) == node());
		fd = buffer("x", 2 * PAGE, heap);
		pid = mount_buffer(fd);
		through = open(FILE_PATH, O_RDWR);
		CHECK(through >= 0);
		map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, through, 0);
		CHECK(map != MAP_FAILED);
		map[PAGE] = 1;
		set_bound("devfs_dma_host", false);
		CHECK(is_zapped(map) && is_zapped(map + PAGE));
		REFUSES(pread(through, &c, 1, 0), ENODEV);
		REFUSES(pwrite(through, "y", 1, 0), ENODEV);
		munmap(map, 2 * PAGE);
		close(through);
		unmount(pid);
		close(fd);
		set_bound("devfs_dma_host", true);
	}
}
