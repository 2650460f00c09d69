/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal as a grid of characters, by ncurses. It is linked statically: the program needs no
 * library of the system for it. curses.h itself is full of macros that Swift cannot read.
 */
#ifndef CCURSES_H
#define CCURSES_H

#include <stdbool.h>

/* Keys that are no character. */
enum ccurses_key {
	CCURSES_NONE = -1,
	CCURSES_UP = 0x110000,
	CCURSES_DOWN,
	CCURSES_LEFT,
	CCURSES_RIGHT,
	CCURSES_PAGE_UP,
	CCURSES_PAGE_DOWN,
	CCURSES_HOME,
	CCURSES_END,
	/* The size is another, or the terminal was somebody else's meanwhile: draw anew. */
	CCURSES_REDRAW,
	CCURSES_OTHER,
};

enum ccurses_style {
	CCURSES_BOLD = 1,
	CCURSES_REVERSE = 2,
};

/* Takes over the characters of the environment's locale; true where they are UTF-8. */
bool ccurses_use_locale(void);
/* Columns that a character takes in that locale; -1 where it does not print. */
int ccurses_width(unsigned int character);

/* Takes the terminal; false where TERM is none that is known. It is given back by
 * `ccurses_close`, and at SIGHUP, SIGQUIT and SIGTSTP. */
bool ccurses_open(bool wants_colour);
void ccurses_close(void);
int ccurses_rows(void);
int ccurses_columns(void);
void ccurses_erase(void);
/* Text that fits into the row; `colour` is 0 for none, or 1 to 6. */
void ccurses_put(int row, int column, const char *_Nonnull text, int style, int colour);
void ccurses_show(void);
/* A key that was pressed; never waits. */
int ccurses_key(void);

/* Columns of the terminal that a descriptor is; 0 where it is none. */
int ccurses_columns_of(int descriptor);
int ccurses_rows_of(int descriptor);

#endif
