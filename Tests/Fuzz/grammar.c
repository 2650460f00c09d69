// SPDX-License-Identifier: Apache-2.0
/*
 * Texts for command files and the socket. corpus/NAME has a template a line: escapes as in C, and
 * a percent sign with a letter for what is chosen anew each time (see expand()). A third of the
 * texts is mutated after that.
 */
#include "fuzz.h"

#include <ctype.h>

static const char *const files[GRAMMAR_COUNT] = {
	"alloc", "free", "sync", "signal", "stream", "notify", "trigger", "enable", "watermark",
	"value", "socket", "memory",
};
static struct { char *text; size_t length; } *templates[GRAMMAR_COUNT];
static unsigned template_count[GRAMMAR_COUNT];

static size_t unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in; in++) {
		if (*in != '\\' || !in[1]) {
			*out++ = *in;
			continue;
		}
		switch (*++in) {
		case 'n': *out++ = '\n'; break;
		case 'r': *out++ = '\r'; break;
		case 't': *out++ = '\t'; break;
		case '0': *out++ = 0; break;
		case 'x': {
			char digits[3] = { in[1], in[1] ? in[2] : 0, 0 };

			*out++ = (char)strtoul(digits, NULL, 16);
			in += strlen(digits);
			break;
		}
		default: *out++ = *in;
		}
	}
	*out = 0;
	return (size_t)(out - text);
}

void read_corpus(const char *directory)
{
	for (int grammar = 0; grammar < GRAMMAR_COUNT; grammar++) {
		char path[4096], *line = NULL;
		size_t room = 0;
		ssize_t length;
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", directory, files[grammar]);
		file = fopen(path, "r");
		if (!file) {
			perror(path);
			exit(2);
		}
		while ((length = getline(&line, &room, file)) > 0) {
			if (line[length - 1] == '\n')
				line[--length] = 0;
			if (!length || !strncmp(line, "# ", 2))
				continue;
			unsigned index = template_count[grammar]++;

			templates[grammar] = realloc(templates[grammar],
						     (index + 1) * sizeof(*templates[0]));
			templates[grammar][index].text = strdup(line);
			templates[grammar][index].length =
				unescape(templates[grammar][index].text);
		}
		free(line);
		fclose(file);
		if (!template_count[grammar]) {
			fprintf(stderr, "fuzz: %s is empty\n", path);
			exit(2);
		}
	}
}

/* Another user's, if there is one at present. */
static bool foreign_secret(char *room)
{
	struct treasury *other = &shared->treasury[!role];
	unsigned index = below(MAX_SECRETS);

	if (!(atomic_load(&other->generation[index]) & 1))
		return false;
	strcpy(room, other->name[index]);
	return true;
}

/* Mostly one of twelve that all users fight for. `for_removal`: for what takes the right of the
 * directory alone, without a sticky bit on it. */
void buffer_name(char *room, bool for_removal)
{
	static const char *const odd[] = {
		"", ".", "..", ".hidden", "a b", "\xc3\xa4", "x\ny", "pattern", "canary2", "-", "CON",
		"0", "123456789012345678901234567890123456789012345678901234567890123",
		"1234567890123456789012345678901234567890123456789012345678901234", "f0/", "f0/.",
	};
	unsigned choice = below(40);

	if (choice < 6 && (!for_removal || atomic_load(&shared->is_sticky)) && foreign_secret(room))
		return;
	if (choice == 6)
		strcpy(room, PICK(odd));
	else if (choice == 7)
		sprintf(room, "race-%u-%u", users[below(2)], below(2));
	else
		sprintf(room, "f%u", below(12));
}

const char *signal_name(void)
{
	static const char *const names[] = {
		"g0", "g1", "g2", "g3", "g4", "g5", "guard-65534", "guard-65533",
	};
	return PICK(names);
}

const char *stream_name(void)
{
	static const char *const names[] = { "t0", "t1", "t2", "t3", "guard-65534", "guard-65533" };

	return PICK(names);
}

