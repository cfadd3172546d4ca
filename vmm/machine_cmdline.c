#include "machine_cmdline.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/layout.h"

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

/* Whether a word before "--" begins with key, as in "console=". */
static bool has_key(const char *words, const char *key)
{
	while (*words) {
		const char *end = word_end(words);
		/* Linux allows a quote around a whole word: "key=a value" */
		const char *word = *words == '"' ? words + 1 : words;

		if (end - words == 2 && strncmp(words, "--", 2) == 0)
			return false;
		if (strncmp(word, key, strlen(key)) == 0)
			return true;
		words = end;
		while (is_blank(*words))
			words++;
	}
	return false;
}

int machine_cmdline_render(const struct machine *m, char **ret, struct diag *diag)
{
	const char *user = m->cmdline_user ? m->cmdline_user : "";
	const bool console = machine_find(m, "serial0") && !has_key(user, "console=");
	const bool panic = !has_key(user, "panic=");
	char *line;
	int len;

	len = asprintf(&line, "%s%s%s", console ? "console=ttyS0 " : "", panic ? "panic=-1 " : "",
		       user);
	if (len < 0)
		return diag_set(diag, -ENOMEM, "kernel command line");
	if ((uint64_t)len >= LAYOUT_CMDLINE_MAX) {
		free(line);
		diag_set(diag, -EINVAL, "kernel command line of %d bytes: at most %d fit", len,
			 (int)LAYOUT_CMDLINE_MAX - 1);
		diag_remedy(diag, "shorten --append");
		return -EINVAL;
	}
	if (*user == '\0' && len > 0)
		line[len - 1] = '\0';
	*ret = line;
	return 0;
}
