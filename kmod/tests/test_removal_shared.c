// SPDX-License-Identifier: GPL-2.0
/* The device goes while others have its memory, and it has theirs. */
#include "tests/importer/importer.h"
#include "tests/pci.h"
#include "tests/removal.h"

#include <signal.h>
#include <time.h>

static long status_kib(const char *field)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[200];
	long kib = -1;

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, field, strlen(field)))
			kib = strtol(line + strlen(field) + 1, NULL, 10);
	fclose(file);
	return kib;
}

/*
 * The importer has these for buffers whose device is gone: neither it nor anybody else gets
 * at them, and the module stays until it lets go of them.
 */
static void let_go_of(const int *fds, const int *dmabufs, int count)
{
	REFUSES(importer("touch", 0), ENODEV);
	for (int i = 0; i < count; i++) {
		REFUSES(importer("invert", dmabufs[i]), ENODEV);
		close(fds[i]);
		close(dmabufs[i]);
	}
	/* More than the node that this process has open. */
	CHECK(module_users() > 1);
	CHECK(!importer("hold", -1));
	EVENTUALLY(module_users() == 1);
}

static pid_t unbinder(void)
{
	pid_t pid = fork();

	if (!pid) {
		unbind();
		_exit(0);
	}
	return pid;
}

TEST(attached, "an importer of pages keeps them; the CPU gets no more access through it")
{
	for (uint32_t heap = DEVFS_DMA_HEAP_SYSTEM; heap <= DEVFS_DMA_HEAP_CONTIGUOUS; heap++) {
		int fd, dmabuf;

		if (heap)
			CHECK(dup2(open(NODE, O_RDWR | O_CLOEXEC), node()) == node());
		fd = buffer("x", fitting(MIB, heap), heap);
		dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC);
		CHECK(!importer("hold", dmabuf));
		CHECK(!importer("touch", 0));
		unbind();
		let_go_of(&fd, &dmabuf, 1);
		bind_again();
	}
	works();
}

TEST(coherent, "removal waits for importers of coherent memory, which goes with the device")
{
	int fd = buffer("x", MIB, DEVFS_DMA_HEAP_COHERENT);
	int dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC), status;
	pid_t pid;

	if (bounced())
		check_skip("another device has no copy of coherent memory");
	CHECK(!importer("hold", dmabuf));
	pid = unbinder();
	/* The node goes first, then it waits for this. */
	EVENTUALLY(access(NODE, F_OK));
	EVENTUALLY(sleeps(pid));
	CHECK(waitpid(pid, &status, WNOHANG) == 0);
	REFUSES(importer("touch", 0), ENODEV);
	REFUSES(pread(fd, &status, 1, 0), ENODEV);
	CHECK(!importer("hold", -1));
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	close(dmabuf);
	close(fd);
	bind_again();
	works();
}

TEST(lost, "coherent memory that an importer does not let go of is lost, and nobody else's")
{
	int fd = buffer("x", MIB, DEVFS_DMA_HEAP_COHERENT), dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC);

	if (bounced())
		check_skip("another device has no copy of coherent memory");
	CHECK(!importer("hold", dmabuf));
	/* It gives up after five seconds. */
	unbind();
	bind_again();
	let_go_of(&fd, &dmabuf, 1);
	works();
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

#define MANY 20

/* Coherent buffers, each of which the importer has by way of @parameter. */
static void lend_many(const char *parameter, int fds[MANY], int dmabufs[MANY])
{
	for (int i = 0; i < MANY; i++) {
		char name[8];

		snprintf(name, sizeof(name), "c%d", i);
		fds[i] = buffer(name, 2 * PAGE, DEVFS_DMA_HEAP_COHERENT);
		dmabufs[i] = export_buffer(fds[i], O_RDWR | O_CLOEXEC);
		CHECK(!importer(parameter, dmabufs[i]));
	}
}

TEST(together, "the importers of all memory of a device have the same five seconds")
{
	int fds[MANY], dmabufs[MANY];
	double before;

	if (bounced())
		check_skip("another device has no copy of coherent memory");
	lend_many("hold", fds, dmabufs);
	before = seconds();
	unbind();
	/* Of a busy machine more is not asked: each in turn would take 100. */
	CHECK(seconds() - before > 4 && seconds() - before < 20);
	bind_again();
	let_go_of(fds, dmabufs, MANY);
	works();
}