static int print_number(char *room)
{
	static const char *const formats[] = { "%llu", "%llu", "0x%llx", "%lluK", "%lluM", "%lluG" };
	static const char *const odd[] = {
		"-1", "+1", "1e9", "1.5", "0x", "0xg", "K", "18446744073709551616", "00000000000004096",
		"340282366920938463463374607431768211456", "\xd9\xa1\xd9\xa2", "1_000", "0b1", "0o17",
		"99999999999999999999999999999999999999999999999999999999999999999999999999", "4096 ",
	};
	unsigned long long number = boundary();
	const char *format = PICK(formats);

	if (one_in(10))
		return sprintf(room, "%s", PICK(odd));
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	return sprintf(room, format, number);
}

/* Only of processes that wait for signals, or of none. */
static pid_t some_pid(void)
{
	unsigned count = atomic_load(&shared->victims);
	static const pid_t nobody[] = { 0, -1, INT32_MAX, INT32_MIN };

	if (count == 0 || one_in(8))
		return one_in(2) ? pid_max + 1 + (pid_t)below(1000) : PICK(nobody);
	return atomic_load(&shared->victim[below(count < MAX_VICTIMS ? count : MAX_VICTIMS)].pid);
}

/* Writes what the letter stands for. */
static int expand(char letter, char *room)
{
	static const char *const heaps[] = {
		"system", "contiguous", "coherent", "reserved", "user", "imported", "", "System", "x",
	};
	static const char *const directions[] = {
		"bidirectional", "to_device", "from_device", "none", "0", "",
	};
	static const char *const units[] = { "ns", "us", "ms", "ms", "ms", "s", "m", "" };
	static const char *const signals[] = {
		"USR1", "SIGUSR1", "USR2", "RTMIN", "SIGRTMIN+3", "RTMAX-2", "RTMIN+99", "10", "64",
		"65", "0", "-1", "CONT", "HUP", "SIG", "12", "RTMIN+-1", "CHLD", "URG", "off",
	};
	static const unsigned periods[] = { 4, 64, 512, 4096, 8192, 65536, 3, 0 };
	unsigned long long rate = 1ull << below(24);

	switch (letter) {
	case 'b': return buffer_name(room, false), (int)strlen(room);
	case 'D': return buffer_name(room, true), (int)strlen(room);
	case 'g': return sprintf(room, "%s", signal_name());
	case 's': return sprintf(room, "%s", stream_name());
	case 'n': return print_number(room);
	case 'k': return sprintf(room, "%u", one_in(4) ? below(300000) : below(24) * 4096);
	case 'h': return sprintf(room, "%s", PICK(heaps));
	case 'd': return sprintf(room, "%s", PICK(directions));
	case 'l': return sprintf(room, "%s", one_in(8) ? "x" : one_in(2) ? "process" : "none");
	case 't':
		return one_in(6) ? print_number(room) + sprintf(room + strlen(room), "%s", PICK(units))
				 : sprintf(room, "%u%s", 1 + below(200), PICK(units));
	case 'r': return one_in(20) ? print_number(room) : sprintf(room, "%llu", rate);
	case 'p': return sprintf(room, "%u", PICK(periods));
	case 'c': return sprintf(room, "%s", one_in(8) ? "x" : one_in(2) ? "stop" : "overwrite");
	case 'o': return sprintf(room, "%s", one_in(2) ? "pattern" : signal_name());
	case 'e': return sprintf(room, "%u", below(2));
	case 'P': return sprintf(room, "%d", some_pid());
	case 'S': return sprintf(room, "%s", PICK(signals));
	case '%': return sprintf(room, "%%");
	default:
		fprintf(stderr, "fuzz: the corpus has %%%c, which stands for nothing\n", letter);
		exit(2);
	}
}

static size_t add_line(enum grammar grammar, char *room)
{
	unsigned index = below(template_count[grammar]);
	const char *text = templates[grammar][index].text;
	size_t length = templates[grammar][index].length, filled = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '%' && i + 1 < length)
			filled += (size_t)expand(text[++i], room + filled);
		else
			room[filled++] = text[i];
	}
	return filled;
}

