// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz MOUNT SERVER-PID SECONDS SEED CORPUS RECORD [WITHOUT]
 *
 * Two rounds, a short one that brings the server to its usual size, and the one that counts; after
 * each everything is removed, and what the server is made of must be as after the first. Prints a
 * line a property, `ok fuzz: ...` or `not ok fuzz: ...`, and ends with 1 where one failed. RECORD is
 * the file for the last operations of each worker then.
 */
#include "fuzz.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

enum { WORKERS_OF_USER = 3, HANG_S = 30, QUIET_S = 20 };
/* How much the server may differ after the second round. Its allocator keeps what it had at the
 * worst moment, and libfuse its threads. */
enum { THREADS_MORE = 2, DESCRIPTORS_MORE = 2, RSS_MORE_KIB = 48 << 10 };

struct shared *shared;
struct worker *me;
int role;
const uid_t users[2] = { 65534, 65533 };
const char *mount_point, *without;
int pid_max = 1 << 22;

static pid_t server;
static unsigned workers;

uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* The first of each kind is kept with its text, the others are counted. */
void fail(const char *kind, const char *format, ...)
{
	unsigned count = atomic_load(&shared->failures);
	va_list arguments;

	for (unsigned i = 0; i < count && i < MAX_FAILURES; i++) {
		if (!strcmp(shared->failure[i].kind, kind)) {
			atomic_fetch_add(&shared->failure[i].count, 1);
			return;
		}
	}
	unsigned index = atomic_fetch_add(&shared->failures, 1);

	if (index >= MAX_FAILURES)
		return;
	struct failure *failure = &shared->failure[index];

	snprintf(failure->kind, sizeof(failure->kind), "%s", kind);
	va_start(arguments, format);
	vsnprintf(failure->text, sizeof(failure->text), format, arguments);
	va_end(arguments);
	atomic_fetch_add(&failure->count, 1);
}

void begin(const char *format, ...)
{
	char *line = me->history[me->next % HISTORY];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(me->history[0]), format, arguments);
	va_end(arguments);
	atomic_store_explicit(&me->since, now(), memory_order_relaxed);
	errno = 0;
}

long finish(enum kind kind, long result)
{
	int error = result < 0 ? errno : 0;
	uint64_t took = now() - atomic_load_explicit(&me->since, memory_order_relaxed);
	char *line = me->history[me->next % HISTORY];

	atomic_store_explicit(&me->since, 0, memory_order_relaxed);
	if (took > me->longest) {
		me->longest = took;
		memcpy(me->longest_text, line, sizeof(me->longest_text));
	}
	/* What a dead server, or one that answers nonsense, looks like. */
	if (error == ENOTCONN || error == ECONNABORTED || error == EIO || error == EPROTO ||
	    error == EREMOTEIO || error == ENOSYS)
		fail(strerror(error), "%s", line);
	size_t length = strlen(line);

	snprintf(line + length, sizeof(me->history[0]) - length, " = %ld %s", result,
		 error ? strerrorname_np(error) : "");
	me->next++;
	me->count[kind]++;
	me->errors[kind][error >= 0 && error < ERRNOS ? error : 0]++;
	errno = error;
	return result;
}

static void nothing(int signal)
{
	(void)signal;
}

