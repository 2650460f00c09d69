// SPDX-License-Identifier: Apache-2.0
/*
 * Walks a tree as a program without large-file support does, whose numbers of inodes have 32 bits:
 * readdir(3) and stat(2) of all there is. Says how many files there are.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#if defined(_FILE_OFFSET_BITS) && _FILE_OFFSET_BITS == 64
#error "built with large-file support"
#endif

static int files;

static int walk(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char below[4096];
	struct stat status;

	if (!directory) {
		perror(path);
		return 1;
	}
	errno = 0;
	while ((entry = readdir(directory))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (stat(below, &status)) {
			perror(below);
			return 1;
		}
		if (status.st_ino != entry->d_ino) {
			fprintf(stderr, "%s: two numbers\n", below);
			return 1;
		}
		files++;
		if (S_ISDIR(status.st_mode) && walk(below))
			return 1;
		errno = 0;
	}
	if (errno) {
		perror(path);
		return 1;
	}
	return closedir(directory);
}

int main(int argc, char **argv)
{
	if (argc != 2 || sizeof(((struct stat *)0)->st_ino) != 4)
		return 2;
	if (walk(argv[1]))
		return 1;
	printf("%d\n", files);
	return 0;
}
