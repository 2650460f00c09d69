// SPDX-License-Identifier: GPL-2.0
/*
 * The arguments of every command: pointers that fault and fields that must be
 * zero are refused, and nothing has changed then.
 */
#include "tests/libcheck.h"

#include <linux/dma-buf.h>
#include <sys/eventfd.h>

#define SIZE (4 * PAGE)

/* One buffer of four pages, and one source. */
static int buf;
static uint32_t source;

/* What a command that fails must leave as it is. */
struct state {
	struct devfs_dma_info info;
	struct devfs_dma_list list;
	struct devfs_dma_buf_info buffer;
	struct devfs_dma_signal source;
	uint64_t descriptors;
};

static void prepare(void)
{
	struct devfs_dma_signal signal_arg = {
		.op = DEVFS_DMA_SIGNAL_CREATE, .name = "kept", .flags = DEVFS_DMA_SIGNAL_ENABLED,
	};

	buf = buffer("kept", SIZE, DEVFS_DMA_HEAP_SYSTEM);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &signal_arg));
	source = signal_arg.source;
	signal_arg = (struct devfs_dma_signal){ .op = DEVFS_DMA_SIGNAL_TRIGGER, .source = source };
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &signal_arg));
}

static void finish(void)
{
	struct devfs_dma_signal signal_arg = { .op = DEVFS_DMA_SIGNAL_REMOVE, .source = source };

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &signal_arg));
}

static struct state state(void)
{
	struct state now = {
		.info = device_info(node()),
		.buffer = buffer_info(buf),
		.source = { .op = DEVFS_DMA_SIGNAL_GET, .source = source },
		.descriptors = descriptors(),
	};

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_LIST, &now.list));
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &now.source));
	return now;
}

static void refused(const char *what, int fd, unsigned long command, void *arg, int error)
{
	struct state before = state(), after;
	int result, got;

	errno = 0;
	result = ioctl(fd, command, arg);
	got = errno;
	after = state();
	if (result != -1 || got != error)
		check_fail(__LINE__, what, got);
	if (memcmp(&before, &after, sizeof(before)))
		check_fail(__LINE__, what, got);
}

struct command {
	const char *name;
	unsigned long number;
};

#define COMMAND(name) { #name, DEVFS_DMA_IOC_##name }

static const struct command of_node[] = {
	COMMAND(GET_INFO), COMMAND(GET_HEAP), COMMAND(ALLOC), COMMAND(OPEN), COMMAND(LIST),
	COMMAND(FREE), COMMAND(PIN), COMMAND(IMPORT), COMMAND(GET_REGION), COMMAND(RENAME),
	COMMAND(OPEN_REGION), COMMAND(SIGNAL_CTL), COMMAND(SIGNAL_NOTIFY), COMMAND(SET_EVENTFD),
	COMMAND(SIGNAL_SUBSCRIBE), COMMAND(SIGNAL_HISTORY),
}, of_buffer[] = {
	COMMAND(BUF_INFO), COMMAND(BUF_SYNC), COMMAND(BUF_GET_SG), COMMAND(BUF_READ),
	COMMAND(BUF_WRITE), COMMAND(BUF_SET_NAME), COMMAND(BUF_SET_LEASE), COMMAND(BUF_EXPORT),
	{ "DMA_BUF_IOCTL_SYNC", DMA_BUF_IOCTL_SYNC },
};

TEST(pointers, "every command is EFAULT for an argument that is not there, and changes nothing")
{
	prepare();
	for (size_t i = 0; i < sizeof(of_node) / sizeof(of_node[0]); i++)
		refused(of_node[i].name, node(), of_node[i].number, nowhere(), EFAULT);
	for (size_t i = 0; i < sizeof(of_buffer) / sizeof(of_buffer[0]); i++)
		refused(of_buffer[i].name, buf, of_buffer[i].number, nowhere(), EFAULT);
	finish();
}

