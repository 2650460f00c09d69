// SPDX-License-Identifier: GPL-2.0
/* Signal sources, and the ways to be told of their events. */
#include "tests/libcheck.h"

#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void on_signal(int signal)
{
	(void)signal;
}

static struct devfs_dma_signal signal_request(uint32_t op, uint32_t source)
{
	return (struct devfs_dma_signal){ .op = op, .source = source };
}

static int control(struct devfs_dma_signal *arg)
{
	return ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, arg);
}

static uint32_t source(const char *name, uint32_t kind, uint64_t period_ns, uint32_t flags)
{
	struct devfs_dma_signal arg = signal_request(DEVFS_DMA_SIGNAL_CREATE, 0);

	strncpy(arg.name, name, sizeof(arg.name) - 1);
	arg.kind = kind;
	arg.period_ns = period_ns;
	arg.flags = flags;
	CHECK(!control(&arg));
	return arg.source;
}

static uint32_t software(const char *name)
{
	return source(name, DEVFS_DMA_SIGNAL_SOFTWARE, 0, DEVFS_DMA_SIGNAL_ENABLED);
}

static int trigger(uint32_t id)
{
	struct devfs_dma_signal arg = signal_request(DEVFS_DMA_SIGNAL_TRIGGER, id);

	return control(&arg);
}

static struct devfs_dma_signal state(uint32_t id)
{
	struct devfs_dma_signal arg = signal_request(DEVFS_DMA_SIGNAL_GET, id);

	CHECK(!control(&arg));
	return arg;
}

static void drop(uint32_t id)
{
	struct devfs_dma_signal arg = signal_request(DEVFS_DMA_SIGNAL_REMOVE, id);

	CHECK(!control(&arg));
}

static bool readable(int fd, int timeout)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout) == 1 && p.revents == POLLIN;
}

TEST(records, "each open node reads each event once, in order, with its numbers")
{
	int other = open(NODE, O_RDWR | O_NONBLOCK);
	struct devfs_dma_event events[8];
	uint64_t before = now();
	uint32_t a = software("a"), b = software("b");

	REFUSES(read(other, events, sizeof(events)), EAGAIN);
	CHECK(!readable(node(), 0));
	CHECK(!trigger(a) && !trigger(b) && !trigger(a));
	CHECK(readable(node(), 0));
	CHECK(read(node(), events, sizeof(events)) == 3 * sizeof(events[0]));
	CHECK(events[0].source == a && events[1].source == b && events[2].source == a);
	CHECK(events[0].count == 1 && events[1].count == 1 && events[2].count == 2);
	CHECK(events[1].seq == events[0].seq + 1 && events[2].seq == events[0].seq + 2);
	CHECK(events[0].timestamp_ns >= before && events[2].timestamp_ns <= now());
	CHECK(events[0].missed == 0 && events[0].flags == 0);
	CHECK(!readable(node(), 0));
	/* Two and a bit fit: two are read. */
	CHECK(read(other, events, 2 * sizeof(events[0]) + 8) == 2 * sizeof(events[0]));
	REFUSES(read(other, events, sizeof(events[0]) - 1), EINVAL);
	REFUSES(read(other, nowhere(), sizeof(events[0])), EFAULT);
	CHECK(read(other, events, sizeof(events)) == sizeof(events[0]));
	CHECK(events[0].source == a && events[0].count == 2);
	drop(a);
	drop(b);
}

TEST(subscribe, "a node reads only the sources it subscribed to")
{
	struct devfs_dma_event event;
	uint32_t a = software("a"), b = software("b");
	struct devfs_dma_subscribe arg = { 1ULL << b };

	CHECK(!trigger(b));
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_SUBSCRIBE, &arg));
	CHECK(!readable(node(), 0));
	CHECK(!trigger(a));
	CHECK(!readable(node(), 0));
	CHECK(!trigger(b));
	CHECK(read(node(), &event, sizeof(event)) == sizeof(event) && event.source == b);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_SUBSCRIBE, NULL), EFAULT);
	drop(a);
	drop(b);
}

TEST(lost, "a reader that is too slow is told so, and gets the latest events")
{
	struct devfs_dma_event events[2000];
	uint32_t a = software("a");
	size_t count;

	for (int i = 0; i < 1500; i++)
		CHECK(!trigger(a));
	count = read(node(), events, sizeof(events)) / sizeof(events[0]);
	CHECK(count == 1024);
	CHECK(events[0].flags == DEVFS_DMA_EVENT_LOST && events[1].flags == 0);
	CHECK(events[0].count == 1500 - 1024 + 1 && events[1023].count == 1500);
	drop(a);
}

