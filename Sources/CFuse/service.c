// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "CFuse.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int cfuse_datagram_connect(const char *address)
{
	struct sockaddr_un peer = { .sun_family = AF_UNIX };
	size_t length = strlen(address);
	int fd, error;

	if (length < 2 || length >= sizeof(peer.sun_path)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(peer.sun_path, address, length);
	/* The name of an abstract socket begins with a NUL. unix(7) */
	if (peer.sun_path[0] == '@')
		peer.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&peer,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length))) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

ssize_t cfuse_datagram_send(int fd, const void *bytes, size_t size, bool waits)
{
	return send(fd, bytes, size, MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT));
}

bool cfuse_peer_is(int fd, const char *path)
{
	struct sockaddr_un peer;
	socklen_t size = sizeof(peer);

	memset(&peer, 0, sizeof(peer));
	if (getpeername(fd, (struct sockaddr *)&peer, &size) || peer.sun_family != AF_UNIX)
		return false;
	return !strncmp(peer.sun_path, path, sizeof(peer.sun_path));
}
