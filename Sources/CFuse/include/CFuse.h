// SPDX-License-Identifier: Apache-2.0
/*
 * libfuse and the few kernel interfaces that Swift cannot say: inline functions,
 * bit fields, variadic calls and constants younger than the distribution's headers.
 */
#ifndef CFUSE_H
#define CFUSE_H

#define FUSE_USE_VERSION 314

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fuse3/fuse_lowlevel.h>

/* The module's ABI: the one definition. */
#include "../../../kmod/uapi/devfs_dma.h"
#include "../../../kmod/version.h"

/* What the linked libfuse and the kernel agreed on, read in the init callback. */
struct cfuse_features {
	bool passthrough;
	bool io_uring;
	bool parallel_direct_writes;
	/* Names can be taken back without a lock: cfuse_session_forget_names */
	bool forgets_names;
	uint32_t protocol_minor;
};

/* A session over `ops`; NULL where an option is unknown (libfuse says which on stderr). */
struct fuse_session *_Nullable cfuse_session_new(const char *_Nonnull options, bool io_uring,
						  const struct fuse_lowlevel_ops *_Nonnull ops,
						  void *_Nullable userdata);
/* Serves with libfuse's threads until the session ends; 0, a signal number, or -errno. */
int cfuse_session_loop(struct fuse_session *_Nonnull se, unsigned int max_threads);

/* Asks for what DevFS uses and leaves out what would put a cache between client and memory. */
void cfuse_negotiate(struct fuse_conn_info *_Nonnull conn, bool want_passthrough,
		     bool want_io_uring, struct cfuse_features *_Nonnull got);
/*
 * The kernel looks every name up anew (FUSE_NOTIFY_INC_EPOCH, Linux 6.16). It waits for nobody, as
 * taking back one name would, which locks its directory. False where that can't be had.
 */
bool cfuse_session_forget_names(struct fuse_session *_Nonnull se);
/* True where the linked libfuse can ask for passthrough at all. */
bool cfuse_has_passthrough(void);
bool cfuse_has_io_uring(void);
const char *_Nonnull cfuse_header_version(void);
/* Where the reply to a request that came over io_uring is written; NULL for any other. */
void *_Nullable cfuse_payload(fuse_req_t _Nonnull req, size_t *_Nonnull size);

/* Open flags of a reply; `backing_id` 0 is no passthrough. */
void cfuse_set_open(struct fuse_file_info *_Nonnull fi, bool direct_io, bool nonseekable,
		    bool noflush, bool parallel_writes, int32_t backing_id);

/*
 * Registers the regular file `fd` as a backing file of the connection (FUSE_DEV_IOC_BACKING_OPEN,
 * kernel 6.9); the id, or -errno.
 */
int32_t cfuse_backing_open(int fuse_fd, int fd);
int cfuse_backing_close(int fuse_fd, int32_t id);

/* A moment in UTC as `2026-11-24T01:48:56`. */
void cfuse_utc(time_t seconds, char *_Nonnull text, size_t size);

/* Variadic or missing in older C libraries. Each returns -1 and sets errno as the call does. */
int cfuse_openat(int dir, const char *_Nonnull path, int flags, mode_t mode);
/* mmap(2) from the start, MAP_SHARED and PROT_READ; NULL with errno where it fails. */
void *_Nullable cfuse_map_shared(int fd, size_t size);
/* Waits until `fd` is readable or `ns` have passed; -1 is for ever. ppoll(2) */
void cfuse_wait_readable(int fd, int64_t ns);
/* epoll with the number of each descriptor; wait returns one at a time. */
int cfuse_epoll_add(int epoll, int fd, uint64_t number);
/* The same, told when there is room to write after there was none, or nobody reads any more. */
int cfuse_epoll_add_writer(int epoll, int fd, uint64_t number);
int cfuse_epoll_wait(int epoll, uint64_t *_Nonnull number);

