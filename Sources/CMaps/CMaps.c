#include "CMaps.h"

#include <stdlib.h>

const char *cmaps_xml_why(int code)
{
	const char *why = XML_ErrorString((enum XML_Error)code);

	return why ? why : "unknown error";
}

struct cmaps_yaml {
	yaml_parser_t parser;
	yaml_event_t event;
	int has_event;
};

struct cmaps_yaml *cmaps_yaml_new(const unsigned char *bytes, size_t count)
{
	struct cmaps_yaml *yaml = calloc(1, sizeof(*yaml));

	if (!yaml)
		return NULL;
	if (!yaml_parser_initialize(&yaml->parser)) {
		free(yaml);
		return NULL;
	}
	yaml_parser_set_input_string(&yaml->parser, bytes, count);
	return yaml;
}

void cmaps_yaml_free(struct cmaps_yaml *yaml)
{
	if (yaml->has_event)
		yaml_event_delete(&yaml->event);
	yaml_parser_delete(&yaml->parser);
	free(yaml);
}

struct cmaps_yaml_event cmaps_yaml_next(struct cmaps_yaml *yaml)
{
	struct cmaps_yaml_event told = { CMAPS_YAML_OTHER };
	yaml_event_t *event = &yaml->event;

	if (yaml->has_event)
		yaml_event_delete(event);
	yaml->has_event = yaml_parser_parse(&yaml->parser, event);
	if (!yaml->has_event) {
		told.kind = CMAPS_YAML_ERROR;
		told.line = yaml->parser.problem_mark.line + 1;
		told.text = yaml->parser.problem ? yaml->parser.problem : "it can't be read";
		return told;
	}
	told.line = event->start_mark.line + 1;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		told.kind = CMAPS_YAML_SCALAR;
		told.text = (const char *)event->data.scalar.value;
		told.count = event->data.scalar.length;
		told.anchor = (const char *)event->data.scalar.anchor;
		break;
	case YAML_SEQUENCE_START_EVENT:
		told.kind = CMAPS_YAML_LIST;
		told.anchor = (const char *)event->data.sequence_start.anchor;
		break;
	case YAML_MAPPING_START_EVENT:
		told.kind = CMAPS_YAML_MAP;
		told.anchor = (const char *)event->data.mapping_start.anchor;
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		told.kind = CMAPS_YAML_END;
		break;
	case YAML_ALIAS_EVENT:
		told.kind = CMAPS_YAML_ALIAS;
		told.anchor = (const char *)event->data.alias.anchor;
		break;
	case YAML_NO_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		told.kind = CMAPS_YAML_NOTHING;
		break;
	default:
		break;
	}
	return told;
}
