// SPDX-License-Identifier: GPL-2.0
/* mapcheck FILE: one memory by mmap, pread and pwrite; 0 if so. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char back[6] = "";
	struct stat status;
	char *map;
	int fd;

	if (argc != 2 || (fd = open(argv[1], O_RDWR)) < 0 || fstat(fd, &status)) {
		perror("mapcheck: open");
		return 2;
	}
	map = mmap(NULL, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		perror("mapcheck: mmap");
		return 2;
	}
	memcpy(map + 100, "hello", 5);
	if (pread(fd, back, 5, 100) != 5 || strcmp(back, "hello")) {
		fprintf(stderr, "mapcheck: a store is not read: %s\n", back);
		return 1;
	}
	if (pwrite(fd, "DMA!!", 5, 4096) != 5 || memcmp(map + 4096, "DMA!!", 5)) {
		fprintf(stderr, "mapcheck: a write is not seen\n");
		return 1;
	}
	return 0;
}
