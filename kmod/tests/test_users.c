// SPDX-License-Identifier: GPL-2.0
/*
 * What one user may have of a device: users 1000 and 1001 are in the group of the
 * node, and open it themselves.
 */
#include "tests/libcheck.h"

#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#define SIGNALS		16
#define LISTENERS	32
#define PERIOD		1000000ULL	/* ns */

static int own;	/* the node, as who runs the test has opened it */

static void open_own(void)
{
	own = open(NODE, O_RDWR | O_CLOEXEC);
	CHECK(own >= 0);
}

static void become(uid_t uid)
{
	CHECK(!setuid(uid));
	open_own();
}

static void succeeds(pid_t pid)
{
	int status;

	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	/* It has said why. */
	if (status)
		_exit(1);
}

static void as_user(uid_t uid, void (*act)(void))
{
	pid_t pid = fork();

	if (!pid) {
		become(uid);
		act();
		_exit(0);
	}
	succeeds(pid);
}

static void set_limit(const char *name, unsigned int value)
{
	char path[80], text[16];
	int fd;

	snprintf(path, sizeof(path), "/sys/module/devfs_dma/parameters/user_%s", name);
	snprintf(text, sizeof(text), "%u", value);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static int signal_do(int node, uint32_t op, uint32_t *source, uint64_t period_ns)
{
	struct devfs_dma_signal arg = { .op = op, .source = *source, .period_ns = period_ns };
	static int number;
	int done;

	if (op == DEVFS_DMA_SIGNAL_CREATE) {
		arg.source = 0;
		arg.kind = period_ns ? DEVFS_DMA_SIGNAL_TIMER : DEVFS_DMA_SIGNAL_SOFTWARE;
		snprintf(arg.name, sizeof(arg.name), "u%d-%d", getpid(), number++);
	}
	done = ioctl(node, DEVFS_DMA_IOC_SIGNAL_CTL, &arg);
	*source = arg.source;
	return done;
}

static uint32_t create(uint64_t period_ns)
{
	uint32_t source = 0;

	CHECK(!signal_do(own, DEVFS_DMA_SIGNAL_CREATE, &source, period_ns));
	return source;
}

static void end(uint32_t source)
{
	CHECK(!signal_do(own, DEVFS_DMA_SIGNAL_REMOVE, &source, 0));
}

static uint64_t fastest = PERIOD;

static void have_slow_timers(void)
{
	uint32_t source = 0;

	REFUSES(signal_do(own, DEVFS_DMA_SIGNAL_CREATE, &source, DEVFS_DMA_PERIOD_MIN), EPERM);
	REFUSES(signal_do(own, DEVFS_DMA_SIGNAL_CREATE, &source, fastest - 1), EPERM);
	source = create(fastest);
	REFUSES(signal_do(own, DEVFS_DMA_SIGNAL_SET, &source, fastest - 1), EPERM);
	CHECK(!signal_do(own, DEVFS_DMA_SIGNAL_SET, &source, 2 * fastest));
	end(source);
}

TEST(timers, "a timer of a user's is as fast as user_period_us allows, root's as any can be")
{
	as_user(1000, have_slow_timers);
	open_own();
	end(create(DEVFS_DMA_PERIOD_MIN));
	set_limit("period_us", 500);
	fastest = PERIOD / 2;
	as_user(1000, have_slow_timers);
	set_limit("period_us", 1000);
}

static void have_signals(void)
{
	uint32_t sources[SIGNALS], one = 0;

	for (int i = 0; i < SIGNALS; i++)
		sources[i] = create(i % 2 ? PERIOD : 0);
	REFUSES(signal_do(own, DEVFS_DMA_SIGNAL_CREATE, &one, 0), EDQUOT);
	/* Another node of the same user's is no way round. */
	close(own);
	open_own();
	REFUSES(signal_do(own, DEVFS_DMA_SIGNAL_CREATE, &one, 0), EDQUOT);
	end(sources[0]);
	sources[0] = create(0);
	REFUSES(signal_do(own, DEVFS_DMA_SIGNAL_CREATE, &one, 0), EDQUOT);
	for (int i = 0; i < SIGNALS; i++)
		end(sources[i]);
}

static int all_made, all_seen;

/* Makes all that he may, and waits until others have seen it. */
static void keep_signals(void)
{
	uint32_t sources[SIGNALS];
	char c;

	for (int i = 0; i < SIGNALS; i++)
		sources[i] = create(0);
	CHECK(write(all_made, "", 1) == 1 && read(all_seen, &c, 1) == 0);
	for (int i = 0; i < SIGNALS; i++)
		end(sources[i]);
}

TEST(signals, "a user makes as many signals as user_signals allows, whatever others have")
{
	int made[2], seen[2];
	uint32_t sources[SIGNALS + 1];
	pid_t pid;
	char c;

	as_user(1000, have_signals);
	CHECK(!pipe2(made, O_CLOEXEC) && !pipe2(seen, O_CLOEXEC));
	all_made = made[1];
	all_seen = seen[0];
	pid = fork();
	if (!pid) {
		close(seen[1]);
		become(1000);
		keep_signals();
		_exit(0);
	}
	CHECK(read(made[0], &c, 1) == 1);
	as_user(1001, have_signals);
	open_own();
	for (int i = 0; i <= SIGNALS; i++)
		sources[i] = create(0);
	for (int i = 0; i <= SIGNALS; i++)
		end(sources[i]);
	close(seen[1]);
	succeeds(pid);
}

static int listen_to(int node, uint32_t source)
{
	struct devfs_dma_eventfd arg = { .source = source, .fd = eventfd(0, EFD_CLOEXEC) };
	int done = ioctl(node, DEVFS_DMA_IOC_SET_EVENTFD, &arg), error = errno;

	close(arg.fd);
	errno = error;
	return done;
}

static int notify(int node, uint32_t source, uint32_t signo)
{
	struct devfs_dma_notify arg = { .source = source, .pid = getpid(), .signo = signo };

	return ioctl(node, DEVFS_DMA_IOC_SIGNAL_NOTIFY, &arg);
}

static void have_listeners(void)
{
	uint32_t sources[2] = { create(0), create(0) };
	int other = open(NODE, O_RDWR | O_CLOEXEC);
	struct devfs_dma_eventfd none = { .source = sources[1], .fd = -1 };

	CHECK(other >= 0);
	for (int i = 0; i < LISTENERS / 2; i++)
		CHECK(!listen_to(own, sources[0]) && !listen_to(other, sources[1]));
	REFUSES(listen_to(own, sources[1]), EDQUOT);
	REFUSES(notify(other, sources[0], SIGUSR1), EDQUOT);
	/* What ends is free, by a command, with its node and with its source. */
	CHECK(!ioctl(other, DEVFS_DMA_IOC_SET_EVENTFD, &none));
	CHECK(!notify(own, sources[0], SIGUSR1) && !notify(own, sources[0], 0));
	for (int i = 0; i < LISTENERS / 2; i++)
		CHECK(!listen_to(other, sources[1]));
	REFUSES(listen_to(own, sources[0]), EDQUOT);
	close(other);
	for (int i = 0; i < LISTENERS / 2; i++)
		CHECK(!listen_to(own, sources[1]));
	REFUSES(listen_to(own, sources[0]), EDQUOT);
	end(sources[0]);
	for (int i = 0; i < LISTENERS / 2; i++)
		CHECK(!listen_to(own, sources[1]));
	REFUSES(listen_to(own, sources[1]), EDQUOT);
	end(sources[1]);
}

TEST(listeners, "a user has as many eventfds and processes told as user_listeners allows")
{
	uint32_t source;

	as_user(1000, have_listeners);
	open_own();
	source = create(0);
	for (int i = 0; i <= LISTENERS; i++)
		CHECK(!listen_to(own, source));
	end(source);
}

static struct devfs_dma_alloc alloc_by(int node, const char *name)
{
	struct devfs_dma_alloc arg = request(name, PAGE, DEVFS_DMA_HEAP_SYSTEM);

	CHECK(!ioctl(node, DEVFS_DMA_IOC_ALLOC, &arg));
	return arg;
}

static void no_more_buffers(int node)
{
	static char memory[PAGE];
	struct devfs_dma_alloc arg = request("more", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_pin pin = {
		.alloc = request("more", PAGE, DEVFS_DMA_HEAP_USER), .address = (uintptr_t)memory,
	};

	REFUSES(ioctl(node, DEVFS_DMA_IOC_ALLOC, &arg), EDQUOT);
	CHECK(arg.why == DEVFS_DMA_WHY_USER && arg.fd == -1);
	REFUSES(ioctl(node, DEVFS_DMA_IOC_PIN, &pin), EDQUOT);
	CHECK(pin.alloc.why == DEVFS_DMA_WHY_USER);
}

static void have_buffers(void)
{
	struct devfs_dma_alloc a = alloc_by(own, "a"), b = alloc_by(own, "b"), c;
	struct devfs_dma_free gone = { .id = a.id };

	no_more_buffers(own);
	/* Freed, but not gone. */
	CHECK(!ioctl(own, DEVFS_DMA_IOC_FREE, &gone));
	no_more_buffers(own);
	close(a.fd);
	c = alloc_by(own, "c");
	no_more_buffers(own);
	/* What outlives the node counts on. */
	close(own);
	open_own();
	no_more_buffers(own);
	close(b.fd);
	close(c.fd);
}

TEST(buffers, "a user makes as many buffers as user_buffers allows, as long as they are there")
{
	struct devfs_dma_alloc made[3];

	set_limit("buffers", 2);
	as_user(1000, have_buffers);
	as_user(1001, have_buffers);
	open_own();
	made[0] = alloc_by(own, "x");
	made[1] = alloc_by(own, "y");
	made[2] = alloc_by(own, "z");
	as_user(1000, have_buffers);
	for (int i = 0; i < 3; i++)
		close(made[i].fd);
	set_limit("buffers", 16384);
}

static void have_buffers_elsewhere(void)
{
	struct devfs_dma_alloc a = alloc_by(own, "a"), b = alloc_by(own, "b");

	if (unshare(CLONE_NEWUSER))
		check_skip("users cannot make namespaces");
	open_own();
	no_more_buffers(own);
	close(a.fd);
	close(b.fd);
}

TEST(namespaces, "a user namespace has what its maker may have, whoever is root in it")
{
	int status;
	pid_t pid;

	set_limit("buffers", 2);
	pid = fork();
	if (!pid) {
		become(1000);
		have_buffers_elsewhere();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	set_limit("buffers", 16384);
	_exit(WEXITSTATUS(status));
}

TEST(opener, "what counts is who opened the node, not who has it")
{
	int fds[2], theirs;
	pid_t pid;

	set_limit("buffers", 0);
	CHECK(!pipe2(fds, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		become(1000);
		CHECK(write(fds[1], &own, sizeof(own)) == sizeof(own));
		pause();
	}
	CHECK(read(fds[0], &theirs, sizeof(theirs)) == sizeof(theirs));
	open_own();
	close(alloc_by(own, "mine").fd);
	theirs = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0), theirs, 0);
	CHECK(theirs >= 0);
	no_more_buffers(theirs);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, NULL, 0) == pid);
	set_limit("buffers", 16384);
}
