// SPDX-License-Identifier: Apache-2.0
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE 1
#define NCURSES_WIDECHAR 1
#include "CCurses.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static SCREEN *terminal;
static volatile sig_atomic_t was_continued;

bool ccurses_use_locale(void)
{
	/* Not the rest of it: numbers and messages are the same everywhere. */
	setlocale(LC_CTYPE, "");
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

int ccurses_width(unsigned int character)
{
	return wcwidth((wchar_t)character);
}

/* As ncurses does it at SIGINT and SIGTERM, which the command has handlers of its own for. */
static void leave(int number)
{
	endwin();
	signal(number, SIG_DFL);
	raise(number);
}

static void note_continuation(int number)
{
	(void)number;
	was_continued = 1;
}

bool ccurses_open(bool wants_colour)
{
	struct sigaction action = { 0 };

	/* The size is the terminal's, whatever LINES and COLUMNS say. */
	use_env(TRUE);
	use_tioctl(TRUE);
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return false;
	set_term(terminal);
	cbreak();
	noecho();
	nonl();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	/* Esc alone is a key, too. */
	set_escdelay(25);
	curs_set(0);
	if (wants_colour && has_colors()) {
		start_color();
		use_default_colors();
		for (short colour = 1; colour <= 6; colour++)
			init_pair(colour, colour, -1);
	}
	sigemptyset(&action.sa_mask);
	action.sa_handler = leave;
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGQUIT, &action, NULL);
	action.sa_handler = note_continuation;
	sigaction(SIGCONT, &action, NULL);
	return true;
}

void ccurses_close(void)
{
	if (!terminal)
		return;
	endwin();
	delscreen(terminal);
	terminal = NULL;
	signal(SIGHUP, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	signal(SIGCONT, SIG_DFL);
}

int ccurses_rows(void)
{
	return LINES;
}

int ccurses_columns(void)
{
	return COLS;
}

void ccurses_erase(void)
{
	erase();
}

void ccurses_put(int row, int column, const char *text, int style, int colour)
{
	attr_t attributes = A_NORMAL;

	if (style & CCURSES_BOLD)
		attributes |= A_BOLD;
	if (style & CCURSES_REVERSE)
		attributes |= A_REVERSE;
	attr_set(attributes, colour < COLOR_PAIRS ? (short)colour : 0, NULL);
	mvaddstr(row, column, text);
	attr_set(A_NORMAL, 0, NULL);
}

void ccurses_show(void)
{
	refresh();
}

int ccurses_key(void)
{
	int key;

	if (was_continued) {
		was_continued = 0;
		/* A shell that had the terminal left it as it wants it. */
		reset_prog_mode();
		curs_set(0);
		clearok(curscr, TRUE);
		return CCURSES_REDRAW;
	}
	key = getch();
	switch (key) {
	case ERR:
		return CCURSES_NONE;
	case KEY_UP:
		return CCURSES_UP;
	case KEY_DOWN:
		return CCURSES_DOWN;
	case KEY_LEFT:
		return CCURSES_LEFT;
	case KEY_RIGHT:
		return CCURSES_RIGHT;
	case KEY_PPAGE:
		return CCURSES_PAGE_UP;
	case KEY_NPAGE:
		return CCURSES_PAGE_DOWN;
	case KEY_HOME:
		return CCURSES_HOME;
	case KEY_END:
		return CCURSES_END;
	case KEY_RESIZE:
		return CCURSES_REDRAW;
	default:
		return key < KEY_MIN ? key : CCURSES_OTHER;
	}
}

static struct winsize size_of(int descriptor)
{
	struct winsize size = { 0 };

	if (ioctl(descriptor, TIOCGWINSZ, &size))
		size = (struct winsize){ 0 };
	return size;
}

int ccurses_columns_of(int descriptor)
{
	return size_of(descriptor).ws_col;
}

int ccurses_rows_of(int descriptor)
{
	return size_of(descriptor).ws_row;
}
