// SPDX-License-Identifier: Apache-2.0
/* Root, who has nothing to do with all this, and how long he waits for it. */
#include "fuzz.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { PERIOD_MS = 100, BOUND_MS = 5000 };

void add_latency(uint64_t ns, const char *what)
{
	unsigned exponent = 63 - (unsigned)__builtin_clzll(ns | 1);
	unsigned part = exponent >= 4 ? (ns >> (exponent - 4)) & 15 : 0;

	shared->latency[exponent * 16 + part]++;
	shared->looks++;
	if (ns > shared->worst) {
		shared->worst = ns;
		snprintf(shared->worst_text, sizeof(shared->worst_text), "%s", what);
	}
	if (ns > BOUND_MS * 1000000ull)
		fail("root waited too long", "%s took %.1f s", what, (double)ns / 1e9);
}

uint64_t latency_at(double share)
{
	uint64_t wanted = (uint64_t)((double)shared->looks * share), seen = 0;

	for (unsigned i = 0; i < 64 * 16; i++) {
		seen += shared->latency[i];
		if (seen > wanted)
			return (1ull << (i / 16)) + ((uint64_t)(i % 16 + 1) << (i / 16) >> 4);
	}
	return shared->worst;
}

static bool write_line(const char *file, const char *line)
{
	char path[512];
	int fd, error;
	ssize_t count;

	snprintf(path, sizeof(path), "%s/%s", mount_point, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	count = write(fd, line, strlen(line));
	error = errno;
	close(fd);
	errno = error;
	return count > 0;
}

static void look_at_version(void)
{
	char path[512];
	struct stat status;

	snprintf(path, sizeof(path), "%s/version", mount_point);
	if (stat(path, &status))
		fail("root was refused", "stat version: %s", strerror(errno));
}

/* Others may have taken all the memory and every buffer that there can be. */
static void allocate(void)
{
	if (!write_line("control/alloc", "canary 4096\n")) {
		shared->refused++;
		if (errno != ENOSPC && errno != EDQUOT && errno != EEXIST && errno != EAGAIN)
			fail("root was refused", "alloc: %s", strerror(errno));
	}
	if (!write_line("control/free", "canary\n") && errno != ENOENT)
		fail("root was refused", "free: %s", strerror(errno));
}

/* An event has to reach its reader. */
static void wait_for_event(void)
{
	char path[512], line[128];
	int fd;

	write_line("control/signal", "canary software\n");
	write_line("signals/canary/enable", "1");
	snprintf(path, sizeof(path), "%s/signals/canary/wait", mount_point);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		shared->refused++;
		return;
	}
	if (write_line("signals/canary/trigger", "1")) {
		struct pollfd poller = { .fd = fd, .events = POLLIN };
		int ready = poll(&poller, 1, 2 * BOUND_MS);

		if (ready <= 0 && !atomic_load(&shared->stop))
			fail("an event did not come", "poll gave %d within %d ms", ready, 2 * BOUND_MS);
		else if (ready > 0 && read(fd, line, sizeof(line)) <= 0 && errno != ENODEV)
			fail("an event did not come", "read: %s", strerror(errno));
	}
	close(fd);
}

/* A request of the socket has to be answered, whatever the answer is. */
static void ask_the_socket(void)
{
	static const char line[] = "signal canary\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[512], answer[256];
	int fd;

	snprintf(path, sizeof(path), "%s/control/socket", mount_point);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, address.sun_path, sizeof(address.sun_path) - 1) <= 0)
		fail("root was refused", "control/socket: %s", strerror(errno));
	close(fd);
	address.sun_path[strcspn(address.sun_path, "\n")] = 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("root was refused", "connect: %s", strerror(errno));
	send(fd, line, strlen(line), MSG_NOSIGNAL);
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	/* The descriptor that may come with it is dropped by the kernel. */
	if (poll(&poller, 1, 2 * BOUND_MS) <= 0 && !atomic_load(&shared->stop))
		fail("the socket does not answer", "within %d ms", 2 * BOUND_MS);
	else if (recv(fd, answer, sizeof(answer), 0) < 2 || strncmp(answer, "ok", 2))
		shared->refused++;
	close(fd);
}

void run_canary(void)
{
	static void (*const looks[])(void) = {
		look_at_version, allocate, wait_for_event, ask_the_socket,
	};
	static const char *const names[] = {
		"stat version", "alloc and free", "trigger to wait", "a request of the socket",
	};

	while (!atomic_load(&shared->stop)) {
		for (unsigned i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
			uint64_t start = now();

			begin("canary %s", names[i]);
			looks[i]();
			add_latency(now() - start, names[i]);
			finish(K_stat, 0);
		}
		usleep(PERIOD_MS * 1000);
	}
}
