/* SPDX-License-Identifier: GPL-2.0 */
/* The host's device, taken away from whoever uses it, and who has memory of it. */
#ifndef TESTS_REMOVAL_H
#define TESTS_REMOVAL_H

#include "tests/libcheck.h"

void unbind(void);
void bind_again(void);

/* Writes a descriptor to a parameter of the test importer: 0, or -1 and errno. */
int importer(const char *name, int fd);

/* Users of the module; each buffer that exists is one, listed or not. */
int module_users(void);

/* The host works: a buffer is made, written, mapped and read. */
void works(void);

#endif
