/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The version of all of DevFS, said here alone: program, module, dkms package. CHANGELOG.md has the
 * same on its first heading, which Tests/packaging checks.
 */
#ifndef DEVFS_VERSION_H
#define DEVFS_VERSION_H

#define DEVFS_VERSION	"0.2.0"

#endif
