// SPDX-License-Identifier: GPL-2.0
/* DEVFS_DMA_IOC_RENAME: names that move, are replaced and exchanged in one step. */
#include "tests/libcheck.h"

static int rename_to(uint64_t id, const char *name, uint32_t flags)
{
	struct devfs_dma_rename arg = { .id = id, .flags = flags };

	strncpy(arg.name, name, sizeof(arg.name) - 1);
	return ioctl(node(), DEVFS_DMA_IOC_RENAME, &arg);
}

static uint64_t make(const char *name, uint32_t lease)
{
	struct devfs_dma_alloc arg = request(name, PAGE, DEVFS_DMA_HEAP_SYSTEM);

	arg.lease = lease;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
	if (lease != DEVFS_DMA_LEASE_USE)
		close(arg.fd);
	return arg.id;
}

/* The id that has a name, 0 for none. */
static uint64_t who(const char *name)
{
	struct devfs_dma_open arg = { .fd_flags = O_RDWR };

	strncpy(arg.name, name, sizeof(arg.name) - 1);
	if (ioctl(node(), DEVFS_DMA_IOC_OPEN, &arg)) {
		CHECK(errno == ENOENT);
		return 0;
	}
	close(arg.fd);
	return arg.id;
}

TEST(plain, "RENAME gives another name, and none that is taken")
{
	uint64_t a = make("a", DEVFS_DMA_LEASE_USE), b = make("b", DEVFS_DMA_LEASE_USE);

	CHECK(!rename_to(a, "c", 0));
	CHECK(who("c") == a && !who("a") && who("b") == b);
	REFUSES(rename_to(a, "b", 0), EEXIST);
	CHECK(!rename_to(a, "c", 0));
	CHECK(!rename_to(a, "a", DEVFS_DMA_RENAME_REPLACE));
	CHECK(who("a") == a && !who("c"));
}

TEST(replace, "RENAME_REPLACE frees what had the name, whatever its lease")
{
	for (uint32_t lease = 0; lease <= DEVFS_DMA_LEASE_PROCESS; lease++) {
		uint64_t a = make("a", DEVFS_DMA_LEASE_PERSIST), b = make("b", lease);
		struct devfs_dma_open open_arg = { .id = b, .fd_flags = O_RDWR };
		uint64_t before = bytes_used();
		struct stat status;

		CHECK(!ioctl(node(), DEVFS_DMA_IOC_OPEN, &open_arg));
		CHECK(pwrite(open_arg.fd, "old", 3, 0) == 3);
		CHECK(!rename_to(a, "b", DEVFS_DMA_RENAME_REPLACE));
		CHECK(who("b") == a && !who("a"));
		/* Who has it open keeps it. */
		CHECK(buffer_info(open_arg.fd).flags & DEVFS_DMA_BUF_FREED);
		CHECK(!fstat(open_arg.fd, &status) && status.st_nlink == 0);
		REFUSES(rename_to(b, "z", 0), ENOENT);
		CHECK(bytes_used() == before);
		close(open_arg.fd);
		/* Of LEASE_USE this process still has the first descriptor. */
		CHECK(bytes_used() == before - (lease ? PAGE : 0));
		buffer_free(a);
	}
}

TEST(exchange, "RENAME_EXCHANGE swaps two names, and wants both")
{
	uint64_t a = make("a", DEVFS_DMA_LEASE_PERSIST), b = make("b", DEVFS_DMA_LEASE_USE);

	CHECK(!rename_to(a, "b", DEVFS_DMA_RENAME_EXCHANGE));
	CHECK(who("b") == a && who("a") == b);
	CHECK(!rename_to(a, "b", DEVFS_DMA_RENAME_EXCHANGE));
	CHECK(who("b") == a && who("a") == b);
	REFUSES(rename_to(a, "c", DEVFS_DMA_RENAME_EXCHANGE), ENOENT);
	CHECK(!rename_to(b, "b", DEVFS_DMA_RENAME_EXCHANGE));
	CHECK(who("a") == a && who("b") == b);
	buffer_free(a);
	CHECK(!who("a") && who("b") == b);
}

