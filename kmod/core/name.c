// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - what may be the name of a buffer, a source or a device.
 */
#include <linux/string.h>

#include "core/device.h"

/* A whole name field: allowed bytes, then nothing but NUL. */
bool devfs_name_valid(const char *name)
{
	size_t len = strnlen(name, DEVFS_DMA_NAME_SIZE);
	size_t i;

	if (!len || len == DEVFS_DMA_NAME_SIZE || name[0] == '.')
		return false;
	for (i = 0; i < len; i++) {
		char c = name[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
			return false;
	}
	return !memchr_inv(name + len, 0, DEVFS_DMA_NAME_SIZE - len);
}
