// SPDX-License-Identifier: GPL-2.0
/*
 * What an ordinary user of the node can ask for, sense or nonsense, ends, leaves
 * nothing, and adds a line to the kernel's log once for each reason at most.
 */
#include "tests/libcheck.h"

#include <linux/dma-buf.h>
#include <signal.h>

#define CALLS 20000

static int log_end(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	CHECK(fd >= 0 && lseek(fd, 0, SEEK_END) >= 0);
	return fd;
}

/* True for the reason of a refusal that was not there before: each is told once. */
static bool is_first_refusal(const char *line)
{
	static char seen[16][100];
	const char *reason = strstr(line, " is refused: ");

	for (int i = 0; reason && i < 16; i++) {
		if (!strcmp(seen[i], reason))
			return false;
		if (!seen[i][0]) {
			snprintf(seen[i], sizeof(seen[i]), "%s", reason);
			return true;
		}
	}
	return false;
}

/* Any other line that was logged since is the reason why the test fails. */
static void quiet(int log)
{
	static char line[4096];
	ssize_t n;

	while ((n = read(log, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		line[strcspn(line, "\n")] = 0;
		/* By which the debug kernel's rig knows the error paths. */
		if (!strstr(line, ";devfs goes to: ") && !is_first_refusal(line))
			check_fail(__LINE__, line, 0);
	}
	close(log);
}

static const unsigned long node_commands[] = {
	DEVFS_DMA_IOC_GET_INFO, DEVFS_DMA_IOC_GET_HEAP, DEVFS_DMA_IOC_ALLOC, DEVFS_DMA_IOC_OPEN,
	DEVFS_DMA_IOC_LIST, DEVFS_DMA_IOC_FREE, DEVFS_DMA_IOC_PIN, DEVFS_DMA_IOC_IMPORT,
	DEVFS_DMA_IOC_GET_REGION, DEVFS_DMA_IOC_RENAME, DEVFS_DMA_IOC_OPEN_REGION,
	DEVFS_DMA_IOC_SIGNAL_CTL, DEVFS_DMA_IOC_SIGNAL_NOTIFY, DEVFS_DMA_IOC_SET_EVENTFD,
	DEVFS_DMA_IOC_SIGNAL_SUBSCRIBE, DEVFS_DMA_IOC_SIGNAL_HISTORY, DEVFS_DMA_IOC_RESET,
};

static const unsigned long buffer_commands[] = {
	DEVFS_DMA_IOC_BUF_INFO, DEVFS_DMA_IOC_BUF_SYNC, DEVFS_DMA_IOC_BUF_GET_SG,
	DEVFS_DMA_IOC_BUF_READ, DEVFS_DMA_IOC_BUF_WRITE, DEVFS_DMA_IOC_BUF_SET_NAME,
	DEVFS_DMA_IOC_BUF_SET_LEASE, DEVFS_DMA_IOC_BUF_EXPORT, DMA_BUF_IOCTL_SYNC,
};

#define PICK(list) ((list)[rand() % (sizeof(list) / sizeof((list)[0]))])

/* Numbers at which something begins or ends, or any. */
static uint32_t number(void)
{
	static const uint32_t edges[] = {
		0, 0, 0, 0, 1, 2, 3, 4, 5, 8, 16, 64, 255, 256, PAGE - 1, PAGE, PAGE + 1, 16 * PAGE,
		O_CLOEXEC | O_RDWR, 0600, 1000, 10000, 1000000, INT32_MAX, INT32_MIN, UINT32_MAX,
	};

	return rand() % 8 ? PICK(edges) : (uint32_t)rand();
}

static char memory[4 * PAGE] __attribute__((aligned(4096)));

static void put_name(void *field)
{
	memset(field, 0, DEVFS_DMA_NAME_SIZE);
	*(char *)field = 'a' + rand() % 6;
}

/* Half of the arguments have a name, an address or an id where those go. */
static void make_argument(unsigned long command, uint64_t id, void *argument)
{
	uint32_t *words = argument;
	struct devfs_dma_alloc *alloc = argument;

	for (unsigned int i = 0; i < _IOC_SIZE(command) / sizeof(*words); i++)
		words[i] = number();
	if (!(rand() % 4))
		return;
	switch (command) {
	case DEVFS_DMA_IOC_PIN:
		((struct devfs_dma_pin *)argument)->address = (uintptr_t)memory + rand() % PAGE;
		/* fall through */
	case DEVFS_DMA_IOC_ALLOC:
	case DEVFS_DMA_IOC_IMPORT:
		*alloc = request("a", rand() % 4 ? rand() % (256 * PAGE) : (uint64_t)number() << 20,
				 number());
		put_name(alloc->name);
		alloc->direction = rand() % 3;
		alloc->lease = rand() % 4;
		break;
	case DEVFS_DMA_IOC_FREE:
	case DEVFS_DMA_IOC_RENAME:
	case DEVFS_DMA_IOC_OPEN:
		memcpy(argument, &id, sizeof(id));
		if (command != DEVFS_DMA_IOC_FREE)
			put_name((char *)argument + sizeof(id));
		break;
	case DEVFS_DMA_IOC_SIGNAL_CTL:
		memset(argument, 0, sizeof(struct devfs_dma_signal));
		words[0] = rand() % 7;
		words[1] = words[0] ? rand() % 4 : 0;
		if (!words[0]) {
			put_name(words + 2);
			((struct devfs_dma_signal *)argument)->kind = rand() % 3;
			((struct devfs_dma_signal *)argument)->period_ns = number();
		}
		((struct devfs_dma_signal *)argument)->flags = rand() % 4;
		break;
	case DEVFS_DMA_IOC_BUF_READ:
	case DEVFS_DMA_IOC_BUF_WRITE:
		*(struct devfs_dma_buf_rw *)argument = (struct devfs_dma_buf_rw){
			.offset = number(), .length = rand() % sizeof(memory),
			.address = (uintptr_t)memory,
		};
		break;
	case DEVFS_DMA_IOC_BUF_SYNC:
		memset(argument, 0, sizeof(struct devfs_dma_buf_sync));
		((struct devfs_dma_buf_sync *)argument)->flags = rand() % 4;
		break;
	case DEVFS_DMA_IOC_BUF_SET_NAME:
		put_name(argument);
		break;
	}
}

static void remove_signals(int node)
{
	struct devfs_dma_signal arg;

	for (uint32_t i = 0; i < DEVFS_DMA_MAX_SOURCES; i++) {
		arg = (struct devfs_dma_signal){ .op = DEVFS_DMA_SIGNAL_REMOVE, .source = i };
		ioctl(node, DEVFS_DMA_IOC_SIGNAL_CTL, &arg);
	}
}

static void free_buffers(int node)
{
	struct devfs_dma_buf_info found;
	struct devfs_dma_list list = { .entries = (uintptr_t)&found, .count = 1 };

	do {
		struct devfs_dma_free gone;

		list.count = 1;
		CHECK(!ioctl(node, DEVFS_DMA_IOC_LIST, &list));
		gone = (struct devfs_dma_free){ .id = found.id };
		if (list.count)
			ioctl(node, DEVFS_DMA_IOC_FREE, &gone);
	} while (list.cursor);
}

/* Descriptors that calls gave: they come after @last. */
static void close_given(int last)
{
	for (int fd = last + 1; fd < last + 64; fd++)
		close(fd);
}

/* Another buffer at descriptor @buf, if there is one to be had: its id. */
static uint64_t renew(int node, int buf)
{
	struct devfs_dma_alloc arg = request("kept", 4 * PAGE, rand() % 3);

	if (ioctl(node, DEVFS_DMA_IOC_ALLOC, &arg))
		return 0;
	CHECK(dup2(arg.fd, buf) == buf);
	close(arg.fd);
	return arg.id;
}

static void ask_anything(unsigned int seed)
{
	int node = open(NODE, O_RDWR | O_CLOEXEC), buf = dup(node);
	uint64_t argument[64], id = 0;

	CHECK(node >= 0 && buf >= 0);
	srand(seed);
	/* What SIGNAL_NOTIFY is asked to send. */
	for (int i = 1; i <= 64; i++)
		signal(i, SIG_IGN);
	for (int i = 0; i < CALLS; i++) {
		unsigned long command = rand() % 3 ? PICK(node_commands) : PICK(buffer_commands);
		bool of_buffer = command == DMA_BUF_IOCTL_SYNC || _IOC_NR(command) >= 0x40;

		if (!(i % 32))
			close_given(buf);
		if (!(i % 512))
			id = renew(node, buf);
		make_argument(command, rand() % 4 ? id : number(), argument);
		ioctl(of_buffer == !!(rand() % 16) ? buf : node, command,
		      rand() % 64 ? (void *)argument : nowhere());
	}
	close_given(buf);
	free_buffers(node);
	remove_signals(node);
}

TEST(nonsense, "of all that ordinary users ask the node and buffers for, the log has each refusal once")
{
	int log = log_end(), status;
	pid_t pids[2];

	for (unsigned int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			CHECK(!setuid(1000 + i));
			ask_anything(i + 1);
			_exit(0);
		}
	}
	for (int i = 0; i < 2; i++) {
		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
		if (status)
			_exit(1);
	}
	free_buffers(node());
	remove_signals(node());
	quiet(log);
}

static void set_limit(const char *bytes)
{
	int fd = open("/sys/module/devfs_dma/parameters/limit_bytes", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && write(fd, bytes, strlen(bytes)) == (ssize_t)strlen(bytes));
	close(fd);
}

TEST(copies, "buffers for which there is no room to copy are EIO, and no line in the log")
{
	struct devfs_dma_alloc arg;
	uint32_t why = 0;
	int fds[8], log, count = 0;
	char name[4] = "c0";

	if (!bounced())
		check_skip("the device has no copies");
	log = log_end();
	set_limit("4294967296");
	for (; count < 8; count++) {
		name[1] = '0' + count;
		arg = request(name, 128 * MIB, DEVFS_DMA_HEAP_SYSTEM);
		if (ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg)) {
			why = arg.why;
			break;
		}
		fds[count] = arg.fd;
	}
	CHECK(errno == EIO && why == DEVFS_DMA_WHY_MAPPING);
	while (count--)
		close(fds[count]);
	set_limit("268435456");
	quiet(log);
}
