// SPDX-License-Identifier: Apache-2.0
/* What a worker does with the descriptors that it holds. */
#include "fuzz.h"

#include <dirent.h>
#include <linux/dma-buf.h>
#include <linux/falloc.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/xattr.h>

enum { SLOTS = 24, SCRATCH = 1 << 17 };

static struct slot {
	int fd;
	int access;		/* what it may do: O_RDONLY, O_WRONLY, O_RDWR */
	bool takes_commands;
	bool is_sealed;		/* from the socket with `ro`, of another user's buffer */
	enum grammar grammar;
	char *map;
	size_t mapped;
	bool is_writable;
} slots[SLOTS];
static unsigned used;
static char scratch[SCRATCH];
static char text[TEXT_LIMIT];
static sigjmp_buf fault;
static volatile sig_atomic_t may_fault;

/* The pages of a buffer that was made smaller meanwhile. */
static void bus_error(int signal)
{
	if (may_fault)
		siglongjmp(fault, 1);
	_exit(100 + signal);
}

/* No bytes that a worker can come by may be another user's secret. */
void examine(int fd, const void *bytes, size_t length, const char *whence)
{
	static char other[24];
	char path[64], name[200] = "";

	if (!*other)
		sprintf(other, "SECRET OF %u ", users[!role]);
	if (!memmem(bytes, length, other, strlen(other)))
		return;
	sprintf(path, "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) < 0)
		name[0] = 0;
	fail("a secret was read", "uid %u got another's bytes by %s, %s", me->uid, whence, name);
}

void keep_descriptor(int fd, int access, bool is_sealed)
{
	if (fd < 0)
		return;
	if (used == SLOTS) {
		close(fd);
		return;
	}
	slots[used++] = (struct slot){ .fd = fd, .access = access, .is_sealed = is_sealed };
}

static void drop(unsigned index)
{
	struct slot *slot = &slots[index];

	if (slot->map)
		CALL(munmap, munmap(slot->map, slot->mapped), "%zu", slot->mapped);
	CALL(close, close(slot->fd), "%d", slot->fd);
	*slot = slots[--used];
}

void close_all(void)
{
	while (used)
		drop(used - 1);
}

int open_at_random(void)
{
	static const int extra[] = {
		0, 0, 0, 0, 0, O_NONBLOCK, O_TRUNC, O_APPEND, O_SYNC, O_DSYNC, O_DIRECT, O_NOFOLLOW,
		O_CREAT, O_CREAT | O_EXCL, O_CREAT | O_TRUNC, O_DIRECTORY, O_PATH, O_NOATIME,
		O_TMPFILE, O_ASYNC, O_CREAT | O_DIRECTORY,
	};
	static const int modes[] = { O_RDONLY, O_RDWR, O_WRONLY, O_RDWR, O_ACCMODE };
	static const mode_t permissions[] = { 0600, 0644, 0666, 0, 07777, 0400 };
	char path[512];
	enum grammar grammar;
	int flags = PICK(modes) | PICK(extra) | O_CLOEXEC, fd;

	random_path(path, sizeof(path), &grammar);
	fd = (int)CALL(open, open(path, flags, PICK(permissions)), "%s %#o", path, flags);
	if (fd < 0)
		return fd;
	if (used == SLOTS)
		drop(below(SLOTS));
	/* What is told apart below is told by the descriptor, not by the name. */
	const char *name = strrchr(path, '/') + 1;
	struct stat status;

	if ((!strncmp(name, "secret-", 7) || !strncmp(name, "race-", 5)) && !(flags & O_PATH) &&
	    strstr(path, "/buffers/") && !CALL(stat, fstat(fd, &status), "%s", path) &&
	    status.st_uid != me->uid && !(status.st_mode & 077))
		fail("another's 0600 buffer was opened", "uid %u has %s of uid %u, flags %#o",
		     me->uid, path, status.st_uid, flags);
	slots[used] = (struct slot){
		.fd = fd, .access = flags & O_ACCMODE, .grammar = grammar,
		.takes_commands = grammar != GRAMMAR_COUNT,
	};
	return (int)used++;
}

static off_t random_offset(void)
{
	return one_in(5) ? (off_t)boundary() : (off_t)below(100) * 4096 + (one_in(3) ? below(4096) : 0);
}

static size_t random_size(void)
{
	return one_in(3) ? below(SCRATCH) : one_in(2) ? 4096 : below(300);
}

static void read_some(struct slot *slot)
{
	size_t size = random_size();
	off_t offset = random_offset();
	ssize_t count = one_in(3) ? CALL(read, read(slot->fd, scratch, size), "%d %zu", slot->fd, size)
		: CALL(read, pread(slot->fd, scratch, size, offset), "%d %zu at %lld", slot->fd, size,
		       (long long)offset);

	if (count > 0)
		examine(slot->fd, scratch, (size_t)count, "read");
	if (count > (ssize_t)size)
		fail("a read gave more than asked for", "%zd of %zu", count, size);
}

static void write_some(struct slot *slot)
{
	size_t size = random_size();
	off_t offset = random_offset();
	ssize_t count;

	if (slot->takes_commands && !one_in(10)) {
		size = make_text(slot->grammar, text);
		count = CALL(command, write(slot->fd, text, size), "%d grammar %d %s", slot->fd,
			     slot->grammar, printable(text, size));
	} else {
		memset(scratch, 'a' + (int)below(26), size);
		count = CALL(write, pwrite(slot->fd, scratch, size, offset), "%d %zu at %lld",
			     slot->fd, size, (long long)offset);
	}
	if (count > 0 && slot->access == O_RDONLY)
		fail("a read-only descriptor wrote", "%zd bytes", count);
}

static void use_mapping(struct slot *slot)
{
	if (!slot->map) {
		static const int protections[] = {
			PROT_READ, PROT_READ | PROT_WRITE, PROT_WRITE, PROT_READ | PROT_EXEC, PROT_NONE,
		};
		int protection = PICK(protections);
		int flags = one_in(5) ? MAP_PRIVATE : MAP_SHARED;
		size_t length = 4096 * (1 + below(16));
		off_t offset = one_in(4) ? (off_t)(boundary() & ~4095ull) : 0;
		void *map = (void *)CALL(mmap, mmap(NULL, length, protection, flags, slot->fd, offset),
			"%d %zu at %lld protection %d flags %d", slot->fd, length, (long long)offset,
			protection, flags);

		if (map == MAP_FAILED)
			return;
		if (slot->access == O_RDONLY && flags == MAP_SHARED && protection & PROT_WRITE)
			fail("a read-only descriptor was mapped for writing", "protection %d", protection);
		slot->map = map;
		slot->mapped = length;
		slot->is_writable = protection & PROT_WRITE;
	} else if (one_in(4)) {
		CALL(munmap, munmap(slot->map, slot->mapped), "%zu", slot->mapped);
		slot->map = NULL;
	} else if (one_in(3)) {
		static const int flags[] = { MS_SYNC, MS_ASYNC, MS_INVALIDATE, MS_SYNC | MS_INVALIDATE };
		int choice = PICK(flags);

		CALL(msync, msync(slot->map, slot->mapped, choice), "%zu flags %d", slot->mapped, choice);
	} else if (!sigsetjmp(fault, 1)) {
		may_fault = 1;
		memcpy(scratch, slot->map, 4096);
		if (slot->is_writable)
			memset(slot->map + below(4096), 'm', 64);
		may_fault = 0;
		examine(slot->fd, scratch, 4096, "mmap");
	} else {
		may_fault = 0;
	}
}

static void control(struct slot *slot)
{
	static const unsigned commands[] = {
		DMA_BUF_IOCTL_SYNC, DMA_BUF_SET_NAME, FIONREAD, FIONBIO, FIOASYNC, TCGETS,
	};
	struct dma_buf_sync sync = { .flags = one_in(4) ? boundary() : below(8) };
	unsigned long command = PICK(commands);

	if (one_in(4))
		command = _IOC(below(4), below(256), below(256), below(1 << 14));
	/* These two would change how our own calls behave, not the server. */
	if (command == FIONBIO || command == FIOASYNC || one_in(3))
		command = DMA_BUF_IOCTL_SYNC;
	memset(scratch, 0, 1 << 14);
	memcpy(scratch, &sync, sizeof(sync));
	CALL(ioctl, ioctl(slot->fd, command, scratch), "%d %#lx flags %#llx", slot->fd, command,
	     (unsigned long long)sync.flags);
}

static void resize(struct slot *slot)
{
	static const int modes[] = {
		0, 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_UNSHARE_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0xff,
	};
	off_t offset = random_offset(), length = one_in(4) ? (off_t)boundary() : 4096 * below(60);
	int mode = PICK(modes);

	if (one_in(2)) {
		CALL(truncate, ftruncate(slot->fd, length), "%d %lld", slot->fd, (long long)length);
		return;
	}
	CALL(allocate, fallocate(slot->fd, mode, offset, length), "%d mode %d %lld %lld", slot->fd, mode,
	     (long long)offset, (long long)length);
}

/* Lengths stay small where it is the kernel that copies in a loop of its own. */
static void copy(struct slot *slot)
{
	struct slot *other = &slots[below(used)];
	loff_t from = random_offset(), to = random_offset();
	size_t size = below(1 << 18);
	static int channel[2] = { -1, -1 };

	switch (below(3)) {
	case 0:
		CALL(copy, copy_file_range(slot->fd, &from, other->fd, &to, size, 0),
		     "%d at %lld to %d at %lld, %zu", slot->fd, (long long)from, other->fd,
		     (long long)to, size);
		return;
	case 1:
		CALL(sendfile, sendfile(other->fd, slot->fd, one_in(2) ? NULL : &from, size), "%d to %d, %zu",
		     slot->fd, other->fd, size);
		return;
	}
	if (channel[0] < 0 && pipe2(channel, O_NONBLOCK | O_CLOEXEC))
		return;
	CALL(splice, splice(slot->fd, one_in(2) ? NULL : &from, channel[1], NULL, size & 0xffff,
			    SPLICE_F_NONBLOCK), "%d to a pipe", slot->fd);
	if (one_in(2)) {
		CALL(splice, splice(channel[0], NULL, other->fd, NULL, size, SPLICE_F_NONBLOCK),
		     "from a pipe to %d", other->fd);
	}
	ssize_t count;

	while ((count = read(channel[0], scratch, SCRATCH)) > 0)
		examine(slot->fd, scratch, (size_t)count, "splice");
}

static void lock(struct slot *slot)
{
	static const int leases[] = { F_RDLCK, F_WRLCK, F_UNLCK };
	struct flock range = {
		.l_type = (short)PICK(leases), .l_start = below(100), .l_len = below(100),
	};
	int lease = PICK(leases);

	switch (below(is_left_out("lease") ? 3 : 4)) {
	case 0:
		CALL(flock, flock(slot->fd, PICK(((int[]){ LOCK_SH, LOCK_EX, LOCK_UN })) | LOCK_NB),
		     "%d", slot->fd);
		return;
	case 1:
		CALL(fcntl, fcntl(slot->fd, one_in(2) ? F_SETLK : F_OFD_SETLK, &range), "%d SETLK", slot->fd);
		return;
	case 2:
		/* Never without O_NONBLOCK lost for good: the timer interrupts what waits. */
		CALL(fcntl, fcntl(slot->fd, F_SETFL, one_in(2) ? O_NONBLOCK : O_APPEND), "%d SETFL",
		     slot->fd);
		return;
	default:
		CALL(fcntl, fcntl(slot->fd, F_SETLEASE, lease), "%d SETLEASE %d", slot->fd, lease);
	}
}

static void attribute(struct slot *slot)
{
	static const char *const names[] = {
		"user.a", "user.b", "trusted.a", "security.capability", "system.posix_acl_access", "",
	};
	const char *name = PICK(names);

	if (one_in(2))
		CALL(xattr, fgetxattr(slot->fd, name, scratch, below(SCRATCH)), "%d get %s", slot->fd, name);
	else if (one_in(4))
		CALL(xattr, flistxattr(slot->fd, scratch, below(SCRATCH)), "%d list", slot->fd);
	else if (one_in(3) || is_left_out("xattr"))
		CALL(xattr, fremovexattr(slot->fd, name), "%d remove %s", slot->fd, name);
	else
		CALL(xattr, fsetxattr(slot->fd, name, scratch, below(1 << 12), 0), "%d set %s", slot->fd, name);
}

static void look(struct slot *slot)
{
	static const int whences[] = { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE, 17 };
	struct stat status;
	struct statfs space;
	int whence = PICK(whences);
	off_t offset = random_offset();

	switch (below(5)) {
	case 0:
		CALL(stat, fstat(slot->fd, &status), "%d", slot->fd);
		return;
	case 1:
		CALL(statfs, fstatfs(slot->fd, &space), "%d", slot->fd);
		return;
	case 2: {
		struct pollfd poller = { .fd = slot->fd, .events = (short)(1 << below(8)) };

		CALL(poll, poll(&poller, 1, (int)below(2)), "%d", slot->fd);
		return;
	}
	case 3:
		/* Where it is a directory: in pieces of every size. */
		CALL(readdir, getdents64(slot->fd, scratch, one_in(2) ? SCRATCH : below(400)), "%d",
		     slot->fd);
		return;
	default:
		CALL(seek, lseek(slot->fd, offset, whence), "%d %lld whence %d", slot->fd,
		     (long long)offset, whence);
	}
}

/* A descriptor for reading must not lead to one for writing of what is another's. */
static void open_again(struct slot *slot)
{
	char path[64];
	int fd, access = one_in(2) ? O_RDWR : O_WRONLY;

	sprintf(path, "/proc/self/fd/%d", slot->fd);
	fd = (int)CALL(open, open(path, access | O_CLOEXEC | (one_in(4) ? O_TRUNC : 0)), "%s %d again",
		       path, access);
	if (fd < 0)
		return;
	if (slot->is_sealed && CALL(write, pwrite(fd, "overwritten", 11, 0), "%d", fd) > 0)
		fail("a descriptor with `ro` led to one that writes", "by %s", path);
	keep_descriptor(fd, access, false);
}

static void change(struct slot *slot)
{
	struct timespec times[2] = {
		{ (time_t)boundary(), one_in(2) ? UTIME_NOW : below(1000000000) },
		{ (time_t)below(1u << 31), one_in(2) ? UTIME_OMIT : below(1000000000) },
	};
	mode_t mode = (mode_t)(next_random() & 07777);
	uid_t uid = one_in(2) ? users[below(2)] : (uid_t)boundary();
	gid_t gid = one_in(2) ? (gid_t)-1 : users[below(2)];

	switch (below(3)) {
	case 0:
		CALL(chmod, fchmod(slot->fd, mode | (one_in(2) ? 0666 : 0)), "%d %o", slot->fd, mode);
		return;
	case 1:
		CALL(chown, fchown(slot->fd, uid, gid), "%d %u %u", slot->fd, uid, gid);
		return;
	default:
		CALL(utimens, futimens(slot->fd, times), "%d %lld", slot->fd, (long long)times[0].tv_sec);
	}
}

void step_file(void)
{
	static bool is_ready;

	if (!is_ready) {
		signal(SIGBUS, bus_error);
		signal(SIGSEGV, bus_error);
		is_ready = true;
	}
	if (used < 4 || one_in(24)) {
		open_at_random();
		return;
	}
	unsigned index = below(used), choice = below(100);
	struct slot *slot = &slots[index];

	if (choice < 30)
		read_some(slot);
	else if (choice < 52)
		write_some(slot);
	else if (choice < 62)
		look(slot);
	else if (choice < 68)
		use_mapping(slot);
	else if (choice < 74)
		control(slot);
	else if (choice < 80)
		resize(slot);
	else if (choice < 84)
		copy(slot);
	else if (choice < 88)
		lock(slot);
	else if (choice < 90)
		attribute(slot);
	else if (choice < 92)
		change(slot);
	else if (choice < 94)
		CALL(sync, one_in(2) ? fsync(slot->fd) : fdatasync(slot->fd), "%d", slot->fd);
	else if (choice < 96)
		open_again(slot);
	else
		drop(index);
}