static size_t mutate(enum grammar grammar, char *room, size_t length)
{
	static const char bytes[] = "\0\n\n# \t=/%.-0159KMGx\r\x7f\x80\xff\xc3";
	size_t at = length ? below((unsigned)length) : 0;

	switch (below(12)) {
	case 0: return at;
	case 1: case 2: case 3:
		if (length)
			room[at] = bytes[below(sizeof(bytes) - 1)];
		return length;
	case 4: case 5:
		memmove(room + at + 1, room + at, length - at);
		room[at] = bytes[below(sizeof(bytes) - 1)];
		return length + 1;
	case 6:
		if (!length)
			return 0;
		memmove(room + at, room + at + 1, length - at - 1);
		return length - 1;
	case 7: case 8: case 9: {
		for (unsigned lines = 1 + below(6); lines--;) {
			room[length++] = '\n';
			length += add_line(grammar, room + length);
		}
		return length;
	}
	case 10: {
		/* A long word, or many lines. */
		size_t limit = one_in(40) ? 1 << 20 : one_in(3) ? 5000 : 300;
		size_t unit = length && one_in(2) ? length : 1;

		if (unit > 1)
			room[length++] = '\n', unit++;
		while (length && length + unit < limit) {
			memcpy(room + length, room + length - unit, unit);
			length += unit;
		}
		return length;
	}
	default:
		memmove(room + 1, room, length);
		room[0] = '#';
		return length + 1;
	}
}

/* Whether a word could be taken for the pid of a process that is none of ours. */
static bool is_stranger(const char *word, size_t length)
{
	size_t digits = 0;

	for (size_t i = 0; i < length; i++)
		digits += isdigit((unsigned char)word[i]) != 0;
	if (!digits || word[0] == '-' || (ispunct((unsigned char)word[0]) && word[0] != '+'))
		return false;
	if (digits < length)
		return true;
	unsigned long long pid = strtoull(word, NULL, 10);

	for (unsigned i = 0; i < MAX_VICTIMS; i++)
		if (pid == (unsigned)atomic_load(&shared->victim[i].pid))
			return false;
	return pid != 0 && pid <= (unsigned)pid_max;
}

/*
 * `notify` must name no process but the victims, whatever the mutations made of the line. Each word
 * that a parser could take for the first one of a line is looked at.
 */
static bool names_strangers(const char *text, size_t length)
{
	bool is_first = true;

	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte == ' ' || byte == '\t')
			continue;
		if (byte < ' ' || byte > '~') {
			is_first = true;
			continue;
		}
		size_t end = i;

		while (end < length && isgraph((unsigned char)text[end]))
			end++;
		if (is_first && is_stranger(text + i, end - i))
			return true;
		is_first = false;
		i = end - 1;
	}
	return false;
}

/* Into room for TEXT_LIMIT bytes; gives the length. */
size_t make_text(enum grammar grammar, char *room)
{
	size_t length = add_line(grammar, room);

	if (one_in(3))
		for (unsigned times = 1 + below(3); times--;)
			length = mutate(grammar, room, length);
	if (one_in(2))
		room[length++] = '\n';
	/* Nobody triggers many at once where that is known to hold up others. */
	if (grammar == G_trigger && is_left_out("trigger") && length > 3)
		return (size_t)sprintf(room, "%u", 1 + below(100));
	if (grammar == G_notify && names_strangers(room, length))
		return (size_t)sprintf(room, "%d USR1", pid_max + 1);
	return length;
}

/* For a person, cut after 100 bytes. One at a time. */
const char *printable(const void *bytes, size_t length)
{
	static char text[4 * 100 + 16];
	const unsigned char *byte = bytes;
	char *out = text;

	for (size_t i = 0; i < length && i < 100; i++) {
		if (byte[i] == '\n')
			out += sprintf(out, "\\n");
		else if (byte[i] < ' ' || byte[i] > '~' || byte[i] == '\\')
			out += sprintf(out, "\\x%02x", byte[i]);
		else
			*out++ = (char)byte[i];
	}
	if (length > 100)
		out += sprintf(out, "...");
	*out = 0;
	return text;
}
