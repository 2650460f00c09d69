// SPDX-License-Identifier: Apache-2.0
/* Short plays of a worker whose end is known: new memory is zero, one's own buffer is one's own. */
#include "fuzz.h"

#include <linux/falloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { ROOM = 1 << 16 };

static unsigned char bytes[ROOM];

static void expect_zero(int fd, off_t start, off_t end, const char *whence)
{
	while (start < end) {
		size_t size = end - start < ROOM ? (size_t)(end - start) : ROOM;
		ssize_t count = CALL(read, pread(fd, bytes, size, start), "own %d %zu at %lld", fd, size,
				     (long long)start);

		if (count <= 0)
			return;
		/* All are what the first is. */
		if (!bytes[0] && !memcmp(bytes, bytes + 1, (size_t)count - 1)) {
			start += count;
			continue;
		}
		for (ssize_t i = 0; i < count; i++) {
			if (!bytes[i])
				continue;
			fail("new memory is not zero", "%s: byte %lld is %#x", whence,
			     (long long)start + i, bytes[i]);
			return;
		}
	}
}

static void fill(int fd, size_t size)
{
	memset(bytes, 0xa5, size);
	CALL(write, pwrite(fd, bytes, size, 0), "own %d %zu", fd, size);
}

/* Nobody else knows the name, so whatever is in it comes from the server. */
static void play_own_buffer(void)
{
	static const char *const heaps[] = { "system", "contiguous", "coherent" };
	off_t first = 1 + below(ROOM), second = first + below(ROOM / 2), third = 1 + below(ROOM);
	bool is_fixed = one_in(3);
	char path[512], line[128];
	int fd;

	snprintf(path, sizeof(path), "%s/buffers/own-%d", mount_point, getpid());
	if (is_fixed) {
		snprintf(line, sizeof(line), "own-%d %lld heap=%s\n", getpid(), (long long)first, PICK(heaps));
		char alloc[512];

		snprintf(alloc, sizeof(alloc), "%s/control/alloc", mount_point);
		fd = (int)CALL(open, open(alloc, O_WRONLY | O_CLOEXEC), "%s", alloc);
		if (fd < 0)
			return;
		CALL(command, write(fd, line, strlen(line)), "%s", line);
		CALL(close, close(fd), "%d", fd);
	}
	fd = (int)CALL(open, open(path, O_RDWR | O_CLOEXEC | (is_fixed ? 0 : O_CREAT | O_EXCL), 0600), "%s",
		       path);
	if (fd < 0)
		goto remove;
	if (is_fixed || !CALL(truncate, ftruncate(fd, first), "own %d %lld", fd, (long long)first)) {
		expect_zero(fd, 0, first, "first");
		fill(fd, (size_t)first);
		if (!is_fixed && !CALL(truncate, ftruncate(fd, second), "own %d", fd))
			expect_zero(fd, first, second, "a grown tail");
		if (!is_fixed && !CALL(truncate, ftruncate(fd, third), "own %d", fd) && third < second &&
		    !CALL(truncate, ftruncate(fd, second), "own %d", fd))
			expect_zero(fd, third < first ? third : first, second, "a tail that was cut off");
		if (one_in(2) && !CALL(allocate, fallocate(fd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 100, 5000), "own %d punch", fd))
			expect_zero(fd, 100, 5100 < first ? 5100 : first, "a hole");
	}
	CALL(close, close(fd), "%d", fd);
remove:
	CALL(unlink, unlink(path), "%s", path);
}

/* What open(O_CREAT) gives is either one's own, or its owner's mode lets one in. */
static void play_race(void)
{
	char path[512];
	struct stat status;
	bool comes_first = one_in(2);
	int fd;

	snprintf(path, sizeof(path), "%s/buffers/race-%u-%u", mount_point,
		 users[comes_first ? role : !role], below(2));
	fd = (int)CALL(open, open(path, O_RDWR | O_CREAT | O_CLOEXEC | (comes_first ? O_EXCL : 0), 0600),
		       "%s race", path);
	if (fd < 0)
		return;
	if (!CALL(stat, fstat(fd, &status), "%s", path) && status.st_uid != me->uid &&
	    !(status.st_mode & 077))
		fail("another's 0600 buffer was opened", "by O_CREAT: %s of uid %u by uid %u", path,
		     status.st_uid, me->uid);
	CALL(write, pwrite(fd, "race", 4, 0), "%s", path);
	CALL(close, close(fd), "%d", fd);
	CALL(unlink, unlink(path), "%s", path);
}

/* A buffer whose process has ended goes with it. */
static void play_lease(void)
{
	char path[512], line[64];
	pid_t child = fork();

	if (child < 0)
		return;
	if (child == 0) {
		snprintf(path, sizeof(path), "%s/control/alloc", mount_point);
		int fd = open(path, O_WRONLY);

		sprintf(line, "lease-%d 8192 lease=process", getpid());
		if (fd >= 0)
			_exit(write(fd, line, strlen(line)) < 0);
		_exit(1);
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR && !atomic_load(&shared->stop))
		;
}

/* A process of one's own for `notify`. Those that have ended stay zombies, which keeps their pids
 * from being given to others, till the worker ends. */
static void play_victim(void)
{
	static pid_t own;
	static unsigned many;
	siginfo_t info = { 0 };

	if (own && (waitid(P_PID, (id_t)own, &info, WEXITED | WNOHANG | WNOWAIT) || !info.si_pid))
		return;
	if (many == MAX_VICTIMS / MAX_WORKERS)
		return;
	unsigned index = atomic_fetch_add(&shared->victims, 1);

	if (index >= MAX_VICTIMS)
		return;
	own = fork();
	if (own == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int number = 1; number < 65; number++)
			signal(number, SIG_IGN);
		for (;;)
			pause();
	}
	many++;
	shared->victim[index].uid = me->uid;
	atomic_store(&shared->victim[index].pid, own > 0 ? own : 0);
}

void step_compound(void)
{
	switch (below(8)) {
	case 0: play_victim(); return;
	case 1: play_lease(); return;
	case 2: case 3: case 4: play_race(); return;
	default: play_own_buffer();
	}
}
