// SPDX-License-Identifier: Apache-2.0
/* What a worker does with the names of the tree. */
#include "fuzz.h"

#include <dirent.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

static char text[TEXT_LIMIT];

static void buffer_path(char *room, size_t size, bool for_removal)
{
	char name[80];

	buffer_name(name, for_removal);
	snprintf(room, size, "%s/buffers/%s", mount_point, name);
}

/* `grammar` is what the file takes, GRAMMAR_COUNT where it takes no text. */
void random_path(char *path, size_t size, enum grammar *grammar)
{
	static const struct { const char *name; enum grammar grammar; } controls[] = {
		{ "alloc", G_alloc }, { "free", G_free }, { "sync", G_sync }, { "signal", G_signal },
		{ "stream", G_stream }, { "log", GRAMMAR_COUNT }, { "socket", GRAMMAR_COUNT },
		{ "heaps/system/used", GRAMMAR_COUNT }, { "heaps/coherent/max", GRAMMAR_COUNT },
		{ "nothing", G_value },
	};
	static const struct { const char *name; enum grammar grammar; } signals[] = {
		{ "wait", GRAMMAR_COUNT }, { "wait", GRAMMAR_COUNT }, { "count", G_value },
		{ "missed", G_value }, { "enable", G_enable }, { "trigger", G_trigger },
		{ "notify", G_notify },
	};
	static const struct { const char *name; enum grammar grammar; } streams[] = {
		{ "data", GRAMMAR_COUNT }, { "data", GRAMMAR_COUNT }, { "status", G_value },
		{ "available", G_value }, { "overruns", G_value }, { "watermark", G_watermark },
		{ "enable", G_enable },
	};
	static const char *const attributes[] = {
		"size", "heap", "direction", "dma_addr", "phys_addr", "nents", "sg_table", "numa_node",
		"dma_coherent", "sync_for_cpu", "sync_for_device", "sync_offset", "sync_size",
		"sync_direction", "sync_owner", "owner", "refs", "name", "lease", "unknown",
	};
	static const char *const others[] = {
		"", "version", "status", "features", "metrics", "buffers", "attributes", "control",
		"signals", "streams", "regions", "control/heaps", "control/heaps/system", ".", "..",
		"buffers/..", "nothing", "buffers/f0/x", "signals/g0", "streams/t0", "attributes/f0",
	};
	unsigned choice = below(20), index;
	char name[80];

	*grammar = GRAMMAR_COUNT;
	if (choice < 8) {
		buffer_path(path, size, false);
	} else if (choice < 11) {
		index = below(sizeof(controls) / sizeof(controls[0]));
		*grammar = controls[index].grammar;
		snprintf(path, size, "%s/control/%s", mount_point, controls[index].name);
	} else if (choice < 14) {
		index = below(sizeof(signals) / sizeof(signals[0]));
		*grammar = signals[index].grammar;
		snprintf(path, size, "%s/signals/%s/%s", mount_point, signal_name(), signals[index].name);
	} else if (choice < 16) {
		index = below(sizeof(streams) / sizeof(streams[0]));
		*grammar = streams[index].grammar;
		snprintf(path, size, "%s/streams/%s/%s", mount_point, stream_name(), streams[index].name);
	} else if (choice < 18) {
		*grammar = G_value;
		buffer_name(name, false);
		snprintf(path, size, "%s/attributes/%s/%s", mount_point, name, PICK(attributes));
	} else {
		snprintf(path, size, "%s/%s", mount_point, PICK(others));
	}
}

/* `notify` of another user's process must be refused. */
static void notify_stranger(void)
{
	unsigned count = atomic_load(&shared->victims);
	struct victim *victim = &shared->victim[count ? below(count < MAX_VICTIMS ? count : MAX_VICTIMS) : 0];
	pid_t pid = atomic_load(&victim->pid);
	char path[512], line[64];
	int fd;

	if (!pid || victim->uid == me->uid)
		return;
	snprintf(path, sizeof(path), "%s/signals/%s/notify", mount_point, signal_name());
	fd = (int)CALL(open, open(path, O_WRONLY | O_CLOEXEC), "%s", path);
	if (fd < 0)
		return;
	sprintf(line, "%d USR1", pid);
	if (CALL(command, write(fd, line, strlen(line)), "%s %s", path, line) > 0)
		fail("another's process was registered", "uid %u: %s", me->uid, line);
	CALL(close, close(fd), "%d", fd);
}

