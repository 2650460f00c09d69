// SPDX-License-Identifier: GPL-2.0
/* Streams: a buffer as a ring of periods. */
#include "tests/libcheck.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

static int control(struct devfs_dma_stream *arg)
{
	return ioctl(node(), DEVFS_DMA_IOC_STREAM_CTL, arg);
}

static struct devfs_dma_stream state(uint32_t id)
{
	struct devfs_dma_stream arg = { .op = DEVFS_DMA_STREAM_GET, .stream = id };

	CHECK(!control(&arg));
	CHECK(arg.produced == arg.consumed + arg.overruns + arg.available);
	return arg;
}

static void drop(uint32_t id)
{
	struct devfs_dma_stream arg = { .op = DEVFS_DMA_STREAM_REMOVE, .stream = id };

	CHECK(!control(&arg));
}

static void enable(uint32_t id, bool on)
{
	struct devfs_dma_stream arg = {
		.op = DEVFS_DMA_STREAM_SET, .stream = id, .flags = on ? DEVFS_DMA_STREAM_ENABLED : 0,
	};

	CHECK(!control(&arg));
}

/* A software source, and a stream of it on @fd in four periods of a page. */
static struct devfs_dma_stream by_hand(int fd, uint32_t *source, uint32_t policy)
{
	struct devfs_dma_signal signal_arg = {
		.op = DEVFS_DMA_SIGNAL_CREATE, .name = "hand", .flags = DEVFS_DMA_SIGNAL_ENABLED,
	};
	struct devfs_dma_stream arg = {
		.op = DEVFS_DMA_STREAM_CREATE, .name = "s", .period = PAGE, .policy = policy,
		.flags = DEVFS_DMA_STREAM_ENABLED,
	};

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &signal_arg));
	*source = signal_arg.source;
	arg.source = signal_arg.source;
	arg.buffer = buffer_info(fd).id;
	CHECK(!control(&arg));
	return arg;
}

static void trigger(uint32_t source)
{
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_TRIGGER, .source = source };

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &arg));
}

static void drop_source(uint32_t source)
{
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_REMOVE, .source = source };

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &arg));
}

static int stream_read(uint32_t id, void *to, uint64_t length, uint32_t flags,
		       struct devfs_dma_stream_read *arg)
{
	*arg = (struct devfs_dma_stream_read){
		.stream = id, .flags = flags, .address = (uintptr_t)to, .length = length,
	};
	return ioctl(node(), DEVFS_DMA_IOC_STREAM_READ, arg);
}

static void write_period(int fd, uint64_t n)
{
	static char period[PAGE];

	memset(period, 'a' + n % 26, PAGE);
	CHECK(pwrite(fd, period, PAGE, n % 4 * PAGE) == (ssize_t)PAGE);
}

