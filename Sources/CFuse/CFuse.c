// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE 1
#include "CFuse.h"
#include "../../kmod/sizes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <sys/vfs.h>

#define HAVE_PASSTHROUGH (FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17))
#define HAVE_IO_URING (FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18))
#define HAVE_EPOCH (FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18))

/* <linux/fuse.h> of 6.9; the distribution's may be older. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
_Static_assert(sizeof(struct backing_map) == 16, "struct fuse_backing_map is 16 bytes");
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

struct fuse_session *cfuse_session_new(const char *options, bool io_uring,
					const struct fuse_lowlevel_ops *ops, void *userdata)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;

	if (fuse_opt_add_arg(&args, "devfs") || fuse_opt_add_arg(&args, "-o") ||
	    fuse_opt_add_arg(&args, options))
		goto out;
	if (io_uring && (fuse_opt_add_arg(&args, "-o") || fuse_opt_add_arg(&args, "io_uring")))
		goto out;
	se = fuse_session_new(&args, ops, sizeof(*ops), userdata);
out:
	fuse_opt_free_args(&args);
	return se;
}

#ifdef M_ARENA_MAX
/* Threads come and go: what each left free in an arena of its own would be nobody's. */
__attribute__((constructor)) static void share_arena(void)
{
	mallopt(M_ARENA_MAX, 1);
	/* A list of 100,000 buffers is 10 MB, and would raise the limit for good when it is freed. */
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
}
#endif

void cfuse_give_back_memory(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

int cfuse_session_loop(struct fuse_session *se, unsigned int max_threads)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int result;

	if (!config)
		return -ENOMEM;
#ifdef M_MXFAST
	/*
	 * libfuse allocates its request anew each time, a little more than glibc keeps ready by
	 * default: 110 to 180 of some 1,500 instructions of a read or write.
	 */
	mallopt(M_MXFAST, 160);
#endif
	fuse_loop_cfg_set_max_threads(config, max_threads);
	fuse_loop_cfg_set_idle_threads(config, max_threads);
	result = fuse_session_loop_mt(se, config);
	fuse_loop_cfg_destroy(config);
	return result;
}

bool cfuse_has_passthrough(void)
{
	return HAVE_PASSTHROUGH;
}

bool cfuse_has_io_uring(void)
{
	return HAVE_IO_URING;
}

const char *cfuse_header_version(void)
{
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
	return TEXT(FUSE_MAJOR_VERSION) "." TEXT(FUSE_MINOR_VERSION);
}

bool cfuse_session_forget_names(struct fuse_session *se)
{
#if HAVE_EPOCH
	return !fuse_lowlevel_notify_increment_epoch(se);
#else
	(void)se;
	return false;
#endif
}

void *cfuse_payload(fuse_req_t req, size_t *size)
{
#if HAVE_IO_URING
	char *payload = NULL;

	if (fuse_req_is_uring(req) && !fuse_req_get_payload(req, &payload, size, NULL))
		return payload;
#else
	(void)req;
	(void)size;
#endif
	return NULL;
}

static bool want(struct fuse_conn_info *conn, uint64_t flag)
{
#if HAVE_PASSTHROUGH
	return fuse_set_feature_flag(conn, flag);
#else
	if (!(conn->capable & flag))
		return false;
	conn->want |= flag;
	return true;
#endif
}

static void leave(struct fuse_conn_info *conn, uint64_t flag)
{
#if HAVE_PASSTHROUGH
	fuse_unset_feature_flag(conn, flag);
#else
	conn->want &= ~flag;
#endif
}

