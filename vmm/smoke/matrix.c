#include "smoke/matrix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smoke/matrix/internal.h"

enum { NAME_BYTES_MAX = 512 };

/* Values that a boot is multiplied by: nodes of the file, or the command line's kernels. */
struct axis {
	const char *key; /* NULL: the command line's kernels */
	const yaml_node_t *values;
	size_t nr;
};

/* One of the file's boots. */
struct entry {
	const yaml_node_t *node;
	const char *name, *kernel; /* NULL: none */
	struct config_smoke_settings settings;
	struct axis axis[CONFIG_SMOKE_AXES_MAX];
	unsigned nr_axes;
	size_t nr_boots; /* the product */
};

/* One combination of values in the matrix: one boot. */
struct cell {
	char name[NAME_BYTES_MAX];
	const char *kernel;
	struct config_smoke_settings settings;
};

static int take_axis(const struct matrix_reader *reader, const char *key, const yaml_node_t *value,
		     void *arg)
{
	struct entry *entry = arg;

	if (value->type != YAML_SEQUENCE_NODE || matrix_nr_items(value) == 0)
		return matrix_complain_of(reader, value, key, "matrix-list-wanted",
					  "wants a list of what to multiply by");
	if (entry->nr_axes == CONFIG_SMOKE_AXES_MAX)
		return matrix_complain(reader, value, "matrix-key-count",
				       "too many keys in one matrix");
	entry->axis[entry->nr_axes++] =
		(struct axis){.key = key, .values = value, .nr = matrix_nr_items(value)};
	return 0;
}

static int take_entry(const struct matrix_reader *reader, const char *key, const yaml_node_t *value,
		      void *arg)
{
	struct entry *entry = arg;

	if (strcmp(key, "name") == 0)
		return matrix_take_text(reader, key, value, &entry->name);
	if (strcmp(key, "kernel") == 0)
		return matrix_take_text(reader, key, value, &entry->kernel);
	if (strcmp(key, "matrix") == 0)
		return matrix_each_pair(reader, value, take_axis, entry);
	return matrix_take_boot_setting(reader, key, value, &entry->settings);
}

/* A value of an axis that is several settings, with a name of its own. */
struct variant {
	struct cell *cell;
	const char *name;
};

static int take_variant(const struct matrix_reader *reader, const char *key,
			const yaml_node_t *value, void *arg)
{
	struct variant *variant = arg;

	if (strcmp(key, "name") == 0)
		return matrix_take_text(reader, key, value, &variant->name);
	if (strcmp(key, "kernel") == 0)
		return matrix_take_text(reader, key, value, &variant->cell->kernel);
	return matrix_take_boot_setting(reader, key, value, &variant->cell->settings);
}

static int extend_name(const struct matrix_reader *reader, struct cell *cell, const char *prefix,
		       const char *part)
{
	const size_t len = strlen(cell->name);
	const int n = snprintf(cell->name + len, sizeof(cell->name) - len, "%s%s%s", len ? "/" : "",
			       prefix, part);

	if (n < 0 || (size_t)n >= sizeof(cell->name) - len)
		return diag_set(reader->diag, -EINVAL, "matrix-name-length",
				"%s: the name of boot '%s' is too long", reader->path, cell->name);
	return 0;
}

static int choose_variant(const struct matrix_reader *reader, const yaml_node_t *node,
			  struct cell *cell)
{
	struct variant variant = {.cell = cell};
	const int r = matrix_each_pair(reader, node, take_variant, &variant);

	if (r < 0)
		return r;
	if (!variant.name)
		return matrix_complain(reader, node, "matrix-name-wanted",
				       "this wants a name, which becomes a part of the boot's");
	return extend_name(reader, cell, "", variant.name);
}

static int choose_kernel(const struct matrix_reader *reader, const char *kernel, struct cell *cell)
{
	cell->kernel = kernel;
	return extend_name(reader, cell, "", config_smoke_base_name(kernel));
}

/* "cpus=2" */
static int choose_value(const struct matrix_reader *reader, const char *key,
			const yaml_node_t *node, struct cell *cell)
{
	char prefix[64];
	const char *text = matrix_scalar(node);
	int r;

	if (!text)
		return matrix_complain_of(reader, node, key, "matrix-value-kind",
					  "takes texts, or keys with a name");
	r = matrix_take_boot_setting(reader, key, node, &cell->settings);
	if (r < 0)
		return r;
	snprintf(prefix, sizeof(prefix), "%s=", key);
	return extend_name(reader, cell, prefix, text);
}