/* A pipe of so many bytes, if they can be had: the reader's end blocks, the writer's does not. */
int cfuse_pipe(int *_Nonnull reader, int *_Nonnull writer, int size);
/* Somebody has the reader's end of a pipe. */
bool cfuse_is_read(int writer);
/* To the kernel, what is free. malloc_trim(3) */
void cfuse_give_back_memory(void);
/* inotify(7): the ends of unlinked files, by the number that cfuse_watch_end gave each. */
int cfuse_inotify(void);
int cfuse_watch_end(int fd, const char *_Nonnull path);
/* How many of those that have ended were taken; -1 where the kernel has lost some. */
int cfuse_take_ends(int fd, int *_Nonnull numbers, size_t room);
int cfuse_fcntl(int fd, int command, int argument);
/* An exclusive lock of the open file description (F_OFD_SETLK); EAGAIN where another has it. */
int cfuse_lock(int fd);
/* Says that who has the lock will end soon. */
int cfuse_lock_ends(int fd);
/* The process that has the lock, and whether it said so; 0 where it can't be told. F_GETLK */
pid_t cfuse_lock_holder(int fd, bool *_Nonnull ends);
/* 1 where another open file description has the lock, 0 where not, -1. Takes nothing. */
int cfuse_is_locked(int fd);
/* Takes a write lease and gives it back; EAGAIN where the inode is open elsewhere. fcntl(2) */
int cfuse_try_lease(int fd);
/*
 * Adds to an eventfd that others have as well, and never waits: write(2) would, where one of them
 * made it blocking and filled it. Signalled as the completion of an empty asynchronous read.
 * How many were added: fewer where the kernel has no asynchronous I/O to give.
 */
uint64_t cfuse_eventfd_signal(int eventfd, uint64_t count);
int cfuse_renameat2(int from, const char *_Nonnull old, int to, const char *_Nonnull name,
		    unsigned int flags);
/*
 * The directory by a read-only mount of its own, which is nowhere and lives as long as something is
 * open by it; EPERM without CAP_SYS_ADMIN, ENOSYS before 5.12. open_tree(2), mount_setattr(2)
 */
int cfuse_clone_read_only(int directory);
/* fallocate(2), mode 0. */
int cfuse_allocate(int fd, off_t offset, off_t length);
/* The thread's number in /proc/self/task. gettid(2) */
pid_t cfuse_thread(void);
void cfuse_name_thread(pthread_t thread, const char *_Nonnull name);
/* O_PATH and O_TMPFILE, which need _GNU_SOURCE. */
extern const int cfuse_o_path;
extern const int cfuse_o_tmpfile;
/*
 * Mounts by descriptor (mount.c): a file system context, its parameters (a flag where `value` is
 * NULL), a mount of it that is nowhere yet, and its place, an O_PATH descriptor. -1 with errno;
 * read(2) of the context says more. fsopen(2), fsconfig(2), fsmount(2), move_mount(2)
 */
int cfuse_fsopen(const char *_Nonnull type);
int cfuse_fsconfig(int context, const char *_Nonnull key, const char *_Nullable value);
int cfuse_fsmount(int context, unsigned int attributes);
int cfuse_move_mount(int mount, int directory);
/* MOUNT_ATTR_* of <linux/mount.h>. */
static const unsigned int CFUSE_MOUNT_RDONLY = 0x1, CFUSE_MOUNT_NOSUID = 0x2, CFUSE_MOUNT_NODEV = 0x4,
			  CFUSE_MOUNT_NOEXEC = 0x8, CFUSE_MOUNT_NOATIME = 0x10;
/* 1 where the descriptor is the root of a mount, 0 where not, -1. statx(2) */
int cfuse_is_mount_root(int fd);
/* The same of being on a tmpfs. fstatfs(2) */
int cfuse_is_on_tmpfs(int fd);
/* An exclusive lock of one byte (F_OFD_SETLK); EAGAIN where another has it. */
int cfuse_lock_byte(int fd, off_t offset);
/* Inode numbers of tmpfs are never used again, those of a disk are. statfs(2) */
bool cfuse_is_tmpfs(const char *_Nonnull path);
/* A regular file on a tmpfs (a memfd, too) or hugetlbfs, whose pages need nobody to come. Does not wait. */
bool cfuse_is_shared_memory(int fd);
/* lseek(2) with SEEK_DATA and SEEK_HOLE. */
off_t cfuse_seek_data(int fd, off_t offset);
off_t cfuse_seek_hole(int fd, off_t offset);
int cfuse_pidfd_open(pid_t pid);
/* Closes all descriptors from the first on: for a child that is to keep nothing open. */
void cfuse_close_from(int first);
/* Queues `signal` with `value` (si_code SI_QUEUE) to the process of `pidfd`. */
int cfuse_pidfd_sigqueue(int pidfd, int signal, int32_t value);
/* Binds a UNIX socket to a path; ENAMETOOLONG beyond 107 bytes. */
int cfuse_bind(int socket, const char *_Nonnull path);
/*
 * Lets everybody connect to a UNIX socket's path but these users: a POSIX ACL, which needs one more
 * entry for each. -1 where the file system has none. acl(5)
 */
