// SPDX-License-Identifier: GPL-2.0
/*
 * The device goes while a program waits for its own memory, as one does that has
 * a file mapped whose server hangs: its page comes when the test says so.
 */
#include "tests/pci.h"

#include <linux/dma-buf.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

/* Removal has this long, in milliseconds; it takes some 50 on an emulated processor. */
#define PATIENCE 10000

#define SIZE (4 * PAGE)

enum stall {
	ABSENT,		/* whoever reads or writes the page waits */
	UNWRITABLE,	/* whoever writes it does */
};

static int faults = -1;
static char *page;
static enum stall how;
static char content[PAGE];

static void open_faults(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };

	faults = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api))
		check_skip("the kernel has no userfaultfd that protects pages");
}

static void protect(bool on)
{
	struct uffdio_writeprotect arg = {
		.range = { .start = (uintptr_t)page, .len = PAGE },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	CHECK(!ioctl(faults, UFFDIO_WRITEPROTECT, &arg));
}

/* Makes @page one that stalls, with @size bytes of @data in it. */
static void *stalled(enum stall stall, const void *data, size_t size)
{
	struct uffdio_register arg = {
		.mode = stall == ABSENT ? UFFDIO_REGISTER_MODE_MISSING : UFFDIO_REGISTER_MODE_WP,
	};

	if (faults < 0)
		open_faults();
	how = stall;
	memset(content, 0, sizeof(content));
	memcpy(content, data, size);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	arg.range.start = (uintptr_t)page;
	arg.range.len = PAGE;
	if (stall == UNWRITABLE)
		memcpy(page, content, PAGE);
	CHECK(!ioctl(faults, UFFDIO_REGISTER, &arg));
	if (stall == UNWRITABLE)
		protect(true);
	return page;
}

static void let_go(void)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)page, .src = (uintptr_t)content, .len = PAGE,
	};

	if (how == ABSENT)
		CHECK(!ioctl(faults, UFFDIO_COPY, &copy));
	else
		protect(false);
}

static void wait_for_fault(const char *what)
{
	struct pollfd p = { .fd = faults, .events = POLLIN };
	struct uffd_msg message;

	if (poll(&p, 1, 10000) != 1)
		check_fail(__LINE__, what, errno);
	CHECK(read(faults, &message, sizeof(message)) == sizeof(message));
	CHECK(message.event == UFFD_EVENT_PAGEFAULT);
}

static bool ends(pid_t pid)
{
	return WITHIN(PATIENCE, waitpid(pid, &(int){ 0 }, WNOHANG) == pid);
}

static void unbind(void)
{
	set_bound("devfs_dma_host", false);
}

/* What a thread does, and what @remove must not wait for. */
static void removed_during(const char *what, void *(*act)(void *), void *arg, void (*remove)(void))
{
	pthread_t thread;
	bool ended;
	pid_t pid;

	CHECK(!pthread_create(&thread, NULL, act, arg));
	wait_for_fault(what);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		remove();
		_exit(0);
	}
	ended = ends(pid);
	let_go();
	if (!ended) {
		waitpid(pid, NULL, 0);
		check_fail(__LINE__, what, 0);
	}
	CHECK(!pthread_join(thread, NULL));
	munmap(page, PAGE);
}

/* A call of a program, which ends somehow. */
struct call {
	int fd;
	unsigned long command;	/* an ioctl, or READ, WRITE, ... */
	void *arg;
};

#define READ	1UL
#define WRITE	2UL
#define GROW	3UL
#define APPEND	4UL

static void *make_call(void *arg)
{
	struct call *call = arg;

	switch (call->command) {
	case READ:
		pread(call->fd, call->arg, PAGE, 0);
		break;
	case WRITE:
		pwrite(call->fd, call->arg, PAGE, 0);
		break;
	case GROW:
		pwrite(call->fd, call->arg, PAGE, SIZE);
		break;
	case APPEND:
		CHECK(!fcntl(call->fd, F_SETFL, O_APPEND));
		write(call->fd, call->arg, PAGE);
		break;
	default:
		ioctl(call->fd, call->command, call->arg);
	}
	return NULL;
}

/* The host goes during the call, and comes again. */
static void survives(const char *what, int fd, unsigned long command, void *arg)
{
	struct call call = { .fd = fd, .command = command, .arg = arg };

	removed_during(what, make_call, &call, unbind);
	set_bound("devfs_dma_host", true);
	CHECK(dup2(open(NODE, O_RDWR | O_CLOEXEC), node()) == node());
}