void cfuse_negotiate(struct fuse_conn_info *conn, bool want_passthrough, bool want_io_uring,
		     struct cfuse_features *got)
{
	memset(got, 0, sizeof(*got));
	/*
	 * Everybody's asynchronous reads and writes, and closes, share this many places in the kernel.
	 * Twelve, the default, are filled by one user whose requests wait for himself. His share of what
	 * waits here is limited by `quota_requests`, and beyond it he is answered at once.
	 */
	conn->max_background = 16384;
	got->protocol_minor = conn->proto_minor;
	got->forgets_names = HAVE_EPOCH && conn->proto_minor >= 44;
	/* A splice of memory is slower than a reply from memory. */
	leave(conn, FUSE_CAP_SPLICE_READ);
	leave(conn, FUSE_CAP_SPLICE_WRITE);
	leave(conn, FUSE_CAP_SPLICE_MOVE);
	leave(conn, FUSE_CAP_READDIRPLUS);
	leave(conn, FUSE_CAP_AUTO_INVAL_DATA);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC);
	want(conn, FUSE_CAP_PARALLEL_DIROPS);
	/* Inodes say what they are: one that the kernel forgot is found by its number. */
	want(conn, FUSE_CAP_EXPORT_SUPPORT);
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
	/* Without it the kernel asks for security.capability before each write. */
	want(conn, FUSE_CAP_HANDLE_KILLPRIV_V2);
#endif
#if HAVE_PASSTHROUGH
	if (want_passthrough && want(conn, FUSE_CAP_PASSTHROUGH)) {
		conn->max_backing_stack_depth = 1;
		got->passthrough = true;
	}
	got->parallel_direct_writes = conn->proto_minor >= 38;
#else
	(void)want_passthrough;
#endif
#if HAVE_IO_URING
	/* Without the option the flag says that the kernel would have it. */
	got->io_uring = want_io_uring && fuse_get_feature_flag(conn, FUSE_CAP_OVER_IO_URING);
#else
	(void)want_io_uring;
#endif
}

void cfuse_set_open(struct fuse_file_info *fi, bool direct_io, bool nonseekable,
		    bool noflush, bool parallel_writes, int32_t backing_id)
{
	fi->direct_io = direct_io;
	fi->nonseekable = nonseekable;
	fi->noflush = noflush;
#if HAVE_PASSTHROUGH
	fi->parallel_direct_writes = parallel_writes;
	fi->backing_id = backing_id;
#else
	(void)parallel_writes;
	(void)backing_id;
#endif
}

int32_t cfuse_backing_open(int fuse_fd, int fd)
{
	struct backing_map map = { .fd = fd };
	int id = ioctl(fuse_fd, BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

int cfuse_backing_close(int fuse_fd, int32_t id)
{
	uint32_t backing = (uint32_t)id;

	return ioctl(fuse_fd, BACKING_CLOSE, &backing);
}

void cfuse_utc(time_t seconds, char *text, size_t size)
{
	struct tm fields;

	if (!gmtime_r(&seconds, &fields) || !strftime(text, size, "%Y-%m-%dT%H:%M:%S", &fields))
		text[0] = 0;
}

int cfuse_openat(int dir, const char *path, int flags, mode_t mode)
{
	return openat(dir, path, flags | O_CLOEXEC, mode);
}

void *cfuse_map_shared(int fd, size_t size)
{
	void *base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	return base == MAP_FAILED ? NULL : base;
}

void cfuse_wait_readable(int fd, int64_t ns)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN };
	struct timespec rest = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	ppoll(&entry, 1, ns < 0 ? NULL : &rest, NULL);
}

int cfuse_epoll_add(int epoll, int fd, uint64_t number)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = number };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int cfuse_epoll_add_writer(int epoll, int fd, uint64_t number)
{
	struct epoll_event event = { .events = EPOLLOUT | EPOLLET, .data.u64 = number };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int cfuse_pipe(int *reader, int *writer, int size)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	if (fcntl(ends[1], F_SETFL, O_NONBLOCK)) {
		close(ends[0]);
		close(ends[1]);
		return -1;
	}
	/* Less does as well. */
	(void)fcntl(ends[1], F_SETPIPE_SZ, size);
	*reader = ends[0];
	*writer = ends[1];
	return 0;
}

bool cfuse_is_read(int writer)
{
	struct pollfd end = { .fd = writer };

	return poll(&end, 1, 0) == 0;
}

int cfuse_epoll_wait(int epoll, uint64_t *number)
{
	struct epoll_event event;
	int count = epoll_wait(epoll, &event, 1, -1);

	if (count == 1)
		*number = event.data.u64;
	return count;
}

int cfuse_inotify(void)
{
	return inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
}

