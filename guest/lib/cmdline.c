#include "cmdline.h"

#include <string.h>

#include "boot.h"
#include "power.h"

/* The next word at or after *at, and moves *at after it; NULL at the end. */
static const char *next_word(const char **at, size_t *ret_len)
{
	const char *word = *at, *end;

	while (*word == ' ')
		word++;
	if (!*word)
		return NULL;
	end = word;
	while (*end && *end != ' ')
		end++;
	*at = end;
	*ret_len = (size_t)(end - word);
	return word;
}

bool cmdline_has(const char *word)
{
	const char *at = boot_info()->cmdline, *w;
	const size_t word_len = strlen(word);
	size_t len;

	while ((w = next_word(&at, &len))) {
		if (len == word_len && memcmp(w, word, len) == 0)
			return true;
	}
	return false;
}

const char *cmdline_value(const char *name, size_t *ret_len)
{
	const char *at = boot_info()->cmdline, *w, *found = NULL;
	const size_t name_len = strlen(name);
	size_t len;

	while ((w = next_word(&at, &len))) {
		if (len > name_len && w[name_len] == '=' && memcmp(w, name, name_len) == 0) {
			found = w + name_len + 1;
			*ret_len = len - name_len - 1;
		}
	}
	return found;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

static bool parse_u64(const char *s, size_t len, uint64_t *ret)
{
	unsigned base = 10;
	uint64_t val = 0;

	if (len > 2 && s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
		len -= 2;
	}
	for (size_t i = 0; i < len; i++) {
		const unsigned digit = (unsigned)digit_value(s[i]);

		if (digit >= base || __builtin_mul_overflow(val, base, &val) ||
		    __builtin_add_overflow(val, digit, &val))
			return false;
	}
	*ret = val;
	return len > 0;
}

uint64_t cmdline_u64(const char *name, uint64_t fallback, uint64_t max)
{
	uint64_t val;
	size_t len;
	const char *s = cmdline_value(name, &len);

	if (!s)
		return fallback;
	if (!parse_u64(s, len, &val))
		guest_usage("%s=%.*s: not a number", name, (int)len, s);
	if (val > max)
		guest_usage("%s=%.*s: at most 0x%lx", name, (int)len, s, max);
	return val;
}

unsigned cmdline_choice(const char *name, const char *const *choices)
{
	size_t len;
	const char *s = cmdline_value(name, &len);

	if (!s)
		return 0;
	for (unsigned i = 0; choices[i]; i++) {
		if (strlen(choices[i]) == len && memcmp(choices[i], s, len) == 0)
			return i;
	}
	guest_usage("%s=%.*s: no such choice; the first is %s", name, (int)len, s, choices[0]);
}
