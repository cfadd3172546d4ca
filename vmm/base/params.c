#include "base/params.h"

#include <stddef.h>
#include <string.h>

/* isspace() of the C locale, which is what Linux's next_arg() splits at. */
static bool is_blank(char c)
{
	return c != '\0' && strchr(" \t\n\v\f\r", c);
}

/* The first byte after the parameter at s. Blanks between double quotes do not end it. */
static const char *param_end(const char *s)
{
	bool quoted = false;

	for (; *s && (quoted || !is_blank(*s)); s++)
		if (*s == '"')
			quoted = !quoted;
	return s;
}

static const char *skip_blanks(const char *s)
{
	while (is_blank(*s))
		s++;
	return s;
}

/* The next parameter at or after s, and its length; NULL when there is none before "--". */
static const char *param_next(const char *s, size_t *ret_len)
{
	s = skip_blanks(s);
	*ret_len = (size_t)(param_end(s) - s);
	return *ret_len == 0 || (*ret_len == 2 && strncmp(s, "--", 2) == 0) ? NULL : s;
}

bool params_have(const char *params, const char *key)
{
	const size_t key_len = strlen(key);
	const bool prefix = key_len > 0 && key[key_len - 1] == '=';
	const char *param = params;
	size_t len;

	while ((param = param_next(param, &len))) {
		/* Linux allows quotes around a whole parameter: "key=a value" */
		const size_t quoted = *param == '"';
		const size_t bare_len =
			quoted && len > 1 && param[len - 1] == '"' ? len - 2 : len - quoted;

		if (strncmp(param + quoted, key, key_len) == 0 && (prefix || bare_len == key_len))
			return true;
		param += len;
	}
	return false;
}

const char *params_end(const char *params)
{
	const char *param = params, *end = params;
	bool quoted = false;
	size_t len;

	while ((param = param_next(end, &len)))
		end = param + len;
	for (const char *s = params; s < end; s++)
		if (*s == '"')
			quoted = !quoted;
	return quoted ? NULL : skip_blanks(end);
}