int cfuse_watch_end(int fd, const char *path)
{
	return inotify_add_watch(fd, path, IN_DELETE_SELF);
}

int cfuse_take_ends(int fd, int *numbers, size_t room)
{
	struct inotify_event events[64];
	ssize_t size = 0;
	size_t count = 0;
	bool is_whole = true;

	while (count + sizeof(events) / sizeof(*events) <= room &&
	       (size = read(fd, events, sizeof(events))) > 0) {
		/* None of them has a name: what is watched are no directories. */
		for (size_t i = 0; i < size / sizeof(*events); i++) {
			if (events[i].mask & IN_DELETE_SELF)
				numbers[count++] = events[i].wd;
			if (events[i].mask & IN_Q_OVERFLOW)
				is_whole = false;
		}
	}
	return is_whole ? (int)count : -1;
}

int cfuse_fcntl(int fd, int command, int argument)
{
	return fcntl(fd, command, argument);
}

/* Where the lock that tells its holder is, behind the one that counts. */
#define HOLDER ((off_t)1 << 62)

/* A POSIX lock is a process's, and tells which. It is no more than a hint: any close() drops it. */
static int lock_as_holder(int fd, short type)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = HOLDER, .l_len = 1,
	};

	return fcntl(fd, F_SETLK, &lock);
}

int cfuse_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = HOLDER };

	if (fcntl(fd, F_OFD_SETLK, &lock))
		return -1;
	(void)lock_as_holder(fd, F_WRLCK);
	return 0;
}

int cfuse_lock_ends(int fd)
{
	return lock_as_holder(fd, F_RDLCK);
}

pid_t cfuse_lock_holder(int fd, bool *ends)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = HOLDER, .l_len = 1,
	};

	*ends = false;
	if (fcntl(fd, F_GETLK, &lock) || lock.l_type == F_UNLCK || lock.l_pid <= 0)
		return 0;
	*ends = lock.l_type == F_RDLCK;
	return lock.l_pid;
}

int cfuse_is_locked(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_GETLK, &lock))
		return -1;
	return lock.l_type != F_UNLCK;
}

int cfuse_try_lease(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK))
		return -1;
	return fcntl(fd, F_SETLEASE, F_UNLCK);
}

static aio_context_t aio;
static int aio_file = -1;

static void start_aio(void)
{
	aio_file = memfd_create("devfs-eventfd", MFD_CLOEXEC);
	if (syscall(SYS_io_setup, 256, &aio))
		aio = 0;
}

uint64_t cfuse_eventfd_signal(int eventfd, uint64_t count)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct io_event done[64];
	struct iocb *list[64];
	struct iocb read = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_flags = IOCB_FLAG_RESFD, .aio_resfd = (uint32_t)eventfd,
	};
	uint64_t added = 0;
	long batch, result;

	pthread_once(&once, start_aio);
	if (!aio || aio_file < 0)
		return 0;
	read.aio_fildes = (uint32_t)aio_file;
	while (added < count) {
		batch = count - added < 64 ? (long)(count - added) : 64;
		for (long i = 0; i < batch; i++)
			list[i] = &read;
		result = syscall(SYS_io_submit, aio, batch, list);
		/* Whoever makes room in the ring makes it for all. */
		syscall(SYS_io_getevents, aio, 0L, 64L, done, NULL);
		if (result > 0)
			added += (uint64_t)result;
		else if (errno != EAGAIN)
			break;
	}
	return added;
}

int cfuse_renameat2(int from, const char *old, int to, const char *name, unsigned int flags)
{
	return (int)syscall(SYS_renameat2, from, old, to, name, flags);
}

int cfuse_allocate(int fd, off_t offset, off_t length)
{
	return fallocate(fd, 0, offset, length);
}

pid_t cfuse_thread(void)
{
	return (pid_t)syscall(SYS_gettid);
}

void cfuse_name_thread(pthread_t thread, const char *name)
{
	pthread_setname_np(thread, name);
}

const int cfuse_o_path = O_PATH;
const int cfuse_o_tmpfile = O_TMPFILE;

bool cfuse_is_tmpfs(const char *path)
{
	struct statfs status;

	return !statfs(path, &status) && status.f_type == 0x01021994;
}

