// SPDX-License-Identifier: GPL-2.0
#include "tests/removal.h"

static int in_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), done;

	CHECK(fd >= 0);
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return done;
}

void unbind(void)
{
	set_bound("devfs_dma_host", false);
}

void bind_again(void)
{
	set_bound("devfs_dma_host", true);
	CHECK(!access(NODE, R_OK | W_OK));
}

/* Writes a descriptor to a parameter of the test importer. */
int importer(const char *name, int fd)
{
	char path[100], text[16];

	snprintf(path, sizeof(path), "/sys/module/devfs_importer/parameters/%s", name);
	snprintf(text, sizeof(text), "%d", fd);
	if (access(path, W_OK))
		check_skip("the test importer is not loaded");
	return in_file(path, text);
}

/* Users of the module; each buffer that exists is one, listed or not. */
int module_users(void)
{
	FILE *file = fopen("/sys/module/devfs_dma/refcnt", "re");
	int users = -1;

	CHECK(file && fscanf(file, "%d", &users) == 1);
	fclose(file);
	return users;
}

/* The host works: a buffer is made, written, mapped and read. */
void works(void)
{
	int fresh = open(NODE, O_RDWR | O_CLOEXEC);
	struct devfs_dma_alloc arg;
	static char data[8 * PAGE];
	char *map;

	CHECK(fresh >= 0);
	FOR_EACH_HEAP(heap) {
		arg = request("works", 8 * PAGE, heap);
		CHECK(!ioctl(fresh, DEVFS_DMA_IOC_ALLOC, &arg));
		map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, arg.fd, 0);
		CHECK(map != MAP_FAILED && zeroed(map, 8 * PAGE));
		fill(data, sizeof(data), heap);
		CHECK(pwrite(arg.fd, data, sizeof(data), 0) == sizeof(data));
		CHECK(filled(map, 8 * PAGE, heap));
		munmap(map, 8 * PAGE);
		close(arg.fd);
	}
	close(fresh);
}