TEST(order, "a stream is read in order, each byte once, round the ring")
{
	int fd = buffer("x", 4 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_stream_read got;
	static char data[8 * PAGE];
	uint32_t source;
	struct devfs_dma_stream s = by_hand(fd, &source, DEVFS_DMA_STREAM_OVERWRITE);

	CHECK(state(s.stream).periods == 4 && state(s.stream).watermark == PAGE);
	REFUSES(stream_read(s.stream, data, PAGE, DEVFS_DMA_STREAM_NONBLOCK, &got), EAGAIN);
	for (uint64_t n = 0; n < 40; n += 2) {
		write_period(fd, n);
		trigger(source);
		write_period(fd, n + 1);
		trigger(source);
		CHECK(state(s.stream).available == 2 * PAGE);
		CHECK(!stream_read(s.stream, data, 100, 0, &got) && got.copied == 100);
		CHECK(!stream_read(s.stream, data + 100, sizeof(data), 0, &got));
		CHECK(got.copied == 2 * PAGE - 100 && got.lost == 0);
		for (unsigned int i = 0; i < 2 * PAGE; i++)
			CHECK(data[i] == (char)('a' + (n + i / PAGE) % 26));
	}
	CHECK(state(s.stream).consumed == 40 * PAGE);
	drop(s.stream);
	drop_source(source);
}

TEST(overwrite, "OVERWRITE loses the oldest and counts it, STOP the newest")
{
	for (uint32_t policy = 0; policy < 2; policy++) {
		int fd = buffer("x", 4 * PAGE + 100, DEVFS_DMA_HEAP_CONTIGUOUS);
		struct devfs_dma_stream_read got;
		static char data[8 * PAGE];
		uint32_t source;
		struct devfs_dma_stream s = by_hand(fd, &source, policy);

		for (uint64_t n = 0; n < 6; n++) {
			/* A producer that can be held back does not write into a full ring. */
			if (policy == DEVFS_DMA_STREAM_OVERWRITE || n < 3)
				write_period(fd, n);
			trigger(source);
		}
		CHECK(state(s.stream).available == 3 * PAGE);
		CHECK(state(s.stream).overruns == 3 * PAGE);
		CHECK(!stream_read(s.stream, data, sizeof(data), 0, &got));
		CHECK(got.copied == 3 * PAGE && got.lost == 3 * PAGE);
		for (unsigned int i = 0; i < 3 * PAGE; i++)
			CHECK(data[i] == (char)('a' + i / PAGE + (policy ? 0 : 3)));
		drop(s.stream);
		drop_source(source);
		close(fd);
	}
}

TEST(stream_busy, "a streaming buffer does not shrink, is freed late, and streams once")
{
	int fd = buffer("x", 4 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_signal signal_arg = { .op = DEVFS_DMA_SIGNAL_REMOVE };
	struct devfs_dma_stream arg;
	uint32_t source;
	struct devfs_dma_stream s = by_hand(fd, &source, 0);

	REFUSES(ftruncate(fd, PAGE), EBUSY);
	CHECK(buffer_info(fd).flags & DEVFS_DMA_BUF_STREAMING);
	arg = (struct devfs_dma_stream){
		.op = DEVFS_DMA_STREAM_CREATE, .name = "t", .period = PAGE,
		.buffer = buffer_info(fd).id, .source = source,
	};
	REFUSES(control(&arg), EBUSY);
	signal_arg.source = source;
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &signal_arg), EBUSY);
	buffer_free(buffer_info(fd).id);
	close(fd);
	CHECK(bytes_used() == 4 * PAGE);
	trigger(source);
	drop(s.stream);
	CHECK(bytes_used() == 0);
	drop_source(source);
}

TEST(stream_bad, "STREAM_CTL and STREAM_READ refuse what is wrong")
{
	int fd = buffer("x", 4 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_alloc out = request("out", 4 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_stream good = {
		.op = DEVFS_DMA_STREAM_CREATE, .name = "s", .period = PAGE,
		.buffer = buffer_info(fd).id, .rate = 1000, .source = DEVFS_DMA_NO_ID,
		.flags = DEVFS_DMA_STREAM_PATTERN,
	}, arg;
	struct devfs_dma_stream_read got;
	char data[16];

#define BAD(field, value, error) \
	do { \
		arg = good; \
		arg.field = (value); \
		REFUSES(control(&arg), error); \
	} while (0)
	BAD(op, 5, EINVAL);
	BAD(name[0], '.', EINVAL);
	BAD(period, 0, EINVAL);
	BAD(period, PAGE + 2, EINVAL);
	BAD(period, 3 * PAGE, EINVAL);
	BAD(period, ~3ULL, EINVAL);
	BAD(rate, 0, EINVAL);
	BAD(rate, (1ULL << 32) + 1, EINVAL);
	BAD(policy, 2, EINVAL);
	BAD(flags, 8, EINVAL);
	BAD(watermark, 3 * PAGE + 1, EINVAL);
	BAD(watermark, ~0ULL, EINVAL);
	BAD(buffer, 1ULL << 50, ENOENT);
	BAD(source, 5, ENOENT);
	BAD(stream, 1, EINVAL);
	BAD(available, 1, EINVAL);
	BAD(reserved[0], 1, EINVAL);
	BAD(flags, 0, EINVAL);
	out.direction = DEVFS_DMA_TO_DEVICE;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &out));
	BAD(buffer, out.id, EINVAL);
	CHECK(!(buffer_info(fd).flags & DEVFS_DMA_BUF_STREAMING));
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_STREAM_CTL, NULL), EFAULT);
	REFUSES(stream_read(0, data, sizeof(data), 0, &got), ENOENT);
	REFUSES(stream_read(~0U, data, sizeof(data), 0, &got), ENOENT);
	REFUSES(stream_read(0, data, 0, 0, &got), EINVAL);
	REFUSES(stream_read(0, data, 1, 2, &got), EINVAL);
	arg = (struct devfs_dma_stream){ .op = DEVFS_DMA_STREAM_NEXT };
	REFUSES(control(&arg), ENOENT);
	arg = good;
	CHECK(!control(&arg));
	/* Disabled and empty: the end. */
	CHECK(!stream_read(arg.stream, data, sizeof(data), 0, &got) && got.copied == 0);
	REFUSES(stream_read(arg.stream, nowhere(), 0, 0, &got), EINVAL);
	drop(arg.stream);
}

