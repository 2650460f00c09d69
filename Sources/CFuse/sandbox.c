// SPDX-License-Identifier: Apache-2.0
/*
 * What the server gives up once it serves: capabilities, and by a seccomp filter the system calls
 * that it never makes. docs/security-sandbox.md says what is left, and for what.
 */
#define _GNU_SOURCE 1
#include "CFuse.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Younger than the headers of the oldest distribution. */
#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif
#define SYS_NO_LISTMOUNT 458
#define SYS_NO_STATMOUNT 457
#define SYS_NO_FCHMODAT2 452
#define SYS_NO_QUOTACTL_FD 443
#define SYS_NO_MOUNT_SETATTR 442
#define SYS_NO_OPEN_TREE 428
#define SYS_NO_CLONE3 435
/* Calls from here on were not there when this was written (Linux 6.18). */
#define SYS_NO_UNKNOWN 470

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000u
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

int cfuse_keep_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	/* The bounding set first: dropping from it takes CAP_SETPCAP. */
	for (int number = 0; number < 64; number++) {
		if (kept >> number & 1 || prctl(PR_CAPBSET_READ, number, 0, 0, 0) != 1)
			continue;
		/* Whoever has no CAP_SETPCAP has given away what he could drop by it. */
		if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) && errno != EPERM)
			return -1;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL)
		return -1;
	if (syscall(SYS_capget, &header, data))
		return -1;
	for (int half = 0; half < 2; half++) {
		data[half].permitted &= (uint32_t)(kept >> 32 * half);
		data[half].effective = data[half].permitted;
		data[half].inheritable = 0;
	}
	return (int)syscall(SYS_capset, &header, data);
}

int cfuse_no_new_privileges(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

pid_t cfuse_unmounter_start(const char *mountpoint, int *ask)
{
	int ends[2], null;
	char byte;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid) {
		close(ends[0]);
		if (pid < 0)
			close(ends[1]);
		*ask = ends[1];
		return pid;
	}
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_NAME, "devfs-unmount", 0, 0, 0);
	(void)!chdir("/");
	dup2(ends[0], STDIN_FILENO);
	/*
	 * Nothing of the server's is kept open, least of all the connection, nor what was the
	 * output of `devfs mount`: who reads that waits for its end.
	 */
	cfuse_close_from(3);
	null = open("/dev/null", O_WRONLY);
	if (null >= 0) {
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	if (read(STDIN_FILENO, &byte, 1) == 1)
		execlp("fusermount3", "fusermount3", "-u", "-q", "-z", "--", mountpoint, NULL);
	/* The server was killed: its mount stays, as a root mount does. */
	_exit(0);
}

static void say_nothing(enum fuse_log_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
}

void cfuse_unmounter_finish(struct fuse_session *se, pid_t unmounter, int ask)
{
	struct pollfd connection = { .fd = fuse_session_fd(se) };
	/* Unmounted already: what is mounted there now is not ours. */
	bool gone = poll(&connection, 1, 0) == 1 && connection.revents & POLLERR;

	/* libfuse closes the connection, and says that it can't start fusermount3. */
	fuse_set_log_func(say_nothing);
	fuse_session_unmount(se);
	fuse_set_log_func(NULL);
	if (!gone)
		(void)!write(ask, "u", 1);
	close(ask);
	while (waitpid(unmounter, NULL, 0) < 0 && errno == EINTR)
		;
}

#ifdef ARCHITECTURE

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* The low half of an argument: both architectures are little endian. */
#define LOAD_ARGUMENT(n) LOAD(args[n])
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define ALLOW RETURN(SECCOMP_RET_ALLOW)
#define DENY RETURN(SECCOMP_RET_ERRNO | EPERM)
/* Skips `count` instructions where the loaded value is another one. */
#define UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define IF(value) UNLESS(value, 1), ALLOW

/*
 * Calls whose arguments need no look, the frequent ones first. A kernel before 5.11 goes through
 * the list at each call; later ones remember what is allowed whatever its arguments.
 */
