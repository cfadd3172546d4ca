#include "config/fault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/disk.h"
#include "backend/net.h"
#include "base/clock.h"
#include "base/option.h"
#include "base/parse.h"

enum {
	DELAY_MS_MAX = 60000,
	WRITES = 1 << DISK_WRITE | 1 << DISK_ZERO,
	CHANGES = WRITES | 1 << DISK_DISCARD,
	ANY_OP = CHANGES | 1 << DISK_READ | 1 << DISK_FLUSH,
	BOTH = NET_FAULT_TX | NET_FAULT_RX,
};

/* A kind of fault: which operations it can have, and has when nobody says. */
struct config_fault_kind {
	const char *name; /* NULL: the end */
	enum fault_kind kind;
	unsigned possible, otherwise;
};

struct config_fault_device {
	const char *kinds; /* for messages */
	const struct config_fault_kind *kind;
	const char *which_key; /* "op" or "dir" */
	const struct option_value *which;
	bool has_sectors;
};

static const struct config_fault_kind disk_kinds[] = {
	{"fail", FAULT_FAIL, ANY_OP, ANY_OP},
	{"delay", FAULT_DELAY, ANY_OP, ANY_OP},
	{"tear", FAULT_TEAR, WRITES, 1 << DISK_WRITE},
	{"lose", FAULT_LOSE, CHANGES | 1 << DISK_FLUSH, 1 << DISK_WRITE},
	{0},
};

static const struct config_fault_kind net_kinds[] = {
	{"lose", FAULT_LOSE, BOTH, BOTH},           {"delay", FAULT_DELAY, BOTH, BOTH},
	{"duplicate", FAULT_DUPLICATE, BOTH, BOTH}, {"corrupt", FAULT_CORRUPT, BOTH, BOTH},
	{"reorder", FAULT_REORDER, BOTH, BOTH},     {0},
};

static const struct option_value disk_ops[] = {
	{"read", 1 << DISK_READ},       {"write", 1 << DISK_WRITE}, {"flush", 1 << DISK_FLUSH},
	{"discard", 1 << DISK_DISCARD}, {"zero", 1 << DISK_ZERO},   {0},
};

static const struct option_value net_directions[] = {
	{"tx", NET_FAULT_TX}, {"rx", NET_FAULT_RX}, {0}};

const struct config_fault_device config_fault_disk = {"fail, delay, tear or lose", disk_kinds, "op",
						      disk_ops, true};
const struct config_fault_device config_fault_net = {"lose, delay, duplicate, corrupt or reorder",
						     net_kinds, "dir", net_directions, false};

/* A rule that is being read. */
struct fault_spec {
	const char *option, *text;
	const struct config_fault_device *device;
	const struct config_fault_kind *kind;
	struct fault_rule rule;
};

/* The next part up to sep, at most cap - 1 bytes; false at the end. */
static bool next_part(const char **rest, char sep, char *buf, size_t cap)
{
	const char *at = *rest, *end;
	size_t len;

	if (!at)
		return false;
	end = strchr(at, sep);
	len = end ? (size_t)(end - at) : strlen(at);
	*rest = end ? end + 1 : NULL;
	snprintf(buf, cap, "%.*s", (int)len, at);
	return true;
}

static int set_kind(struct fault_spec *spec, const char *name, struct diag *diag)
{
	for (spec->kind = spec->device->kind; spec->kind->name; spec->kind++) {
		if (strcmp(spec->kind->name, name) != 0)
			continue;
		spec->rule.kind = spec->kind->kind;
		return 0;
	}
	diag_set(diag, -EINVAL, "fault-kind", "%s fault=%s: '%s' is not a kind of fault",
		 spec->option, spec->text, name);
	diag_remedy(diag, "%s", spec->device->kinds);
	return -EINVAL;
}

/* NAME[+NAME]... */
static int set_which(struct fault_spec *spec, const char *value, struct diag *diag)
{
	char name[CONFIG_FAULT_BYTES], key[CONFIG_FAULT_BYTES];
	int bit = 0, r;

	snprintf(key, sizeof(key), "%s fault %s=", spec->option, spec->device->which_key);
	while (next_part(&value, '+', name, sizeof(name))) {
		r = option_choice(key, name, spec->device->which, &bit, diag);
		if (r < 0)
			return r;
		if (!(spec->kind->possible & (unsigned)bit))
			return diag_set(diag, -EINVAL, "fault-op",
					"%s fault=%s: %s and %s=%s cannot be combined",
					spec->option, spec->text, spec->kind->name,
					spec->device->which_key, name);
		spec->rule.which |= (unsigned)bit;
	}
	return 0;
}

