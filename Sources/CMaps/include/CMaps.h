/*
 * The parsers that register maps are read with: expat for XML, libyaml for YAML. Both are linked
 * statically: the program needs no library of the system for them.
 */
#ifndef CMAPS_H
#define CMAPS_H

#include <expat.h>
#include <yaml.h>

/* What expat says of its own error, in `code`. */
const char *_Nonnull cmaps_xml_why(int code);

enum cmaps_yaml_kind {
	CMAPS_YAML_OTHER,
	CMAPS_YAML_SCALAR,
	CMAPS_YAML_LIST,
	CMAPS_YAML_MAP,
	/* Of a list or a map. */
	CMAPS_YAML_END,
	CMAPS_YAML_ALIAS,
	/* Of all. */
	CMAPS_YAML_NOTHING,
	CMAPS_YAML_ERROR,
};

/* One event of libyaml's, without its unions. */
struct cmaps_yaml_event {
	enum cmaps_yaml_kind kind;
	/* From 1. */
	size_t line;
	/* Of a scalar, or why it is an error; valid until the next event. */
	const char *_Nullable text;
	size_t count;
	/* Of an alias, or what others can refer to. */
	const char *_Nullable anchor;
};

struct cmaps_yaml;
struct cmaps_yaml *_Nullable cmaps_yaml_new(const unsigned char *_Nonnull bytes, size_t count);
void cmaps_yaml_free(struct cmaps_yaml *_Nonnull yaml);
struct cmaps_yaml_event cmaps_yaml_next(struct cmaps_yaml *_Nonnull yaml);

#endif