#define ARGUMENT(fd, name, arg) \
	survives(#name, fd, DEVFS_DMA_IOC_##name, stalled(ABSENT, &(arg), sizeof(arg)))
#define ANSWER(fd, name, arg) \
	survives("answer of " #name, fd, DEVFS_DMA_IOC_##name, \
		 stalled(UNWRITABLE, &(arg), sizeof(arg)))

static int kept(uint32_t heap)
{
	return buffer("kept", SIZE, heap);
}

static uint32_t make_source(void)
{
	struct devfs_dma_signal arg = {
		.op = DEVFS_DMA_SIGNAL_CREATE, .name = "s", .flags = DEVFS_DMA_SIGNAL_ENABLED,
	};

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &arg));
	arg = (struct devfs_dma_signal){ .op = DEVFS_DMA_SIGNAL_TRIGGER, .source = arg.source };
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &arg));
	return arg.source;
}

TEST(arguments, "removal does not wait for the argument of a command of the node")
{
	static const unsigned long commands[] = {
		DEVFS_DMA_IOC_GET_HEAP, DEVFS_DMA_IOC_ALLOC, DEVFS_DMA_IOC_OPEN,
		DEVFS_DMA_IOC_LIST, DEVFS_DMA_IOC_FREE, DEVFS_DMA_IOC_RENAME, DEVFS_DMA_IOC_PIN,
		DEVFS_DMA_IOC_IMPORT, DEVFS_DMA_IOC_GET_REGION, DEVFS_DMA_IOC_OPEN_REGION,
		DEVFS_DMA_IOC_SIGNAL_CTL, DEVFS_DMA_IOC_SIGNAL_NOTIFY, DEVFS_DMA_IOC_SET_EVENTFD,
		DEVFS_DMA_IOC_SIGNAL_SUBSCRIBE, DEVFS_DMA_IOC_SIGNAL_HISTORY,
	};
	char what[40];

	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		snprintf(what, sizeof(what), "command 0x%lx", commands[i] & 0xff);
		survives(what, node(), commands[i], stalled(ABSENT, "", 1));
	}
}

TEST(answers, "removal does not wait for who reads the answer of a command of the node")
{
	struct devfs_dma_info info = {};
	struct devfs_dma_heap heap = {};
	struct devfs_dma_open open_arg = { .name = "kept", .fd_flags = O_RDWR | O_CLOEXEC };
	struct devfs_dma_list list = {};
	struct devfs_dma_signal create = { .op = DEVFS_DMA_SIGNAL_CREATE, .name = "new" };
	struct devfs_dma_signal get = { .op = DEVFS_DMA_SIGNAL_GET };
	struct devfs_dma_history history = {};
	struct devfs_dma_import import = { .alloc = request("i", 0, DEVFS_DMA_HEAP_IMPORTED) };
	static char memory[PAGE];
	struct devfs_dma_pin pin = {
		.alloc = request("p", PAGE, DEVFS_DMA_HEAP_USER), .address = (uintptr_t)memory,
	};
	int fd;

	ANSWER(node(), GET_INFO, info);
	ANSWER(node(), GET_HEAP, heap);
	for (uint32_t i = DEVFS_DMA_HEAP_SYSTEM; i <= DEVFS_DMA_HEAP_COHERENT; i++) {
		struct devfs_dma_alloc alloc = request("new", SIZE, i);

		ANSWER(node(), ALLOC, alloc);
		alloc.lease = DEVFS_DMA_LEASE_PROCESS;
		ANSWER(node(), ALLOC, alloc);
	}
	fd = kept(DEVFS_DMA_HEAP_SYSTEM);
	ANSWER(node(), OPEN, open_arg);
	close(fd);
	ANSWER(node(), LIST, list);
	ANSWER(node(), PIN, pin);
	fd = kept(DEVFS_DMA_HEAP_SYSTEM);
	import.dmabuf_fd = export_buffer(fd, O_RDWR | O_CLOEXEC);
	ANSWER(node(), IMPORT, import);
	close(import.dmabuf_fd);
	close(fd);
	ANSWER(node(), SIGNAL_CTL, create);
	get.source = make_source();
	ANSWER(node(), SIGNAL_CTL, get);
	history.source = make_source();
	ANSWER(node(), SIGNAL_HISTORY, history);
}

