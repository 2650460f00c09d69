// SPDX-License-Identifier: GPL-2.0
/* Who may do what: each command of the module's own table. */
#include "tests/libcheck.h"

#include "core/rights.h"

#include <sys/eventfd.h>

struct right {
	const char *name;
	enum devfs_rights_of of;
	unsigned long command;
	uint32_t op, takes;
};

#define RIGHT(whose, command, op, takes) \
	{ #command " " #op, DEVFS_##whose, DEVFS_DMA_IOC_##command, DEVFS_DMA_SIGNAL_##op, takes },
static const struct right rights[] = { DEVFS_RIGHTS(RIGHT) };
#undef RIGHT

#define FOR_EACH_RIGHT(right) \
	for (const struct right *right = rights; right < rights + sizeof(rights) / sizeof(*rights); \
	     right++)

/* What is asked for is nonsense, but for the op: whoever may not ask is told so first. */
static int ask(int fd, const struct right *right)
{
	static char arg[PAGE];

	memset(arg, 0xff, sizeof(arg));
	memcpy(arg, &right->op, sizeof(right->op));
	errno = 0;
	return ioctl(fd, right->command, arg) ? errno : 0;
}

static int open_as(const char *name, uint32_t flags)
{
	struct devfs_dma_open arg = { .fd_flags = flags };

	strcpy(arg.name, name);
	return ioctl(node(), DEVFS_DMA_IOC_OPEN, &arg) ? -1 : arg.fd;
}

static void check(const struct right *right, bool holds)
{
	if (holds)
		return;
	printf("# %s: %s\n", right->name, strerror(errno));
	CHECK(!"as the table has it");
}

TEST(node_rights, "what the table says changes something is refused of a node open for reading")
{
	int reader = open(NODE, O_RDONLY | O_CLOEXEC);
	unsigned int commands = 0;

	CHECK(reader >= 0);
	FOR_EACH_RIGHT(right) {
		bool writes = right->takes & DEVFS_WRITE;

		if (right->of != DEVFS_NODE)
			continue;
		commands++;
		check(right, (ask(reader, right) == EACCES) == writes || right->takes & DEVFS_AS_ASKED);
		check(right, ask(node(), right) != EACCES);
		check(right, ask(node(), right) != ENOTTY);
	}
	CHECK(commands > 15);
	CHECK(log_count("a node that is open for reading changes nothing") >= 1);
	close(reader);
}

TEST(buffer_rights, "what the table says of a buffer's commands holds")
{
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM), reader = open_as("x", O_RDONLY);
	int writer = open_as("x", O_WRONLY);

	CHECK(reader >= 0 && writer >= 0);
	FOR_EACH_RIGHT(right) {
		int refusal = right->takes & DEVFS_AS_ASKED ? EACCES : EBADF;

		if (right->of != DEVFS_BUFFER)
			continue;
		check(right, (ask(reader, right) == refusal) == !!(right->takes & DEVFS_WRITE));
		check(right, (ask(writer, right) == refusal) == !!(right->takes & DEVFS_READ));
		check(right, ask(fd, right) != refusal && ask(fd, right) != ENOTTY);
	}
	close(fd);
	close(reader);
	close(writer);
}

TEST(table, "a command of one file is ENOTTY of another")
{
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);

	FOR_EACH_RIGHT(right) {
		if (right->of != DEVFS_NODE)
			check(right, ask(node(), right) == ENOTTY);
		if (right->of != DEVFS_BUFFER)
			check(right, ask(fd, right) == ENOTTY);
	}
	close(fd);
}

/* Runs @body as a user without any right, with @group for its only group. */
static void as_user(gid_t group, void (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		CHECK(!setgid(group) && !setuid(1000));
		body();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static uint64_t the_id;
static int the_fd;

static void strangers_do(void)
{
	struct devfs_dma_free free_arg = { .id = the_id };
	struct devfs_dma_rename rename_arg = { .id = the_id, .name = "mine" };
	struct devfs_dma_buf_name name_arg = { .name = "mine" };
	struct devfs_dma_buf_lease lease_arg = { .lease = DEVFS_DMA_LEASE_PERSIST };
	struct devfs_dma_buf_get_sg sg = {};
	struct devfs_dma_buf_info entry;
	struct devfs_dma_list list = { .entries = (uintptr_t)&entry, .count = 1 };

	REFUSES(ioctl(node(), DEVFS_DMA_IOC_FREE, &free_arg), EPERM);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_RENAME, &rename_arg), EPERM);
	REFUSES(ioctl(the_fd, DEVFS_DMA_IOC_BUF_SET_NAME, &name_arg), EPERM);
	REFUSES(ioctl(the_fd, DEVFS_DMA_IOC_BUF_SET_LEASE, &lease_arg), EPERM);
	REFUSES(open_as("x", O_RDONLY), EACCES);
	/* Who opened it owns the node: the descriptor is his to give, and the addresses stay his. */
	REFUSES(ioctl(the_fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg), EPERM);
	CHECK(!(buffer_info(the_fd).flags & (DEVFS_DMA_BUF_DMA_ADDR | DEVFS_DMA_BUF_PHYS_ADDR)));
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_LIST, &list) && list.count == 1);
	CHECK(!(entry.flags & (DEVFS_DMA_BUF_DMA_ADDR | DEVFS_DMA_BUF_PHYS_ADDR)));
	CHECK(!entry.dma_addr && !entry.phys_addr);
}

