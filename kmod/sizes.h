/* SPDX-License-Identifier: GPL-2.0 */
/*
 * devfs_dma - the size of every structure of the user-space interface, checked
 * by whoever is compiled with it: the module, its 32-bit and 64-bit tests, and
 * the program.
 */
#ifndef DEVFS_DMA_SIZES_H
#define DEVFS_DMA_SIZES_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#else
#include <assert.h>
#endif

#include "uapi/devfs_dma.h"

static_assert(sizeof(struct devfs_dma_info) == 176, "ABI");
static_assert(sizeof(struct devfs_dma_heap) == 136, "ABI");
static_assert(sizeof(struct devfs_dma_alloc) == 160, "ABI");
static_assert(sizeof(struct devfs_dma_open) == 96, "ABI");
static_assert(sizeof(struct devfs_dma_free) == 16, "ABI");
static_assert(sizeof(struct devfs_dma_rename) == 80, "ABI");
static_assert(sizeof(struct devfs_dma_buf_info) == 232, "ABI");
static_assert(sizeof(struct devfs_dma_list) == 32, "ABI");
static_assert(sizeof(struct devfs_dma_pin) == 192, "ABI");
static_assert(sizeof(struct devfs_dma_import) == 192, "ABI");
static_assert(sizeof(struct devfs_dma_region) == 112, "ABI");
static_assert(sizeof(struct devfs_dma_open_region) == 32, "ABI");
static_assert(sizeof(struct devfs_dma_region_export) == 32, "ABI");
static_assert(sizeof(struct devfs_dma_signal) == 136, "ABI");
static_assert(sizeof(struct devfs_dma_event) == 40, "ABI");
static_assert(sizeof(struct devfs_dma_subscribe) == 8, "ABI");
static_assert(sizeof(struct devfs_dma_eventfd) == 16, "ABI");
static_assert(sizeof(struct devfs_dma_notify) == 24, "ABI");
static_assert(sizeof(struct devfs_dma_history) == 24, "ABI");
static_assert(sizeof(struct devfs_dma_buf_sync) == 24, "ABI");
static_assert(sizeof(struct devfs_dma_sg) == 16, "ABI");
static_assert(sizeof(struct devfs_dma_buf_get_sg) == 24, "ABI");
static_assert(sizeof(struct devfs_dma_buf_rw) == 32, "ABI");
static_assert(sizeof(struct devfs_dma_buf_name) == 64, "ABI");
static_assert(sizeof(struct devfs_dma_buf_lease) == 8, "ABI");
static_assert(sizeof(struct devfs_dma_buf_export) == 16, "ABI");

#endif
