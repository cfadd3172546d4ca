#include "base/words.h"

#include <stddef.h>
#include <string.h>

/* isspace() of the C locale, which is what Linux's next_arg() splits at. */
static bool is_blank(char c)
{
	return c != '\0' && strchr(" \t\n\v\f\r", c);
}

/* The first byte behind the word at s. Blanks between double quotes do not end a word. */
static const char *word_end(const char *s)
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

/* The next word at or behind s, and its length; NULL when there is none before "--". */
static const char *word_next(const char *s, size_t *ret_len)
{
	s = skip_blanks(s);
	*ret_len = (size_t)(word_end(s) - s);
	return *ret_len == 0 || (*ret_len == 2 && strncmp(s, "--", 2) == 0) ? NULL : s;
}

bool words_have(const char *words, const char *key)
{
	const size_t key_len = strlen(key);
	const bool prefix = key_len > 0 && key[key_len - 1] == '=';
	const char *word = words;
	size_t len;

	while ((word = word_next(word, &len))) {
		/* Linux allows quotes around a whole word: "key=a value" */
		const size_t quoted = *word == '"';
		const size_t bare_len =
			quoted && len > 1 && word[len - 1] == '"' ? len - 2 : len - quoted;

		if (strncmp(word + quoted, key, key_len) == 0 && (prefix || bare_len == key_len))
			return true;
		word += len;
	}
	return false;
}

const char *words_end(const char *words)
{
	const char *word = words, *end = words;
	bool quoted = false;
	size_t len;

	while ((word = word_next(end, &len)))
		end = word + len;
	for (const char *s = words; s < end; s++)
		if (*s == '"')
			quoted = !quoted;
	return quoted ? NULL : skip_blanks(end);
}