int cfuse_deny(const char *_Nonnull path, const uid_t *_Nonnull users, size_t count);
/* A UNIX stream socket, and its next connection; neither waits. */
int cfuse_unix_socket(void);
int cfuse_accept(int listener);
/* Sends `size` bytes and, where `fd` >= 0, that descriptor (SCM_RIGHTS). */
ssize_t cfuse_send_fd(int socket, const void *_Nonnull bytes, size_t size, int fd);
/*
 * Receives at most `size` bytes without waiting, and the first descriptor that came with them:
 * -1 where none did, or none is wanted.
 */
ssize_t cfuse_receive_fd(int socket, void *_Nonnull bytes, size_t size, int *_Nonnull fd, bool wanted);
/* The peer of a UNIX socket: SO_PEERCRED. */
int cfuse_peer(int socket, pid_t *_Nonnull pid, uid_t *_Nonnull uid, gid_t *_Nonnull gid);
/* Its supplementary groups (SO_PEERGROUPS): how many, or -1. */
int cfuse_peer_groups(int socket, gid_t *_Nonnull groups, int capacity);

/* ioctls of the module, on its node or on a buffer's file; -1 with errno. */
int cfuse_dma_info(int node, struct devfs_dma_info *_Nonnull info);
int cfuse_dma_heap(int node, struct devfs_dma_heap *_Nonnull heap);
int cfuse_dma_alloc(int node, struct devfs_dma_alloc *_Nonnull alloc);
int cfuse_dma_open(int node, struct devfs_dma_open *_Nonnull open);
int cfuse_dma_list(int node, uint64_t *_Nonnull cursor, struct devfs_dma_buf_info *_Nonnull entries,
		   uint32_t *_Nonnull count);
int cfuse_dma_free(int node, uint64_t id);
int cfuse_dma_rename(int node, const struct devfs_dma_rename *_Nonnull request);
int cfuse_dma_buf_info(int fd, struct devfs_dma_buf_info *_Nonnull info);
int cfuse_dma_buf_sync(int fd, const struct devfs_dma_buf_sync *_Nonnull sync);
int cfuse_dma_buf_sg(int fd, uint64_t first, struct devfs_dma_sg *_Nonnull entries,
		     uint32_t *_Nonnull count, uint32_t *_Nonnull total);
int cfuse_dma_set_lease(int fd, uint32_t lease, uint32_t owner);
int cfuse_dma_signal(int node, struct devfs_dma_signal *_Nonnull signal);
/* Times of events from `first` on: `first` becomes that of the first given, `count` how many. */
int cfuse_dma_history(int node, uint32_t source, uint64_t *_Nonnull first,
		      uint64_t *_Nonnull times, uint32_t *_Nonnull count);
int cfuse_dma_reset(int node);
int cfuse_dma_region(int node, struct devfs_dma_region *_Nonnull region);
int cfuse_dma_open_region(int node, struct devfs_dma_open_region *_Nonnull open);
int cfuse_dma_import(int node, struct devfs_dma_import *_Nonnull import);
/* PIN of `length` bytes from `offset` of a shared memory file, which is mapped for the call. */
int cfuse_dma_pin(int node, struct devfs_dma_alloc *_Nonnull alloc, int memory, uint64_t offset);

/*
 * A device of vfio-pci (vfio.c); -1 with errno. An IOMMU is a container with a group in it, or a space
 * of iommufd's.
 */
