#include "config_console.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"

/* What follows prefix in s, when that is not empty; else NULL. */
static const char *behind(const char *s, const char *prefix)
{
	const size_t len = strlen(prefix);

	return strncmp(s, prefix, len) == 0 && s[len] ? s + len : NULL;
}

int config_place(const char *option, const char *arg, struct char_spec *ret, struct diag *diag)
{
	static const struct {
		const char *word;
		enum char_kind kind;
		bool path;
	} place[] = {
		{"stdio", CHAR_STDIO, false}, {"null", CHAR_NULL, false},
		{"file:", CHAR_FILE, true},   {"unix:", CHAR_UNIX, true},
		{"pty", CHAR_PTY, false},     {"pty,link=", CHAR_PTY, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(place); i++) {
		const char *path = place[i].path ? behind(arg, place[i].word) : NULL;

		if (path || (!place[i].path && strcmp(arg, place[i].word) == 0)) {
			*ret = (struct char_spec){.kind = place[i].kind, .path = path};
			return 0;
		}
	}
	diag_set(diag, -EINVAL, "%s '%s' is no place for a console", option, arg);
	diag_remedy(diag, "stdio, null, file:PATH, unix:PATH, pty or pty,link=PATH");
	return -EINVAL;
}

int config_places_check(const struct char_spec *a, const struct char_spec *b, struct diag *diag)
{
	if (!a->path || !b->path || strcmp(a->path, b->path) != 0)
		return 0;
	diag_set(diag, -EINVAL, "'%s' is to be the place of two consoles", a->path);
	diag_remedy(diag, "give each a path of its own; only stdio can be shared");
	return -EINVAL;
}
