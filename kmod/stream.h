/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - a stream, shared by its accounting, its reader and the generator. */
#ifndef DEVFS_DMA_STREAM_H
#define DEVFS_DMA_STREAM_H

#include "internal.h"

struct devfs_stream {
	struct kref ref;
	struct devfs_device *dev;
	struct devfs_buffer *buf;	/* an inode reference, and counted in its streams */
	struct devfs_source *source;	/* counted in its users */
	struct list_head by_source;	/* events.lock */
	u32 id;
	u64 serial;			/* ids are used again, this is not */
	char name[DEVFS_DMA_NAME_SIZE];
	u64 period;
	u64 ring;			/* bytes: a multiple of period */
	u64 rate;
	u32 policy;

	struct mutex run_lock;		/* starting, stopping, removing */
	struct mutex read_lock;
	spinlock_t lock;		/* all below, to the blank line */
	u32 flags;
	bool removed;
	u64 head;
	u64 tail;
	u64 produced;
	u64 consumed;
	u64 overruns;
	u64 reported;			/* overruns a reader was told of */
	u64 watermark;
	struct list_head listeners;
	unsigned int listener_count;

	wait_queue_head_t wait;

	/* The pattern generator's own. */
	struct hrtimer timer;
	struct work_struct work;
	ktime_t started;
	u64 generated;			/* periods since started */
	bool stopping;			/* whoever stops it waits */
	u32 word;
};

bool devfs_stream_full(struct devfs_stream *stream);
void devfs_stream_produced(struct devfs_stream *stream, bool filled);

/* pattern.c; start and stop with run_lock held and no other */
void devfs_pattern_init(struct devfs_stream *stream);
void devfs_pattern_start(struct devfs_stream *stream);
void devfs_pattern_stop(struct devfs_stream *stream);

#endif /* DEVFS_DMA_STREAM_H */
