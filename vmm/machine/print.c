#include "machine/print.h"

#include <errno.h>
#include <inttypes.h>
#include <json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "machine/cmdline.h"

/* The name of the type in both prints. */
static const char *map_type_name(enum machine_map_type type)
{
	switch (type) {
	case MACHINE_MAP_RAM: return "RAM";
	case MACHINE_MAP_RESERVED: return "reserved";
	case MACHINE_MAP_ACPI: return "ACPI";
	}
	return "unknown";
}

static int max(int a, int b)
{
	return a > b ? a : b;
}

static void text_map(FILE *f, const struct machine *m)
{
	char size[24];

	fputs("\nMemory map\n", f);
	for (unsigned i = 0; i < m->nr_map; i++)
		fprintf(f, "  0x%010" PRIx64 " - 0x%010" PRIx64 "  %10s  %s\n", m->map[i].gpa,
			m->map[i].gpa + m->map[i].len - 1, format_size(m->map[i].len, size),
			map_type_name(m->map[i].type));
}

static void text_cpus(FILE *f, const struct machine *m)
{
	const char *id = m->platform->cpu_id_name;

	if (m->cpus == 1)
		fprintf(f, "\nCPUs\n  1, %s 0\n", id);
	else
		fprintf(f, "\nCPUs\n  %u, %ss 0 to %u\n", m->cpus, id, m->cpus - 1);
}

/* Ranges of one space. */
static void text_ranges(FILE *f, const struct machine_range *range, unsigned n)
{
	if (range[0].space == IOBUS_PIO)
		fputs(n == 1 && range[0].len == 1 ? "port " : "ports ", f);
	for (unsigned i = 0; i < n; i++) {
		const struct machine_range *r = &range[i];

		fprintf(f, "%s0x%" PRIx64, i ? ", " : "", r->first);
		if (r->len > 1)
			fprintf(f, "-0x%" PRIx64, r->first + r->len - 1);
	}
}

static void text_devices(FILE *f, const char *title, const struct machine_device *dev, unsigned n)
{
	int name_width = (int)strlen("NAME"), part_width = (int)strlen("PART");

	for (unsigned i = 0; i < n; i++) {
		name_width = max(name_width, (int)strlen(dev[i].name));
		part_width = max(part_width, (int)strlen(dev[i].part));
	}
	fprintf(f, "\n%s\n  %-*s  %-*s  GSI  AT\n", title, name_width, "NAME", part_width, "PART");
	for (unsigned i = 0; i < n; i++) {
		fprintf(f, "  %-*s  %-*s  ", name_width, dev[i].name, part_width, dev[i].part);
		if (dev[i].gsi == MACHINE_GSI_NONE)
			fputs("  -  ", f);
		else
			fprintf(f, "%3d  ", dev[i].gsi);
		text_ranges(f, dev[i].range, dev[i].nr_ranges);
		if (dev[i].nr_unadvertised) {
			fputs("; not advertised: ", f);
			text_ranges(f, dev[i].range + dev[i].nr_ranges, dev[i].nr_unadvertised);
		}
		fputc('\n', f);
	}
}

static void text_machine_kernel(FILE *f, const struct machine_kernel *kernel)
{
	if (kernel)
		fprintf(f,
			"\nKernel '%s'\n  recognised as  %s\n  entered by     %s at %#" PRIx64
			"\n  state there    %s\n",
			kernel->name, kernel->kind, kernel->entered_by, kernel->entry_gpa,
			kernel->state);
}

int machine_print_text(const struct machine *m, const struct machine_kernel *kernel, char **ret,
		       struct diag *diag)
{
	AUTO_FREE char *cmdline = NULL;
	char *text = NULL, size[24];
	size_t len;
	FILE *f;
	int r;

	r = machine_cmdline_render(m, &cmdline, diag);
	if (r < 0)
		return r;
	f = open_memstream(&text, &len);
	if (!f)
		return diag_set(diag, -ENOMEM, "machine-print-memory", "print the machine");
	fprintf(f, "Tollgate machine: %s, %s of RAM, %u CPU%s\n", m->platform->name,
		format_size(m->mem_bytes, size), m->cpus, m->cpus == 1 ? "" : "s");
	text_map(f, m);
	text_cpus(f, m);
	text_devices(f, "Devices", m->device, m->nr_devices);
	text_devices(f, "Emulated by KVM", m->chip, m->nr_chips);
	text_machine_kernel(f, kernel);
	if (!kernel || kernel->has_cmdline)
		fprintf(f, "\nKernel command line\n  %s\n", cmdline);
	r = ferror(f);
	if (fclose(f) != 0 || r) {
		free(text);
		return diag_set(diag, -ENOMEM, "machine-print-memory", "print the machine");
	}
	*ret = text;
	return 0;
}

/* A tree that is being built; json-c reports every failure of an allocation here. */
struct json {
	bool failed;
};

/* Adds val, which may be NULL when it could not be made, and owns it from here on. */
static void json_put(struct json *j, struct json_object *obj, const char *key,
		     struct json_object *val)
{
	if (val && obj && json_object_object_add(obj, key, val) == 0)
		return;
	json_object_put(val);
	j->failed = true;
}

