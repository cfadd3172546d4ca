#include "cmd/kernel_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cmd/cmds.h"
#include "initramfs/host_files.h"
#include "kconfig.h"
#include "vm_end.h"

enum { NAMES_BYTES = 512 };

/* Names between separators, each once. */
struct names {
	char text[NAMES_BYTES];
	size_t len;
};

static bool names_has(const struct names *names, const char *name)
{
	const size_t n = strlen(name);

	for (const char *at = names->text; (at = strstr(at, name)); at += n) {
		const bool begins = at == names->text || at[-1] == ' ';

		if (begins && (at[n] == '\0' || at[n] == ' ' || at[n] == ','))
			return true;
	}
	return false;
}

static void names_add(struct names *names, const char *separator, const char *name)
{
	int n;

	if (names_has(names, name))
		return;
	n = snprintf(names->text + names->len, sizeof(names->text) - names->len, "%s%s",
		     names->len ? separator : "", name);
	if (n > 0 && (size_t)n < sizeof(names->text) - names->len)
		names->len += (size_t)n;
	else
		names->text[names->len] = '\0';
}

/* Options that the feature itself lacks, and not those that it needs. */
static void add_lacking(const struct kconfig *config, const struct kconfig_feature *f,
			const char *separator, bool set_by, struct names *names)
{
	char option[KCONFIG_OPTION_MAX];

	for (const struct kconfig_need *need = f->need; need->option; need++) {
		if (kconfig_need_is_met(need, kconfig_need_value(config, need, option)))
			continue;
		if (set_by)
			kconfig_need_set_by(need, option);
		names_add(names, separator, option);
	}
}

static const char *feature_state(enum kconfig_value value)
{
	return value == KCONFIG_YES ? "yes" : value == KCONFIG_MODULE ? "with modules" : "NO";
}

static const char *need_state(const struct kconfig_need *need, enum kconfig_value value)
{
	if (!kconfig_need_is_met(need, value))
		return value == KCONFIG_MODULE ? "m: not y" : "missing";
	return value == KCONFIG_MODULE ? "m" : "y";
}

static void print_need(const struct kconfig *config, const struct kconfig_need *need)
{
	char option[KCONFIG_OPTION_MAX], all[KCONFIG_OPTION_MAX * 2];
	const enum kconfig_value value = kconfig_need_value(config, need, option);
	size_t n = 0;

	/* Alternatives are all named where none is there. */
	for (const char *at = need->option; *at && n + 5 < sizeof(all); at++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, *at == '|' ? " or " : "%c", *at);
	printf("    %-8s  %-22s  %s\n", need_state(need, value),
	       kconfig_need_is_met(need, value) ? option : all, need->use);
}

static void print_feature(const struct kconfig *config, const struct kconfig_feature *f)
{
	const enum kconfig_value value = kconfig_feature_value(config, f);
	char title[80];

	snprintf(title, sizeof(title), "%s%s%s%s", f->name, f->used_by ? " (" : "",
		 f->used_by ? f->used_by : "", f->used_by ? ")" : "");
	printf("\n  %-44s%s%s\n", title, feature_state(value),
	       f->every_run ? ", needed by every run" : "");
	for (unsigned i = 0; i < KCONFIG_AFTER_MAX && f->after[i]; i++) {
		const struct kconfig_feature *after = kconfig_feature_find(f->after[i]);

		printf("    %-8s  %s\n",
		       kconfig_feature_value(config, after) == KCONFIG_NO ? "missing" : "",
		       after->name);
	}
	for (const struct kconfig_need *need = f->need; need->option; need++)
		print_need(config, need);
}

/* A line for each feature that lacks an option, and the commands that add all of them. */
static void print_summary(const struct kconfig *config, bool can_run)
{
	struct names all = {0};
	bool modules = false;

	putchar('\n');
	for (const struct kconfig_feature *f = kconfig_features; f->name; f++) {
		struct names lacking = {0};

		add_lacking(config, f, ", ", false, &lacking);
		add_lacking(config, f, " -e ", true, &all);
		modules |= kconfig_feature_value(config, f) == KCONFIG_MODULE;
		if (lacking.len)
			printf("missing         %s, for: %s\n", lacking.text, f->name);
	}
	if (modules)
		puts("modules         --modules auto brings those of --run; another initramfs has "
		     "its own");
	if (all.len)
		printf("to add all      scripts/config -e %s && make olddefconfig\n", all.text);
	printf("verdict         a run without options %s with this kernel\n",
	       can_run ? "works" : "does not work");
}