#define FAULTS(fd, name, arg) refused(#name, fd, DEVFS_DMA_IOC_##name, &(arg), EFAULT)

TEST(inner_pointers, "a pointer in an argument that faults is EFAULT, and changes nothing")
{
	/* The second is no address of a program's. */
	const uint64_t faulting[] = { (uintptr_t)nowhere(), 1ULL << 63 };

	prepare();
	for (int i = 0; i < 2; i++) {
		uint64_t at = faulting[i];
		struct devfs_dma_list list = { .entries = at, .count = 1 };
		struct devfs_dma_pin pin = {
			.alloc = request("pin", PAGE, DEVFS_DMA_HEAP_USER), .address = at,
		};
		struct devfs_dma_history history = { .source = source, .count = 1, .times = at };
		struct devfs_dma_buf_get_sg sg = { .entries = at, .count = 1 };
		struct devfs_dma_buf_rw rw = { .address = at, .length = PAGE };

		FAULTS(node(), LIST, list);
		FAULTS(node(), PIN, pin);
		FAULTS(node(), SIGNAL_HISTORY, history);
		FAULTS(buf, BUF_GET_SG, sg);
		FAULTS(buf, BUF_READ, rw);
		FAULTS(buf, BUF_WRITE, rw);
		/* It would grow. */
		rw.offset = SIZE;
		FAULTS(buf, BUF_WRITE, rw);
	}
	finish();
}

#define UNWRITABLE(fd, name, arg) \
	refused(#name, fd, DEVFS_DMA_IOC_##name, read_only_page(&(arg), sizeof(arg)), EFAULT)

TEST(answers, "a command whose answer cannot be written is EFAULT, and leaves nothing")
{
	static char memory[PAGE], data[PAGE];
	struct devfs_dma_info info = {};
	struct devfs_dma_buf_info found;
	struct devfs_dma_heap heap = {};
	struct devfs_dma_alloc alloc = request("new", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_open open_arg = { .name = "kept", .fd_flags = O_RDWR };
	struct devfs_dma_list list = { .entries = (uintptr_t)&found, .count = 1 };
	struct devfs_dma_pin pin = {
		.alloc = request("pin", PAGE, DEVFS_DMA_HEAP_USER), .address = (uintptr_t)memory,
	};
	struct devfs_dma_import import = { .alloc = request("import", 0, DEVFS_DMA_HEAP_IMPORTED) };
	uint64_t time;
	struct devfs_dma_history history = { .count = 1, .times = (uintptr_t)&time };
	struct devfs_dma_signal signal_arg = { .op = DEVFS_DMA_SIGNAL_CREATE, .name = "new" };
	struct devfs_dma_sg entry;
	struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)&entry, .count = 1 };
	struct devfs_dma_buf_rw rw = { .address = (uintptr_t)data, .length = PAGE };
	struct devfs_dma_buf_export export = { .fd_flags = O_RDWR };

	prepare();
	CHECK(!ioctl(buf, DEVFS_DMA_IOC_BUF_EXPORT, &export));
	import.dmabuf_fd = export.fd;
	history.source = source;

	UNWRITABLE(node(), GET_INFO, info);
	UNWRITABLE(node(), GET_HEAP, heap);
	for (alloc.heap = 0; alloc.heap <= DEVFS_DMA_HEAP_COHERENT; alloc.heap++)
		for (alloc.lease = 0; alloc.lease <= DEVFS_DMA_LEASE_PROCESS; alloc.lease++)
			UNWRITABLE(node(), ALLOC, alloc);
	UNWRITABLE(node(), OPEN, open_arg);
	UNWRITABLE(node(), LIST, list);
	UNWRITABLE(node(), PIN, pin);
	UNWRITABLE(node(), IMPORT, import);
	UNWRITABLE(node(), SIGNAL_HISTORY, history);
	UNWRITABLE(node(), SIGNAL_CTL, signal_arg);
	signal_arg = (struct devfs_dma_signal){ .source = source };
	for (int next = 0; next < 2; next++) {
		signal_arg.op = next ? DEVFS_DMA_SIGNAL_NEXT : DEVFS_DMA_SIGNAL_GET;
		UNWRITABLE(node(), SIGNAL_CTL, signal_arg);
	}
	UNWRITABLE(buf, BUF_INFO, found);
	UNWRITABLE(buf, BUF_GET_SG, sg);
	UNWRITABLE(buf, BUF_READ, rw);
	UNWRITABLE(buf, BUF_WRITE, rw);
	rw.offset = SIZE;
	UNWRITABLE(buf, BUF_WRITE, rw);
	export.fd = 0;
	UNWRITABLE(buf, BUF_EXPORT, export);
	finish();
}

