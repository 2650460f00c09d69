// SPDX-License-Identifier: GPL-2.0
#include "tests/libcheck.h"
#include "sizes.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

/* A kernel with KASAN on an emulated processor is slow. */
#define SECONDS_A_TEST 180
#define TESTS_MAX 100
#define SKIPPED 77

/* The same tests run as 32-bit programs on a 64-bit kernel. */
#if __SIZEOF_POINTER__ == 4
#define PREFIX "32-bit: "
#else
#define PREFIX ""
#endif

static struct {
	const char *title;
	void (*test)(void);
} tests[TESTS_MAX];

static unsigned int test_count;
static int message_fd = 2;
static int node_fd = -1;

void check_add(const char *title, void (*test)(void))
{
	tests[test_count].title = title;
	tests[test_count++].test = test;
}

void check_fail(int line, const char *what, int error)
{
	dprintf(message_fd, "line %d: %s (errno %d %s)", line, what, error, strerror(error));
	_exit(1);
}

void check_skip(const char *why)
{
	dprintf(message_fd, "%s", why);
	_exit(SKIPPED);
}

uint64_t check_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

void check_pause(void)
{
	usleep(1000);
}

bool sleeps(pid_t pid)
{
	char path[40], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	CHECK(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
	fclose(file);
	return state == 'S' || state == 'D';
}

void *nowhere(void)
{
	static void *volatile pointer = (void *)8;

	return pointer;
}

unsigned int descriptors(void)
{
	DIR *found = opendir("/proc/self/fd");
	unsigned int count = 0;

	CHECK(found);
	while (readdir(found))
		count++;
	closedir(found);
	return count;
}

int node(void)
{
	if (node_fd < 0)
		node_fd = open(NODE, O_RDWR | O_CLOEXEC);
	CHECK(node_fd >= 0);
	return node_fd;
}

struct devfs_dma_alloc request(const char *name, uint64_t size, uint32_t heap)
{
	struct devfs_dma_alloc arg = {
		.size = size,
		.heap = heap,
		.lease = DEVFS_DMA_LEASE_USE,
		.mode = 0600,
		.uid = DEVFS_DMA_NO_ID,
		.gid = DEVFS_DMA_NO_ID,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};

	strncpy(arg.name, name, sizeof(arg.name) - 1);
	return arg;
}

int buffer(const char *name, uint64_t size, uint32_t heap)
{
	struct devfs_dma_alloc arg = request(name, size, heap);

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &arg));
	CHECK(arg.fd >= 0 && arg.id && arg.ino);
	return arg.fd;
}

int export_buffer(int fd, uint32_t flags)
{
	struct devfs_dma_buf_export arg = { .fd_flags = flags };

	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_EXPORT, &arg));
	return arg.fd;
}

int import_dmabuf(const char *name, int dmabuf)
{
	struct devfs_dma_import arg = {
		.alloc = request(name, 0, DEVFS_DMA_HEAP_IMPORTED), .dmabuf_fd = dmabuf,
	};

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_IMPORT, &arg));
	return arg.alloc.fd;
}

struct devfs_dma_info device_info(int node)
{
	struct devfs_dma_info info;

	CHECK(!ioctl(node, DEVFS_DMA_IOC_GET_INFO, &info));
	return info;
}

struct devfs_dma_buf_info buffer_info(int fd)
{
	struct devfs_dma_buf_info info;

	memset(&info, 0xa5, sizeof(info));
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_BUF_INFO, &info));
	return info;
}

int log_count(const char *text)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), count = 0;
	char line[8192];
	ssize_t n;

	CHECK(fd >= 0);
	/* EPIPE: lines that were overwritten meanwhile. */
	while ((n = read(fd, line, sizeof(line) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue;
		line[n] = 0;
		count += strstr(line, text) != NULL;
	}
	close(fd);
	return count;
}

void *read_only_page(const void *data, size_t size)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(page != MAP_FAILED && size <= PAGE);
	memcpy(page, data, size);
	CHECK(!mprotect(page, PAGE, PROT_READ));
	return page;
}

void buffer_free(uint64_t id)
{
	struct devfs_dma_free arg = { .id = id };

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_FREE, &arg));
}

size_t fitting(size_t size, uint32_t heap)
{
	struct devfs_dma_heap arg = { .heap = heap };

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_GET_HEAP, &arg));
	return arg.max < size ? arg.max : size;
}

bool bounced(void)
{
	static char line[4096];
	int fd = open("/proc/cmdline", O_RDONLY);

	CHECK(fd >= 0 && read(fd, line, sizeof(line) - 1) > 0);
	close(fd);
	return strstr(line, "swiotlb=") != NULL;
}

uint64_t bytes_used(void)
{
	return device_info(node()).used;
}

bool maps_huge_frames(void)
{
	struct utsname system;

	CHECK(!uname(&system));
	return sizeof(void *) == 8 && strverscmp(system.release, "6.12") >= 0 &&
	       !access("/sys/kernel/mm/transparent_hugepage", F_OK);
}

long minor_faults(void)
{
	struct rusage usage;

	CHECK(!getrusage(RUSAGE_SELF, &usage));
	return usage.ru_minflt;
}

void set_bound(const char *device, bool bound)
{
	int fd = open(bound ? "/sys/bus/platform/drivers/devfs_dma/bind" :
		      "/sys/bus/platform/drivers/devfs_dma/unbind", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && write(fd, device, strlen(device)) == (ssize_t)strlen(device));
	close(fd);
}

