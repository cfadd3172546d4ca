#include "base/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* A file name may hold anything; a message must stay one harmless line. */
static void make_printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

bool diag_is_id(const char *text)
{
	const size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (text[len] != '\0' || len >= DIAG_ID_BYTES)
		return false;
	return strchr(text, '-') && text[0] != '-' && text[len - 1] != '-' && !strstr(text, "--");
}

void diag_take_id(struct diag *diag, const char *id)
{
	snprintf(diag->id, sizeof(diag->id), "%s", diag_is_id(id) ? id : "");
}

void diag_print(const struct diag *diag, FILE *out)
{
	fputs(diag->what, out);
	if (diag->id[0])
		fprintf(out, " [%s]", diag->id);
}

int diag_set(struct diag *diag, int err, const char *id, const char *what, ...)
{
	va_list ap;
	int n;

	if (!diag || diag->err)
		return err;
	diag->err = err;
	diag_take_id(diag, id);
	va_start(ap, what);
	n = vsnprintf(diag->what, sizeof(diag->what), what, ap);
	va_end(ap);
	if (err != -EINVAL && n >= 0 && (size_t)n < sizeof(diag->what))
		snprintf(diag->what + n, sizeof(diag->what) - (size_t)n, ": %s", strerror(-err));
	make_printable(diag->what);
	if (err == -EMFILE)
		diag_remedy(
			diag,
			"raise the limit of open files (ulimit -n); `tollgate doctor` prints it");
	else if (err == -ENFILE)
		diag_remedy(diag, "the whole host has too many open files: raise fs.file-max");
	return err;
}

void diag_remedy(struct diag *diag, const char *remedy, ...)
{
	va_list ap;

	if (!diag || diag->remedy[0])
		return;
	va_start(ap, remedy);
	vsnprintf(diag->remedy, sizeof(diag->remedy), remedy, ap);
	va_end(ap);
	make_printable(diag->remedy);
}