TEST(given_back, "coherent memory is asked back from importers that can give it")
{
	int fds[MANY], dmabufs[MANY], lost = log_count("stay allocated for ever");
	double before;

	if (bounced())
		check_skip("another device has no copy of coherent memory");
	lend_many("lend", fds, dmabufs);
	before = seconds();
	unbind();
	CHECK(seconds() - before < 4);
	CHECK(log_count("stay allocated for ever") == lost);
	bind_again();
	let_go_of(fds, dmabufs, MANY);
	works();
}

TEST(revoked, "what another device imported is taken back; its name goes with that device")
{
	struct devfs_dma_import import = { .alloc = request("kept", 0, DEVFS_DMA_HEAP_IMPORTED) };
	int fd = buffer("x", 4 * PAGE, DEVFS_DMA_HEAP_COHERENT);
	int dmabuf = export_buffer(fd, O_RDWR | O_CLOEXEC);
	struct devfs_dma_open again = { .name = "kept", .fd_flags = O_RDWR };
	struct pci_device edu = pci_bind(EDU, 0);
	double before;
	char c, *map;

	if (bounced())
		check_skip("another device has no copy of coherent memory");
	import.alloc.lease = DEVFS_DMA_LEASE_PERSIST;
	import.dmabuf_fd = dmabuf;
	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_IMPORT, &import));
	CHECK(pwrite(import.alloc.fd, "x", 1, 0) == 1);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, import.alloc.fd, 0);
	CHECK(map != MAP_FAILED && *map == 'x');
	before = seconds();
	unbind();
	CHECK(seconds() - before < 4);
	CHECK(is_zapped(map));
	REFUSES(pread(import.alloc.fd, &c, 1, 0), ENODEV);
	/* It has a name still, and nothing else. */
	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_OPEN, &again));
	munmap(map, PAGE);
	close(again.fd);
	close(import.alloc.fd);
	close(dmabuf);
	close(fd);
	pci_unbind(&edu);
	/* What is left is the node that this process has open. */
	EVENTUALLY(module_users() == 1);
	bind_again();
	works();
}

TEST(foreign, "pinned memory is given back, imported dma-bufs are let go of")
{
	char *memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct devfs_dma_pin pin = {
		.alloc = request("pinned", 6 * PAGE, DEVFS_DMA_HEAP_USER),
		.address = (uintptr_t)memory + 100,
	};
	struct devfs_dma_import import = { .alloc = request("imported", 0, DEVFS_DMA_HEAP_IMPORTED) };
	int fd = buffer("x", 4 * PAGE, DEVFS_DMA_HEAP_COHERENT);
	char c, *map;

	fill(memory, 8 * PAGE, 4);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_PIN, &pin));
	import.dmabuf_fd = export_buffer(fd, O_RDWR | O_CLOEXEC);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_IMPORT, &import));
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, import.alloc.fd, 0);
	CHECK(map != MAP_FAILED && status_kib("VmPin:") == 28);
	/* Its own import does not keep coherent memory from going: this would wait. */
	unbind();
	CHECK(status_kib("VmPin:") == 0 && filled(memory, 8 * PAGE, 4));
	REFUSES(pread(pin.alloc.fd, &c, 1, 0), ENODEV);
	REFUSES(pread(import.alloc.fd, &c, 1, 0), ENODEV);
	REFUSES((intptr_t)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, import.alloc.fd, 0), ENODEV);
	CHECK(is_zapped(map));
	bind_again();
	works();
}

/* One who reads from what is imported, until its device is gone. */
static pid_t reader(int fd)
{
	pid_t pid = fork();
	char c;

	if (!pid) {
		REFUSES(pread(fd, &c, 1, 0), ENODEV);
		_exit(0);
	}
	return pid;
}

TEST(late, "removal does not wait for a fence that comes when an access to imported memory begins")
{
	int other = open("/dev/devfs_importer", O_RDWR | O_CLOEXEC), dmabuf, fd, status;
	pid_t reads, unbinds;
	char c;

	if (other < 0)
		check_skip("the test importer is not loaded");
	dmabuf = ioctl(other, IMPORTER_EXPORT);
	CHECK(dmabuf >= 0);
	fd = import_dmabuf("late", dmabuf);
	CHECK(pwrite(fd, "x", 1, 0) == 1 && pread(fd, &c, 1, 0) == 1 && c == 'x');
	CHECK(!ioctl(other, IMPORTER_LATE));
	reads = reader(fd);
	EVENTUALLY(ioctl(other, IMPORTER_BEGAN) == 1 && sleeps(reads));
	/* Nor does who only looks at the buffer. */
	CHECK(buffer_info(fd).size == 4 * PAGE && !fchmod(fd, 0640));
	unbinds = unbinder();
	EVENTUALLY(waitpid(unbinds, &status, WNOHANG) == unbinds);
	CHECK(!status && waitpid(reads, &status, WNOHANG) == 0);
	CHECK(!ioctl(other, IMPORTER_SIGNAL));
	CHECK(waitpid(reads, &status, 0) == reads && !status);
	close(fd);
	close(dmabuf);
	bind_again();
	works();
}

