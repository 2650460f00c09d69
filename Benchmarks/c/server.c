// SPDX-License-Identifier: Apache-2.0
/*
 * The peer of DevFS's server path: the least C that serves files of memory by libfuse, with the flags
 * that DevFS gives its own (direct_io, parallel direct writes, no caches, no flush). Each FILE is
 * mapped once and shown by its name. The size is asked for at each request, as others have the file
 * and cut it; with -k it is kept from the start, and a cut file is EIO.
 *
 *   server [-k] [-p] [-x] [-r] MOUNTPOINT FILE...
 *     -k  keep the size
 *     -p  FUSE passthrough, one registration a file
 *     -x  a getxattr handler that says ENODATA, instead of none
 *     -r  FUSE over io_uring
 */
#define _GNU_SOURCE 1
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HAVE_PASSTHROUGH (FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17))

struct file {
	const char *name;
	int fd;
	char *base;
	size_t size;
	int backing;
};

static struct file *files;
static int count;
static bool keeps_size, passthrough, uring;

static struct file *file_of(fuse_ino_t ino)
{
	return ino >= 2 && ino < 2 + (fuse_ino_t)count ? &files[ino - 2] : NULL;
}

static bool attributes(fuse_ino_t ino, struct stat *status)
{
	struct file *file = file_of(ino);

	memset(status, 0, sizeof(*status));
	if (ino == FUSE_ROOT_ID) {
		status->st_mode = S_IFDIR | 0755;
		status->st_nlink = 2;
	} else if (!file || fstat(file->fd, status)) {
		return false;
	}
	status->st_ino = ino;
	return true;
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
#if HAVE_PASSTHROUGH
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_READ);
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_WRITE);
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_MOVE);
	fuse_unset_feature_flag(conn, FUSE_CAP_READDIRPLUS);
	fuse_unset_feature_flag(conn, FUSE_CAP_AUTO_INVAL_DATA);
	/* Only the kernel's own question for security.capability is to be measured with -x. */
	fuse_unset_feature_flag(conn, FUSE_CAP_HANDLE_KILLPRIV_V2);
	if (passthrough && fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH))
		conn->max_backing_stack_depth = 1;
	else
		passthrough = false;
#else
	conn->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
			FUSE_CAP_READDIRPLUS | FUSE_CAP_AUTO_INVAL_DATA);
#endif
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { 0 };

	for (int i = 0; parent == FUSE_ROOT_ID && i < count; i++) {
		if (strcmp(files[i].name, name))
			continue;
		entry.ino = (fuse_ino_t)i + 2;
		attributes(entry.ino, &entry.attr);
		fuse_reply_entry(req, &entry);
		return;
	}
	fuse_reply_err(req, ENOENT);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat status;

	(void)fi;
	if (attributes(ino, &status))
		fuse_reply_attr(req, &status, 0);
	else
		fuse_reply_err(req, ENOENT);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct file *file = file_of(ino);

	if (!file) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	fi->noflush = 1;
	fi->direct_io = !passthrough;
#if HAVE_PASSTHROUGH
	fi->parallel_direct_writes = 1;
	if (passthrough) {
		if (!file->backing)
			file->backing = fuse_passthrough_open(req, file->fd);
		fi->backing_id = file->backing;
	}
#endif
	fuse_reply_open(req, fi);
}

static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

/* Bytes of the file now, no more than are mapped. */
static size_t size_of(const struct file *file)
{
	struct stat status;

	if (keeps_size || fstat(file->fd, &status))
		return file->size;
	return (size_t)status.st_size < file->size ? (size_t)status.st_size : file->size;
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	struct file *file = file_of(ino);
	size_t start = (size_t)offset, end = size_of(file);

	(void)fi;
	if (start > end)
		start = end;
	if (size > end - start)
		size = end - start;
	fuse_reply_buf(req, file->base + start, size);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	struct file *file = file_of(ino);
	ssize_t done;

	(void)fi;
	/* Writing does not grow it: that would have to be counted against a limit. */
	if (!keeps_size && (size_t)offset + size > size_of(file)) {
		fuse_reply_err(req, ENOSPC);
		return;
	}
	done = pwrite(file->fd, bytes, size, offset);
	if (done < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, (size_t)done);
}

static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	(void)ino;
	(void)name;
	(void)size;
	fuse_reply_err(req, ENODATA);
}

static bool open_file(struct file *file, const char *path)
{
	struct stat status;
	const char *slash = strrchr(path, '/');

	file->name = slash ? slash + 1 : path;
	file->fd = open(path, O_RDWR | O_CLOEXEC);
	if (file->fd < 0 || fstat(file->fd, &status))
		return false;
	file->size = (size_t)status.st_size;
	file->base = mmap(NULL, file->size, PROT_READ, MAP_SHARED, file->fd, 0);
	return file->base != MAP_FAILED;
}

int main(int argc, char **argv)
{
	struct fuse_lowlevel_ops ops = {
		.init = on_init, .lookup = on_lookup, .getattr = on_getattr, .open = on_open,
		.release = on_release, .read = on_read, .write = on_write,
	};
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_loop_config *config;
	struct fuse_session *session;
	int option, result;

	while ((option = getopt(argc, argv, "kpxr")) != -1) {
		if (option == 'k')
			keeps_size = true;
		else if (option == 'p')
			passthrough = true;
		else if (option == 'x')
			ops.getxattr = on_getxattr;
		else if (option == 'r')
			uring = true;
		else
			return 2;
	}
	count = argc - optind - 1;
	if (count < 1)
		return 2;
	files = calloc((size_t)count, sizeof(*files));
	for (int i = 0; i < count; i++) {
		if (!open_file(&files[i], argv[optind + 1 + i])) {
			perror(argv[optind + 1 + i]);
			return 1;
		}
	}
	fuse_opt_add_arg(&args, "server");
	fuse_opt_add_arg(&args, "-ofsname=bench,subtype=bench,default_permissions");
	if (uring)
		fuse_opt_add_arg(&args, "-oio_uring");
	session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!session || fuse_set_signal_handlers(session) ||
	    fuse_session_mount(session, argv[optind]))
		return 1;
	config = fuse_loop_cfg_create();
	fuse_loop_cfg_set_max_threads(config, 10);
	fuse_loop_cfg_set_idle_threads(config, 10);
	result = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return result < 0;
}