/* Every byte of a field that must be zero. */
static void zero_only(const char *what, int fd, unsigned long command, void *arg, void *field,
		      size_t size)
{
	for (char *byte = field; byte < (char *)field + size; byte++) {
		CHECK(!*byte);
		*byte = 1;
		refused(what, fd, command, arg, EINVAL);
		*byte = 0;
	}
}

#define ZERO(fd, name, arg, field) \
	zero_only(#name " " #field, fd, DEVFS_DMA_IOC_##name, &(arg), &(arg).field, \
		  sizeof((arg).field))

#define BAD(fd, name, arg, field, value) \
	do { \
		typeof(arg) bad_ = arg; \
		bad_.field = (value); \
		refused(#name " " #field, fd, DEVFS_DMA_IOC_##name, &bad_, EINVAL); \
	} while (0)

/* It was refused for those fields alone. */
#define TAKEN(fd, name, arg) CHECK(!ioctl(fd, DEVFS_DMA_IOC_##name, &(arg)))

TEST(node_fields, "fields of the node's commands that must be zero are EINVAL otherwise")
{
	static char memory[PAGE];
	struct devfs_dma_heap heap = {};
	struct devfs_dma_alloc alloc = request("new", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_open by_name = { .name = "kept" }, by_id = {};
	struct devfs_dma_list list = {};
	struct devfs_dma_pin pin = {
		.alloc = request("pin", PAGE, DEVFS_DMA_HEAP_USER), .address = (uintptr_t)memory,
	};
	struct devfs_dma_import import = { .alloc = request("import", 0, DEVFS_DMA_HEAP_IMPORTED) };
	struct devfs_dma_buf_export export = { .fd_flags = O_RDWR };
	struct devfs_dma_rename rename_arg = { .name = "other" };
	struct devfs_dma_free free_arg = {};

	prepare();
	rename_arg.id = free_arg.id = by_id.id = buffer_info(buf).id;
	CHECK(!ioctl(buf, DEVFS_DMA_IOC_BUF_EXPORT, &export));
	import.dmabuf_fd = export.fd;

	ZERO(node(), GET_HEAP, heap, flags);
	ZERO(node(), GET_HEAP, heap, pad);
	ZERO(node(), GET_HEAP, heap, reserved);
	TAKEN(node(), GET_HEAP, heap);
	ZERO(node(), ALLOC, alloc, reserved);
	TAKEN(node(), ALLOC, alloc);
	ZERO(node(), OPEN, by_name, reserved);
	TAKEN(node(), OPEN, by_name);
	ZERO(node(), OPEN, by_id, name);
	TAKEN(node(), OPEN, by_id);
	ZERO(node(), LIST, list, pad);
	TAKEN(node(), LIST, list);
	ZERO(node(), PIN, pin, alloc.reserved);
	ZERO(node(), PIN, pin, reserved);
	TAKEN(node(), PIN, pin);
	ZERO(node(), IMPORT, import, alloc.size);
	ZERO(node(), IMPORT, import, alloc.reserved);
	ZERO(node(), IMPORT, import, pad);
	ZERO(node(), IMPORT, import, reserved);
	TAKEN(node(), IMPORT, import);
	ZERO(node(), RENAME, rename_arg, pad);
	BAD(node(), RENAME, rename_arg, flags, 1U << 31);
	TAKEN(node(), RENAME, rename_arg);
	ZERO(node(), FREE, free_arg, flags);
	ZERO(node(), FREE, free_arg, pad);
	TAKEN(node(), FREE, free_arg);
	finish();
}

TEST(signal_fields, "fields that an operation of SIGNAL_CTL does not take are EINVAL unless zero")
{
	prepare();
	for (uint32_t op = 0; op <= DEVFS_DMA_SIGNAL_NEXT; op++) {
		struct devfs_dma_signal arg = { .op = op }, undo = { .op = DEVFS_DMA_SIGNAL_REMOVE };

		if (op == DEVFS_DMA_SIGNAL_CREATE) {
			strcpy(arg.name, "new");
			ZERO(node(), SIGNAL_CTL, arg, source);
		} else {
			arg.source = source;
			ZERO(node(), SIGNAL_CTL, arg, name);
			ZERO(node(), SIGNAL_CTL, arg, kind);
		}
		if (op != DEVFS_DMA_SIGNAL_CREATE && op != DEVFS_DMA_SIGNAL_SET) {
			ZERO(node(), SIGNAL_CTL, arg, flags);
		} else {
			BAD(node(), SIGNAL_CTL, arg, flags, DEVFS_DMA_SIGNAL_AUTOMASK);
			BAD(node(), SIGNAL_CTL, arg, flags, DEVFS_DMA_SIGNAL_STORM);
			BAD(node(), SIGNAL_CTL, arg, flags, 1U << 31);
		}
		/* The source is no timer. */
		ZERO(node(), SIGNAL_CTL, arg, period_ns);
		ZERO(node(), SIGNAL_CTL, arg, count);
		ZERO(node(), SIGNAL_CTL, arg, missed);
		ZERO(node(), SIGNAL_CTL, arg, last_ns);
		ZERO(node(), SIGNAL_CTL, arg, listeners);
		ZERO(node(), SIGNAL_CTL, arg, told);
		ZERO(node(), SIGNAL_CTL, arg, reserved);
		/* finish() is the one that removes it. */
		if (op != DEVFS_DMA_SIGNAL_REMOVE)
			TAKEN(node(), SIGNAL_CTL, arg);
		if (op == DEVFS_DMA_SIGNAL_CREATE) {
			undo.source = arg.source;
			TAKEN(node(), SIGNAL_CTL, undo);
		}
	}
	finish();
}

TEST(listener_fields, "flags and pads of SET_EVENTFD and SIGNAL_NOTIFY are EINVAL unless zero")
{
	struct devfs_dma_eventfd eventfd_arg = { .fd = eventfd(0, EFD_CLOEXEC) };
	struct devfs_dma_notify notify = { .pid = getpid(), .signo = 10 };

	prepare();
	eventfd_arg.source = notify.source = source;
	ZERO(node(), SET_EVENTFD, eventfd_arg, pad);
	ZERO(node(), SET_EVENTFD, eventfd_arg, flags);
	BAD(node(), SET_EVENTFD, eventfd_arg, fd, -2);
	TAKEN(node(), SET_EVENTFD, eventfd_arg);
	ZERO(node(), SIGNAL_NOTIFY, notify, flags);
	TAKEN(node(), SIGNAL_NOTIFY, notify);
	finish();
}

TEST(buffer_fields, "fields of a buffer's commands that must be zero are EINVAL otherwise")
{
	static char data[PAGE];
	struct devfs_dma_buf_sync sync = {
		.flags = DEVFS_DMA_SYNC_FOR_CPU, .direction = DEVFS_DMA_SYNC_BUFFER_DIRECTION,
	};
	struct devfs_dma_buf_get_sg sg = {};
	struct devfs_dma_buf_rw rw = { .address = (uintptr_t)data, .length = PAGE };
	struct devfs_dma_buf_name name = { "a" };
	struct devfs_dma_buf_lease lease = {};
	struct devfs_dma_buf_export export = { .fd_flags = O_RDWR };

	prepare();
	BAD(buf, BUF_SYNC, sync, flags, 0);
	BAD(buf, BUF_SYNC, sync, flags, DEVFS_DMA_SYNC_FOR_CPU | DEVFS_DMA_SYNC_FOR_DEVICE);
	BAD(buf, BUF_SYNC, sync, flags, DEVFS_DMA_SYNC_FOR_CPU | 1U << 31);
	TAKEN(buf, BUF_SYNC, sync);
	ZERO(buf, BUF_GET_SG, sg, total);
	TAKEN(buf, BUF_GET_SG, sg);
	ZERO(buf, BUF_READ, rw, copied);
	ZERO(buf, BUF_WRITE, rw, copied);
	TAKEN(buf, BUF_READ, rw);
	for (size_t i = 2; i < sizeof(name.name); i++)
		BAD(buf, BUF_SET_NAME, name, name[i], 'x');
	TAKEN(buf, BUF_SET_NAME, name);
	BAD(buf, BUF_SET_LEASE, lease, lease, DEVFS_DMA_LEASE_PROCESS + 1);
	TAKEN(buf, BUF_SET_LEASE, lease);
	ZERO(buf, BUF_EXPORT, export, reserved);
	BAD(buf, BUF_EXPORT, export, fd_flags, O_RDWR | O_NONBLOCK);
	BAD(buf, BUF_EXPORT, export, fd_flags, O_WRONLY);
	TAKEN(buf, BUF_EXPORT, export);
	finish();
}

TEST(no_owner, "BUF_SET_LEASE to a process that does not exist is ESRCH, and changes nothing")
{
	/* The second is no process id at all. */
	static const uint32_t owners[] = { 0x7ffffff0, 0xffffffff };

	prepare();
	for (uint32_t kind = 0; kind <= DEVFS_DMA_LEASE_PROCESS; kind++)
		for (int i = 0; i < 2; i++) {
			struct devfs_dma_buf_lease lease = { .lease = kind, .owner = owners[i] };

			refused("BUF_SET_LEASE", buf, DEVFS_DMA_IOC_BUF_SET_LEASE, &lease, ESRCH);
		}
	finish();
}

#define MAX_BUFFERS "/sys/module/devfs_dma/parameters/max_buffers"

static void set_max_buffers(unsigned int count)
{
	int fd = open(MAX_BUFFERS, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && dprintf(fd, "%u", count) > 0);
	close(fd);
}

TEST(max_buffers, "a buffer more than max_buffers is ENOSPC, and says why")
{
	static char memory[PAGE];
	struct devfs_dma_alloc arg = request("new", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_pin pin = {
		.alloc = request("pin", PAGE, DEVFS_DMA_HEAP_USER), .address = (uintptr_t)memory,
	};
	struct devfs_dma_info info;
	unsigned int most;
	int result, error;

	prepare();
	info = device_info(node());
	most = info.max_buffers;
	/* A test that fails must not leave it for the others. */
	set_max_buffers(info.buffers);
	result = ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg);
	error = errno;
	ioctl(node(), DEVFS_DMA_IOC_PIN, &pin);
	info.max_buffers = device_info(node()).max_buffers;
	set_max_buffers(most);
	CHECK(result == -1 && error == ENOSPC && arg.fd == -1);
	CHECK(arg.why == DEVFS_DMA_WHY_BUFFERS && pin.alloc.why == DEVFS_DMA_WHY_BUFFERS);
	CHECK(info.max_buffers == info.buffers && device_info(node()).buffers == info.buffers);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
	finish();
}