struct cfuse_range {
	uint64_t first, last;
};
struct cfuse_vfio_region {
	uint64_t size;
	/* Of the device's descriptor. */
	uint64_t offset;
	bool is_writable;
	/* All of it, by mmap(2) of the device's descriptor. */
	bool can_map;
};
/* VFIO_PCI_..._INDEX of <linux/vfio.h>: a region, and the kinds of interrupts. */
enum {
	CFUSE_VFIO_CONFIG = 7,
};
enum {
	CFUSE_VFIO_INTX = 0, CFUSE_VFIO_MSI = 1, CFUSE_VFIO_MSIX = 2, CFUSE_VFIO_ERROR = 3,
	CFUSE_VFIO_REQUEST = 4,
};
/* The kernel has a type 1 IOMMU for this container. */
bool cfuse_vfio_is_usable(int container);
/* 1 where each device of the group is vfio's or nobody's, 0 where not. */
int cfuse_vfio_is_viable(int group);
int cfuse_vfio_attach(int group, int container);
/* A device of the group by its PCI address: its descriptor. Opening it resets it. */
int cfuse_vfio_device(int group, const char *_Nonnull name);
/*
 * Which addresses the devices of a container can have, at most `count` ranges, and how many mappings are
 * left; 0 of both where the kernel does not tell.
 */
int cfuse_vfio_ranges(int container, struct cfuse_range *_Nonnull ranges, uint32_t *_Nonnull count,
		      uint32_t *_Nonnull entries);
/* A part of a file, whole pages, which is pinned, at an address; ENOENT for what was not mapped so. */
int cfuse_vfio_map(int container, int file, uint64_t offset, uint64_t length, uint64_t address);
int cfuse_vfio_unmap(int container, uint64_t address, uint64_t length);
/* RLIMIT_MEMLOCK, which counts pinned pages of a process without CAP_IPC_LOCK; UINT64_MAX for none. */
uint64_t cfuse_pin_limit(void);
/* The same by iommufd (6.6): `space` is made for the device. */
int cfuse_iommufd_attach(int device, int iommufd, uint32_t *_Nonnull space);
int cfuse_iommufd_ranges(int iommufd, uint32_t space, struct cfuse_range *_Nonnull ranges,
			 uint32_t *_Nonnull count);
int cfuse_iommufd_map(int iommufd, uint32_t space, int file, uint64_t offset, uint64_t length,
		      uint64_t address);
int cfuse_iommufd_unmap(int iommufd, uint32_t space, uint64_t address, uint64_t length);
int cfuse_vfio_can_reset(int device);
int cfuse_vfio_reset(int device);
int cfuse_vfio_region(int device, uint32_t index, struct cfuse_vfio_region *_Nonnull region);
/* How many a device has of a kind. */
int cfuse_vfio_interrupts(int device, uint32_t kind, uint32_t *_Nonnull count);
/* Each interrupt from `first` on adds to its eventfd; -1 in place of one switches it off. */
int cfuse_vfio_set_eventfds(int device, uint32_t kind, uint32_t first, const int *_Nonnull fds,
			    uint32_t count);
/* Of a line (INTx), which its event masks. */
int cfuse_vfio_mask(int device, uint32_t kind, uint32_t number, bool masked);
/* A region's registers in this process; NULL with errno. */
void *_Nullable cfuse_vfio_map_region(int device, uint64_t offset, size_t size);
/* One access of 64 bits each; EIO where the device is away. */
int cfuse_access_registers(volatile void *_Nonnull base, uint64_t *_Nonnull words, size_t count,
			   bool writes);

/*
 * A UNIX datagram socket that is connected to a path, or to an abstract name behind `@`; -1 where
 * nobody listens. Sending never raises SIGPIPE, and only waits for room where it is asked to.
 */
int cfuse_datagram_connect(const char *_Nonnull address);
ssize_t cfuse_datagram_send(int fd, const void *_Nullable bytes, size_t size, bool waits);
/* The other end of a UNIX socket has this path. getpeername(2) */
bool cfuse_peer_is(int fd, const char *_Nonnull path);

/*
 * Drops all capabilities of this thread, and of those that it starts from now on, but those whose bit
 * is set in `kept`: from each set and the bounding one. capabilities(7)
 */
int cfuse_keep_capabilities(uint64_t kept);
/* prctl(2), PR_SET_NO_NEW_PRIVS */
int cfuse_no_new_privileges(void);
/*
 * Denies every system call that the server does not need, to all threads and with EPERM; takes
 * no_new_privs or CAP_SYS_ADMIN. io_uring, and the ioctls of vfio and iommufd, are left out of it only
 * where they are asked for. seccomp(2)
 */