TEST(beside, "removal does not wait for memory that an argument of the node points to")
{
	uint64_t times[2] = {};
	struct devfs_dma_buf_info found = {};
	struct devfs_dma_history history = { .count = 2 };
	struct devfs_dma_list list = { .count = 1 };
	struct devfs_dma_pin pin = { .alloc = request("p", PAGE, DEVFS_DMA_HEAP_USER) };
	int fd = kept(DEVFS_DMA_HEAP_SYSTEM);
	struct utsname system;

	list.entries = (uintptr_t)stalled(UNWRITABLE, &found, sizeof(found));
	survives("entries of LIST", node(), DEVFS_DMA_IOC_LIST, &list);
	close(fd);
	history.source = make_source();
	history.times = (uintptr_t)stalled(UNWRITABLE, times, sizeof(times));
	survives("times of SIGNAL_HISTORY", node(), DEVFS_DMA_IOC_SIGNAL_HISTORY, &history);
	CHECK(!uname(&system));
	/* Pages that are pinned at once are waited for by such memory since then; before, EFAULT. */
	if (strverscmp(system.release, "6.3") < 0)
		return;
	pin.address = (uintptr_t)stalled(ABSENT, "", 1);
	survives("memory of PIN", node(), DEVFS_DMA_IOC_PIN, &pin);
	close(pin.alloc.fd);
}

TEST(buffers, "removal does not wait for arguments and answers of a buffer's commands")
{
	static const unsigned long commands[] = {
		DEVFS_DMA_IOC_BUF_SYNC, DEVFS_DMA_IOC_BUF_GET_SG, DEVFS_DMA_IOC_BUF_READ,
		DEVFS_DMA_IOC_BUF_WRITE, DEVFS_DMA_IOC_BUF_SET_NAME,
		DEVFS_DMA_IOC_BUF_SET_LEASE, DEVFS_DMA_IOC_BUF_EXPORT, DMA_BUF_IOCTL_SYNC,
	};
	struct devfs_dma_sg entry = {};
	struct devfs_dma_buf_get_sg sg = {};
	struct devfs_dma_buf_info info = {};
	struct devfs_dma_buf_export exported = { .fd_flags = O_RDWR | O_CLOEXEC };
	char what[40];
	int fd;

	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		fd = kept(DEVFS_DMA_HEAP_SYSTEM);
		snprintf(what, sizeof(what), "command 0x%lx", commands[i] & 0xff);
		survives(what, fd, commands[i], stalled(ABSENT, "", 1));
		close(fd);
	}
	fd = kept(DEVFS_DMA_HEAP_SYSTEM);
	ANSWER(fd, BUF_INFO, info);
	close(fd);
	fd = kept(DEVFS_DMA_HEAP_SYSTEM);
	ANSWER(fd, BUF_EXPORT, exported);
	close(fd);
	fd = kept(DEVFS_DMA_HEAP_SYSTEM);
	ANSWER(fd, BUF_GET_SG, sg);
	close(fd);
	fd = kept(DEVFS_DMA_HEAP_SYSTEM);
	sg.count = 1;
	sg.entries = (uintptr_t)stalled(UNWRITABLE, &entry, sizeof(entry));
	survives("entries of BUF_GET_SG", fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg);
	close(fd);
}

/* Data of all ways to reach the bytes of what @make gives. */
static void copies(const char *of, int (*make)(void), bool grows)
{
	static const char * const names[] = {
		[READ] = "read", [WRITE] = "write", [GROW] = "growing", [APPEND] = "appending",
	};
	struct devfs_dma_buf_rw rw = { .length = PAGE };
	char what[60];
	int fd;

	for (unsigned long way = READ; way <= (grows ? APPEND : WRITE); way++) {
		fd = make();
		snprintf(what, sizeof(what), "%s of %s", names[way], of);
		survives(what, fd, way, stalled(ABSENT, "", 1));
		close(fd);
	}
	for (int write = 0; write < 2; write++) {
		fd = make();
		snprintf(what, sizeof(what), "BUF_%s of %s", write ? "WRITE" : "READ", of);
		rw.address = (uintptr_t)stalled(ABSENT, "", 1);
		survives(what, fd, write ? DEVFS_DMA_IOC_BUF_WRITE : DEVFS_DMA_IOC_BUF_READ, &rw);
		close(fd);
	}
}

static int make_system(void)
{
	return kept(DEVFS_DMA_HEAP_SYSTEM);
}

static int make_contiguous(void)
{
	return kept(DEVFS_DMA_HEAP_CONTIGUOUS);
}

static int make_coherent(void)
{
	return kept(DEVFS_DMA_HEAP_COHERENT);
}

/* With an export, whose importers may need syncs. */
static int make_shared(void)
{
	int fd = kept(DEVFS_DMA_HEAP_SYSTEM);

	close(export_buffer(fd, O_RDWR | O_CLOEXEC));
	return fd;
}