static void json_append(struct json *j, struct json_object *array, struct json_object *val)
{
	if (val && array && json_object_array_add(array, val) == 0)
		return;
	json_object_put(val);
	j->failed = true;
}

/* json-c takes NULL for null, which json_put() takes for a failure. */
static void json_put_null(struct json *j, struct json_object *obj, const char *key)
{
	if (!obj || json_object_object_add(obj, key, NULL) != 0)
		j->failed = true;
}

static struct json_object *json_span(struct json *j, uint64_t first, uint64_t len)
{
	struct json_object *span = json_object_new_object();

	json_put(j, span, "first", json_object_new_uint64(first));
	json_put(j, span, "length", json_object_new_uint64(len));
	return span;
}

static struct json_object *json_ram(struct json *j, const struct machine *m)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < m->nr_ram; i++)
		json_append(j, array, json_span(j, m->ram[i].gpa, m->ram[i].len));
	return array;
}

static struct json_object *json_map(struct json *j, const struct machine *m)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < m->nr_map; i++) {
		struct json_object *entry = json_span(j, m->map[i].gpa, m->map[i].len);

		json_put(j, entry, "type", json_object_new_string(map_type_name(m->map[i].type)));
		json_append(j, array, entry);
	}
	return array;
}

static struct json_object *json_ranges(struct json *j, const struct machine_device *dev)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < machine_device_nr_ranges(dev); i++) {
		const struct machine_range *r = &dev->range[i];
		struct json_object *range = json_span(j, r->first, r->len);

		json_put(j, range, "space",
			 json_object_new_string(r->space == IOBUS_PIO ? "pio" : "mmio"));
		json_put(j, range, "advertised", json_object_new_boolean(i < dev->nr_ranges));
		json_append(j, array, range);
	}
	return array;
}

static struct json_object *machine_json_devices(struct json *j, const struct machine_device *dev,
						unsigned n)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < n; i++) {
		struct json_object *obj = json_object_new_object();

		json_put(j, obj, "name", json_object_new_string(dev[i].name));
		json_put(j, obj, "part", json_object_new_string(dev[i].part));
		if (dev[i].gsi == MACHINE_GSI_NONE)
			json_put_null(j, obj, "gsi");
		else
			json_put(j, obj, "gsi", json_object_new_int(dev[i].gsi));
		json_put(j, obj, "ranges", json_ranges(j, &dev[i]));
		json_append(j, array, obj);
	}
	return array;
}

static struct json_object *json_machine_kernel(struct json *j, const struct machine_kernel *kernel)
{
	struct json_object *obj = json_object_new_object();

	json_put(j, obj, "name", json_object_new_string(kernel->name));
	json_put(j, obj, "kind", json_object_new_string(kernel->kind));
	json_put(j, obj, "entered_by", json_object_new_string(kernel->entered_by));
	json_put(j, obj, "entry", json_object_new_uint64(kernel->entry_gpa));
	json_put(j, obj, "state", json_object_new_string(kernel->state));
	return obj;
}

static struct json_object *json_machine(struct json *j, const struct machine *m,
					const struct machine_kernel *kernel, const char *cmdline)
{
	struct json_object *root = json_object_new_object();

	json_put(j, root, "schema", json_object_new_int(2));
	json_put(j, root, "architecture", json_object_new_string(m->platform->name));
	json_put(j, root, "memory_bytes", json_object_new_uint64(m->mem_bytes));
	json_put(j, root, "cpus", json_object_new_int64(m->cpus));
	json_put(j, root, "command_line", json_object_new_string(cmdline));
	if (kernel)
		json_put(j, root, "kernel", json_machine_kernel(j, kernel));
	json_put(j, root, "ram", json_ram(j, m));
	json_put(j, root, "memory_map", json_map(j, m));
	json_put(j, root, "devices", machine_json_devices(j, m->device, m->nr_devices));
	json_put(j, root, "kvm_devices", machine_json_devices(j, m->chip, m->nr_chips));
	return root;
}

int machine_print_json(const struct machine *m, const struct machine_kernel *kernel, char **ret,
		       struct diag *diag)
{
	enum {
		STYLE = JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
			JSON_C_TO_STRING_NOSLASHESCAPE,
	};
	AUTO_FREE char *cmdline = NULL;
	struct json j = {0};
	struct json_object *root;
	const char *body; /* root's */
	char *text = NULL;
	int r;

	r = machine_cmdline_render(m, &cmdline, diag);
	if (r < 0)
		return r;
	root = json_machine(&j, m, kernel, !kernel || kernel->has_cmdline ? cmdline : "");
	body = j.failed ? NULL : json_object_to_json_string_ext(root, STYLE);
	if (!body || asprintf(&text, "%s\n", body) < 0)
		r = diag_set(diag, -ENOMEM, "machine-print-memory", "print the machine");
	else
		*ret = text;
	json_object_put(root);
	return r;
}