TEST(signalled, "who waits for such a fence is woken by a signal, and others have their turn")
{
	int other = open("/dev/devfs_importer", O_RDWR | O_CLOEXEC), dmabuf, fd, status;
	pid_t pid;
	char c;

	if (other < 0)
		check_skip("the test importer is not loaded");
	dmabuf = ioctl(other, IMPORTER_EXPORT);
	CHECK(dmabuf >= 0);
	fd = import_dmabuf("late", dmabuf);
	CHECK(!ioctl(other, IMPORTER_LATE));
	pid = reader(fd);
	EVENTUALLY(ioctl(other, IMPORTER_BEGAN) == 1 && sleeps(pid));
	/* It grew smaller, and would have to be made zero where it grows again. */
	CHECK(!ftruncate(fd, PAGE));
	REFUSES(ftruncate(fd, 2 * PAGE), EBUSY);
	kill(pid, SIGTERM);
	CHECK(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM);
	CHECK(!ioctl(other, IMPORTER_SIGNAL));
	CHECK(!ftruncate(fd, 2 * PAGE) && pread(fd, &c, 1, PAGE) == 1 && !c);
	close(fd);
	close(dmabuf);
	EVENTUALLY(bytes_used() == 0);
}

/* One who imports memory that is on its way; as good as an end is that the device went meanwhile. */
static pid_t mover(int dmabuf)
{
	struct devfs_dma_import arg = { .alloc = request("moves", 0, DEVFS_DMA_HEAP_IMPORTED) };
	pid_t pid = fork();

	arg.dmabuf_fd = dmabuf;
	if (!pid) {
		CHECK(!ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg) || errno == ENODEV);
		_exit(0);
	}
	return pid;
}

/* Another driver maps the same memory, for which it has to have the reservation. */
static pid_t borrower(int dmabuf)
{
	pid_t pid = fork();

	if (!pid) {
		CHECK(!importer("lend", dmabuf));
		_exit(0);
	}
	return pid;
}

TEST(moving, "who imports memory that is on its way has no lock, and is woken by a signal")
{
	int other = open("/dev/devfs_importer", O_RDWR | O_CLOEXEC), dmabuf, status;
	pid_t imports, borrows, unbinds;

	if (other < 0)
		check_skip("the test importer is not loaded");
	dmabuf = ioctl(other, IMPORTER_EXPORT_MOVING);
	CHECK(dmabuf >= 0 && !ioctl(other, IMPORTER_LATE));
	imports = mover(dmabuf);
	EVENTUALLY(ioctl(other, IMPORTER_BEGAN) == 1 && sleeps(imports));
	borrows = borrower(dmabuf);
	EVENTUALLY(waitpid(borrows, &status, WNOHANG) == borrows);
	CHECK(!status && !importer("hold", -1));
	kill(imports, SIGTERM);
	EVENTUALLY(waitpid(imports, &status, WNOHANG) == imports);
	CHECK(WTERMSIG(status) == SIGTERM);
	EVENTUALLY(bytes_used() == 0);

	/* Nor is what is on its way already mapped before it is there. */
	imports = mover(dmabuf);
	EVENTUALLY(sleeps(imports));
	CHECK(ioctl(other, IMPORTER_BEGAN) == 2);
	CHECK(!ioctl(other, IMPORTER_SIGNAL));
	CHECK(waitpid(imports, &status, 0) == imports && !status);

	CHECK(!ioctl(other, IMPORTER_LATE));
	imports = mover(dmabuf);
	EVENTUALLY(ioctl(other, IMPORTER_BEGAN) == 1 && sleeps(imports));
	unbinds = unbinder();
	EVENTUALLY(waitpid(unbinds, &status, WNOHANG) == unbinds);
	CHECK(!status && !ioctl(other, IMPORTER_SIGNAL));
	CHECK(waitpid(imports, &status, 0) == imports && !status);
	close(dmabuf);
	bind_again();
	works();
}