TEST(blocking, "a blocked read is woken by an event, and by a signal")
{
	struct sigaction action = {};
	struct devfs_dma_event event;
	uint32_t a = software("a");
	pid_t pid;
	int status;

	if (!(pid = fork())) {
		EVENTUALLY(sleeps(getppid()));
		_exit(trigger(a));
	}
	CHECK(read(node(), &event, sizeof(event)) == sizeof(event));
	waitpid(pid, &status, 0);
	CHECK(status == 0);
	action.sa_handler = on_signal;
	sigaction(SIGUSR1, &action, NULL);
	if (!(pid = fork())) {
		EVENTUALLY(sleeps(getppid()));
		kill(getppid(), SIGUSR1);
		_exit(0);
	}
	REFUSES(read(node(), &event, sizeof(event)), EINTR);
	waitpid(pid, &status, 0);
	drop(a);
}

TEST(timer, "a timer makes events at its period until it is disabled")
{
	uint32_t t = source("t", DEVFS_DMA_SIGNAL_TIMER, 2000000, DEVFS_DMA_SIGNAL_ENABLED);
	struct devfs_dma_signal arg;
	uint64_t start = now(), periods, count;
	struct devfs_dma_event event;

	for (int i = 0; i < 20; i++)
		CHECK(read(node(), &event, sizeof(event)) == sizeof(event) && event.source == t);
	periods = (now() - start) / 2000000;
	arg = state(t);
	count = arg.count + arg.missed;
	/* Late timers count what they missed; nothing is invented. */
	CHECK(count >= 19 && count <= periods + 5);
	arg = signal_request(DEVFS_DMA_SIGNAL_SET, t);
	CHECK(!control(&arg));
	count = state(t).count;
	/* Ten of its periods. */
	STAYS(20, state(t).count == count && state(t).flags == 0);
	arg.flags = DEVFS_DMA_SIGNAL_ENABLED;
	arg.period_ns = 1000000;
	CHECK(!control(&arg));
	EVENTUALLY(state(t).count > count + 5);
	CHECK(state(t).period_ns == 1000000);
	REFUSES(trigger(t), EINVAL);
	drop(t);
}

TEST(signal_bad, "SIGNAL_CTL refuses what is wrong")
{
	struct devfs_dma_signal arg = signal_request(DEVFS_DMA_SIGNAL_CREATE, 0);
	uint32_t a = software("a"), ids[DEVFS_DMA_MAX_SOURCES];

	REFUSES(control(&arg), EINVAL);
	strcpy(arg.name, "a");
	REFUSES(control(&arg), EEXIST);
	strcpy(arg.name, "b");
	arg.kind = DEVFS_DMA_SIGNAL_INTERRUPT;
	REFUSES(control(&arg), EINVAL);
	arg.kind = DEVFS_DMA_SIGNAL_TIMER;
	REFUSES(control(&arg), EINVAL);
	arg.period_ns = DEVFS_DMA_PERIOD_MIN - 1;
	REFUSES(control(&arg), EINVAL);
	arg.period_ns = DEVFS_DMA_PERIOD_MAX + 1;
	REFUSES(control(&arg), EINVAL);
	arg.period_ns = DEVFS_DMA_PERIOD_MAX;
	arg.flags = 4;
	REFUSES(control(&arg), EINVAL);
	arg.flags = 0;
	arg.reserved[1] = 1;
	REFUSES(control(&arg), EINVAL);
	arg = signal_request(6, 0);
	REFUSES(control(&arg), EINVAL);
	arg = signal_request(DEVFS_DMA_SIGNAL_GET, 63);
	REFUSES(control(&arg), ENOENT);
	arg = signal_request(DEVFS_DMA_SIGNAL_GET, ~0U);
	REFUSES(control(&arg), ENOENT);
	arg = signal_request(DEVFS_DMA_SIGNAL_GET, a);
	arg.name[0] = 'a';
	REFUSES(control(&arg), EINVAL);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, NULL), EFAULT);
	for (int i = 0; i < DEVFS_DMA_MAX_SOURCES - 1; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%d", i);
		ids[i] = software(name);
	}
	arg = signal_request(DEVFS_DMA_SIGNAL_CREATE, 0);
	strcpy(arg.name, "more");
	REFUSES(control(&arg), ENOSPC);
	arg = signal_request(DEVFS_DMA_SIGNAL_NEXT, a + 1);
	CHECK(!control(&arg) && arg.source == ids[0] && !strcmp(arg.name, "s0"));
	for (int i = 0; i < DEVFS_DMA_MAX_SOURCES - 1; i++)
		drop(ids[i]);
	arg = signal_request(DEVFS_DMA_SIGNAL_NEXT, a + 1);
	REFUSES(control(&arg), ENOENT);
	drop(a);
}

