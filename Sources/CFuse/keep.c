// SPDX-License-Identifier: Apache-2.0
/*
 * A connection of FUSE that outlives its server. libfuse has no call to take one over: the first
 * request (FUSE_INIT) is kept and given to each server once more, and requests are read here, so that
 * who serves one knows its number.
 */
#define _GNU_SOURCE 1
#include "CFuse.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* struct fuse_in_header and fuse_out_header of <linux/fuse.h>, which the C library may not have. */
struct in_header {
	uint32_t len, opcode;
	uint64_t unique, nodeid;
	uint32_t rest[4];
};
struct out_header {
	uint32_t len;
	int32_t error;
	uint64_t unique;
};
_Static_assert(sizeof(struct in_header) == 40 && sizeof(struct out_header) == 16,
	       "the headers of FUSE are 40 and 16 bytes");
enum { INIT = 26, POLL = 40, NOTIFY_POLL = 1, NOTIFY_RESEND = 7 };
#define RESENT ((uint64_t)1 << 63)

static struct cfuse_init *kept;
static bool is_adopted;
static bool is_alike = true;
static _Thread_local uint64_t request, poll_number;
static _Thread_local void *undertaking;

void cfuse_session_keep(struct cfuse_init *init)
{
	kept = init;
}

void cfuse_session_agreed(const struct fuse_conn_info *conn)
{
	_Static_assert(sizeof(*conn) <= sizeof(kept->agreed), "the agreement has its room");

	if (!kept)
		return;
	if (is_adopted) {
		is_alike = !memcmp(kept->agreed, conn, sizeof(*conn));
		return;
	}
	memcpy(kept->agreed, conn, sizeof(*conn));
}

bool cfuse_session_adopt(struct fuse_session *se)
{
	struct fuse_buf first = { .size = kept->request_size, .mem = kept->request };

	if (!first.size)
		return false;
	is_adopted = true;
	/* The answer is refused with ENOENT, which libfuse takes: the kernel had it already. */
	fuse_session_process_buf(se, &first);
	return is_alike;
}

static void look(const struct fuse_buf *buf)
{
	const struct in_header *head = buf->mem;

	if (buf->size < sizeof(*head))
		return;
	request = head->unique;
	/* struct fuse_poll_in: the number of the open file, then the poll's. */
	if (head->opcode == POLL && buf->size >= sizeof(*head) + 16)
		memcpy(&poll_number, (const char *)buf->mem + sizeof(*head) + 8, sizeof(poll_number));
}

/* The first request, by one thread: what the others read has the size that it agrees on. */
static int begin(struct fuse_session *se)
{
	struct fuse_buf buf = { .mem = NULL };
	int result;

	do
		result = fuse_session_receive_buf(se, &buf);
	while (result == -EINTR);
	if (result > 0) {
		const struct in_header *head = buf.mem;

		if (head->opcode == INIT && buf.size <= sizeof(kept->request)) {
			memcpy(kept->request, buf.mem, buf.size);
			cfuse_store(&kept->request_size, buf.size);
		}
		look(&buf);
		fuse_session_process_buf(se, &buf);
	}
	free(buf.mem);
	return result < 0 ? result : 0;
}

struct loop {
	struct fuse_session *session;
	size_t room;
	int wake, result;
};

/*
 * Memory whose pages are there. Where a server is killed while the kernel copies a request to a page
 * that has to be made, the client gets EIO (fuse_dev_do_read in fs/fuse/dev.c).
 */
static void *make_room(size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return base == MAP_FAILED ? NULL : base;
}

static void *serve(void *argument)
{
	struct loop *loop = argument;
	struct fuse_buf buf = { .mem = make_room(loop->room) };
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	while (buf.mem && !fuse_session_exited(loop->session)) {
		ssize_t size;

		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
		size = read(fuse_session_fd(loop->session), buf.mem, loop->room);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
		/* ENOENT: its client was killed while it was read. */
		if (size < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (size <= 0) {
			/* Unmounted. */
			if (size < 0 && errno != ENODEV)
				loop->result = -errno;
			break;
		}
		buf.size = (size_t)size;
		look(&buf);
		fuse_session_process_buf(loop->session, &buf);
	}
	eventfd_write(loop->wake, 1);
	return NULL;
}

int cfuse_session_kept_loop(struct fuse_session *se, unsigned int count)
{
	struct loop loop = { .session = se, .wake = eventfd(0, EFD_CLOEXEC) };
	struct pollfd end = { .fd = loop.wake, .events = POLLIN };
	pthread_t threads[64];
	unsigned int started = 0;
	sigset_t all, before;
	int result = is_adopted ? 0 : begin(se);

	if (result || loop.wake < 0)
		return result ? result : -EMFILE;
	/* A write with its headers, for which libfuse takes a page. */
	loop.room = ((const struct fuse_conn_info *)kept->agreed)->max_write + 65536;
	/* Signals are this thread's, and come while it waits. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	while (started < count && started < 64 &&
	       !pthread_create(&threads[started], NULL, serve, &loop))
		started++;
	while (started && !fuse_session_exited(se))
		if (ppoll(&end, 1, NULL, &before) > 0)
			break;
	fuse_session_exit(se);
	for (unsigned int i = 0; i < started; i++)
		pthread_cancel(threads[i]);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(loop.wake);
	return started ? loop.result : -EAGAIN;
}

bool cfuse_session_can_resend(const struct cfuse_init *init)
{
	/* struct fuse_init_in: its `flags2` is the fifth number. FUSE_HAS_RESEND is bit 39. */
	const size_t place = sizeof(struct in_header) + 16;
	uint32_t flags;

	if (init->request_size < place + sizeof(flags))
		return false;
	memcpy(&flags, init->request + place, sizeof(flags));
	return flags & 1 << 7;
}

static int notify(int fd, int32_t code, const void *bytes, size_t size)
{
	struct out_header head = { .len = (uint32_t)(sizeof(head) + size), .error = code };
	const struct iovec parts[] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)bytes, .iov_len = size },
	};

	return writev(fd, parts, size ? 2 : 1) < 0 ? -1 : 0;
}

int cfuse_session_resend(int fd)
{
	return notify(fd, NOTIFY_RESEND, NULL, 0);
}

int cfuse_session_wake_poll(int fd, uint64_t handle)
{
	return notify(fd, NOTIFY_POLL, &handle, sizeof(handle));
}

uint64_t cfuse_request(bool *resent)
{
	*resent = request & RESENT;
	return request & ~RESENT;
}

void *cfuse_undertaking(void)
{
	return undertaking;
}

void cfuse_undertake(void *what)
{
	undertaking = what;
}

uint64_t cfuse_session_poll_number(void)
{
	return poll_number;
}

int cfuse_unlock(int fd)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &lock);
}

int cfuse_memory_file(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC);
}

void *cfuse_map_ledger(int fd, size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return base == MAP_FAILED ? NULL : base;
}

int cfuse_set_timer(int fd, uint64_t first, uint64_t period)
{
	const struct itimerspec setting = {
		.it_value = { .tv_sec = (time_t)(first / 1000000000),
			      .tv_nsec = (long)(first % 1000000000) },
		.it_interval = { .tv_sec = (time_t)(period / 1000000000),
				 .tv_nsec = (long)(period % 1000000000) },
	};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME, &setting, NULL);
}