/* FIRST[-LAST] */
static int set_sectors(struct fault_spec *spec, const char *value, struct diag *diag)
{
	struct fault_rule *rule = &spec->rule;
	char first[CONFIG_FAULT_BYTES];
	const char *last = value;

	next_part(&last, '-', first, sizeof(first));
	if (parse_u64(first, &rule->first) == 0 &&
	    parse_u64(last ? last : first, &rule->last) == 0 && rule->first <= rule->last)
		return 0;
	diag_set(diag, -EINVAL, "fault-sectors", "%s fault=%s: '%s' is not a range of sectors",
		 spec->option, spec->text, value);
	diag_remedy(diag, "sectors of 512 bytes, as in sectors=2048-4095");
	return -EINVAL;
}

static int set_chance(struct fault_spec *spec, const char *value, struct diag *diag)
{
	int64_t chance = 0; /* with nine decimals, as times have */

	if (parse_seconds_ns(value, &chance) == 0 && chance > 0 && chance <= FAULT_CERTAIN) {
		spec->rule.chance = (uint32_t)chance;
		return 0;
	}
	diag_set(diag, -EINVAL, "fault-chance", "%s fault=%s: '%s' is not a probability",
		 spec->option, spec->text, value);
	diag_remedy(diag, "above 0, at most 1, as in p=0.01");
	return -EINVAL;
}

static int set_number(const struct fault_spec *spec, const char *key, const char *value,
		      uint64_t min, uint64_t max, uint64_t *ret, struct diag *diag)
{
	char name[64];

	snprintf(name, sizeof(name), "%s fault %s=", spec->option, key);
	return option_u64(name, value, min, max, ret, diag);
}

static int unknown_key(const struct fault_spec *spec, const char *item, struct diag *diag)
{
	diag_set(diag, -EINVAL, "fault-key", "%s fault=%s: '%s' is unknown", spec->option,
		 spec->text, item);
	diag_remedy(diag, "%s=,%s p=, every=, times=, ms= or seed=", spec->device->which_key,
		    spec->device->has_sectors ? " sectors=," : "");
	return -EINVAL;
}

static int set_key(struct fault_spec *spec, const char *item, struct diag *diag)
{
	const char *equals = strchr(item, '=');
	const char *value = equals ? equals + 1 : item;
	const size_t len = equals ? (size_t)(equals - item) : 0;
	struct fault_rule *rule = &spec->rule;
	char key[16] = "";
	uint64_t ms = 0;
	int r;

	if (len < sizeof(key))
		memcpy(key, item, len);
	if (strcmp(key, spec->device->which_key) == 0)
		return set_which(spec, value, diag);
	if (strcmp(key, "sectors") == 0 && spec->device->has_sectors)
		return set_sectors(spec, value, diag);
	if (strcmp(key, "p") == 0)
		return set_chance(spec, value, diag);
	if (strcmp(key, "every") == 0)
		return set_number(spec, key, value, 1, UINT64_MAX, &rule->every, diag);
	if (strcmp(key, "times") == 0)
		return set_number(spec, key, value, 1, UINT64_MAX, &rule->times, diag);
	if (strcmp(key, "seed") == 0)
		return set_number(spec, key, value, 0, UINT64_MAX, &rule->seed, diag);
	if (strcmp(key, "ms") != 0)
		return unknown_key(spec, item, diag);
	r = set_number(spec, key, value, 1, DELAY_MS_MAX, &ms, diag);
	rule->delay_ns = (int64_t)ms * NS_PER_MS;
	return r;
}

static int check_rule(const struct fault_spec *spec, struct diag *diag)
{
	const struct fault_rule *rule = &spec->rule;

	if (rule->chance && rule->every)
		return diag_set(diag, -EINVAL, "fault-chance-every",
				"%s fault=%s: p= and every= cannot be combined", spec->option,
				spec->text);
	if ((rule->kind == FAULT_DELAY) == (rule->delay_ns != 0))
		return 0;
	diag_set(diag, -EINVAL, "fault-delay", "%s fault=%s: %s", spec->option, spec->text,
		 rule->kind == FAULT_DELAY ? "a delay has no ms=" : "ms= is of a delay");
	diag_remedy(diag, "milliseconds, as in delay:ms=20");
	return -EINVAL;
}

int config_fault_add(const char *option, const char *text, const struct config_fault_device *device,
		     struct fault_rules *rules, struct diag *diag)
{
	struct fault_spec spec = {
		.option = option,
		.text = text,
		.device = device,
		.rule = {.last = UINT64_MAX, .seed = 1},
	};
	const char *rest = text;
	char item[CONFIG_FAULT_BYTES];
	int r;

	if (rules->nr == FAULT_RULES_MAX)
		return diag_set(diag, -EINVAL, "fault-count",
				"%s: more than %d times fault=", option, FAULT_RULES_MAX);
	next_part(&rest, ':', item, sizeof(item));
	r = set_kind(&spec, item, diag);
	while (r == 0 && next_part(&rest, ':', item, sizeof(item)))
		r = set_key(&spec, item, diag);
	if (r == 0)
		r = check_rule(&spec, diag);
	if (r < 0)
		return r;
	if (!spec.rule.which)
		spec.rule.which = spec.kind->otherwise;
	rules->rule[rules->nr++] = spec.rule;
	return 0;
}
