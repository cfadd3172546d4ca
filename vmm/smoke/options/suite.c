/*
 * suite.c - the boots of a suite: each as often as it is to run, with a name of its own; and which of them are
 * selected.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "smoke/options/internal.h"

enum { NUMBERED_NAME_MAX = 1024 };

static int check_name(const struct smoke_suite *suite, const struct smoke_spec *spec,
		      struct diag *diag)
{
	for (unsigned i = 0; i < suite->nr; i++) {
		if (strcmp(suite->spec[i]->name, spec->name) != 0)
			continue;
		diag_set(diag, -EINVAL, "boot-name-twice", "two boots are called '%s'", spec->name);
		diag_remedy(diag, "give one of them a name");
		return -EINVAL;
	}
	return 0;
}

/* "NAME/repeat=3" */
static int number_spec(struct smoke_spec *spec, unsigned number)
{
	char name[NUMBERED_NAME_MAX];
	char *numbered;

	snprintf(name, sizeof(name), "%s/repeat=%u", spec->base, number);
	numbered = strdup(name);
	if (!numbered)
		return -ENOMEM;
	free(spec->name);
	spec->name = numbered;
	return 0;
}

static int make_room(struct smoke_suite *suite, const char *name, struct diag *diag)
{
	void *more;

	if (suite->nr == SMOKE_BOOTS_MAX) {
		diag_set(diag, -EINVAL, "boots-count", "a run has at most %d boots",
			 SMOKE_BOOTS_MAX);
		diag_remedy(diag, "start one run per part of them");
		return -EINVAL;
	}
	more = reallocarray(suite->spec, suite->nr + 1U, sizeof(struct smoke_spec *));
	if (!more)
		return diag_set(diag, -ENOMEM, "boots-memory", "boot '%s'", name);
	suite->spec = more;
	return 0;
}

/* The i-th time of this boot, from 0; *ret_times: how many there are to be. */
static int add_one(struct smoke_suite *suite, const struct config_smoke_boot *boot, unsigned i,
		   unsigned *ret_times, struct diag *diag)
{
	AUTO_FREE struct smoke_spec *spec = calloc(1, sizeof(*spec));
	int r;

	if (!spec)
		return diag_set(diag, -ENOMEM, "boots-memory", "boot '%s'", boot->name);
	r = make_room(suite, boot->name, diag);
	if (r < 0)
		return r;
	r = config_smoke_spec(boot->name, boot->kernel, boot->settings, spec, diag);
	if (r < 0)
		return r;
	*ret_times = spec->repeats;
	if (boot->times * spec->repeats > 1)
		r = number_spec(spec, boot->nth * spec->repeats + i + 1);
	r = r < 0 ? diag_set(diag, r, "boots-memory", "boot '%s'", boot->name)
		  : check_name(suite, spec, diag);
	if (r < 0) {
		config_smoke_spec_fini(spec);
		return r;
	}
	suite->spec[suite->nr++] = STEAL_PTR(spec);
	return 0;
}

int config_smoke_add(struct smoke_suite *suite, const struct config_smoke_boot *boot,
		     struct diag *diag)
{
	unsigned times = 1;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < times; i++)
		r = add_one(suite, boot, i, &times, diag);
	return r;
}

int config_smoke_shard(struct smoke_run_opts *run, const char *arg, struct diag *diag)
{
	const char *slash = strchr(arg, '/');
	char index[24] = "";
	uint64_t i = 0, n = 0;

	if (slash && (size_t)(slash - arg) < sizeof(index))
		memcpy(index, arg, (size_t)(slash - arg));
	if (!slash || parse_u64(index, &i) < 0 || parse_u64(slash + 1, &n) < 0 || i == 0 || i > n ||
	    n > SMOKE_BOOTS_MAX) {
		diag_set(diag, -EINVAL, "shard-form",
			 "--shard '%s' is not I/N, with I from 1 to N and N up to %d", arg,
			 SMOKE_BOOTS_MAX);
		diag_remedy(diag, "as in --shard 1/3, --shard 2/3 and --shard 3/3");
		return -EINVAL;
	}
	run->shard = (unsigned)i;
	run->shards = (unsigned)n;
	return 0;
}

/* Whether a boot is meant: by its name, or by the one that it shares with its repeats. */
static bool spec_matches(const struct smoke_spec *spec, const char *pattern)
{
	return fnmatch(pattern, spec->name, 0) == 0 || fnmatch(pattern, spec->base, 0) == 0;
}

static bool is_selected(const struct smoke_run_opts *run, const struct smoke_spec *spec)
{
	for (unsigned i = 0; i < run->nr_only; i++)
		if (spec_matches(spec, run->only[i]))
			return true;
	return run->nr_only == 0;
}

/* A pattern that selects none is mistyped, or the boot has a new name: a run without it would pass for nothing. */
static int check_patterns(const struct smoke_suite *suite, struct diag *diag)
{
	for (unsigned k = 0; k < suite->run.nr_only; k++) {
		unsigned i = 0;

		while (i < suite->nr && !spec_matches(suite->spec[i], suite->run.only[k]))
			i++;
		if (i < suite->nr)
			continue;
		diag_set(diag, -EINVAL, "only-nothing", "--only '%s' matches no boot",
			 suite->run.only[k]);
		diag_remedy(diag, "--list, without --only, prints the names");
		return -EINVAL;
	}
	return 0;
}

int config_smoke_select(struct smoke_suite *suite, struct diag *diag)
{
	const struct smoke_run_opts *run = &suite->run;
	unsigned selected = 0, kept = 0;
	const int r = check_patterns(suite, diag);

	for (unsigned i = 0; r == 0 && i < suite->nr; i++) {
		struct smoke_spec *spec = suite->spec[i];

		if (is_selected(run, spec) &&
		    (run->shards == 0 || selected++ % run->shards == run->shard - 1)) {
			suite->spec[kept++] = spec;
		} else {
			config_smoke_spec_fini(spec);
			free(spec);
		}
	}
	if (r == 0)
		suite->nr = kept;
	return r;
}
