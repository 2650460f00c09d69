// SPDX-License-Identifier: Apache-2.0
/* What the server is made of, as the kernel counts it, and how its tree is emptied. */
#include "fuzz.h"

#include <dirent.h>

bool server_runs(pid_t server)
{
	char path[64], state = 'X';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", server);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%*d %*[^)]) %c", &state) != 1)
		state = 'X';
	fclose(file);
	return state != 'Z' && state != 'X';
}

static long entries(const char *path)
{
	DIR *directory = opendir(path);
	long count = 0;

	if (!directory)
		return -1;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 2;
}

struct footprint footprint(pid_t server)
{
	struct footprint result = { 0 };
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fd", server);
	result.descriptors = entries(path);
	snprintf(path, sizeof(path), "/proc/%d/status", server);
	file = fopen(path, "re");
	if (!file)
		return result;
	while (fgets(line, sizeof(line), file)) {
		sscanf(line, "Threads: %ld", &result.threads);
		/* Not the buffers that the server has mapped: those are the device's. */
		sscanf(line, "RssAnon: %ld", &result.rss);
	}
	fclose(file);
	return result;
}

static void write_line(const char *file, const char *format, const char *name)
{
	char path[512], line[320];
	int fd, length;

	snprintf(path, sizeof(path), "%s/%s", mount_point, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	length = snprintf(line, sizeof(line), format, name);
	if (write(fd, line, (size_t)length) < 0 && errno != ENOENT)
		fail("root was refused", "%s %s: %s", file, line, strerror(errno));
	close(fd);
}

static void empty(const char *folder, const char *file, const char *format)
{
	char path[512];
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/%s", mount_point, folder);
	directory = opendir(path);
	if (!directory)
		return;
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			write_line(file, format, entry->d_name);
	closedir(directory);
}

/* By root. Streams first, as they hold signals and buffers. */
void remove_everything(void)
{
	empty("streams", "control/stream", "%s remove\n");
	empty("signals", "control/signal", "%s remove\n");
	empty("buffers", "control/free", "%s\n");
}

/* Where each of its threads waits, for the report of one that hangs. */
void print_server(FILE *file, pid_t server)
{
	char path[320], text[64];
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/task", server);
	directory = opendir(path);
	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		FILE *wchan;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/wchan", server, entry->d_name);
		wchan = fopen(path, "re");
		if (!wchan)
			continue;
		if (!fgets(text, sizeof(text), wchan))
			*text = 0;
		fclose(wchan);
		fprintf(file, "server thread %s waits in %s\n", entry->d_name, text);
	}
	closedir(directory);
}