static const int allowed[] = {
	SYS_read, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_fstat, SYS_close, SYS_openat,
	SYS_futex, SYS_epoll_pwait, SYS_splice, SYS_write, SYS_readv, SYS_newfstatat, SYS_fcntl,
	SYS_ppoll, SYS_sendmsg, SYS_recvmsg, SYS_timerfd_settime, SYS_io_submit, SYS_io_getevents,
	SYS_lseek, SYS_fallocate, SYS_ftruncate, SYS_fsync, SYS_getdents64, SYS_readlinkat,
	SYS_pidfd_send_signal, SYS_accept4, SYS_epoll_ctl,

	/* Files. */
	SYS_openat2, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_faccessat, SYS_faccessat2, SYS_truncate,
	SYS_unlinkat, SYS_mkdirat, SYS_linkat, SYS_symlinkat, SYS_renameat2,
	SYS_fchmod, SYS_fchmodat, SYS_NO_FCHMODAT2, SYS_fchown, SYS_fchownat, SYS_utimensat,
	SYS_fdatasync, SYS_sync_file_range, SYS_copy_file_range, SYS_sendfile, SYS_fadvise64,
	SYS_flock, SYS_dup, SYS_dup3, SYS_close_range, SYS_pipe2, SYS_preadv, SYS_pwritev, SYS_preadv2,
	SYS_pwritev2, SYS_vmsplice, SYS_tee, SYS_memfd_create, SYS_umask, SYS_chdir, SYS_fchdir,
	SYS_getcwd, SYS_name_to_handle_at,
	SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr,
	SYS_listxattr, SYS_llistxattr, SYS_flistxattr, SYS_removexattr, SYS_lremovexattr,
	SYS_fremovexattr, SYS_NO_QUOTACTL_FD,
	/* Copies of a mount that are nowhere; the mount of its own, at the end. */
	SYS_NO_OPEN_TREE, SYS_NO_MOUNT_SETATTR, SYS_umount2, SYS_NO_STATMOUNT, SYS_NO_LISTMOUNT,

	/* Events and the socket; socket(2) itself has a look at the family. */
	SYS_inotify_add_watch, SYS_eventfd2, SYS_timerfd_create, SYS_timerfd_gettime,
	SYS_epoll_create1, SYS_epoll_pwait2, SYS_signalfd4, SYS_pselect6, SYS_io_setup, SYS_io_destroy, SYS_pidfd_open,
	SYS_bind, SYS_listen, SYS_sendto, SYS_recvfrom, SYS_shutdown, SYS_getsockname,
	SYS_getpeername, SYS_getsockopt, SYS_setsockopt,

	/* Threads and memory; mmap(2), mprotect(2) and clone(2) have a look at the flags. */
	SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_msync, SYS_mincore, SYS_membarrier,
	SYS_set_robust_list, SYS_rseq, SYS_sched_yield, SYS_sched_getaffinity, SYS_exit,
	SYS_exit_group, SYS_restart_syscall, SYS_rt_sigreturn, SYS_rt_sigaction,
	SYS_rt_sigprocmask, SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_rt_sigsuspend,
	SYS_sigaltstack, SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres,
	SYS_gettimeofday, SYS_getrandom, SYS_getcpu, SYS_wait4, SYS_waitid,

	/* Who and where it is. */
	SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid,
	SYS_getgroups, SYS_getresuid, SYS_getresgid, SYS_getpgid, SYS_getsid, SYS_capget, SYS_uname,
	SYS_sysinfo, SYS_getrusage, SYS_times,

#ifdef __x86_64__
	/* Older ways to say the same, which the C library may choose. */
	SYS_epoll_wait, SYS_epoll_create, SYS_poll, SYS_select, SYS_open, SYS_stat, SYS_lstat,
	SYS_access, SYS_readlink, SYS_unlink, SYS_rmdir, SYS_mkdir, SYS_link, SYS_symlink,
	SYS_rename, SYS_renameat, SYS_chmod, SYS_chown, SYS_lchown, SYS_dup2, SYS_pipe, SYS_eventfd,
	SYS_getpgrp, SYS_time,
#elif defined(SYS_renameat)
	SYS_renameat,
#endif
};

static const int rings[] = { SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register };

#define CALLS(list) (sizeof(list) / sizeof((list)[0]))
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		    CLONE_NEWPID | CLONE_NEWNET)

static const struct sock_filter head[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
#ifdef X32_BIT
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),
	DENY,
#endif
};

/* A thread of this process, and no process: fork(2) and vfork(2) are clone(2) without the flag. */
#define THREADS \
	UNLESS(SYS_clone, 5), LOAD_ARGUMENT(0), \
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 2, 0), \
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1), \
	ALLOW, DENY

/* No new code. `call` has its protection third. */
#define NO_CODE(call) \
	UNLESS(call, 4), LOAD_ARGUMENT(2), \
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0), ALLOW, DENY

#define UNIX_ALONE(call) UNLESS(call, 4), LOAD_ARGUMENT(0), UNLESS(AF_UNIX, 1), ALLOW, DENY

/*
 * Clone, backing open and backing close of FUSE, the sync of dma-buf, TCGETS, FIONREAD, FIONBIO,
 * FIOCLEX; all of our module by their type.
 */
#define IOCTLS \
	UNLESS(SYS_ioctl, 21), LOAD_ARGUMENT(1), \
	IF(0x8004e500u), IF(0x4010e501u), IF(0x4004e502u), IF(CFUSE_DMA_BUF_SYNC), \
	IF(0x5401u), IF(0x541bu), IF(0x5421u), IF(0x5451u), \
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff00), IF(DEVFS_DMA_IOC_MAGIC << 8), DENY
#define CFUSE_DMA_BUF_SYNC 0x40086200u