static int make_pinned(void)
{
	static char memory[2 * PAGE];
	struct devfs_dma_pin pin = {
		.alloc = request("p", PAGE, DEVFS_DMA_HEAP_USER), .address = (uintptr_t)memory + 64,
	};

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_PIN, &pin));
	return pin.alloc.fd;
}

static int make_imported(void)
{
	struct devfs_dma_import import = { .alloc = request("i", 0, DEVFS_DMA_HEAP_IMPORTED) };
	int fd = kept(DEVFS_DMA_HEAP_SYSTEM);

	import.dmabuf_fd = export_buffer(fd, O_RDWR | O_CLOEXEC);
	close(fd);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_IMPORT, &import));
	close(import.dmabuf_fd);
	return import.alloc.fd;
}

TEST(data, "removal does not wait for data that is read from or written to a buffer")
{
	copies("system", make_system, true);
	copies("contiguous", make_contiguous, false);
	copies("coherent", make_coherent, false);
	copies("exported", make_shared, true);
	copies("pinned", make_pinned, false);
	copies("imported", make_imported, false);
}

/* What comes of a call whose page came in the end. */
static void *write_both(void *fd)
{
	struct devfs_dma_buf_rw rw = {
		.address = (uintptr_t)page, .length = PAGE, .offset = PAGE / 2,
	};

	CHECK(!ioctl(*(int *)fd, DEVFS_DMA_IOC_BUF_WRITE, &rw) && rw.copied == PAGE);
	return NULL;
}

TEST(others, "who waits for his memory keeps nobody from the buffer, and has his bytes written")
{
	int fd = kept(DEVFS_DMA_HEAP_SYSTEM);
	static char data[SIZE], was[SIZE];
	pthread_t thread;

	fill(data, PAGE, 1);
	stalled(ABSENT, data, PAGE);
	CHECK(!pthread_create(&thread, NULL, write_both, &fd));
	wait_for_fault("BUF_WRITE");
	/* All of these want the lock of the buffer to themselves. */
	CHECK(!fchmod(fd, 0640) && !ftruncate(fd, 2 * SIZE));
	CHECK(pwrite(fd, "end", 3, 3 * SIZE) == 3);
	let_go();
	CHECK(!pthread_join(thread, NULL));
	CHECK(pread(fd, was, SIZE, 0) == SIZE);
	CHECK(zeroed(was, PAGE / 2) && filled(was + PAGE / 2, PAGE, 1));
	CHECK(zeroed(was + PAGE / 2 + PAGE, SIZE - PAGE / 2 - PAGE));
	munmap(page, PAGE);
	close(fd);
}

static struct pci_device memory;

static void unbind_memory(void)
{
	pci_unbind(&memory);
}

TEST(regions, "removal of a PCI device does not wait for data of its regions")
{
	for (unsigned long way = READ; way <= WRITE; way++) {
		struct call call = { .command = way };

		memory = pci_bind(IVSHMEM, 0);
		call.fd = pci_open_region(&memory, "bar2", O_RDWR);
		call.arg = stalled(ABSENT, "", 1);
		removed_during(way == READ ? "read" : "write", make_call, &call, unbind_memory);
		close(call.fd);
		close(memory.node);
	}
}

TEST(revoked, "a region is taken back from an importer whose user waits for data")
{
	struct devfs_dma_region_export export_arg = { .size = SIZE, .fd_flags = O_RDWR };
	struct devfs_dma_import import = { .alloc = request("peer", 0, DEVFS_DMA_HEAP_IMPORTED) };
	struct pci_device edu = pci_bind(EDU, 2);

	for (unsigned long way = READ; way <= WRITE; way++) {
		struct call call = { .command = way };
		int region;

		memory = pci_bind(IVSHMEM, 1);
		region = pci_open_region(&memory, "bar2", O_RDWR);
		if (ioctl(region, DEVFS_DMA_IOC_REGION_EXPORT, &export_arg) && errno == EOPNOTSUPP)
			check_skip("the kernel was built without CONFIG_PCI_P2PDMA");
		import.dmabuf_fd = export_arg.fd;
		CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_IMPORT, &import));
		call.fd = import.alloc.fd;
		call.arg = stalled(ABSENT, "", 1);
		removed_during(way == READ ? "read" : "write", make_call, &call, unbind_memory);
		REFUSES(pread(call.fd, content, PAGE, 0), ENODEV);
		close(call.fd);
		close(export_arg.fd);
		close(region);
		close(memory.node);
	}
	pci_unbind(&edu);
	close(edu.node);
}
