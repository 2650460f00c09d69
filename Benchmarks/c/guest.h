/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_H
#define GUEST_H

#include "probe.h"

#include "../../kmod/uapi/devfs_dma.h"

#define NODE "/dev/devfs/host"
#define MAX_ROUNDS 64

/* Rounds of A B, MAX_ROUNDS at the most. */
extern unsigned int rounds;

/* Measures both in turns and prints their row; the first round only warms up. */
void row(const char *group, const char *workload, const char *subject, const char *baseline,
	 const char *view, const char *goal, double (*cost)(void *), void *ours, void *theirs);
/* Prints a row that could not be measured, and why. */
void missing(const char *group, const char *workload, const char *subject, const char *baseline,
	     const char *why);

void measure_software(void);
void measure_interrupts(void);

#endif
