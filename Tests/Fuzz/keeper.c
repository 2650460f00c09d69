// SPDX-License-Identifier: Apache-2.0
/*
 * A user who has something to hide, and looks all the time whether it is as he left it: buffers of
 * mode 0600, one of mode 0644 that others may read, and a stream over one of the former.
 */
#include "fuzz.h"

#include <sys/stat.h>

enum { SIZE = 8192, MARK = 64 };

static struct treasury *own;
static int held[MAX_SECRETS];
static ino_t inode[MAX_SECRETS];
static unsigned serial;
static char expected[SIZE], found[SIZE];

static void mark(char *room, const char *what)
{
	for (unsigned at = 0; at < SIZE; at += MARK) {
		memset(room + at, '.', MARK);
		sprintf(room + at, "%s OF %u %s at %u ", strncmp(what, "public", 6) ? "SECRET" : "PUBLIC",
			me->uid, what, at);
		room[at + strlen(room + at)] = '.';
	}
}

static bool make(const char *path, mode_t mode, const char *what, int *fd, ino_t *its_inode)
{
	struct stat status;

	*fd = (int)CALL(open, open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode), "%s", path);
	if (*fd < 0)
		return false;
	if (CALL(truncate, ftruncate(*fd, SIZE), "%s", path) ||
	    CALL(read, pread(*fd, found, SIZE, 0), "%s", path) != SIZE)
		goto undo;
	for (unsigned i = 0; i < SIZE; i++) {
		if (!found[i])
			continue;
		fail("new memory is not zero", "%s: byte %u is %#x", path, i, found[i]);
		break;
	}
	mark(expected, what);
	if (CALL(write, pwrite(*fd, expected, SIZE, 0), "%s", path) != SIZE ||
	    CALL(stat, fstat(*fd, &status), "%s", path))
		goto undo;
	if (status.st_uid != me->uid || (status.st_mode & 07777) != mode)
		fail("a new buffer has another's owner or mode", "%s uid %u mode %o", path, status.st_uid,
		     status.st_mode);
	*its_inode = status.st_ino;
	return true;
undo:
	/* No room at the moment. */
	CALL(close, close(*fd), "%s", path);
	CALL(unlink, unlink(path), "%s", path);
	return false;
}

static void look(const char *path, mode_t mode, const char *what, int fd, ino_t was)
{
	struct stat status;
	int again;

	atomic_fetch_add(&shared->checks, 1);
	mark(expected, what);
	if (CALL(stat, stat(path, &status), "%s", path)) {
		if (errno != EINTR)
			fail("a secret is gone", "%s: %s", path, strerror(errno));
		return;
	}
	if (status.st_ino != was || status.st_uid != me->uid || (status.st_mode & 07777) != mode ||
	    status.st_size != SIZE)
		fail("a secret was changed", "%s: inode %llu (%llu) uid %u mode %o size %lld", path,
		     (unsigned long long)status.st_ino, (unsigned long long)was, status.st_uid,
		     status.st_mode, (long long)status.st_size);
	if (CALL(read, pread(fd, found, SIZE, 0), "%s", path) != SIZE || memcmp(found, expected, SIZE))
		fail("a secret was overwritten", "%s, by the descriptor", path);
	again = (int)CALL(open, open(path, O_RDONLY | O_CLOEXEC), "%s", path);
	if (again < 0)
		return;
	if (CALL(read, pread(again, found, SIZE, 0), "%s", path) != SIZE || memcmp(found, expected, SIZE))
		fail("a secret was overwritten", "%s, by the name", path);
	CALL(close, close(again), "%d", again);
}

static void write_line(const char *file, const char *line)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", mount_point, file);
	fd = (int)CALL(open, open(path, O_WRONLY | O_CLOEXEC), "%s", path);
	if (fd < 0)
		return;
	CALL(command, write(fd, line, strlen(line)), "%s %s", path, line);
	CALL(close, close(fd), "%d", fd);
}

static void path_of(char *room, const char *name)
{
	sprintf(room, "%s/buffers/%s", mount_point, name);
}

/* One that is there is looked at, and now and then given up; one that is not is made. */
static void tend(unsigned index)
{
	unsigned generation = atomic_load(&own->generation[index]);
	char path[512], line[64];

	if (!(generation & 1)) {
		/* A name that somebody else had the time to take is his. */
		sprintf(own->name[index], "secret-%u-%u", me->uid, serial++ % 1000);
		path_of(path, own->name[index]);
		if (make(path, 0600, own->name[index], &held[index], &inode[index]))
			atomic_store(&own->generation[index], generation + 1);
		return;
	}
	path_of(path, own->name[index]);
	look(path, 0600, own->name[index], held[index], inode[index]);
	if (!one_in(20))
		return;
	atomic_store(&own->generation[index], generation + 1);
	CALL(close, close(held[index]), "%s", path);
	if (one_in(2)) {
		CALL(unlink, unlink(path), "%s", path);
	} else {
		sprintf(line, "%s\n", own->name[index]);
		write_line("control/free", line);
	}
}

void run_keeper(void)
{
	char public[64], path[512], guarded[512], line[160];
	int public_fd = -1, guarded_fd = -1;
	ino_t public_inode = 0, guarded_inode = 0;

	own = &shared->treasury[role];
	sprintf(public, "public-%u", me->uid);
	path_of(path, public);
	sprintf(guarded, "%s/buffers/guarded-%u", mount_point, me->uid);
	while (!atomic_load(&shared->stop)) {
		if (public_fd < 0 && !make(path, 0644, public, &public_fd, &public_inode))
			public_fd = -1;
		if (public_fd >= 0)
			look(path, 0644, public, public_fd, public_inode);
		if (guarded_fd < 0 && !make(guarded, 0600, "guarded", &guarded_fd, &guarded_inode))
			guarded_fd = -1;
		if (guarded_fd >= 0)
			look(guarded, 0600, "guarded", guarded_fd, guarded_inode);
		if (one_in(20)) {
			/* Its bytes are the secret: whoever reads the stream reads that. */
			sprintf(line, "guard-%u software\n", me->uid);
			write_line("control/signal", line);
			sprintf(line, "guard-%u buffer=guarded-%u period=1024 source=guard-%u\n", me->uid,
				me->uid, me->uid);
			write_line("control/stream", line);
			sprintf(line, "streams/guard-%u/enable", me->uid);
			write_line(line, "1");
		}
		sprintf(line, "signals/guard-%u/trigger", me->uid);
		write_line(line, "2");
		for (unsigned index = 0; index < MAX_SECRETS; index++)
			tend(index);
		usleep(2000);
	}
}
