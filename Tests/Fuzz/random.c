// SPDX-License-Identifier: Apache-2.0
#include "fuzz.h"

uint64_t random_state;

uint64_t next_random(void)
{
	uint64_t word = random_state += 0x9e3779b97f4a7c15u;

	word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
	word = (word ^ word >> 27) * 0x94d049bb133111ebu;
	return word ^ word >> 31;
}

unsigned below(unsigned limit)
{
	return (unsigned)((next_random() >> 32) * limit >> 32);
}

bool one_in(unsigned odds)
{
	return below(odds) == 0;
}

/* A number at which something wraps, ends or begins. */
uint64_t boundary(void)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 4, 8, 63, 64, 100, 512, 4095, 4096, 4097, 65535, 65536, 1 << 20,
		(1 << 20) + 1, 64 << 20, 1u << 30, 1u << 31, UINT32_MAX, 1ull << 32, 1ull << 40,
		1ull << 44, 1ull << 52, 1ull << 62, INT64_MAX, 1ull << 63, UINT64_MAX,
		UINT64_MAX - 4095, INT64_MAX - 4095,
	};
	uint64_t edge = PICK(edges);

	switch (below(4)) {
	case 0: return edge + below(3) - 1;
	case 1: return next_random() >> below(64);
	default: return edge;
	}
}