void step_command(void)
{
	enum grammar grammar = GRAMMAR_COUNT;
	char path[512];
	int fd;

	if (one_in(40)) {
		notify_stranger();
		return;
	}
	while (grammar == GRAMMAR_COUNT)
		random_path(path, sizeof(path), &grammar);
	fd = (int)CALL(open, open(path, O_WRONLY | O_CLOEXEC | (one_in(4) ? O_TRUNC : 0)), "%s", path);
	if (fd < 0)
		return;
	for (unsigned times = 1 + below(6); times--;) {
		size_t length = make_text(grammar, text);

		CALL(command, write(fd, text, length), "%s %s", path, printable(text, length));
	}
	CALL(close, close(fd), "%d", fd);
}

static void rename_some(void)
{
	static const unsigned flags[] = {
		0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE, RENAME_WHITEOUT, 0xff,
	};
	char from[512], to[512];
	enum grammar grammar;
	unsigned flag = PICK(flags);

	buffer_path(from, sizeof(from), true);
	buffer_path(to, sizeof(to), true);
	if (one_in(12))
		random_path(from, sizeof(from), &grammar);
	else if (one_in(12))
		random_path(to, sizeof(to), &grammar);
	/* Without a sticky bit the directory's right is enough, and the rule is not broken by it. */
	if (!atomic_load(&shared->is_sticky) && (strstr(from, "/secret-") || strstr(to, "/secret-")))
		return;
	CALL(rename, renameat2(AT_FDCWD, from, AT_FDCWD, to, flag), "%s %s %u", from, to, flag);
}

static void list(const char *path)
{
	DIR *directory = opendir(path);
	unsigned entries = 0;

	if (!directory)
		return;
	while (CALL(readdir, (long)readdir(directory), "%s", path) && entries < 400)
		entries++;
	closedir(directory);
}

static void make_some(const char *path, const char *other)
{
	switch (below(5)) {
	case 0: CALL(make, mkdir(path, 0777), "directory %s", path); return;
	case 1: CALL(make, mknod(path, S_IFREG | 0666, 0), "node %s", path); return;
	case 2: CALL(make, link(other, path), "link %s %s", other, path); return;
	case 3: CALL(make, symlink(other, path), "symlink %s %s", other, path); return;
	default: CALL(make, rmdir(path), "rmdir %s", path);
	}
}

void step_path(void)
{
	char path[512], other[512], value[512];
	enum grammar grammar;
	struct stat status;
	struct statfs space;
	struct timespec times[2] = { { (time_t)boundary(), 0 }, { (time_t)below(1u << 31), 5 } };

	random_path(path, sizeof(path), &grammar);
	switch (below(14)) {
	case 0: case 1: case 2:
		CALL(stat, one_in(2) ? stat(path, &status) : lstat(path, &status), "%s", path);
		return;
	case 3:
		CALL(statfs, statfs(path, &space), "%s", path);
		return;
	case 4: case 5:
		rename_some();
		return;
	case 6: case 7:
		buffer_path(path, sizeof(path), true);
		CALL(unlink, unlink(path), "%s", path);
		return;
	case 8:
		CALL(truncate, truncate(path, one_in(3) ? (off_t)boundary() : 4096 * below(60)), "%s", path);
		return;
	case 9:
		CALL(chmod, chmod(path, (mode_t)(next_random() & 07777) | (one_in(2) ? 0666 : 0)), "%s", path);
		return;
	case 10:
		CALL(chown, lchown(path, one_in(2) ? users[below(2)] : (uid_t)boundary(), (gid_t)-1), "%s",
		     path);
		return;
	case 11:
		CALL(utimens, utimensat(AT_FDCWD, path, times, 0), "%s", path);
		return;
	case 12:
		random_path(other, sizeof(other), &grammar);
		make_some(path, other);
		return;
	default:
		if (one_in(2))
			list(path);
		else if (one_in(2))
			CALL(xattr, setxattr(path, "user.a", value, below(200), 0), "%s set", path);
		else
			CALL(xattr, getxattr(path, "user.a", value, sizeof(value)), "%s get", path);
	}
}
