#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/macros.h"

/* strtoull() takes signs, blanks and octal, none of which a user here means. */
static int parse_digits(const char *s, const char **end, uint64_t *ret)
{
	int base = 10;
	char *stop;
	unsigned long long v;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		if (!isxdigit((unsigned char)s[2]))
			return -EINVAL;
	} else if (!isdigit((unsigned char)s[0])) {
		return -EINVAL;
	}
	errno = 0;
	v = strtoull(s, &stop, base);
	if (errno == ERANGE)
		return -ERANGE;
	*end = stop;
	*ret = v;
	return 0;
}

int parse_u64(const char *s, uint64_t *ret)
{
	const char *end;
	uint64_t v;
	int r = parse_digits(s, &end, &v);

	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	*ret = v;
	return 0;
}

int parse_u64_in(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	int r = parse_u64(s, &v);

	if (r < 0)
		return r;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int parse_size_bytes(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	uint64_t v;
	int r = parse_digits(s, &end, &v);

	if (r < 0)
		return r;
	if (*end && (unit = strchr(units, toupper((unsigned char)*end)))) {
		if (!u64_mul(v, UINT64_C(1) << (10 * (unit - units + 1)), &v))
			return -ERANGE;
		end++;
		if (strcasecmp(end, "iB") == 0)
			end += 2;
	}
	if (strcasecmp(end, "B") == 0)
		end++;
	if (*end)
		return -EINVAL;
	*ret = v;
	return 0;
}

/* Half of what an int64_t holds: any clock of the host's can be added. */
#define SECONDS_MAX (INT64_MAX / NS_PER_S / 2)

int parse_seconds_ns(const char *s, int64_t *ret)
{
	int64_t scale = NS_PER_S, ns;
	const char *end;
	uint64_t whole;
	int r;

	if (!isdigit((unsigned char)s[0]) || (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')))
		return -EINVAL;
	r = parse_digits(s, &end, &whole);
	if (r < 0)
		return r;
	if (whole > (uint64_t)SECONDS_MAX)
		return -ERANGE;
	ns = (int64_t)whole * NS_PER_S;
	if (*end == '.') {
		if (!isdigit((unsigned char)*++end))
			return -EINVAL;
		for (; isdigit((unsigned char)*end); end++) {
			scale /= 10;
			ns += (*end - '0') * scale; /* digits past the ninth count for nothing */
		}
	}
	if (*end)
		return -EINVAL;
	*ret = ns;
	return 0;
}

const char *format_size(uint64_t bytes, char *buf)
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	unsigned u = 0;
	uint64_t v = bytes, rest = 0;

	while (v >= 1024 && u + 1 < ARRAY_SIZE(unit)) {
		rest = v % 1024;
		v /= 1024;
		u++;
	}
	if (rest)
		snprintf(buf, 24, "%" PRIu64 ".%" PRIu64 " %s", v, rest * 10 / 1024, unit[u]);
	else
		snprintf(buf, 24, "%" PRIu64 " %s", v, unit[u]);
	return buf;
}