static void kernel_config_print_text(const struct kconfig *config, bool can_run)
{
	printf("kernel          %s\n", config->title[0] ? config->title : "unknown");
	for (const struct kconfig_feature *f = kconfig_features; f->name; f++)
		print_feature(config, f);
	print_summary(config, can_run);
}

static const char *json_value(enum kconfig_value value)
{
	return value == KCONFIG_YES ? "y" : value == KCONFIG_MODULE ? "m" : "n";
}

static struct json_object *json_feature(const struct kconfig *config,
					const struct kconfig_feature *f)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *options = json_object_new_object();
	struct json_object *missing = json_object_new_array();
	struct json_object *after = json_object_new_array();
	char option[KCONFIG_OPTION_MAX];

	for (unsigned i = 0; i < KCONFIG_AFTER_MAX && f->after[i]; i++)
		json_object_array_add(after, json_object_new_string(f->after[i]));
	for (const struct kconfig_need *need = f->need; need->option; need++) {
		const enum kconfig_value value = kconfig_need_value(config, need, option);

		json_object_object_add(options, option, json_object_new_string(json_value(value)));
		if (!kconfig_need_is_met(need, value))
			json_object_array_add(missing, json_object_new_string(option));
	}
	json_object_object_add(
		obj, "value", json_object_new_string(json_value(kconfig_feature_value(config, f))));
	json_object_object_add(obj, "needed_by_every_run", json_object_new_boolean(f->every_run));
	json_object_object_add(obj, "used_by",
			       f->used_by ? json_object_new_string(f->used_by) : NULL);
	json_object_object_add(obj, "needs", after);
	json_object_object_add(obj, "options", options);
	json_object_object_add(obj, "missing", missing);
	return obj;
}

static void kernel_config_print_json(const struct kconfig *config, bool can_run)
{
	struct json_object *root = json_object_new_object(), *features = json_object_new_object();

	json_object_object_add(root, "kernel",
			       config->title[0] ? json_object_new_string(config->title) : NULL);
	json_object_object_add(root, "can_run", json_object_new_boolean(can_run));
	for (const struct kconfig_feature *f = kconfig_features; f->name; f++)
		json_object_object_add(features, f->name, json_feature(config, f));
	json_object_object_add(root, "features", features);
	puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
}

/* -EINVAL with diag when a run without options lacks something. */
static int check_every_run(const struct kconfig *config, const char *file, struct diag *diag)
{
	struct names lacking = {0}, set_by = {0};

	for (const struct kconfig_feature *f = kconfig_features; f->name; f++) {
		if (!f->every_run)
			continue;
		add_lacking(config, f, ", ", false, &lacking);
		add_lacking(config, f, " -e ", true, &set_by);
	}
	if (!lacking.len)
		return 0;
	diag_set(diag, -EINVAL, "kernel-config-lacks",
		 "kernel configuration '%s' lacks what every run needs: %s", file, lacking.text);
	diag_remedy(diag, "scripts/config --file %s -e %s && make olddefconfig", file, set_by.text);
	return -EINVAL;
}

int kernel_config_report(const char *file, bool json)
{
	uint64_t budget_bytes = UINT64_MAX;
	struct kconfig config = {0};
	AUTO_FREE void *bytes = NULL;
	struct diag diag = {0};
	bool known = false;
	size_t len = 0;
	/* A file of /proc cannot be mapped. */
	int r = host_file_read("kernel configuration", file, &budget_bytes, &bytes, &len, &diag);

	if (r == 0)
		r = kconfig_read(&config, file, bytes, len, &diag);
	if (r == 0) {
		known = true;
		r = check_every_run(&config, file, &diag);
		if (json)
			kernel_config_print_json(&config, r == 0);
		else
			kernel_config_print_text(&config, r == 0);
		fflush(stdout);
	}
	if (r < 0 && !(known && json))
		cmd_fail(&diag);
	kconfig_fini(&config);
	return r < 0 ? EXIT_SETUP : EXIT_OK;
}
