// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: sharecheck MOUNT
 *        sharecheck MOUNT OTHER REGION [peer]
 *
 * Makes buffers of memory that this process has, by the socket of a mount of the module: a part of
 * a memfd, and a dma-buf. What is stored here is read by the tree, and the other way round.
 *
 * With OTHER, a mount of another device: maps memory of that device by the socket, and, with "peer",
 * makes it the buffer "near" of the first.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../kmod/uapi/devfs_dma.h"

#define SIZE 65536

static int file(const char *mount_point, const char *name, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", mount_point, name);
	fd = open(path, flags);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static int connected(const char *mount_point)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int from = file(mount_point, "control/socket", O_RDONLY);
	int to = socket(AF_UNIX, SOCK_STREAM, 0);
	ssize_t count = read(from, address.sun_path, sizeof(address.sun_path) - 1);

	if (count <= 0 || to < 0)
		err(1, "control/socket");
	address.sun_path[count - 1] = 0;
	if (connect(to, (struct sockaddr *)&address, sizeof(address)))
		err(1, "%s", address.sun_path);
	close(from);
	return to;
}

/* Sends a line with a descriptor, or none; the descriptor of the answer, -1 for none. */
static int ask(int peer, const char *line, int given, const char *wanted)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, answer[256] = {};
	struct iovec data = { .iov_base = (void *)line, .iov_len = strlen(line) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	struct cmsghdr *head = (struct cmsghdr *)control;
	int fd = -1;

	if (given >= 0) {
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &given, sizeof(int));
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
	}
	if (sendmsg(peer, &message, 0) < 0)
		err(1, "%s", line);
	data = (struct iovec){ .iov_base = answer, .iov_len = sizeof(answer) - 1 };
	message = (struct msghdr){ .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				   .msg_controllen = sizeof(control) };
	if (recvmsg(peer, &message, 0) <= 0)
		err(1, "no answer to %s", line);
	if (strncmp(answer, wanted, strlen(wanted)))
		errx(1, "%s is answered by %s", line, answer);
	head = CMSG_FIRSTHDR(&message);
	if (head)
		memcpy(&fd, CMSG_DATA(head), sizeof(int));
	return fd;
}

/* The file `name` of the tree begins with the `size` bytes at `memory`; of a region, in words. */
static void compare(const char *mount_point, const char *name, unsigned char *memory, size_t size)
{
	unsigned char bytes[SIZE];
	int fd = file(mount_point, name, O_RDWR);

	for (size_t i = 0; i < size; i++)
		memory[i] = (unsigned char)(i * 7);
	if (pread(fd, bytes, sizeof(bytes), 0) != (ssize_t)size || memcmp(bytes, memory, size))
		errx(1, "%s does not show the memory", name);
	if (pwrite(fd, "written by the tree", 20, 40) != 20)
		err(1, "%s", name);
	if (memcmp(memory + 40, "written by the tree", 20))
		errx(1, "the memory does not show %s", name);
	close(fd);
}

static void pins(const char *mount_point, int peer)
{
	int memory = memfd_create("shared", 0);
	unsigned char *base;

	if (memory < 0 || ftruncate(memory, SIZE))
		err(1, "memfd");
	base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (base == MAP_FAILED)
		err(1, "mmap");
	ask(peer, "pin odd 4097 20001\n", memory, "ok");
	compare(mount_point, "buffers/odd", base + 4097, 20001);
	ask(peer, "pin whole 0 64K\n", memory, "ok");
	compare(mount_point, "buffers/whole", base, SIZE);
	ask(peer, "pin far 0 65537\n", memory, "error EINVAL");
	ask(peer, "pin zero 0 4096\n", open("/dev/zero", O_RDWR), "error EINVAL");
	ask(peer, "import no\n", memory, "error EINVAL");
}

static void imports(const char *mount_point, int peer)
{
	struct devfs_dma_buf_export out = { .fd_flags = O_RDWR | O_CLOEXEC };
	int buffer = ask(peer, "buffer origin\n", -1, "ok");
	unsigned char *base;

	if (buffer < 0 || ioctl(buffer, DEVFS_DMA_IOC_BUF_EXPORT, &out))
		err(1, "BUF_EXPORT");
	base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, out.fd, 0);
	if (base == MAP_FAILED)
		err(1, "mmap of the dma-buf");
	ask(peer, "import foreign direction=bidirectional\n", out.fd, "ok");
	compare(mount_point, "buffers/foreign", base, SIZE);
}

/* Memory of the other device: by the socket, by the tree, and as a buffer of the first. */
static void regions(const char *mount_point, const char *other, const char *region, int near)
{
	struct devfs_dma_region_export out = { .size = SIZE, .fd_flags = O_RDWR | O_CLOEXEC };
	char line[128], name[128];
	unsigned char *base;
	int fd;

	snprintf(line, sizeof(line), "region %s\n", region);
	snprintf(name, sizeof(name), "regions/%s", region);
	fd = ask(connected(other), line, -1, "ok");
	base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		err(1, "mmap of the region");
	compare(other, name, base, SIZE);
	if (!near)
		return;
	if (ioctl(fd, DEVFS_DMA_IOC_REGION_EXPORT, &out))
		err(1, "REGION_EXPORT");
	ask(connected(mount_point), "import near\n", out.fd, "ok");
	compare(mount_point, "buffers/near", base, SIZE);
}

int main(int argc, char **argv)
{
	int peer;

	if (argc == 4 || argc == 5) {
		regions(argv[1], argv[2], argv[3], argc == 5);
		return 0;
	}
	if (argc != 2)
		return 2;
	peer = connected(argv[1]);
	pins(argv[1], peer);
	imports(argv[1], peer);
	return 0;
}