TEST(pattern, "the generator counts at its rate; with a fast reader nothing is lost")
{
	struct devfs_dma_alloc alloc = request("x", 64 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_stream s = {
		.op = DEVFS_DMA_STREAM_CREATE, .name = "p", .period = PAGE,
		.rate = 2 * MIB, .source = DEVFS_DMA_NO_ID, .policy = DEVFS_DMA_STREAM_STOP,
		.flags = DEVFS_DMA_STREAM_PATTERN | DEVFS_DMA_STREAM_ENABLED,
	};
	static uint32_t words[4096];
	struct devfs_dma_stream_read got;
	uint32_t expected = 0;
	uint64_t bytes = 0;

	alloc.direction = DEVFS_DMA_FROM_DEVICE;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &alloc));
	s.buffer = alloc.id;
	CHECK(!control(&s));
	while (bytes < MIB) {
		CHECK(!stream_read(s.stream, words, sizeof(words), 0, &got));
		CHECK(got.copied && got.copied % 4 == 0);
		/* A guest that was not run may lose some: they are counted. */
		expected += got.lost / 4;
		for (uint64_t i = 0; i < got.copied / 4; i++)
			CHECK(words[i] == expected++);
		bytes += got.copied;
	}
	CHECK(state(s.stream).rate == 2 * MIB);
	enable(s.stream, false);
	do {
		CHECK(!stream_read(s.stream, words, sizeof(words), 0, &got));
	} while (got.copied);
	enable(s.stream, true);
	CHECK(!stream_read(s.stream, words, 4, 0, &got) && got.copied == 4);
	drop(s.stream);
}

TEST(pattern_overruns, "a slow reader of the generator sees whole words and true losses")
{
	int fd = buffer("x", 16 * PAGE, DEVFS_DMA_HEAP_COHERENT);
	struct devfs_dma_stream s = {
		.op = DEVFS_DMA_STREAM_CREATE, .name = "p", .period = PAGE,
		.rate = 20 * MIB, .source = DEVFS_DMA_NO_ID, .policy = DEVFS_DMA_STREAM_OVERWRITE,
		.flags = DEVFS_DMA_STREAM_PATTERN | DEVFS_DMA_STREAM_ENABLED,
	};
	static uint32_t words[16384];
	struct devfs_dma_stream_read got;
	uint32_t expected = 0;

	s.buffer = buffer_info(fd).id;
	CHECK(!control(&s));
	for (int round = 0; round < 30; round++) {
		usleep(5000);
		CHECK(!stream_read(s.stream, words, sizeof(words), 0, &got));
		expected += got.lost / 4;
		for (uint64_t i = 0; i < got.copied / 4; i++)
			CHECK(words[i] == expected++);
	}
	EVENTUALLY(state(s.stream).overruns > 0);
	drop(s.stream);
}

