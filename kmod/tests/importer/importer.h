/* SPDX-License-Identifier: GPL-2.0 */
/* What /dev/devfs_importer is asked for, without an argument. */
#ifndef TESTS_IMPORTER_H
#define TESTS_IMPORTER_H

#include <linux/ioctl.h>

#define IMPORTER_EXPORT		_IO('T', 1)	/* a descriptor */
#define IMPORTER_EXPORT_BLIND	_IO('T', 2)
#define IMPORTER_LATE		_IO('T', 3)	/* the next access meets a fence */
#define IMPORTER_BEGAN		_IO('T', 4)	/* accesses that began since */
#define IMPORTER_SIGNAL		_IO('T', 5)
#define IMPORTER_EXPORT_MOVING	_IO('T', 9)	/* it moves where it is mapped */
#define IMPORTER_EXPORT_LOOSE	_IO('T', 10)	/* it cannot be kept where it is */

/* Of the reset lines of a device tree, resets.c; ENOTTY where the kernel has none. */
#define IMPORTER_RESETS		_IO('T', 6)	/* 8 bits: lines asserted; the rest: how often */
#define IMPORTER_RESETS_FAIL	_IO('T', 7)
#define IMPORTER_RESETS_WORK	_IO('T', 8)

#ifdef __KERNEL__
struct file;

long exporter_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
void exporter_exit(void);
int resets_init(void);
void resets_exit(void);
long resets_ioctl(unsigned int cmd);
#endif

#endif