static int choose(const struct matrix_reader *reader, const struct axis *axis, size_t i,
		  struct cell *cell)
{
	const yaml_node_t *node;

	if (!axis->key)
		return choose_kernel(reader, reader->kernel[i], cell);
	node = matrix_item_at(reader, axis->values, i);
	if (node->type == YAML_MAPPING_NODE)
		return choose_variant(reader, node, cell);
	if (strcmp(axis->key, "kernel") == 0 && matrix_scalar(node))
		return choose_kernel(reader, matrix_scalar(node), cell);
	return choose_value(reader, axis->key, node, cell);
}

static int add_spec(const struct matrix_reader *reader, const struct cell *cell)
{
	const struct config_smoke_boot boot = {
		.name = cell->name,
		.kernel = cell->kernel,
		.settings = &cell->settings,
		.times = 1,
	};
	struct diag why = {0};
	const int r = config_smoke_add(reader->suite, &boot, &why);

	if (r < 0) {
		diag_set(reader->diag, -EINVAL, why.id, "%s: boot '%s': %s", reader->path,
			 cell->name, why.what);
		if (why.remedy[0])
			diag_remedy(reader->diag, "%s", why.remedy);
	}
	return r;
}

/* The i-th boot of the product; the last axis moves fastest. */
static int add_cell(const struct matrix_reader *reader, const struct entry *entry, size_t i)
{
	struct cell cell = {.kernel = entry->kernel};
	size_t rest = entry->nr_boots;
	int r = 0;

	if (entry->name)
		r = extend_name(reader, &cell, "", entry->name);
	if (r == 0 && (config_smoke_settings_append(&cell.settings, &reader->common) < 0 ||
		       config_smoke_settings_append(&cell.settings, &entry->settings) < 0))
		r = matrix_no_memory(reader);
	for (unsigned a = 0; r == 0 && a < entry->nr_axes; a++) {
		rest /= entry->axis[a].nr;
		r = choose(reader, &entry->axis[a], i / rest % entry->axis[a].nr, &cell);
	}
	if (r == 0 && config_smoke_settings_append(&cell.settings, reader->cli) < 0)
		r = matrix_no_memory(reader);
	if (r == 0 && !cell.kernel) {
		r = matrix_complain(reader, entry->node, "matrix-kernel-missing",
				    "this boot has no kernel");
		diag_remedy(reader->diag, "a key 'kernel:', or kernels on the command line");
	}
	if (r == 0 && !cell.name[0])
		r = extend_name(reader, &cell, "", config_smoke_base_name(cell.kernel));
	if (r == 0)
		r = add_spec(reader, &cell);
	config_smoke_settings_fini(&cell.settings);
	return r;
}

static bool has_kernel(const struct entry *entry)
{
	for (unsigned a = 0; a < entry->nr_axes; a++)
		if (strcmp(entry->axis[a].key, "kernel") == 0)
			return true;
	return entry->kernel != NULL;
}

static int read_entry(const struct matrix_reader *reader, const yaml_node_t *node,
		      struct entry *ret)
{
	int r;

	*ret = (struct entry){.node = node, .nr_boots = 1};
	r = matrix_each_pair(reader, node, take_entry, ret);
	if (r < 0)
		return r;
	if (!has_kernel(ret) && reader->nr_kernels) {
		if (ret->nr_axes == CONFIG_SMOKE_AXES_MAX)
			return matrix_complain(reader, node, "matrix-key-count",
					       "too many keys in one matrix");
		memmove(ret->axis + 1, ret->axis, ret->nr_axes++ * sizeof(*ret->axis));
		ret->axis[0] = (struct axis){.nr = reader->nr_kernels};
	}
	for (unsigned a = 0; a < ret->nr_axes; a++)
		if (__builtin_mul_overflow(ret->nr_boots, ret->axis[a].nr, &ret->nr_boots) ||
		    ret->nr_boots > SMOKE_BOOTS_MAX)
			return matrix_complain(reader, node, "matrix-boot-count",
					       "this makes too many boots");
	return 0;
}

