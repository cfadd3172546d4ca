#include "base/file_uses.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

static void identify_file(struct file_use *use, const struct stat *st)
{
	if (S_ISCHR(st->st_mode) || S_ISFIFO(st->st_mode))
		return;
	use->known = true;
	use->dev = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
	use->ino = S_ISBLK(st->st_mode) ? 0 : st->st_ino; /* a device may have many names */
}

/* A file that is to be made: where, and by which name. */
static int identify_new(struct file_use *use)
{
	AUTO_FREE char *copy = strdup(use->path);
	const char *slash = strrchr(use->path, '/');
	struct stat st;

	if (!copy)
		return -ENOMEM;
	if (stat(dirname(copy), &st) < 0)
		return 0; /* it will not be made */
	use->known = true;
	use->dev = st.st_dev;
	use->ino = st.st_ino;
	use->name = slash ? slash + 1 : use->path;
	return 0;
}

int file_uses_add(struct file_uses *uses, const char *option, const char *path, bool writes,
		  unsigned group)
{
	struct file_use use = {.option = option, .writes = writes, .group = group};
	struct stat st;
	int r = 0;

	if (!path || strcmp(path, "-") == 0)
		return 0;
	if (uses->nr == uses->room) {
		const size_t room = uses->room ? 2 * uses->room : 32;
		void *more = reallocarray(uses->use, room, sizeof(*uses->use));

		if (!more)
			return -ENOMEM;
		uses->use = more;
		uses->room = room;
	}
	use.path = strdup(path);
	if (!use.path)
		return -ENOMEM;
	if (stat(path, &st) == 0)
		identify_file(&use, &st);
	else
		r = identify_new(&use);
	uses->use[uses->nr++] = use;
	return r;
}

static bool is_same(const struct file_use *a, const struct file_use *b)
{
	if (!a->known || !b->known || a->dev != b->dev || a->ino != b->ino || !a->name != !b->name)
		return false;
	return !a->name || strcmp(a->name, b->name) == 0;
}

static int file_use_refuse(const struct file_use *a, const struct file_use *b, struct diag *diag)
{
	diag_set(diag, -EINVAL, "file-twice", "%s '%s' and %s '%s' are one file", a->option,
		 a->path, b->option, b->path);
	diag_remedy(diag, "give each a file of its own: what is written would spoil %s",
		    a->writes && b->writes ? "the other's" : "what is read");
	return -EINVAL;
}

int file_uses_check(const struct file_uses *uses, struct diag *diag)
{
	for (size_t i = 0; i < uses->nr; i++) {
		const struct file_use *a = &uses->use[i];

		for (size_t k = 0; a->writes && k < uses->nr; k++) {
			const struct file_use *b = &uses->use[k];

			if (i == k || (a->group && a->group == b->group) || !is_same(a, b))
				continue;
			return k < i ? file_use_refuse(b, a, diag) : file_use_refuse(a, b, diag);
		}
	}
	return 0;
}

void file_uses_fini(struct file_uses *uses)
{
	for (size_t i = 0; i < uses->nr; i++)
		free(uses->use[i].path);
	free(uses->use);
	*uses = (struct file_uses){0};
}