TEST(stream_waits, "a reader waits for the watermark, and wakes when the stream ends")
{
	int fd = buffer("x", 4 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_stream_read got;
	static char data[4 * PAGE];
	uint32_t source;
	struct devfs_dma_stream s = by_hand(fd, &source, 0);
	struct devfs_dma_stream arg = {
		.op = DEVFS_DMA_STREAM_SET, .stream = s.stream, .watermark = 2 * PAGE,
		.flags = DEVFS_DMA_STREAM_ENABLED,
	};
	struct devfs_dma_eventfd event_arg = {
		.source = s.stream, .fd = eventfd(0, EFD_NONBLOCK),
		.flags = DEVFS_DMA_EVENTFD_STREAM,
	};
	uint64_t count;
	pid_t pid;

	CHECK(!control(&arg));
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SET_EVENTFD, &event_arg));
	trigger(source);
	REFUSES(stream_read(s.stream, data, sizeof(data), DEVFS_DMA_STREAM_NONBLOCK, &got), EAGAIN);
	REFUSES(read(event_arg.fd, &count, 8), EAGAIN);
	/* Less than the watermark is wanted: that is there. */
	CHECK(!stream_read(s.stream, data, 8, 0, &got) && got.copied == 8);
	pid = fork();
	if (!pid) {
		usleep(50000);
		trigger(source);
		usleep(50000);
		trigger(source);
		_exit(0);
	}
	CHECK(!stream_read(s.stream, data, sizeof(data), 0, &got) && got.copied == 3 * PAGE - 8);
	CHECK(read(event_arg.fd, &count, 8) == 8 && count == 1);
	waitpid(pid, NULL, 0);
	REFUSES(stream_read(s.stream, nowhere(), PAGE, DEVFS_DMA_STREAM_NONBLOCK, &got), EAGAIN);
	trigger(source);
	trigger(source);
	REFUSES(stream_read(s.stream, nowhere(), PAGE, 0, &got), EFAULT);
	CHECK(state(s.stream).available == 2 * PAGE);
	CHECK(!stream_read(s.stream, data, sizeof(data), 0, &got) && got.copied == 2 * PAGE);
	pid = fork();
	if (!pid) {
		usleep(50000);
		drop(s.stream);
		_exit(0);
	}
	CHECK(!stream_read(s.stream, data, sizeof(data), 0, &got) && got.copied == 0);
	waitpid(pid, NULL, 0);
	drop_source(source);
}

/* What the node's other users may not do with a buffer, they may not do by a stream of it. */
TEST(stream_rights, "a stream needs the rights on its buffer that reading and writing it do")
{
	struct devfs_dma_alloc secret = request("secret", 4 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_alloc shown = request("shown", 4 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_stream arg = {
		.op = DEVFS_DMA_STREAM_CREATE, .name = "theirs", .period = PAGE,
		.flags = DEVFS_DMA_STREAM_ENABLED,
	};
	struct devfs_dma_stream_read got;
	struct devfs_dma_stream s;
	uint32_t source;
	char data[PAGE];
	int status;
	pid_t pid;

	secret.mode = 0600;
	shown.mode = 0604;
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &secret));
	CHECK(!ioctl(node(), DEVFS_DMA_IOC_ALLOC, &shown));
	s = by_hand(secret.fd, &source, 0);
	trigger(source);
	pid = fork();
	if (!pid) {
		CHECK(!setgid(1000) && !setuid(1000));
		REFUSES(stream_read(s.stream, data, PAGE, DEVFS_DMA_STREAM_NONBLOCK, &got), EACCES);
		arg.source = source;
		arg.buffer = secret.id;
		REFUSES(control(&arg), EACCES);
		arg.buffer = shown.id;
		CHECK(!control(&arg));
		drop(arg.stream);
		arg.stream = 0;
		arg.flags |= DEVFS_DMA_STREAM_PATTERN;
		arg.rate = MIB;
		REFUSES(control(&arg), EACCES);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
	CHECK(state(s.stream).available == PAGE);
	drop(s.stream);
	drop_source(source);
}

TEST(stream_untold, "what cannot be told to the reader is not taken off the ring")
{
	int fd = buffer("x", 4 * PAGE, DEVFS_DMA_HEAP_SYSTEM);
	uint32_t source;
	struct devfs_dma_stream s = by_hand(fd, &source, 0);
	struct devfs_dma_stream_read got;
	char data[PAGE];

	trigger(source);
	got = (struct devfs_dma_stream_read){
		.stream = s.stream, .address = (uintptr_t)data, .length = PAGE,
	};
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_STREAM_READ, read_only_page(&got, sizeof(got))), EFAULT);
	CHECK(state(s.stream).available == PAGE && state(s.stream).consumed == 0);
	drop(s.stream);
	drop_source(source);
}