int cfuse_filter_calls(bool io_uring, bool vfio);
/* There is a list of system calls for this architecture. */
bool cfuse_can_filter_calls(void);
/*
 * Starts a process that waits to run fusermount3, which a process with no_new_privs can't; it ends
 * when `ask` is closed. Its pid, or -1.
 */
pid_t cfuse_unmounter_start(const char *_Nonnull mountpoint, int *_Nonnull ask);
/* Closes the connection, has that process unmount, and waits for its end. */
void cfuse_unmounter_finish(struct fuse_session *_Nonnull se, pid_t unmounter, int ask);

/*
 * Tell ThreadSanitizer that what was done before a release of `address` is before what follows an
 * acquire of it. Nothing in builds without the sanitizer.
 */
void cfuse_tsan_release(uint64_t address);
void cfuse_tsan_acquire(uint64_t address);

/*
 * A connection that outlives its server (keep.c). The first request of the kernel and what was
 * agreed on, as the ledger keeps them.
 */
struct cfuse_init {
	uint64_t request_size;
	char request[248];
	/* struct fuse_conn_info */
	_Alignas(8) char agreed[256];
};
/* From here on the first request and what is agreed on are kept there. */
void cfuse_session_keep(struct cfuse_init *_Nonnull init);
/* What the init callback has settled. */
void cfuse_session_agreed(const struct fuse_conn_info *_Nonnull conn);
/* As cfuse_session_loop, with each request's number known to its thread. */
int cfuse_session_kept_loop(struct fuse_session *_Nonnull se, unsigned int threads);
/* Gives it the first request once more; false where it settles otherwise than the first server. */
bool cfuse_session_adopt(struct fuse_session *_Nonnull se);
/* The kernel can send again what a server has read and not answered (6.9). */
bool cfuse_session_can_resend(const struct cfuse_init *_Nonnull init);
int cfuse_session_resend(int fd);
/* Who polls the open file of that number looks again. */
int cfuse_session_wake_poll(int fd, uint64_t handle);
/* The number of the request that this thread has read last, and whether it was sent before. */
uint64_t cfuse_request(bool *_Nonnull resent);
/* The number of its poll. */
uint64_t cfuse_session_poll_number(void);
/* What this thread does at the moment. */
void *_Nullable cfuse_undertaking(void);
void cfuse_undertake(void *_Nullable what);
/* The opposite of cfuse_lock, for all who have the open file. */
int cfuse_unlock(int fd);
/* An empty file in memory that has no name anywhere. memfd_create(2) */
int cfuse_memory_file(const char *_Nonnull name);
/* mmap(2) from the start, MAP_SHARED, to be read and written; NULL with errno where it fails. */
void *_Nullable cfuse_map_ledger(int fd, size_t size);
/* A timer's first end by CLOCK_MONOTONIC, which may be past, and its period; ns. */
int cfuse_set_timer(int fd, uint64_t first, uint64_t period);

/* Words that outlive the process: what was stored before is there when this is. */
static inline uint64_t cfuse_load(const uint64_t *_Nonnull word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void cfuse_store(uint64_t *_Nonnull word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* What a keeper (keeper.c) is to do. */
struct cfuse_keeper {
	/* Of the server; the one numbered `mode` becomes "0" for the first and "1" for the next ones. */
	char *_Nullable *_Nonnull arguments;
	int mode;
	int ledger;
	/* Ends of the server in a minute after which it gives up; 0 is never. */
	unsigned int crashes;
	/* Where it is asked for another program. */
	const char *_Nonnull socket;
	/* '+' the mount is there, '-' it is not, and why, '!' an error, '?' a notice. */
	void (*_Nonnull told)(char type, const char *_Nonnull text);
};
/* Keeps a mount until it ends; the exit code. To be called by a process with one thread. */
int cfuse_keep(const struct cfuse_keeper *_Nonnull wishes);

/* struct dma_buf_sync and its ioctl, from <linux/dma-buf.h>. */
static const unsigned int CFUSE_DMA_BUF_IOCTL_SYNC = 0x40086200u;

#endif