bool cfuse_is_shared_memory(int fd)
{
	/*
	 * Only these have seals, be it the one against seals. fstat(2) would ask a file system that
	 * its owner serves.
	 */
	return fcntl(fd, F_GET_SEALS) >= 0;
}

off_t cfuse_seek_data(int fd, off_t offset)
{
	return lseek(fd, offset, SEEK_DATA);
}

off_t cfuse_seek_hole(int fd, off_t offset)
{
	return lseek(fd, offset, SEEK_HOLE);
}

int cfuse_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int cfuse_pidfd_sigqueue(int pidfd, int signal, int32_t value)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = signal;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = value;
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, &info, 0);
}

int cfuse_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int cfuse_deny(const char *path, const uid_t *users, size_t count)
{
	/* <linux/posix_acl_xattr.h> */
	struct entry {
		uint16_t tag, permissions;
		uint32_t id;
	} *entry;
	enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, MASK = 0x10, OTHER = 0x20 };
	const uint32_t none = UINT32_MAX;
	size_t size = sizeof(uint32_t) + (count + 4) * sizeof(*entry);
	uint32_t *acl = malloc(size);
	int result;

	if (!acl)
		return -1;
	*acl = 2;
	entry = (struct entry *)(acl + 1);
	*entry++ = (struct entry){ USER_OBJ, 6, none };
	for (size_t i = 0; i < count; i++)
		*entry++ = (struct entry){ USER, 0, users[i] };
	*entry++ = (struct entry){ GROUP_OBJ, 6, none };
	*entry++ = (struct entry){ MASK, 6, none };
	*entry++ = (struct entry){ OTHER, 6, none };
	result = setxattr(path, "system.posix_acl_access", acl, size, 0);
	free(acl);
	return result;
}

int cfuse_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int cfuse_bind(int socket, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	return bind(socket, (struct sockaddr *)&address, sizeof(address));
}

ssize_t cfuse_send_fd(int socket, const void *bytes, size_t size, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec data = { .iov_base = (void *)bytes, .iov_len = size };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &fd, sizeof(int));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t cfuse_receive_fd(int socket, void *bytes, size_t size, int *fd, bool wanted)
{
	/* Room for one, without what CMSG_SPACE adds: the kernel closes what is more. */
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec data = { .iov_base = bytes, .iov_len = size };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = wanted ? CMSG_LEN(sizeof(int)) : 0,
	};
	ssize_t count = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (count < 0)
		return count;
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head;
	     head = CMSG_NXTHDR(&message, head)) {
		if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
		    head->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(fd, CMSG_DATA(head), sizeof(int));
	}
	return count;
}

int cfuse_peer(int socket, pid_t *pid, uid_t *uid, gid_t *gid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return -1;
	*pid = peer.pid;
	*uid = peer.uid;
	*gid = peer.gid;
	return 0;
}

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

int cfuse_peer_groups(int socket, gid_t *groups, int capacity)
{
	socklen_t size = (socklen_t)capacity * sizeof(*groups);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
		return -1;
	return (int)(size / sizeof(*groups));
}

int cfuse_dma_info(int node, struct devfs_dma_info *info)
{
	return ioctl(node, DEVFS_DMA_IOC_GET_INFO, info);
}

int cfuse_dma_heap(int node, struct devfs_dma_heap *heap)
{
	return ioctl(node, DEVFS_DMA_IOC_GET_HEAP, heap);
}

int cfuse_dma_alloc(int node, struct devfs_dma_alloc *alloc)
{
	return ioctl(node, DEVFS_DMA_IOC_ALLOC, alloc);
}

int cfuse_dma_open(int node, struct devfs_dma_open *open)
{
	return ioctl(node, DEVFS_DMA_IOC_OPEN, open);
}

int cfuse_dma_list(int node, uint64_t *cursor, struct devfs_dma_buf_info *entries, uint32_t *count)
{
	struct devfs_dma_list list = {
		.cursor = *cursor, .entries = (uintptr_t)entries, .count = *count,
	};
	int result = ioctl(node, DEVFS_DMA_IOC_LIST, &list);

	*cursor = list.cursor;
	*count = list.count;
	return result;
}