TEST(disabled, "a disabled source misses its triggers")
{
	uint32_t a = source("a", DEVFS_DMA_SIGNAL_SOFTWARE, 0, 0);

	CHECK(!trigger(a) && !trigger(a));
	CHECK(state(a).count == 0 && state(a).missed == 2 && !readable(node(), 0));
	drop(a);
}

TEST(history, "a source remembers the times of its last events")
{
	uint64_t times[300] = {};
	uint32_t a = software("a");
	struct devfs_dma_history arg = { .source = a, .count = 300, .times = (uintptr_t)times };
	uint64_t before = now();

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_HISTORY, &arg) && arg.count == 0);
	for (int i = 0; i < 300; i++)
		CHECK(!trigger(a));
	arg.count = 300;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_HISTORY, &arg));
	CHECK(arg.count == DEVFS_DMA_HISTORY && arg.first == 300 - DEVFS_DMA_HISTORY + 1);
	for (uint32_t i = 1; i < arg.count; i++)
		CHECK(times[i] >= times[i - 1]);
	CHECK(times[0] >= before && times[arg.count - 1] == state(a).last_ns);
	arg.first = 300;
	arg.count = 5;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_HISTORY, &arg) && arg.count == 1);
	arg.count = 5;
	arg.times = 8;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_HISTORY, &arg), EFAULT);
	arg.source = 60;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_HISTORY, &arg), ENOENT);
	drop(a);
}

TEST(eventfds, "eventfds count events until they, or the node, are given up")
{
	uint32_t a = software("a");
	int fd = eventfd(0, EFD_NONBLOCK), other = open(NODE, O_RDWR);
	struct devfs_dma_eventfd arg = { .source = a, .fd = fd };
	uint64_t count;

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &arg));
	CHECK(!trigger(a) && !trigger(a));
	CHECK(read(fd, &count, 8) == 8 && count == 2);
	CHECK(state(a).listeners == 1);
	arg.fd = -1;
	CHECK(!ioctl(other, DEVFS_DMA_IOC_SET_EVENTFD, &arg));
	CHECK(state(a).listeners == 1);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &arg));
	CHECK(state(a).listeners == 0);
	arg.fd = fd;
	CHECK(!ioctl(other, DEVFS_DMA_IOC_SET_EVENTFD, &arg));
	close(other);
	CHECK(!trigger(a));
	REFUSES(read(fd, &count, 8), EAGAIN);
	arg.fd = node();
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &arg), EINVAL);
	arg.fd = 999;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &arg), EBADF);
	arg.fd = -2;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &arg), EINVAL);
	arg.fd = fd;
	arg.source = 60;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &arg), ENOENT);
	arg.source = ~0U;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &arg), ENOENT);
	arg.flags = 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &arg), EINVAL);
	arg.flags = 0;
	arg.source = a;
	for (int i = 0; i < 64; i++)
		CHECK(!ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &arg));
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &arg), ENOSPC);
	drop(a);
}

TEST(notify, "a process gets a real signal with its value, until it ends")
{
	uint32_t a = software("a");
	struct devfs_dma_notify arg = { .source = a, .signo = SIGRTMIN + 1, .value = 4711 };
	struct timespec patience = { .tv_sec = 5 };
	siginfo_t info;
	sigset_t set;
	pid_t pid;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	arg.pid = getpid();
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg));
	CHECK(!trigger(a) && !trigger(a));
	for (int i = 0; i < 2; i++) {
		CHECK(sigtimedwait(&set, &info, &patience) == SIGRTMIN + 1);
		CHECK(info.si_code == SI_QUEUE && info.si_value.sival_int == 4711);
	}
	arg.signo = 0;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg));
	CHECK(state(a).listeners == 0);

	pid = fork();
	if (!pid) {
		CHECK(sigtimedwait(&set, &info, &patience) == SIGRTMIN + 1);
		_exit(0);
	}
	arg.pid = pid;
	arg.signo = SIGRTMIN + 1;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg));
	CHECK(state(a).listeners == 1);
	CHECK(!trigger(a));
	waitpid(pid, &status, 0);
	CHECK(status == 0);
	CHECK(!trigger(a));
	CHECK(state(a).listeners == 0);
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg), ESRCH);
	arg.pid = getpid();
	arg.signo = 65;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg), EINVAL);
	arg.signo = SIGUSR1;
	arg.flags = 1;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg), EINVAL);
	arg.flags = 0;
	arg.pid = 0;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg), EINVAL);
	arg.pid = getpid();
	arg.source = 60;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg), ENOENT);
	drop(a);
}

