// SPDX-License-Identifier: Apache-2.0
/*
 * A hostile crowd on a mount of DevFS: users A and B, several processes each, and root, who watches.
 *
 * Every worker is a process of its own with a random state that follows from the seed. What all of
 * them see is in one shared mapping. An operation is one system call on the mount, on its socket or
 * on a descriptor that these gave out; CALL() notes it before it runs, so that one that never ends
 * can be named.
 */
#pragma once

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum {
	MAX_WORKERS = 16,
	HISTORY = 128,		/* operations that are kept of each worker */
	MAX_FAILURES = 64,	/* kinds of failures that are told apart */
	MAX_VICTIMS = 256,
	MAX_SECRETS = 8,	/* of one user */
	ERRNOS = 134,
	TEXT_LIMIT = (1 << 20) + 4096,
};

/* In the order of the summary. */
#define KINDS(X) \
	X(open) X(close) X(read) X(write) X(command) X(mmap) X(msync) X(munmap) X(seek) X(ioctl) \
	X(poll) X(stat) X(statfs) X(readdir) X(truncate) X(allocate) X(chmod) X(chown) X(utimens) \
	X(rename) X(unlink) X(make) X(copy) X(sendfile) X(splice) X(flock) X(xattr) X(sync) \
	X(fcntl) X(connect) X(send) X(receive)
enum kind {
#define X(name) K_##name,
	KINDS(X)
#undef X
	KIND_COUNT
};

struct worker {
	_Atomic pid_t pid;
	uid_t uid;
	/* CLOCK_MONOTONIC ns of the operation under way; 0: none. */
	_Atomic uint64_t since;
	uint64_t count[KIND_COUNT];
	uint32_t errors[KIND_COUNT][ERRNOS];
	uint64_t longest;
	char longest_text[160];
	unsigned next;
	char history[HISTORY][160];
};

/* A process that only waits for signals: `notify` may be told its pid. */
struct victim {
	_Atomic pid_t pid;
	uid_t uid;
};

/* What a keeper guards at present: buffers of mode 0600 whose every 64 bytes say so. */
struct treasury {
	char name[MAX_SECRETS][32];
	atomic_uint generation[MAX_SECRETS];	/* odd: it is there */
};

struct failure {
	atomic_uint count;
	char kind[64];
	char text[320];
};

struct shared {
	atomic_bool stop;
	atomic_bool is_sticky;
	_Atomic uint64_t checks;	/* of secrets, by the keepers */
	struct worker worker[MAX_WORKERS];
	atomic_uint victims;
	struct victim victim[MAX_VICTIMS];
	struct treasury treasury[2];
	atomic_uint failures;
	struct failure failure[MAX_FAILURES];
	/* The canary's: operations, those refused for want of room, and times in ns. */
	uint64_t looks, refused, worst;
	char worst_text[32];
	uint32_t latency[64 * 16];	/* by floor(16 * log2(ns)) */
};

extern struct shared *shared;
extern struct worker *me;	/* the worker that this process is, or NULL */
extern int role;		/* 0: user A, 1: user B */
extern const uid_t users[2];
extern const char *mount_point;
extern const char *without;	/* names of known faults that are not provoked */
extern int pid_max;

static inline bool is_left_out(const char *fault)
{
	return without && strstr(without, fault);
}

uint64_t now(void);
void fail(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
void begin(const char *format, ...) __attribute__((format(printf, 1, 2)));
long finish(enum kind kind, long result);

#define CALL(kind, expression, ...) ({ \
	begin(#kind " " __VA_ARGS__); \
	finish(K_##kind, (long)(expression)); })

/* random.c */
extern uint64_t random_state;
uint64_t next_random(void);
unsigned below(unsigned limit);
bool one_in(unsigned odds);
uint64_t boundary(void);
#define PICK(array) ((array)[below(sizeof(array) / sizeof((array)[0]))])

/* grammar.c: texts from templates of the corpus */
enum grammar {
	G_alloc, G_free, G_sync, G_signal, G_stream, G_notify, G_trigger, G_enable, G_watermark,
	G_value, G_socket, G_memory, GRAMMAR_COUNT
};
void read_corpus(const char *directory);
size_t make_text(enum grammar grammar, char *room);
void buffer_name(char *room, bool for_removal);
const char *signal_name(void);
const char *stream_name(void);
const char *printable(const void *bytes, size_t length);

/* files.c, paths.c, socket.c, compound.c: one step of a worker each */
int open_at_random(void);
void keep_descriptor(int fd, int access, bool is_foreign_read_only);
void step_file(void);
void step_path(void);
void step_command(void);
void step_socket(void);
void step_compound(void);
void close_all(void);
void examine(int fd, const void *bytes, size_t length, const char *whence);
void random_path(char *path, size_t size, enum grammar *grammar);

/* keeper.c, canary.c: processes of their own */
void run_keeper(void);
void run_canary(void);
void add_latency(uint64_t ns, const char *what);
uint64_t latency_at(double share);

/* server.c */
struct footprint {
	long threads, descriptors, rss;	/* rss in KiB */
};
bool server_runs(pid_t server);
struct footprint footprint(pid_t server);
void remove_everything(void);
void print_server(FILE *file, pid_t server);