/* Interrupts what waits, whatever it is. */
static void start_timer(void)
{
	struct sigaction action = { .sa_handler = nothing };
	struct itimerval timer = { { 0, 25000 }, { 0, 25000 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void run_worker(void)
{
	start_timer();
	while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
		unsigned choice = below(100);

		if (choice < 70)
			step_file();
		else if (choice < 80)
			step_path();
		else if (choice < 90)
			step_command();
		else if (choice < 98)
			step_socket();
		else
			step_compound();
	}
	close_all();
}

static void start(uid_t uid, int of_role, uint64_t seed, void (*run)(void))
{
	struct worker *worker = &shared->worker[workers];
	pid_t parent = getpid(), pid = fork();

	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (pid) {
		worker->pid = pid;
		worker->uid = uid;
		workers++;
		return;
	}
	me = worker;
	me->uid = uid;
	role = of_role;
	random_state = seed + 1000003 * (uint64_t)(worker - shared->worker);
	if (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))) {
		perror("setresuid");
		_exit(2);
	}
	/* Of /proc/self/fd an ordinary user makes use, and a core of a worker is of none. */
	prctl(PR_SET_DUMPABLE, 1);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(2);
	signal(SIGIO, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	run();
	_exit(0);
}

/* Whether the crowd goes on: false where the server has died or somebody hangs. */
static bool is_well(void)
{
	if (!server_runs(server)) {
		fail("the server died", "pid %d", server);
		return false;
	}
	for (unsigned i = 0; i < workers; i++) {
		struct worker *worker = &shared->worker[i];
		uint64_t since = atomic_load(&worker->since);
		int status;

		if (since && now() - since > HANG_S * 1000000000ull) {
			fail("an operation hangs", "worker %u, uid %u, %d s: %s", i, worker->uid, HANG_S,
			     worker->history[worker->next % HISTORY]);
			return false;
		}
		if (worker->pid > 0 && waitpid(worker->pid, &status, WNOHANG) == worker->pid) {
			if (status)
				fail("a worker died", "worker %u, status %#x: %s", i, (unsigned)status,
				     worker->history[worker->next % HISTORY]);
			worker->pid = 0;
		}
	}
	return true;
}

static void end_workers(void)
{
	uint64_t since = now();
	bool is_left = true;

	atomic_store(&shared->stop, true);
	while (is_left && is_well()) {
		is_left = false;
		for (unsigned i = 0; i < workers; i++)
			is_left |= shared->worker[i].pid > 0;
		if (now() - since > 2ull * HANG_S * 1000000000)
			break;
		usleep(10000);
	}
	for (unsigned i = 0; i < workers; i++) {
		if (shared->worker[i].pid <= 0)
			continue;
		kill(shared->worker[i].pid, SIGKILL);
		/* One in an uninterruptible wait ends when the mount is aborted. */
		for (int attempt = 0; attempt < 200; attempt++) {
			if (waitpid(shared->worker[i].pid, NULL, WNOHANG) != 0)
				break;
			usleep(10000);
		}
	}
}

static void round_of(double seconds, uint64_t seed)
{
	uint64_t end = now() + (uint64_t)(seconds * 1e9);
	bool well = true;

	workers = 0;
	for (unsigned i = 0; i < MAX_WORKERS; i++)
		atomic_store(&shared->worker[i].since, 0);
	atomic_store(&shared->stop, false);
	atomic_store(&shared->victims, 0);
	memset(shared->victim, 0, sizeof(shared->victim));
	for (int user = 0; user < 2; user++) {
		for (unsigned i = 0; i < MAX_SECRETS; i++)
			atomic_store(&shared->treasury[user].generation[i], 0);
		start(users[user], user, seed, run_keeper);
		for (int i = 0; i < WORKERS_OF_USER; i++)
			start(users[user], user, seed, run_worker);
	}
	start(0, 0, seed, run_canary);
	while (now() < end && (well = is_well()))
		usleep(50000);
	end_workers();
	if (well)
		remove_everything();
}

/* Waits until the server is no more than `wanted`, or for so long; without one, until it rests. */
static struct footprint quiet(const struct footprint *wanted)
{
	struct footprint last = footprint(server), next;
	unsigned same = 0;

	for (unsigned attempt = 0; attempt < QUIET_S * 10; attempt++) {
		usleep(100000);
		next = footprint(server);
		same = next.threads == last.threads && next.descriptors == last.descriptors ? same + 1 : 0;
		last = next;
		if (wanted ? next.threads <= wanted->threads && next.descriptors <= wanted->descriptors
			   : same > 20)
			break;
	}
	return last;
}

static void compare(const char *what, long before, long after, long more)
{
	if (after > before + more)
		fail(what, "%ld before, %ld after, %ld more are allowed", before, after, more);
}

static void print_operations(double seconds)
{
	static const char *const names[] = {
#define X(name) #name,
		KINDS(X)
#undef X
	};
	uint64_t total = 0, longest = 0;
	const char *text = "";

	for (int kind = 0; kind < KIND_COUNT; kind++) {
		uint64_t count = 0, good = 0;

		for (unsigned i = 0; i < MAX_WORKERS; i++) {
			count += shared->worker[i].count[kind];
			good += shared->worker[i].errors[kind][0];
			if (shared->worker[i].longest > longest && shared->worker[i].uid) {
				longest = shared->worker[i].longest;
				text = shared->worker[i].longest_text;
			}
		}
		total += count;
		printf("%-10s %9llu, %llu succeeded:", names[kind], (unsigned long long)count,
		       (unsigned long long)good);
		for (int error = 1; error < ERRNOS; error++) {
			uint64_t errors = 0;

			for (unsigned i = 0; i < MAX_WORKERS; i++)
				errors += shared->worker[i].errors[kind][error];
			if (errors)
				printf(" %s %llu", strerrorname_np(error) ?: "?", (unsigned long long)errors);
		}
		printf("\n");
	}
	printf("%llu operations in all, %.0f a second, %llu looks at secrets\n", (unsigned long long)total,
	       (double)total / seconds, (unsigned long long)atomic_load(&shared->checks));
	printf("the longest took %.1f ms: %.80s\n", (double)longest / 1e6, text);
	printf("root waited %.1f ms at worst (%s), %.1f ms at the 99th of 100, of %llu looks; %llu were "
	       "refused\n", (double)shared->worst / 1e6, shared->worst_text,
	       (double)latency_at(0.99) / 1e6, (unsigned long long)shared->looks,
	       (unsigned long long)shared->refused);
}

static void record(const char *path, uint64_t seed)
{
	FILE *file = fopen(path, "w");

	if (!file) {
		perror(path);
		return;
	}
	fprintf(file, "seed %llu\n", (unsigned long long)seed);
	if (server_runs(server))
		print_server(file, server);
	for (unsigned i = 0; i < MAX_WORKERS; i++) {
		struct worker *worker = &shared->worker[i];
		unsigned first = worker->next > HISTORY ? worker->next - HISTORY : 0;

		fprintf(file, "\nworker %u, uid %u\n", i, worker->uid);
		for (unsigned at = first; at < worker->next; at++)
			fprintf(file, "%s\n", worker->history[at % HISTORY]);
		if (atomic_load(&worker->since))
			fprintf(file, "%s: under way\n", worker->history[worker->next % HISTORY]);
	}
	fclose(file);
	printf("the last operations of each worker are in %s\n", path);
}

int main(int count, char **arguments)
{
	if (count < 7) {
		fprintf(stderr, "usage: fuzz MOUNT SERVER-PID SECONDS SEED CORPUS RECORD [WITHOUT]\n");
		return 2;
	}
	mount_point = arguments[1];
	server = atoi(arguments[2]);
	double seconds = atof(arguments[3]);
	uint64_t seed = strtoull(arguments[4], NULL, 10);
	without = arguments[7];
	read_corpus(arguments[5]);
	FILE *file = fopen("/proc/sys/kernel/pid_max", "re");

	if (file && fscanf(file, "%d", &pid_max) != 1)
		pid_max = 1 << 22;
	if (file)
		fclose(file);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	char path[512];
	struct stat status;

	snprintf(path, sizeof(path), "%s/buffers", mount_point);
	if (stat(path, &status)) {
		perror(path);
		return 2;
	}
	/* The server keeps the rule of a sticky directory, without the bit. */
	atomic_store(&shared->is_sticky, true);
	setvbuf(stdout, NULL, _IOLBF, 0);

	double first = seconds / 4 < 10 ? seconds / 4 : 10;

	round_of(first, seed);
	struct footprint before = quiet(NULL);

	if (server_runs(server))
		round_of(seconds - first, seed + 7777777);
	struct footprint after = quiet(&before);

	if (server_runs(server)) {
		compare("threads are left", before.threads, after.threads, THREADS_MORE);
		compare("descriptors are left", before.descriptors, after.descriptors, DESCRIPTORS_MORE);
		/* A sanitizer keeps what was freed. */
		if (!is_left_out("memory"))
			compare("memory is left", before.rss, after.rss,
				RSS_MORE_KIB);
	}
	print_operations(seconds);
	printf("server: %ld threads, %ld descriptors, %ld KiB; after the warm-up %ld, %ld, %ld\n",
	       after.threads, after.descriptors, after.rss, before.threads, before.descriptors, before.rss);
	unsigned failures = atomic_load(&shared->failures);

	for (unsigned i = 0; i < failures && i < MAX_FAILURES; i++)
		printf("not ok fuzz: %s (%u times): %s\n", shared->failure[i].kind,
		       atomic_load(&shared->failure[i].count), shared->failure[i].text);
	if (!failures) {
		printf("ok fuzz: no hang, no end, nobody's bytes but one's own, nothing left\n");
		return 0;
	}
	record(arguments[6], seed);
	return 1;
}