TEST(bad, "RENAME refuses every field out of its range and changes nothing")
{
	struct devfs_dma_rename good = { .name = "c" }, arg;

	good.id = make("a", DEVFS_DMA_LEASE_USE);
	make("b", DEVFS_DMA_LEASE_USE);
#define BAD(field, value, error) \
	do { \
		arg = good; \
		arg.field = (value); \
		REFUSES(ioctl(node(), DEVFS_DMA_IOC_RENAME, &arg), error); \
	} while (0)
	BAD(id, 0, ENOENT);
	BAD(id, ~0ULL, ENOENT);
	BAD(flags, DEVFS_DMA_RENAME_REPLACE | DEVFS_DMA_RENAME_EXCHANGE, EINVAL);
	BAD(flags, 4, EINVAL);
	BAD(pad, 1, EINVAL);
	BAD(name[0], '.', EINVAL);
	BAD(name[0], 0, EINVAL);
	BAD(name[1], '/', EINVAL);
	BAD(name[3], 'x', EINVAL);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_RENAME, NULL), EFAULT);
	CHECK(who("a") == good.id && who("b") && !who("c"));
}

TEST(permission, "RENAME asks for permission on both buffers")
{
	struct devfs_dma_alloc arg = request("mine", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	uint64_t root = make("root", DEVFS_DMA_LEASE_USE);

	arg.uid = 1000;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
	CHECK(!setgid(1000) && !setuid(1000));
	REFUSES(rename_to(root, "x", 0), EPERM);
	REFUSES(rename_to(arg.id, "root", DEVFS_DMA_RENAME_REPLACE), EPERM);
	REFUSES(rename_to(arg.id, "root", DEVFS_DMA_RENAME_EXCHANGE), EPERM);
	REFUSES(rename_to(arg.id, "root", 0), EEXIST);
	CHECK(!rename_to(arg.id, "x", 0));
	CHECK(who("x") == arg.id && !who("mine"));
}

TEST(one_step, "a name that is replaced and exchanged is never missing")
{
	uint64_t id = make("t", DEVFS_DMA_LEASE_PERSIST), next;
	pid_t reader = fork();
	int status;

	if (!reader) {
		for (;;) {
			struct devfs_dma_open arg = { .name = "t", .fd_flags = O_RDWR };

			if (ioctl(node(), DEVFS_DMA_IOC_OPEN, &arg))
				_exit(errno);
			close(arg.fd);
		}
	}
	for (int i = 0; i < 500; i++) {
		next = make("next", DEVFS_DMA_LEASE_PERSIST);
		CHECK(!rename_to(next, "t", DEVFS_DMA_RENAME_EXCHANGE));
		CHECK(!rename_to(id, "t", DEVFS_DMA_RENAME_REPLACE));
	}
	CHECK(!kill(reader, SIGKILL));
	CHECK(waitpid(reader, &status, 0) == reader);
	CHECK(WIFSIGNALED(status));
	buffer_free(id);
	EVENTUALLY(bytes_used() == 0);
}

TEST(rename_races, "four processes that rename, replace, exchange and free at once do no harm")
{
	int status;

	for (int p = 0; p < 4; p++) {
		if (fork())
			continue;
		srand(p);
		for (int i = 0; i < 400; i++) {
			struct devfs_dma_alloc arg = request("", PAGE, DEVFS_DMA_HEAP_SYSTEM);
			struct devfs_dma_free free_arg = {};
			char name[8];

			snprintf(arg.name, sizeof(arg.name), "r%d", rand() % 6);
			arg.lease = rand() % 3;
			if (ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg))
				arg.fd = -1;
			for (int j = 0; j < 4; j++) {
				snprintf(name, sizeof(name), "r%d", rand() % 6);
				rename_to(who(name), "r0", rand() % 3);
				snprintf(name, sizeof(name), "r%d", rand() % 6);
				rename_to(who("r0"), name, rand() % 3);
			}
			snprintf(name, sizeof(name), "r%d", rand() % 6);
			free_arg.id = who(name);
			ioctl(node(), DEVFS_DMA_IOC_FREE, &free_arg);
			if (arg.fd >= 0)
				close(arg.fd);
		}
		_exit(0);
	}
	while (wait(&status) > 0)
		CHECK(status == 0);
	for (int i = 0; i < 6; i++) {
		struct devfs_dma_free arg = {};
		char name[8];

		snprintf(name, sizeof(name), "r%d", i);
		arg.id = who(name);
		/* One whose owner has just ended goes by itself. */
		if (arg.id && ioctl(node(), DEVFS_DMA_IOC_FREE, &arg))
			CHECK(errno == ENOENT);
	}
	EVENTUALLY(bytes_used() == 0);
}
