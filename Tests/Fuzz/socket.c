// SPDX-License-Identifier: Apache-2.0
/* The UNIX socket that hands out descriptors, and takes them. */
#include "fuzz.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { CONNECTIONS = 4, MANY = 8 };

static int connections[CONNECTIONS] = { -1, -1, -1, -1 };
static char text[TEXT_LIMIT];

static int connect_one(void)
{
	static struct sockaddr_un address;
	char path[512];
	int fd;

	if (!address.sun_family) {
		snprintf(path, sizeof(path), "%s/control/socket", mount_point);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -1;
		ssize_t length = read(fd, address.sun_path, sizeof(address.sun_path) - 1);

		close(fd);
		if (length <= 0)
			return -1;
		address.sun_path[strcspn(address.sun_path, "\n")] = 0;
		address.sun_family = AF_UNIX;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (CALL(connect, connect(fd, (struct sockaddr *)&address, sizeof(address)), "socket") < 0) {
		/* A full queue is EAGAIN; without a listener there is no server. */
		if (errno == ECONNREFUSED || errno == ENOENT)
			fail("the socket is gone", "connect: %s", strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static int something_to_give(void)
{
	int pair[2];

	switch (below(7)) {
	case 0:
		return memfd_create("fuzz", MFD_CLOEXEC);
	case 1: {
		int fd = memfd_create("fuzz", MFD_CLOEXEC);

		return ftruncate(fd, 65536) ? -1 : fd;
	}
	case 2:
		return eventfd(0, EFD_CLOEXEC);
	case 3:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 4:
		return open("/", O_PATH | O_CLOEXEC);
	case 5:
		if (pipe2(pair, O_CLOEXEC))
			return -1;
		close(pair[1]);
		return pair[0];
	default: {
		/* With unread data its last close can wait. */
		struct linger linger = { 1, is_left_out("linger") ? 0 : 1 };

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			return -1;
		setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(pair[1]);
		return pair[0];
	}
	}
}

static void send_with(int fd, const char *bytes, size_t length, unsigned count)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(MANY * sizeof(int))]; } control;
	struct iovec part = { (void *)bytes, length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int given[MANY];
	unsigned filled = 0;

	while (filled < count) {
		given[filled] = something_to_give();
		if (given[filled] < 0)
			break;
		filled++;
	}
	if (filled) {
		message.msg_control = control.room;
		message.msg_controllen = CMSG_SPACE(filled * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(filled * sizeof(int));
		memcpy(CMSG_DATA(&control.header), given, filled * sizeof(int));
	}
	CALL(send, sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT), "%u descriptors %s", filled,
	     printable(bytes, length));
	while (filled--)
		close(given[filled]);
}

/* Keeps what comes. `is_sealed`: it was asked for with `ro`, of what is another's. False: closed. */
static bool receive(int fd, int access, bool is_sealed)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(MANY * sizeof(int))]; } control;
	char bytes[512];
	struct iovec part = { bytes, one_in(8) ? 1 : sizeof(bytes) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room,
		.msg_controllen = one_in(20) ? 0 : sizeof(control.room),
	};
	long count = CALL(receive, recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), "%d", fd);

	if (count < 0)
		return errno == EAGAIN || errno == EINTR;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
	     header = CMSG_NXTHDR(&message, header)) {
		size_t number = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int given[MANY];

		if (header->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(given, CMSG_DATA(header), number * sizeof(int));
		for (size_t i = 0; i < number; i++) {
			ssize_t length = CALL(read, pread(given[i], bytes, sizeof(bytes), 0), "given");

			if (length > 0)
				examine(given[i], bytes, (size_t)length, "the socket");
			if (is_sealed && access != O_RDONLY)
				fail("the socket gave more than the mode", "0644, uid %u, rw", me->uid);
			keep_descriptor(given[i], access, is_sealed);
		}
	}
	return count > 0;
}

static void disconnect(unsigned index)
{
	if (connections[index] < 0)
		return;
	CALL(close, close(connections[index]), "socket");
	connections[index] = -1;
}

/* What the other user shows everybody: it may be read alone, whatever way it is asked for. */
static void ask_for_public(int fd)
{
	char line[80];
	bool writes = one_in(2);
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	sprintf(line, "buffer public-%u %s\n", users[!role], writes ? "rw" : "ro");
	send_with(fd, line, strlen(line), 0);
	CALL(poll, poll(&poller, 1, 20), "socket");
	receive(fd, writes ? O_RDWR : O_RDONLY, true);
}

void step_socket(void)
{
	unsigned index = below(CONNECTIONS);
	size_t length;

	if (connections[index] < 0) {
		connections[index] = connect_one();
		if (connections[index] < 0)
			return;
		/* Nothing else is in the way of the answer. */
		if (one_in(3)) {
			ask_for_public(connections[index]);
			return;
		}
	}
	switch (below(10)) {
	case 0: case 1: case 2:
		length = make_text(G_socket, text);
		if (one_in(2))
			text[length++] = '\n';
		send_with(connections[index], text, length, 0);
		return;
	case 3:
		length = make_text(G_memory, text);
		text[length++] = '\n';
		send_with(connections[index], text, length, 1 + below(3));
		return;
	case 4:
		/* A part, with and without descriptors. */
		length = make_text(G_socket, text);
		send_with(connections[index], text, length ? below((unsigned)length) : 0,
			  one_in(3) ? below(MANY) : 0);
		return;
	case 5:
		if (!one_in(4))
			return;
		disconnect(index);
		return;
	default:
		if (!receive(connections[index], O_RDWR, false))
			disconnect(index);
	}
}
