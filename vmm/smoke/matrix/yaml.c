/*
 * yaml.c - the nodes of a --config file: texts, lists, mappings, and the options that they hold.
 */
#include <errno.h>
#include <string.h>

#include "smoke/matrix/internal.h"

int matrix_complain(const struct matrix_reader *reader, const yaml_node_t *node,
		    const char *diag_id, const char *what)
{
	return diag_set(reader->diag, -EINVAL, diag_id, "%s:%zu: %s", reader->path,
			node ? node->start_mark.line + 1 : 1, what);
}

int matrix_complain_of(const struct matrix_reader *reader, const yaml_node_t *node, const char *key,
		       const char *diag_id, const char *what)
{
	return diag_set(reader->diag, -EINVAL, diag_id, "%s:%zu: '%s' %s", reader->path,
			node->start_mark.line + 1, key, what);
}

int matrix_no_memory(const struct matrix_reader *reader)
{
	return diag_set(reader->diag, -ENOMEM, "matrix-memory", "read '%s'", reader->path);
}

const char *matrix_scalar(const yaml_node_t *node)
{
	if (!node || node->type != YAML_SCALAR_NODE ||
	    strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
		return NULL;
	return (const char *)node->data.scalar.value;
}

static const yaml_node_t *node_at(const struct matrix_reader *reader, int index)
{
	return yaml_document_get_node(reader->doc, index);
}

size_t matrix_nr_items(const yaml_node_t *node)
{
	return (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
}

const yaml_node_t *matrix_item_at(const struct matrix_reader *reader, const yaml_node_t *node,
				  size_t i)
{
	return node_at(reader, node->data.sequence.items.start[i]);
}

int matrix_each_pair(const struct matrix_reader *reader, const yaml_node_t *node,
		     int (*take)(const struct matrix_reader *reader, const char *key,
				 const yaml_node_t *value, void *arg),
		     void *arg)
{
	int r = 0;

	if (!node || node->type != YAML_MAPPING_NODE)
		return matrix_complain(reader, node, "matrix-mapping-wanted",
				       "keys with their values belong here");
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     r == 0 && pair < node->data.mapping.pairs.top; pair++) {
		const char *key = matrix_scalar(node_at(reader, pair->key));

		if (!key)
			return matrix_complain(reader, node_at(reader, pair->key),
					       "matrix-key-wanted", "a key belongs here");
		for (const yaml_node_pair_t *before = node->data.mapping.pairs.start; before < pair;
		     before++)
			if (strcmp(key, matrix_scalar(node_at(reader, before->key))) == 0)
				return matrix_complain_of(reader, node_at(reader, pair->key), key,
							  "matrix-key-twice", "is given twice");
		r = take(reader, key, node_at(reader, pair->value), arg);
	}
	return r;
}

static bool is_one_of(const char *s, const char *const *list)
{
	while (*list && strcmp(*list, s) != 0)
		list++;
	return *list != NULL;
}

/* Whether a flag is on, as YAML 1.1 and 1.2 write it; -EINVAL for another value. */
static int flag_of(const struct matrix_reader *reader, const yaml_node_t *node, const char *key)
{
	static const char *const on[] = {"true", "yes", "on", NULL};
	static const char *const off[] = {"false", "no", "off", NULL};
	const char *text = matrix_scalar(node);

	if (text && is_one_of(text, on))
		return 1;
	if (text && is_one_of(text, off))
		return 0;
	return matrix_complain_of(reader, node, key, "matrix-boolean-wanted", "is true or false");
}

int matrix_add_setting(const struct matrix_reader *reader, struct config_smoke_settings *settings,
		       int opt, const char *arg)
{
	return config_smoke_settings_add(settings, opt, arg) < 0 ? matrix_no_memory(reader) : 0;
}

/* An option with one value. */
static int take_value(const struct matrix_reader *reader, const struct option_row *option,
		      const yaml_node_t *node, struct config_smoke_settings *settings)
{
	const char *text = matrix_scalar(node);
	int on;

	if (!text)
		return matrix_complain_of(reader, node, option->name, "matrix-text-wanted",
					  "wants a text");
	if (option_row_has_arg(option) == required_argument ||
	    (option_row_has_arg(option) == optional_argument && strcmp(text, "true") != 0 &&
	     strcmp(text, "false") != 0))
		return matrix_add_setting(reader, settings, option->opt, text);
	on = flag_of(reader, node, option->name);
	return on > 0 ? matrix_add_setting(reader, settings, option->opt, NULL) : on;
}

int matrix_take_option(const struct matrix_reader *reader, const char *key,
		       const yaml_node_t *value, struct config_smoke_settings *settings)
{
	const struct option_row *option = config_smoke_option(key);
	int r = 0;

	if (!option) {
		matrix_complain_of(reader, value, key, "matrix-option-unknown", "is not an option");
		config_smoke_suggest(key, reader->diag);
		return -EINVAL;
	}
	if (value->type != YAML_SEQUENCE_NODE)
		return take_value(reader, option, value, settings);
	for (size_t i = 0; r == 0 && i < matrix_nr_items(value); i++)
		r = take_value(reader, option, matrix_item_at(reader, value, i), settings);
	return r;
}

int matrix_take_boot_setting(const struct matrix_reader *reader, const char *key,
			     const yaml_node_t *value, struct config_smoke_settings *settings)
{
	const struct option_row *option = config_smoke_option(key);

	if (option && config_smoke_is_of_run(option->opt))
		return matrix_complain_of(reader, value, key, "matrix-option-of-run",
					  "is for the whole run");
	return matrix_take_option(reader, key, value, settings);
}

int matrix_take_text(const struct matrix_reader *reader, const char *key, const yaml_node_t *value,
		     const char **ret)
{
	*ret = matrix_scalar(value);
	return *ret && **ret ? 0
			     : matrix_complain_of(reader, value, key, "matrix-text-wanted",
						  "wants a text");
}