static sigjmp_buf bus_error;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(bus_error, 1);
}

bool is_zapped(volatile char *at)
{
	struct sigaction action = { .sa_handler = on_bus_error }, old;
	volatile bool zapped = true;

	sigaction(SIGBUS, &action, &old);
	if (!sigsetjmp(bus_error, 1)) {
		(void)*at;
		zapped = false;
	}
	sigaction(SIGBUS, &old, NULL);
	return zapped;
}

void fill(void *memory, size_t size, unsigned int seed)
{
	unsigned char *at = memory;

	for (size_t i = 0; i < size; i++)
		at[i] = (i * 7 + (i >> 8) * 13 + seed) & 0xff;
}

bool filled(const void *memory, size_t size, unsigned int seed)
{
	const unsigned char *at = memory;

	for (size_t i = 0; i < size; i++)
		if (at[i] != ((i * 7 + (i >> 8) * 13 + seed) & 0xff))
			return false;
	return true;
}

bool zeroed(const void *memory, size_t size)
{
	const unsigned char *at = memory;

	for (size_t i = 0; i < size; i++)
		if (at[i])
			return false;
	return true;
}

/* What a test must leave as it was. */
static void totals(uint64_t out[3])
{
	struct devfs_dma_info info;
	int fd = open(NODE, O_RDWR | O_CLOEXEC);

	memset(out, 0, 3 * sizeof(*out));
	if (fd < 0 || ioctl(fd, DEVFS_DMA_IOC_GET_INFO, &info)) {
		out[0] = ~0ULL;
	} else {
		out[0] = info.used;
		out[1] = info.buffers;
		out[2] = info.sources;
	}
	close(fd);
}

/* Takes away what a test left that failed, so that it fails alone. */
static void tidy(void)
{
	struct devfs_dma_signal source = {};
	struct devfs_dma_buf_info found;
	struct devfs_dma_list list = {};
	struct devfs_dma_free gone = {};
	int fd;

	if (access(NODE, F_OK)) {
		fd = open("/sys/bus/platform/drivers/devfs_dma/bind", O_WRONLY | O_CLOEXEC);
		write(fd, "devfs_dma_host", strlen("devfs_dma_host"));
		close(fd);
	}
	fd = open(NODE, O_RDWR | O_CLOEXEC);
	for (source.op = DEVFS_DMA_SIGNAL_NEXT; !ioctl(fd, DEVFS_DMA_IOC_SIGNAL_CTL, &source);
	     source = (struct devfs_dma_signal){ .op = DEVFS_DMA_SIGNAL_NEXT }) {
		source = (struct devfs_dma_signal){ .op = DEVFS_DMA_SIGNAL_REMOVE,
						    .source = source.source };
		if (ioctl(fd, DEVFS_DMA_IOC_SIGNAL_CTL, &source))
			break;
	}
	do {
		list.entries = (uintptr_t)&found;
		list.count = 1;
		if (ioctl(fd, DEVFS_DMA_IOC_LIST, &list) || !list.count)
			break;
		gone.id = found.id;
		ioctl(fd, DEVFS_DMA_IOC_FREE, &gone);
	} while (list.cursor);
	close(fd);
}

static bool run(unsigned int i)
{
	uint64_t before[3], after[3];
	char message[600] = "";
	size_t got = 0;
	int status, pipes[2];
	ssize_t n;
	pid_t pid;

	totals(before);
	if (pipe(pipes))
		return false;
	pid = fork();
	if (!pid) {
		close(pipes[0]);
		message_fd = pipes[1];
		fcntl(message_fd, F_SETFD, FD_CLOEXEC);
		alarm(SECONDS_A_TEST);
		tests[i].test();
		_exit(0);
	}
	close(pipes[1]);
	waitpid(pid, &status, 0);
	while ((n = read(pipes[0], message + got, sizeof(message) - 1 - got)) > 0)
		got += n;
	close(pipes[0]);
	totals(after);
	if (status && status != SKIPPED << 8)
		tidy();

	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		printf("skip " PREFIX "%s: %s\n", tests[i].title, message);
		return true;
	}
	if (WIFSIGNALED(status))
		printf("not ok " PREFIX "%s: signal %d %s\n", tests[i].title, WTERMSIG(status), message);
	else if (WEXITSTATUS(status))
		printf("not ok " PREFIX "%s: %s\n", tests[i].title, message);
	else if (memcmp(before, after, sizeof(before)))
		printf("not ok " PREFIX "%s: left behind: used %llu to %llu, buffers %llu to %llu, sources %llu to %llu\n",
		       tests[i].title,
		       (unsigned long long)before[0], (unsigned long long)after[0],
		       (unsigned long long)before[1], (unsigned long long)after[1],
		       (unsigned long long)before[2], (unsigned long long)after[2]);
	else
		printf("ok " PREFIX "%s\n", tests[i].title);
	return WIFEXITED(status) && !WEXITSTATUS(status) && !memcmp(before, after, sizeof(before));
}

int main(int argc, char **argv)
{
	bool good = true;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	for (unsigned int i = 0; i < test_count; i++) {
		if (argc > 1 && !strstr(tests[i].title, argv[1]))
			continue;
		good &= run(i);
	}
	return !good;
}