/* All of vfio and iommufd by their type, with the number loaded again for what comes next. */
#define VFIO_IOCTLS \
	UNLESS(SYS_ioctl, 5), LOAD_ARGUMENT(1), \
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff00), IF(CFUSE_VFIO_TYPE << 8), LOAD(nr)
#define CFUSE_VFIO_TYPE 0x3bu

/* A thread's name, and what the C library calls its memory. */
#define PRCTLS \
	UNLESS(SYS_prctl, 8), LOAD_ARGUMENT(0), IF(PR_SET_NAME), IF(PR_GET_NAME), IF(0x53564d41u), \
	DENY

/* Each returns once its call is found, so that the number stays loaded for the next. */
static const struct sock_filter vfio_looks[] = { VFIO_IOCTLS };
static const struct sock_filter frequent_looks[] = { IOCTLS, NO_CODE(SYS_mmap) };
static const struct sock_filter looks[] = {
	NO_CODE(SYS_mprotect), THREADS, UNIX_ALONE(SYS_socket), UNIX_ALONE(SYS_socketpair), PRCTLS,
};

/* A jump spans 255 instructions at the most: each call has its own `ALLOW`. */
struct program {
	struct sock_filter code[BPF_MAXINSNS];
	unsigned short length;
};

static void add(struct program *program, const struct sock_filter *code, size_t count)
{
	for (size_t i = 0; i < count; i++)
		program->code[program->length++] = code[i];
}

static void allow(struct program *program, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct sock_filter pair[] = { IF((uint32_t)calls[i]) };

		add(program, pair, 2);
	}
}

/* Signals by number go to this process alone, and the limits are its own. */
static void allow_own(struct program *program, uint32_t pid)
{
	const struct sock_filter code[] = {
		UNLESS(SYS_tgkill, 4), LOAD_ARGUMENT(0), UNLESS(pid, 1), ALLOW, DENY,
		UNLESS(SYS_kill, 4), LOAD_ARGUMENT(0), UNLESS(pid, 1), ALLOW, DENY,
		UNLESS(SYS_prlimit64, 6), LOAD_ARGUMENT(0), UNLESS(0, 1), ALLOW, UNLESS(pid, 1), ALLOW,
		DENY,
	};

	add(program, code, CALLS(code));
}

static int install(const struct program *program, unsigned long flags)
{
	const struct sock_fprog rule = {
		.len = program->length, .filter = (struct sock_filter *)program->code,
	};
	long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &rule);

	if (result > 0) {
		/* A thread that has a filter of its own. */
		errno = EBUSY;
		return -1;
	}
	return (int)result;
}

int cfuse_filter_calls(bool io_uring, bool vfio)
{
	/*
	 * clone3(2) has its flags where a filter can't look: the C library takes clone(2) instead.
	 * Apart from the rest, as this is no denial to be logged.
	 */
	const struct sock_filter no_clone3[] = {
		UNLESS(SYS_NO_CLONE3, 1), RETURN(SECCOMP_RET_ERRNO | ENOSYS), ALLOW,
	};
	const struct sock_filter end[] = {
		IF(SYS_NO_CLONE3),
		/* A call that is younger than the filter is not there: who tries it has another way. */
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_NO_UNKNOWN, 0, 1),
		RETURN(SECCOMP_RET_ERRNO | ENOSYS), DENY,
	};
	/*
	 * All threads. The server runs nobody's code, so that it needs no guard against
	 * speculation, which older kernels put on with a filter and which is slow.
	 */
	const unsigned long flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	struct program *program = calloc(1, sizeof(*program));
	int result, error;

	if (!program)
		return -1;
	/* Ending a thread loads it, which takes a mapping of code. */
	dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_NODELETE);
	add(program, head, CALLS(head));
	add(program, no_clone3, CALLS(no_clone3));
	result = install(program, flags);
	if (!result) {
		program->length = 0;
		add(program, head, CALLS(head));
		if (vfio)
			add(program, vfio_looks, CALLS(vfio_looks));
		add(program, frequent_looks, CALLS(frequent_looks));
		allow(program, allowed, CALLS(allowed));
		add(program, looks, CALLS(looks));
		allow_own(program, (uint32_t)getpid());
		if (io_uring)
			allow(program, rings, CALLS(rings));
		add(program, end, CALLS(end));
		result = install(program, flags | SECCOMP_FILTER_FLAG_LOG);
	}
	error = errno;
	free(program);
	errno = error;
	return result;
}

bool cfuse_can_filter_calls(void)
{
	return true;
}

#else

int cfuse_filter_calls(bool io_uring, bool vfio)
{
	(void)io_uring;
	(void)vfio;
	errno = ENOSYS;
	return -1;
}

bool cfuse_can_filter_calls(void)
{
	return false;
}

#endif
