// SPDX-License-Identifier: Apache-2.0
/*
 * The keeper of a mount: holds what must outlive a server (the connection of FUSE, the device's lock
 * and the ledger) and starts the next server when one dies. It does nothing else, so that nothing
 * else can end it.
 */
#define _GNU_SOURCE 1
#include "CFuse.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>

enum { LONGEST = 4096, NOTHING = -1, GIVES_UP = 1 };
static const int64_t minute = 60000;

struct keeper {
	const struct cfuse_keeper *wishes;
	/* What the server gave. */
	int connection, lock;
	/* The other end of the server's, signals, and who asks for another program. */
	int server, signals, listener, asker;
	int program, earlier;
	pid_t pid;
	/* The server said that a successor can take over, or that it ends. */
	bool is_keepable, is_ready, was_ready, ends;
	/* Why the program of an upgrade can't go on. */
	char why[256];
	int64_t crashes[64];
	unsigned int crash_count, all;
};

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = NOTHING;
}

static void answer(struct keeper *keeper, char type, const char *text)
{
	char message[LONGEST + 1];
	size_t size = strnlen(text, LONGEST);

	if (keeper->asker < 0)
		return;
	message[0] = type;
	memcpy(message + 1, text, size);
	(void)!send(keeper->asker, message, size + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	drop(&keeper->asker);
}

/* The child: what it gets has the numbers from 3 on, in the order of `given`. */
static void become_server(const struct keeper *keeper, const int *given, int count)
{
	char path[64];
	sigset_t none;
	char **arguments = keeper->wishes->arguments;
	int fds[8];

	for (int i = 0; i < count; i++)
		fds[i] = fcntl(given[i], F_DUPFD, 64);
	/* It is opened once more by its number: the file may have been replaced since. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fcntl(keeper->program, F_DUPFD_CLOEXEC, 64));
	for (int i = 0; i < count; i++)
		if (dup2(fds[i], 3 + i) < 0)
			_exit(126);
	for (int i = 0; i < count; i++)
		close(fds[i]);
	for (int fd = 3 + count; fd < 64; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	arguments[keeper->wishes->mode][0] = keeper->connection >= 0 ? '1' : '0';
	execve(path, arguments, environ);
	_exit(127);
}

static int start(struct keeper *keeper)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -1;
	keeper->pid = fork();
	if (!keeper->pid) {
		const int given[] = {
			ends[1], keeper->wishes->ledger, keeper->connection, keeper->lock,
		};

		become_server(keeper, given, keeper->connection >= 0 ? 4 : 2);
	}
	close(ends[1]);
	drop(&keeper->server);
	if (keeper->pid < 0) {
		close(ends[0]);
		return -1;
	}
	keeper->server = ends[0];
	keeper->is_ready = false;
	return 0;
}

/* To be told of programs to go on with, once there is a server. */
static void listen_for_upgrades(struct keeper *keeper)
{
	const char *path = keeper->wishes->socket;
	mode_t mask;

	if (keeper->listener >= 0)
		return;
	keeper->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(path);
	mask = umask(0177);
	if (keeper->listener >= 0 &&
	    (cfuse_bind(keeper->listener, path) || listen(keeper->listener, 1)))
		drop(&keeper->listener);
	umask(mask);
}

static void become_ready(struct keeper *keeper, const char *summary)
{
	keeper->is_ready = true;
	drop(&keeper->earlier);
	answer(keeper, '+', "");
	if (keeper->was_ready)
		return;
	keeper->was_ready = true;
	keeper->wishes->told('+', summary);
	listen_for_upgrades(keeper);
}

/* Takes all that the server has said. */
static void hear(struct keeper *keeper)
{
	char text[LONGEST + 1];
	int fd;

	while (keeper->server >= 0) {
		ssize_t count = cfuse_receive_fd(keeper->server, text, LONGEST, &fd, true);

		if (count <= 0) {
			if (!count || errno != EAGAIN)
				drop(&keeper->server);
			return;
		}
		text[count] = 0;
		switch (text[0]) {
		case 'C':
			drop(&keeper->connection);
			keeper->connection = fd;
			break;
		case 'L':
			drop(&keeper->lock);
			keeper->lock = fd;
			break;
		case 'K':
			keeper->is_keepable = true;
			break;
		case 'E':
			keeper->ends = true;
			break;
		case '+':
			become_ready(keeper, text + 1);
			break;
		case '-':
			if (!keeper->was_ready)
				keeper->wishes->told('-', text + 1);
			else if (keeper->earlier >= 0)
				snprintf(keeper->why, sizeof(keeper->why), "%s", text + 1);
			else
				keeper->wishes->told('!', text + 1);
			break;
		}
		if (fd >= 0 && fd != keeper->connection && fd != keeper->lock)
			close(fd);
	}
}

static void meet(struct keeper *keeper)
{
	pid_t pid;
	uid_t uid;
	gid_t gid;
	char text[2];
	int fd = NOTHING, asker = cfuse_accept(keeper->listener);
	struct pollfd entry = { .fd = asker, .events = POLLIN };

	if (asker < 0)
		return;
	if (cfuse_peer(asker, &pid, &uid, &gid) || (uid && uid != geteuid()) ||
	    poll(&entry, 1, 1000) != 1 ||
	    cfuse_receive_fd(asker, text, sizeof(text), &fd, true) != 1 || text[0] != 'U' ||
	    fd < 0 || keeper->asker >= 0 || !keeper->is_keepable || !keeper->is_ready) {
		drop(&fd);
		drop(&asker);
		return;
	}
	keeper->asker = asker;
	drop(&keeper->earlier);
	keeper->why[0] = 0;
	keeper->earlier = keeper->program;
	keeper->program = fd;
	/* What it has begun is taken up by the next, as after any other end. */
	kill(keeper->pid, SIGKILL);
}

/* False where it dies too often. */
static bool may_go_on(struct keeper *keeper)
{
	const size_t room = sizeof(keeper->crashes) / sizeof(*keeper->crashes);
	unsigned int limit = keeper->wishes->crashes;
	int64_t time = now();

	keeper->all++;
	if (!limit)
		return true;
	if (limit > room)
		limit = room;
	keeper->crashes[keeper->crash_count++ % limit] = time;
	if (keeper->crash_count < limit)
		return true;
	if (time - keeper->crashes[keeper->crash_count % limit] < minute)
		return false;
	return true;
}

/* The server has ended: 0 where there is a next one, else the exit code is in `code`. */
static int succeed(struct keeper *keeper, int status, int *code)
{
	char why[128];
	/* Until the new program is ready, whatever has become of who asked for it. */
	bool upgrades = keeper->earlier >= 0;

	drop(&keeper->server);
	if (upgrades && !keeper->is_ready && !keeper->ends) {
		/* The new program can't go on where the old one was. */
		drop(&keeper->program);
		keeper->program = keeper->earlier;
		keeper->earlier = NOTHING;
		answer(keeper, '-',
		       keeper->why[0] ? keeper->why : "the new program ended at its start");
		return start(keeper);
	}
	if (WIFEXITED(status) && (keeper->is_ready || !keeper->was_ready)) {
		*code = WEXITSTATUS(status);
		return -1;
	}
	*code = GIVES_UP;
	if (!keeper->is_keepable || keeper->ends || keeper->connection < 0)
		return -1;
	if (WIFEXITED(status)) {
		keeper->wishes->told('!', "the next server can't go on: the mount ends");
		return -1;
	}
	if (!upgrades && !may_go_on(keeper)) {
		snprintf(why, sizeof(why), "the server has died %u times in a minute: the mount ends",
			 keeper->wishes->crashes);
		keeper->wishes->told('!', why);
		return -1;
	}
	if (!upgrades) {
		snprintf(why, sizeof(why), "the server was ended by signal %d: the next one goes on",
			 WTERMSIG(status));
		keeper->wishes->told('?', why);
	}
	return start(keeper);
}

static void take_signals(struct keeper *keeper)
{
	struct signalfd_siginfo info;

	while (read(keeper->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		keeper->ends = true;
		/* Before it is ready nobody has anything of it, and it may hang. */
		kill(keeper->pid, keeper->was_ready ? (int)info.ssi_signo : SIGKILL);
	}
}

int cfuse_keep(const struct cfuse_keeper *wishes)
{
	struct keeper keeper = {
		.wishes = wishes, .connection = NOTHING, .lock = NOTHING, .server = NOTHING,
		.listener = NOTHING, .asker = NOTHING, .earlier = NOTHING,
	};
	int code = GIVES_UP, status;
	sigset_t all;

	sigemptyset(&all);
	sigaddset(&all, SIGCHLD);
	sigaddset(&all, SIGTERM);
	sigaddset(&all, SIGINT);
	sigaddset(&all, SIGHUP);
	sigprocmask(SIG_BLOCK, &all, NULL);
	prctl(PR_SET_NAME, "devfs-keeper", 0, 0, 0);
	keeper.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	keeper.program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (keeper.signals < 0 || keeper.program < 0 || start(&keeper))
		return GIVES_UP;
	for (;;) {
		struct pollfd entries[] = {
			{ .fd = keeper.signals, .events = POLLIN },
			{ .fd = keeper.server, .events = POLLIN },
			{ .fd = keeper.listener, .events = POLLIN },
		};
		pid_t ended;

		poll(entries, 3, -1);
		take_signals(&keeper);
		ended = waitpid(keeper.pid, &status, WNOHANG);
		/* What it said before it ended comes first. */
		hear(&keeper);
		if (ended == keeper.pid && succeed(&keeper, status, &code))
			break;
		if (entries[2].revents & POLLIN)
			meet(&keeper);
	}
	answer(&keeper, '-', "the mount has ended");
	if (keeper.listener >= 0)
		unlink(wishes->socket);
	/* With the last descriptor of the connection it is aborted: nobody waits for ever. */
	return code;
}
