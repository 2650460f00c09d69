/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - whose memory cgroup the memory of a buffer is charged to. */
#ifndef DEVFS_DMA_CORE_MEMCG_H
#define DEVFS_DMA_CORE_MEMCG_H

#include <linux/types.h>

struct mem_cgroup;

struct mem_cgroup *devfs_memcg_get(u32 nr);
void devfs_memcg_put(struct mem_cgroup *memcg);
struct mem_cgroup *devfs_memcg_begin(struct mem_cgroup *memcg);
void devfs_memcg_end(struct mem_cgroup *before);

#endif /* DEVFS_DMA_CORE_MEMCG_H */