TEST(notify_rights, "signals go to one's own processes only, also once they changed hands")
{
	volatile int *step = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				  -1, 0);
	uint32_t a = software("a");
	struct devfs_dma_notify arg = { .source = a, .signo = SIGUSR1, .pid = 1 };
	struct timespec patience = { .tv_sec = 5 };
	pid_t target, registrar;
	int status;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	node();
	target = fork();
	if (!target) {
		CHECK(!setresuid(1000, 1000, 0));
		*step = 1;
		CHECK(sigtimedwait(&set, NULL, &patience) == SIGUSR1);
		CHECK(!setresuid(0, 0, 0));
		*step = 2;
		EVENTUALLY(*step == 3);
		CHECK(!sigpending(&set) && !sigismember(&set, SIGUSR1));
		_exit(0);
	}
	EVENTUALLY(*step == 1);
	registrar = fork();
	if (!registrar) {
		CHECK(!setuid(1000));
		REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg), EPERM);
		arg.pid = target;
		CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg));
		_exit(0);
	}
	waitpid(registrar, &status, 0);
	CHECK(status == 0);
	CHECK(!trigger(a));
	EVENTUALLY(*step == 2);
	CHECK(!trigger(a));
	*step = 3;
	waitpid(target, &status, 0);
	CHECK(status == 0);
	drop(a);
}

TEST(notify_privilege, "CAP_KILL is what a process of another user takes")
{
	volatile bool *ready = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				    -1, 0);
	struct devfs_dma_notify arg = { .source = software("a"), .signo = SIGUSR1 };
	struct timespec patience = { .tv_sec = 30 };
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	node();
	arg.pid = fork();
	if (!arg.pid) {
		CHECK(!setuid(1000));
		*ready = true;
		CHECK(sigtimedwait(&set, NULL, &patience) == SIGUSR1);
		_exit(0);
	}
	EVENTUALLY(*ready);
	if (!fork()) {
		CHECK(!setuid(1001));
		REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg), EPERM);
		_exit(0);
	}
	/* While the other process is there to be refused. */
	CHECK(wait(&status) > 0 && status == 0);
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg));
	CHECK(!trigger(arg.source));
	CHECK(wait(&status) > 0 && status == 0);
	drop(arg.source);
}

