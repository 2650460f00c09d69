// SPDX-License-Identifier: GPL-2.0
/* What GET_INFO says of names that others give, change and take. */
#include "tests/libcheck.h"

static int other_node;

static uint64_t seen_by(int fd)
{
	return device_info(fd).foreign;
}

/* Names changed since, in the eyes of the node of this process, and of the other one. */
struct views {
	uint64_t ours, others;
};

static struct views views(void)
{
	return (struct views){ seen_by(node()), seen_by(other_node) };
}

static void changed(struct views *before, uint64_t ours, uint64_t others)
{
	struct views now = views();

	CHECK(now.ours - before->ours == ours && now.others - before->others == others);
	*before = now;
}

static void open_other(void)
{
	other_node = open(NODE, O_RDWR | O_CLOEXEC);
	CHECK(other_node >= 0);
}

TEST(others, "GET_INFO counts changes of names by others, not one's own")
{
	struct devfs_dma_alloc a = request("a", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_alloc b = request("b", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_rename rename = { .name = "b", .flags = DEVFS_DMA_RENAME_EXCHANGE };
	struct views before;

	open_other();
	before = views();
	a.lease = b.lease = DEVFS_DMA_LEASE_PERSIST;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &a));
	changed(&before, 0, 1);
	CHECK(!ioctl(other_node, DEVFS_DMA_IOC_ALLOC, &b));
	changed(&before, 1, 0);
	rename.id = a.id;
	CHECK(!ioctl(other_node, DEVFS_DMA_IOC_RENAME, &rename));
	changed(&before, 1, 0);
	strcpy(rename.name, "a");
	rename.flags = DEVFS_DMA_RENAME_REPLACE;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_RENAME, &rename));
	changed(&before, 0, 1);
	buffer_free(a.id);
	changed(&before, 0, 1);
	close(a.fd);
	close(b.fd);
	/* They were nobody's any more. */
	changed(&before, 0, 0);
	EVENTUALLY(bytes_used() == 0);
}

TEST(nothing, "what changes no name is not counted")
{
	struct devfs_dma_alloc a = request("a", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_alloc bad = request("a", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_rename rename = { .name = "a" };
	struct devfs_dma_free none = { .id = 1ULL << 40 };
	struct views before;

	open_other();
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &a));
	before = views();
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &bad), EEXIST);
	rename.id = a.id;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_RENAME, &rename));
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_FREE, &none), ENOENT);
	CHECK(ftruncate(a.fd, 2 * PAGE) == 0);
	changed(&before, 0, 0);
}

TEST(by_itself, "a name that goes with its last user or its owner is counted for all")
{
	struct devfs_dma_alloc a = request("a", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_buf_name name = { .name = "c" };
	struct views before;
	int status;
	pid_t child;

	open_other();
	before = views();
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &a));
	changed(&before, 0, 1);
	CHECK(!ioctl(a.fd, DEVFS_DMA_IOC_BUF_SET_NAME, &name));
	changed(&before, 1, 1);
	close(a.fd);
	EVENTUALLY(seen_by(node()) != before.ours);
	changed(&before, 1, 1);

	child = fork();
	CHECK(child >= 0);
	if (!child) {
		a = request("a", PAGE, DEVFS_DMA_HEAP_SYSTEM);
		a.lease = DEVFS_DMA_LEASE_PROCESS;
		_exit(ioctl(node(), DEVFS_DMA_IOC_ALLOC, &a) ? 1 : 0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
	/* The child has our open node. */
	EVENTUALLY(seen_by(node()) != before.ours);
	changed(&before, 1, 2);
	EVENTUALLY(bytes_used() == 0);
}