static int read_entries(const struct matrix_reader *reader, const yaml_node_t *list,
			struct entry *entries)
{
	size_t total = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < matrix_nr_items(list); i++) {
		r = read_entry(reader, matrix_item_at(reader, list, i), &entries[i]);
		total += entries[i].nr_boots;
		if (r == 0 && total > SMOKE_BOOTS_MAX)
			r = matrix_complain(reader, list, "matrix-boot-count",
					    "these are too many boots");
	}
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < matrix_nr_items(list); i++)
		for (size_t k = 0; r == 0 && k < entries[i].nr_boots; k++)
			r = add_cell(reader, &entries[i], k);
	return r;
}

/* The file's own level: settings for all boots and for the run, and the boots. */
struct top {
	struct matrix_reader *reader;
	const yaml_node_t *boots;
};

static int take_top_setting(struct matrix_reader *reader,
			    const struct config_smoke_setting *setting)
{
	if (config_smoke_is_of_run(setting->opt))
		return config_smoke_run_option(&reader->suite->run, setting->opt, setting->arg,
					       reader->diag);
	return matrix_add_setting(reader, &reader->common, setting->opt, setting->arg);
}

static int take_top(const struct matrix_reader *reader, const char *key, const yaml_node_t *value,
		    void *arg)
{
	struct top *top = arg;
	struct config_smoke_settings settings = {0};
	int r;

	if (strcmp(key, "boots") == 0) {
		top->boots = value;
		return 0;
	}
	r = matrix_take_option(reader, key, value, &settings);
	for (size_t i = 0; r == 0 && i < settings.nr; i++)
		r = take_top_setting(top->reader, &settings.setting[i]);
	config_smoke_settings_fini(&settings);
	return r;
}

static int read_document(struct matrix_reader *reader)
{
	struct top top = {.reader = reader};
	struct entry *entries = NULL;
	int r = matrix_each_pair(reader, yaml_document_get_root_node(reader->doc), take_top, &top);

	if (r < 0)
		return r;
	if (!top.boots || top.boots->type != YAML_SEQUENCE_NODE || matrix_nr_items(top.boots) == 0)
		return matrix_complain(reader, top.boots, "matrix-boots-missing",
				       "the list 'boots:' is missing");
	entries = calloc(matrix_nr_items(top.boots), sizeof(*entries));
	if (!entries)
		return matrix_no_memory(reader);
	r = read_entries(reader, top.boots, entries);
	for (size_t i = 0; i < matrix_nr_items(top.boots); i++)
		config_smoke_settings_fini(&entries[i].settings);
	free(entries);
	return r;
}

static int document_load(FILE *f, const char *path, yaml_document_t *doc, struct diag *diag)
{
	yaml_parser_t parser;
	int r = 0;

	if (!yaml_parser_initialize(&parser))
		return diag_set(diag, -ENOMEM, "matrix-parser-memory", "read '%s'", path);
	yaml_parser_set_input_file(&parser, f);
	if (!yaml_parser_load(&parser, doc))
		r = diag_set(diag, -EINVAL, "matrix-not-yaml", "%s:%zu: not YAML: %s", path,
			     parser.problem_mark.line + 1,
			     parser.problem ? parser.problem : "it cannot be read");
	yaml_parser_delete(&parser);
	return r;
}

void config_smoke_matrix_fini(void *matrix)
{
	if (!matrix)
		return;
	yaml_document_delete(matrix);
	free(matrix);
}

int config_smoke_matrix(struct smoke_suite *suite, const char *path,
			const struct config_smoke_settings *settings, char *const *kernel,
			unsigned nr, struct diag *diag)
{
	yaml_document_t *doc = calloc(1, sizeof(*doc));
	struct matrix_reader reader = {
		.doc = doc,
		.path = path,
		.cli = settings,
		.kernel = kernel,
		.nr_kernels = nr,
		.suite = suite,
		.diag = diag,
	};
	FILE *f = doc ? fopen(path, "re") : NULL;
	int r;

	if (!doc)
		return matrix_no_memory(&reader);
	if (!f) {
		r = diag_set(diag, -errno, "matrix-open", "open '%s'", path);
		free(doc);
		return r;
	}
	r = document_load(f, path, doc, diag);
	fclose(f);
	if (r < 0) {
		free(doc);
		return r;
	}
	suite->matrix = doc;
	r = read_document(&reader);
	config_smoke_settings_fini(&reader.common);
	return r;
}