TEST(sigio, "F_SETOWN and O_ASYNC send SIGIO")
{
	struct timespec patience = { .tv_sec = 5 };
	uint32_t a = software("a");
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigaddset(&set, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	CHECK(!fcntl(node(), F_SETOWN, getpid()));
	CHECK(!fcntl(node(), F_SETFL, O_ASYNC));
	CHECK(!trigger(a));
	CHECK(sigtimedwait(&set, NULL, &patience) == SIGIO);
	CHECK(!fcntl(node(), F_SETSIG, SIGRTMIN + 2));
	CHECK(!trigger(a));
	CHECK(sigtimedwait(&set, NULL, &patience) == SIGRTMIN + 2);
	drop(a);
}

static int hear_uevents(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
	struct timeval patience = { .tv_sec = 5 };

	CHECK(fd >= 0 && !bind(fd, (void *)&address, sizeof(address)));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* The count that the next uevent of the source tells. */
static unsigned long next_uevent(int fd)
{
	char message[2048], *at;
	ssize_t n;

	do {
		n = recv(fd, message, sizeof(message) - 1, 0);
		CHECK(n > 0);
		message[n] = 0;
	} while (!memmem(message, n, "DEVFS_SIGNAL=door", 18));
	CHECK(memmem(message, n, "ACTION=change", 14));
	at = memmem(message, n, "DEVFS_COUNT=", 12);
	CHECK(at);
	return strtoul(at + 12, NULL, 10);
}

TEST(uevents, "a source that asks for it sends uevents")
{
	uint32_t a = source("door", DEVFS_DMA_SIGNAL_SOFTWARE, 0,
			    DEVFS_DMA_SIGNAL_ENABLED | DEVFS_DMA_SIGNAL_UEVENT);
	int fd = hear_uevents();

	CHECK(!trigger(a));
	CHECK(next_uevent(fd) == 1);
	drop(a);
}

TEST(uevents_merged, "uevents of a source come ten times a second at most, and tell the last count")
{
	uint32_t a = source("door", DEVFS_DMA_SIGNAL_SOFTWARE, 0,
			    DEVFS_DMA_SIGNAL_ENABLED | DEVFS_DMA_SIGNAL_UEVENT);
	int fd = hear_uevents(), uevents = 0;
	uint64_t start = now();
	unsigned long events = 0;

	for (; now() - start < 1000000000; events++)
		CHECK(!trigger(a));
	do {
		uevents++;
	} while (next_uevent(fd) != events);
	CHECK(uevents <= 10 * (int)((now() - start) / 1000000000 + 1) + 1);
	drop(a);
}

TEST(tracepoints, "tracepoints tell of alloc, sync, map, event and free")
{
	static char text[65536];
	uint32_t a = software("a");
	size_t got = 0;
	ssize_t n;
	/*
	 * Names of tasks are recorded by patching the scheduler's code, and an
	 * emulated processor that runs it meanwhile may die of the breakpoint.
	 */
	int fd = open("/sys/kernel/tracing/options/record-cmd", O_WRONLY);

	if (fd < 0)
		check_skip("the kernel has no event tracing");
	CHECK(write(fd, "0", 1) == 1);
	close(fd);
	fd = open("/sys/kernel/tracing/events/devfs_dma/enable", O_WRONLY);
	CHECK(fd >= 0);
	CHECK(write(fd, "1", 1) == 1);
	CHECK(!trigger(a));
	drop(a);
	a = buffer("traced", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	munmap(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, a, 0), PAGE);
	CHECK(!fsync(a));
	close(a);
	CHECK(pwrite(fd, "0", 1, 0) == 1);
	close(fd);
	fd = open("/sys/kernel/tracing/trace", O_RDONLY);
	while ((n = read(fd, text + got, sizeof(text) - 1 - got)) > 0)
		got += n;
	CHECK(strstr(text, "devfs_dma_alloc: ") && strstr(text, "name=traced"));
	CHECK(strstr(text, "devfs_dma_map: ") && strstr(text, "devfs_dma_event: "));
	CHECK(strstr(text, "devfs_dma_sync_cpu: ") && strstr(text, "devfs_dma_sync_device: "));
	CHECK(strstr(text, "devfs_dma_free: "));
}

TEST(signal_races, "sources made, fired, listened to and removed at once do no harm")
{
	int status;

	for (int p = 0; p < 4; p++) {
		if (fork())
			continue;
		srand(p);
		signal(SIGUSR1, SIG_IGN);
		for (int i = 0; i < 200; i++) {
			struct devfs_dma_signal arg = signal_request(DEVFS_DMA_SIGNAL_CREATE, 0);
			struct devfs_dma_eventfd event_arg = { .source = rand() % 3 };
			struct devfs_dma_notify notify_arg = {
				.source = rand() % 3, .pid = getpid(), .signo = SIGUSR1,
			};

			snprintf(arg.name, sizeof(arg.name), "r%d", rand() % 3);
			arg.kind = rand() % 2;
			arg.period_ns = arg.kind ? 20000 : 0;
			arg.flags = rand() % 4;
			control(&arg);
			event_arg.fd = eventfd(0, 0);
			ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &event_arg);
			close(event_arg.fd);
			ioctl(node(), DEVFS_DMA_IOC_SIGNAL_NOTIFY, &notify_arg);
			trigger(rand() % 3);
			arg = signal_request(DEVFS_DMA_SIGNAL_REMOVE, rand() % 3);
			control(&arg);
		}
		_exit(0);
	}
	while (wait(&status) > 0)
		CHECK(status == 0);
	for (uint32_t i = 0; i < 4; i++) {
		struct devfs_dma_signal arg = signal_request(DEVFS_DMA_SIGNAL_REMOVE, i);

		control(&arg);
	}
}