TEST(owner, "what is the buffer's owner's is EPERM, and what its mode does not give EACCES")
{
	struct devfs_dma_alloc arg = request("x", PAGE, DEVFS_DMA_HEAP_COHERENT);

	arg.mode = 0600;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
	the_id = arg.id;
	the_fd = arg.fd;
	as_user(1000, strangers_do);
	CHECK(log_count("it is for the buffer's owner, or CAP_FOWNER") >= 1);
	CHECK(log_count("the permission bits of the buffer or region are for others") >= 1);
	CHECK(buffer_info(arg.fd).flags & DEVFS_DMA_BUF_DMA_ADDR);
	close(arg.fd);
}

/* A node of the test's own, with the number of the host's. */
#define OTHER_NODE "/tmp/host"

static void no_addresses(void)
{
	struct devfs_dma_alloc arg = request("y", PAGE, DEVFS_DMA_HEAP_COHERENT);
	struct devfs_dma_buf_get_sg sg = {};
	int other = open(OTHER_NODE, O_RDWR | O_CLOEXEC);

	CHECK(other >= 0 && !ioctl(other, DEVFS_DMA_IOC_ALLOC, &arg));
	REFUSES(ioctl(arg.fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg), EPERM);
	CHECK(!(buffer_info(arg.fd).flags & DEVFS_DMA_BUF_DMA_ADDR));
	close(arg.fd);
}

static void addresses(void)
{
	struct devfs_dma_alloc arg = request("y", PAGE, DEVFS_DMA_HEAP_COHERENT);
	struct devfs_dma_buf_get_sg sg = {};
	struct devfs_dma_buf_info entry = {};
	struct devfs_dma_list list = { .entries = (uintptr_t)&entry, .count = 1 };
	int other = open(OTHER_NODE, O_RDWR | O_CLOEXEC);

	CHECK(other >= 0 && !ioctl(other, DEVFS_DMA_IOC_ALLOC, &arg));
	CHECK(!ioctl(arg.fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg) && sg.total == 1);
	CHECK(buffer_info(arg.fd).flags & DEVFS_DMA_BUF_DMA_ADDR);
	CHECK(!ioctl(other, DEVFS_DMA_IOC_LIST, &list) && list.count == 1);
	CHECK(entry.flags & DEVFS_DMA_BUF_DMA_ADDR);
	close(arg.fd);
}

TEST(addresses_are, "addresses are for the node's owner, and not for all who may open it")
{
	struct stat st;

	CHECK(!stat(NODE, &st));
	unlink(OTHER_NODE);
	CHECK(!mknod(OTHER_NODE, S_IFCHR | 0600, st.st_rdev));
	CHECK(!chown(OTHER_NODE, 0, 2000) && !chmod(OTHER_NODE, 0660));
	as_user(2000, no_addresses);
	CHECK(log_count("addresses are for the node's owner, or CAP_SYS_RAWIO") >= 1);
	CHECK(!chown(OTHER_NODE, 1000, 2000));
	as_user(2000, addresses);
	CHECK(!unlink(OTHER_NODE));
}

TEST(open_as_node, "a node that is open for reading opens buffers for reading alone")
{
	struct devfs_dma_open arg = { .name = "x", .fd_flags = O_RDWR };
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM), reader = open(NODE, O_RDONLY | O_CLOEXEC);
	char byte;

	REFUSES(ioctl(reader, DEVFS_DMA_IOC_OPEN, &arg), EACCES);
	arg.fd_flags = O_WRONLY;
	REFUSES(ioctl(reader, DEVFS_DMA_IOC_OPEN, &arg), EACCES);
	arg.fd_flags = O_RDONLY;
	CHECK(!ioctl(reader, DEVFS_DMA_IOC_OPEN, &arg) && pread(arg.fd, &byte, 1, 0) == 1);
	REFUSES(pwrite(arg.fd, &byte, 1, 0), EBADF);
	CHECK(log_count("is not open in the way that was asked for") >= 1);
	close(arg.fd);
	close(reader);
	close(fd);
}
