// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: sharecheck MOUNT
 *
 * Makes buffers of memory that this process has, by the socket of a mount of the module: a part of
 * a memfd, and a dma-buf. What is stored here is read by the tree, and the other way round.
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

static const char *mount_point;

static int file(const char *name, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", mount_point, name);
	fd = open(path, flags);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static int connected(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int from = file("control/socket", O_RDONLY);
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

/* The buffer `name` of the tree is the `size` bytes at `memory`. */
static void compare(const char *name, unsigned char *memory, size_t size)
{
	unsigned char bytes[65536];
	int fd = file(name, O_RDWR);

	for (size_t i = 0; i < size; i++)
		memory[i] = (unsigned char)(i * 7);
	if (pread(fd, bytes, sizeof(bytes), 0) != (ssize_t)size || memcmp(bytes, memory, size))
		errx(1, "%s does not show the memory", name);
	if (pwrite(fd, "written by the tree", 19, 40) != 19)
		err(1, "%s", name);
	if (memcmp(memory + 40, "written by the tree", 19))
		errx(1, "the memory does not show %s", name);
	close(fd);
}

static void pins(int peer)
{
	int memory = memfd_create("shared", 0);
	unsigned char *base;

	if (memory < 0 || ftruncate(memory, 65536))
		err(1, "memfd");
	base = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (base == MAP_FAILED)
		err(1, "mmap");
	ask(peer, "pin odd 4097 20001\n", memory, "ok");
	compare("buffers/odd", base + 4097, 20001);
	ask(peer, "pin whole 0 64K\n", memory, "ok");
	compare("buffers/whole", base, 65536);
	ask(peer, "pin far 0 65537\n", memory, "error EINVAL");
	ask(peer, "pin zero 0 4096\n", open("/dev/zero", O_RDWR), "error EINVAL");
	ask(peer, "import no\n", memory, "error EINVAL");
}

static void imports(int peer)
{
	struct devfs_dma_buf_export out = { .fd_flags = O_RDWR | O_CLOEXEC };
	int buffer = ask(peer, "buffer origin\n", -1, "ok");
	unsigned char *base;

	if (buffer < 0 || ioctl(buffer, DEVFS_DMA_IOC_BUF_EXPORT, &out))
		err(1, "BUF_EXPORT");
	base = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, out.fd, 0);
	if (base == MAP_FAILED)
		err(1, "mmap of the dma-buf");
	ask(peer, "import foreign direction=bidirectional\n", out.fd, "ok");
	compare("buffers/foreign", base, 65536);
}

int main(int argc, char **argv)
{
	int peer;

	if (argc != 2)
		return 2;
	mount_point = argv[1];
	peer = connected();
	pins(peer);
	imports(peer);
	return 0;
}
