/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM devfs_dma

#if !defined(DEVFS_DMA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DEVFS_DMA_TRACE_H

#include <linux/tracepoint.h>

#include "core/buffer.h"

DECLARE_EVENT_CLASS(devfs_dma_buffer,
	TP_PROTO(struct devfs_buffer *buf),
	TP_ARGS(buf),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, capacity)
		__field(u32, heap)
		__field(u32, direction)
		__array(char, name, DEVFS_DMA_NAME_SIZE)
	),
	TP_fast_assign(
		__entry->id = buf->id;
		__entry->capacity = buf->capacity;
		__entry->heap = buf->heap;
		__entry->direction = buf->direction;
		memcpy(__entry->name, buf->name, DEVFS_DMA_NAME_SIZE);
	),
	TP_printk("id=%llu name=%s heap=%u direction=%u capacity=%llu",
		  __entry->id, __entry->name, __entry->heap, __entry->direction,
		  __entry->capacity)
);

DEFINE_EVENT(devfs_dma_buffer, devfs_dma_alloc,
	TP_PROTO(struct devfs_buffer *buf), TP_ARGS(buf));
DEFINE_EVENT(devfs_dma_buffer, devfs_dma_free,
	TP_PROTO(struct devfs_buffer *buf), TP_ARGS(buf));

DECLARE_EVENT_CLASS(devfs_dma_range,
	TP_PROTO(struct devfs_buffer *buf, u64 offset, u64 length),
	TP_ARGS(buf, offset, length),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(u64, length)
	),
	TP_fast_assign(
		__entry->id = buf->id;
		__entry->offset = offset;
		__entry->length = length;
	),
	TP_printk("id=%llu offset=%llu length=%llu",
		  __entry->id, __entry->offset, __entry->length)
);

DEFINE_EVENT(devfs_dma_range, devfs_dma_sync_cpu,
	TP_PROTO(struct devfs_buffer *buf, u64 offset, u64 length),
	TP_ARGS(buf, offset, length));
DEFINE_EVENT(devfs_dma_range, devfs_dma_sync_device,
	TP_PROTO(struct devfs_buffer *buf, u64 offset, u64 length),
	TP_ARGS(buf, offset, length));
DEFINE_EVENT(devfs_dma_range, devfs_dma_map,
	TP_PROTO(struct devfs_buffer *buf, u64 offset, u64 length),
	TP_ARGS(buf, offset, length));

TRACE_EVENT(devfs_dma_event,
	TP_PROTO(u32 source, u64 count, u64 missed, u64 time_ns),
	TP_ARGS(source, count, missed, time_ns),
	TP_STRUCT__entry(
		__field(u32, source)
		__field(u64, count)
		__field(u64, missed)
		__field(u64, time_ns)
	),
	TP_fast_assign(
		__entry->source = source;
		__entry->count = count;
		__entry->missed = missed;
		__entry->time_ns = time_ns;
	),
	TP_printk("source=%u count=%llu missed=%llu time_ns=%llu",
		  __entry->source, __entry->count, __entry->missed, __entry->time_ns)
);

#endif /* DEVFS_DMA_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH core
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