TEST(stream_hurry, "a generator that is far behind its rate stops when it is told to")
{
	int fd = buffer("x", 32 * MIB, DEVFS_DMA_HEAP_SYSTEM);
	struct devfs_dma_stream s = {
		.op = DEVFS_DMA_STREAM_CREATE, .name = "s", .period = 4, .rate = 1ULL << 32,
		.source = DEVFS_DMA_NO_ID, .buffer = buffer_info(fd).id,
		.flags = DEVFS_DMA_STREAM_PATTERN | DEVFS_DMA_STREAM_ENABLED,
	};

	CHECK(!control(&s));
	EVENTUALLY(state(s.stream).produced);
	for (int i = 0; i < 3; i++) {
		enable(s.stream, false);
		enable(s.stream, true);
	}
	drop(s.stream);
	/* Slower than one a second. */
	s = (struct devfs_dma_stream){
		.op = DEVFS_DMA_STREAM_CREATE, .name = "s", .period = 16 * MIB, .rate = 1,
		.source = DEVFS_DMA_NO_ID, .buffer = buffer_info(fd).id,
		.flags = DEVFS_DMA_STREAM_PATTERN | DEVFS_DMA_STREAM_ENABLED,
	};
	CHECK(!control(&s));
	usleep(20000);
	CHECK(!state(s.stream).produced);
	drop(s.stream);
}

TEST(stream_fires, "the generator fires a source, and many streams end cleanly at once")
{
	struct devfs_dma_signal signal_arg = {
		.op = DEVFS_DMA_SIGNAL_CREATE, .name = "filled", .flags = DEVFS_DMA_SIGNAL_ENABLED,
	};
	struct devfs_dma_event event;
	struct devfs_dma_stream s[8];
	char name[8];

	CHECK(!ioctl(node(), DEVFS_DMA_IOC_SIGNAL_CTL, &signal_arg));
	for (int i = 0; i < 8; i++) {
		int fd;

		snprintf(name, sizeof(name), "x%d", i);
		fd = buffer(name, 8 * PAGE, i % 3);
		s[i] = (struct devfs_dma_stream){
			.op = DEVFS_DMA_STREAM_CREATE, .period = PAGE, .rate = 4 * MIB,
			.source = signal_arg.source, .buffer = buffer_info(fd).id,
			.flags = DEVFS_DMA_STREAM_PATTERN | DEVFS_DMA_STREAM_ENABLED,
		};
		strcpy(s[i].name, name);
		CHECK(!control(&s[i]));
		close(fd);
	}
	for (int i = 0; i < 50; i++)
		CHECK(read(node(), &event, sizeof(event)) == sizeof(event));
	for (int i = 0; i < 8; i += 2)
		if (!fork()) {
			drop(s[i].stream);
			drop(s[i + 1].stream);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	CHECK(bytes_used() == 0);
	drop_source(signal_arg.source);
}
