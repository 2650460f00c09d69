// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the pattern generator: a device that fills periods at a set rate
 * with 32-bit words that count, so that streams can be tried without hardware.
 *
 * A timer paces it; a work item fills, as memory that needs faults or locks is
 * not for an interrupt.
 */
#include <linux/math64.h>
#include <linux/sizes.h>

#include "compat.h"
#include "internal.h"
#include "stream.h"

#define DEVFS_PATTERN_TICK_MIN	(100 * NSEC_PER_USEC)
#define DEVFS_PATTERN_TICK_MAX	NSEC_PER_SEC
/* Bytes between two looks whether it is to stop. */
#define DEVFS_PATTERN_STEP	SZ_1M

/* False where it is to stop, or the memory is gone. */
static bool devfs_pattern_fill(struct devfs_stream *stream)
{
	struct devfs_buffer *buf = stream->buf;
	u64 at, done = 0;

	if (devfs_lock_shared(buf))
		return false;
	/* Words never straddle pages: period and the buffer's offset are whole words. */
	/* Only this work item moves head. */
	div64_u64_rem(READ_ONCE(stream->head), stream->ring, &at);
	while (done < stream->period && !READ_ONCE(stream->stopping)) {
		u64 most = min_t(u64, stream->period - done, DEVFS_PATTERN_STEP);
		struct devfs_access access;
		size_t len, i;
		u32 *words;

		/* Of a buffer that is not imported: it cannot fail. */
		if (devfs_access_begin(&access, buf, at + done, most, true))
			break;
		words = devfs_heap_run(buf, at + done, most, &len);
		for (i = 0; i < len / sizeof(u32); i++)
			words[i] = stream->word++;
		devfs_access_end(&access, len);
		done += len;
		cond_resched();
	}
	inode_unlock_shared(&buf->base.inode);
	return done == stream->period;
}

static bool devfs_pattern_held_back(struct devfs_stream *stream)
{
	bool full;

	spin_lock_irq(&stream->lock);
	full = devfs_stream_full(stream);
	spin_unlock_irq(&stream->lock);
	return full;
}

static void devfs_pattern_work(struct work_struct *work)
{
	struct devfs_stream *stream = container_of(work, struct devfs_stream, work);
	u64 elapsed = ktime_to_ns(ktime_sub(ktime_get(), stream->started));
	u64 due = div64_u64(mul_u64_u64_div_u64(elapsed, stream->rate, NSEC_PER_SEC),
			    stream->period);
	u64 burst = 0, most = div64_u64(stream->ring, stream->period);

	/* More than a ring behind cannot be caught up with: the rate gives way. */
	if (due - stream->generated > most)
		stream->generated = due - most;
	while (stream->generated < due && burst++ < most && !READ_ONCE(stream->stopping)) {
		bool room = !devfs_pattern_held_back(stream);

		/* A held-back producer drops what it would have written. */
		if (room && !devfs_pattern_fill(stream))
			break;
		if (!room)
			stream->word += div_u64(stream->period, sizeof(u32));
		stream->generated++;
		devfs_stream_produced(stream, room);
		if (stream->source)
			devfs_source_fire(stream->source, 0);
		cond_resched();
	}
}

static u64 devfs_pattern_interval(struct devfs_stream *stream)
{
	u64 interval;

	/* More is too much for the product, too. */
	if (stream->period >= stream->rate)
		return DEVFS_PATTERN_TICK_MAX;
	interval = mul_u64_u64_div_u64(stream->period, NSEC_PER_SEC, stream->rate);
	return clamp_t(u64, interval, DEVFS_PATTERN_TICK_MIN, DEVFS_PATTERN_TICK_MAX);
}

static enum hrtimer_restart devfs_pattern_tick(struct hrtimer *timer)
{
	struct devfs_stream *stream = container_of(timer, struct devfs_stream, timer);

	queue_work(devfs_workqueue, &stream->work);
	hrtimer_forward_now(timer, ns_to_ktime(devfs_pattern_interval(stream)));
	return HRTIMER_RESTART;
}

void devfs_pattern_init(struct devfs_stream *stream)
{
	INIT_WORK(&stream->work, devfs_pattern_work);
	devfs_hrtimer_setup(&stream->timer, devfs_pattern_tick, CLOCK_MONOTONIC,
			    HRTIMER_MODE_REL_SOFT);
}

void devfs_pattern_start(struct devfs_stream *stream)
{
	if (!(stream->flags & DEVFS_DMA_STREAM_PATTERN))
		return;
	stream->started = ktime_get();
	stream->generated = 0;
	WRITE_ONCE(stream->stopping, false);
	hrtimer_start(&stream->timer, ns_to_ktime(devfs_pattern_interval(stream)),
		      HRTIMER_MODE_REL_SOFT);
}

void devfs_pattern_stop(struct devfs_stream *stream)
{
	WRITE_ONCE(stream->stopping, true);
	hrtimer_cancel(&stream->timer);
	cancel_work_sync(&stream->work);
}
