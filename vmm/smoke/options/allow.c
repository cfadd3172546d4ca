/* allow.c - the patterns of --allow-file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "smoke/options/internal.h"

enum { ALLOW_LINE_MAX = 1024 };

static int allow_add_line(struct smoke_spec *spec, const char *path, unsigned number, char *line,
			  struct diag *diag)
{
	struct smoke_rule_opts opts = {.kind = SMOKE_RULE_ALLOW, .pattern = line};
	char option[256];
	size_t len = strcspn(line, "\n");

	if (len == ALLOW_LINE_MAX - 1)
		return diag_set(diag, -EINVAL, "allow-line-length",
				"%s:%u: the line is longer than %d bytes", path, number,
				ALLOW_LINE_MAX - 2);
	while (len > 0 && strchr(" \t\r", line[len - 1]))
		len--;
	line[len] = '\0';
	if (len == 0 || *line == '#')
		return 0;
	snprintf(option, sizeof(option), "%s:%u:", path, number);
	opts.option = option;
	return smoke_rules_add(&spec->rules, &opts, diag);
}

int config_smoke_allow_file(struct smoke_spec *spec, const char *path, struct diag *diag)
{
	FILE *f = fopen(path, "re");
	char line[ALLOW_LINE_MAX];
	int r = 0;

	if (!f)
		return diag_set(diag, -errno, "allow-open", "open '%s'", path);
	for (unsigned i = 1; r == 0 && fgets(line, sizeof(line), f); i++)
		r = allow_add_line(spec, path, i, line, diag);
	if (r == 0 && ferror(f))
		r = diag_set(diag, -EIO, "allow-read", "read '%s'", path);
	fclose(f);
	return r;
}