int cfuse_dma_free(int node, uint64_t id)
{
	struct devfs_dma_free request = { .id = id };

	return ioctl(node, DEVFS_DMA_IOC_FREE, &request);
}

int cfuse_dma_buf_info(int fd, struct devfs_dma_buf_info *info)
{
	return ioctl(fd, DEVFS_DMA_IOC_BUF_INFO, info);
}

int cfuse_dma_buf_sync(int fd, const struct devfs_dma_buf_sync *sync)
{
	return ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, sync);
}

int cfuse_dma_buf_sg(int fd, uint64_t first, struct devfs_dma_sg *entries, uint32_t *count,
		     uint32_t *total)
{
	struct devfs_dma_buf_get_sg request = {
		.first = first, .entries = (uintptr_t)entries, .count = *count,
	};
	int result = ioctl(fd, DEVFS_DMA_IOC_BUF_GET_SG, &request);

	*count = request.count;
	*total = request.total;
	return result;
}

int cfuse_dma_rename(int node, const struct devfs_dma_rename *request)
{
	return ioctl(node, DEVFS_DMA_IOC_RENAME, request);
}

int cfuse_dma_set_lease(int fd, uint32_t lease, uint32_t owner)
{
	struct devfs_dma_buf_lease request = { .lease = lease, .owner = owner };

	return ioctl(fd, DEVFS_DMA_IOC_BUF_SET_LEASE, &request);
}

int cfuse_dma_reset(int node)
{
	return ioctl(node, DEVFS_DMA_IOC_RESET);
}

int cfuse_dma_signal(int node, struct devfs_dma_signal *signal)
{
	return ioctl(node, DEVFS_DMA_IOC_SIGNAL_CTL, signal);
}

int cfuse_dma_history(int node, uint32_t source, uint64_t *first, uint64_t *times, uint32_t *count)
{
	struct devfs_dma_history request = {
		.source = source, .count = *count, .first = *first, .times = (uintptr_t)times,
	};
	int result = ioctl(node, DEVFS_DMA_IOC_SIGNAL_HISTORY, &request);

	*first = request.first;
	*count = request.count;
	return result;
}

int cfuse_dma_region(int node, struct devfs_dma_region *region)
{
	return ioctl(node, DEVFS_DMA_IOC_GET_REGION, region);
}

int cfuse_dma_open_region(int node, struct devfs_dma_open_region *open)
{
	return ioctl(node, DEVFS_DMA_IOC_OPEN_REGION, open);
}

int cfuse_dma_import(int node, struct devfs_dma_import *import)
{
	return ioctl(node, DEVFS_DMA_IOC_IMPORT, import);
}

int cfuse_dma_pin(int node, struct devfs_dma_alloc *alloc, int memory, uint64_t offset)
{
	uint64_t skip = offset % (uint64_t)sysconf(_SC_PAGESIZE);
	size_t length = alloc->size + skip;
	struct devfs_dma_pin request = { .alloc = *alloc };
	int result, error;
	void *base = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, memory,
			  (off_t)(offset - skip));

	if (base == MAP_FAILED)
		return -1;
	request.address = (uintptr_t)base + skip;
	result = ioctl(node, DEVFS_DMA_IOC_PIN, &request);
	error = errno;
	*alloc = request.alloc;
	/* The module has the pages; who sent them has them mapped. */
	munmap(base, length);
	errno = error;
	return result;
}

void cfuse_close_from(int first)
{
	/* It came with Linux 5.9. */
	if (syscall(SYS_close_range, first, ~0U, 0))
		for (int fd = first; fd < 1024; fd++)
			close(fd);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CFUSE_TSAN
#endif
#endif

#ifdef CFUSE_TSAN
void __tsan_release(void *address);
void __tsan_acquire(void *address);
#endif

void cfuse_tsan_release(uint64_t address)
{
#ifdef CFUSE_TSAN
	__tsan_release((void *)(uintptr_t)address);
#else
	(void)address;
#endif
}

void cfuse_tsan_acquire(uint64_t address)
{
#ifdef CFUSE_TSAN
	__tsan_acquire((void *)(uintptr_t)address);
#else
	(void)address;
#endif
}
