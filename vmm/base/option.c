#include "base/option.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/suggest.h"

int option_u64(const char *option, const char *arg, uint64_t min, uint64_t max, uint64_t *ret,
	       struct diag *diag)
{
	if (parse_u64_in(arg, min, max, ret) == 0)
		return 0;
	diag_set(diag, -EINVAL, "option-number",
		 "%s '%s' is not a number from %" PRIu64 " to %" PRIu64, option, arg, min, max);
	return -EINVAL;
}

int option_size(const char *option, const char *arg, uint64_t *ret, struct diag *diag)
{
	if (parse_size_bytes(arg, ret) == 0)
		return 0;
	diag_set(diag, -EINVAL, "option-size", "%s '%s' is not a size", option, arg);
	diag_remedy(diag, "a number with M or G, as in %s 512M", option);
	return -EINVAL;
}

enum { UNITLESS_MAX = 1 << 20 }; /* of more nobody means mebibytes */

void option_size_remedy(const char *option, const char *arg, uint64_t min_bytes, struct diag *diag)
{
	uint64_t n;

	if (parse_u64_in(arg, 1, UNITLESS_MAX, &n) < 0 || arg[strspn(arg, "0123456789")])
		return;
	diag_remedy(diag, "without a unit these are bytes; did you mean %s %s%c?", option, arg,
		    n >= min_bytes >> 20 ? 'M' : 'G');
}

int option_seconds(const char *option, const char *arg, bool zero, int64_t *ret, struct diag *diag)
{
	int64_t ns = 0;
	const int r = parse_seconds_ns(arg, &ns);

	if (r == 0 && (ns > 0 || zero)) {
		*ret = ns;
		return 0;
	}
	if (r == -ERANGE)
		diag_set(diag, -EINVAL, "option-seconds-max", "%s '%s' is too long", option, arg);
	else
		diag_set(diag, -EINVAL, "option-seconds", "%s '%s' is not a number of seconds%s",
			 option, arg, zero ? "" : " above 0");
	diag_remedy(diag, "seconds, as in %s 60 or %s 0.5; %s", option, option,
		    zero ? "0 for no limit" : "without it there is no limit");
	return -EINVAL;
}

/* "host, guest or none" */
static void list_values(const struct option_value *values, char *buf, size_t cap)
{
	size_t len = 0;

	for (size_t i = 0; values[i].name && len < cap; i++) {
		const char *between = i == 0 ? "" : values[i + 1].name ? ", " : " or ";

		len += (size_t)snprintf(buf + len, cap - len, "%s%s", between, values[i].name);
	}
}

int option_choice(const char *option, const char *arg, const struct option_value *values, int *ret,
		  struct diag *diag)
{
	struct suggest suggest;
	char list[128] = "";

	suggest_init(&suggest, arg, strlen(arg));
	for (size_t i = 0; values[i].name; i++) {
		if (strcmp(arg, values[i].name) == 0) {
			*ret = values[i].value;
			return 0;
		}
		suggest_offer(&suggest, values[i].name);
	}
	list_values(values, list, sizeof(list));
	diag_set(diag, -EINVAL, "option-choice", "%s '%s' is not %s", option, arg, list);
	if (suggest.best)
		diag_remedy(diag, "did you mean %s?", suggest.best);
	return -EINVAL;
}

int option_item_next(struct option_items *items, char *buf, size_t cap, struct diag *diag)
{
	const char *in = items->rest;
	size_t len = 0;

	assert(cap > 0);
	if (!in)
		return 0;
	for (; *in; in++) {
		if (*in == ',' && in[1] == ',')
			in++;
		else if (*in == ',')
			break;
		if (len + 1 == cap) {
			diag_set(diag, -EINVAL, "option-item-length",
				 "%s '%s': longer than %zu bytes", items->option, items->rest,
				 cap - 1);
			return -EINVAL;
		}
		buf[len++] = *in;
	}
	buf[len] = '\0';
	items->rest = *in ? in + 1 : NULL;
	return 1;
}

const char *option_item_value(const char *item, const char *key)
{
	const size_t n = strlen(key);

	return strncmp(item, key, n) == 0 && item[n] == '=' ? item + n + 1 : NULL;
}
