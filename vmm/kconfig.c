#include "kconfig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "boot/boot.h"
#include "boot/unpack.h"

#define PREFIX "CONFIG_"

/* The line from *at on, without its end; *at is after it then. NULL: no more. */
static const char *config_line_next(const char **at, const char *end, size_t *ret_len)
{
	const char *line = *at, *newline;

	if (line >= end)
		return NULL;
	newline = memchr(line, '\n', (size_t)(end - line));
	*ret_len = (size_t)((newline ? newline : end) - line);
	*at = newline ? newline + 1 : end;
	if (*ret_len && line[*ret_len - 1] == '\r')
		(*ret_len)--;
	return line;
}

/* The rest of a line that begins with prefix; NULL: it begins otherwise. */
static const char *config_line_after(const char *line, size_t len, const char *prefix)
{
	const size_t n = strlen(prefix);

	return len >= n && memcmp(line, prefix, n) == 0 ? line + n : NULL;
}

static bool kconfig_is_text(const uint8_t *bytes, size_t len)
{
	return !memchr(bytes, 0, len);
}

/* Whether it has a line that sets an option, or says that one is off. */
static bool kconfig_is_config(const uint8_t *bytes, size_t len)
{
	const char *at = (const char *)bytes, *end = at + len, *line;
	size_t n;

	if (!kconfig_is_text(bytes, len))
		return false;
	while ((line = config_line_next(&at, end, &n)))
		if (config_line_after(line, n, PREFIX) || config_line_after(line, n, "# " PREFIX))
			return true;
	return false;
}

/* "# Linux/x86 6.1.192 Kernel Configuration" is in the first lines. */
static void find_title(struct kconfig *config)
{
	static const char tail[] = " Kernel Configuration";
	const char *at = config->text, *end = at + config->len, *line, *title, *stop;
	size_t n;

	for (unsigned i = 0; i < 8 && (line = config_line_next(&at, end, &n)); i++) {
		title = config_line_after(line, n, "# Linux/");
		stop = title ? memmem(line, n, tail, sizeof(tail) - 1) : NULL;
		title = line + 2;
		if (!stop || (size_t)(stop - title) >= sizeof(config->title))
			continue;
		memcpy(config->title, title, (size_t)(stop - title));
		config->title[stop - title] = '\0';
		return;
	}
}

static int kconfig_too_long(const char *name, struct diag *diag)
{
	return diag_set(diag, -EINVAL, "kernel-config-size",
			"'%s': a kernel configuration of more than %d MiB", name,
			KCONFIG_TEXT_MAX >> 20);
}

/* Takes owned, which is text's memory or NULL; the caller's where this fails. */
static int take_text(struct kconfig *ret, const char *name, const uint8_t *bytes, size_t len,
		     uint8_t *owned, struct diag *diag)
{
	struct kconfig config = {.text = (const char *)bytes, .len = len, .owned = (char *)owned};

	if (len > KCONFIG_TEXT_MAX)
		return kconfig_too_long(name, diag);
	find_title(&config);
	*ret = config;
	return 0;
}

/* Linux's kernel/configs.c puts a gzip file after this, in read-only data. -ENOENT: not in these bytes. */
static int read_copy(struct kconfig *ret, const char *name, const uint8_t *bytes, size_t len,
		     struct diag *diag)
{
	static const char magic[] = "IKCFG_ST";
	const struct unpack_opts opts = {.max = KCONFIG_TEXT_MAX};
	const uint8_t *at = bytes, *end = bytes + len;

	while ((at = memmem(at, (size_t)(end - at), magic, sizeof(magic) - 1))) {
		const struct unpack_codec *codec;
		AUTO_FREE uint8_t *text = NULL;
		size_t text_len = 0;
		int r;

		at += sizeof(magic) - 1;
		codec = unpack_detect(at, (size_t)(end - at));
		if (!codec || strcmp(codec->name, "gzip") != 0)
			continue;
		r = unpack_run(codec, at, (size_t)(end - at), &opts, &text, &text_len);
		if (r == -ENOTSUP || r == -ENOMEM)
			return diag_set(diag, r, "kernel-config-unpack",
					"unpack the configuration in kernel '%s'", name);
		if (r < 0 || !kconfig_is_config(text, text_len))
			continue;
		r = take_text(ret, name, text, text_len, text, diag);
		if (r == 0)
			(void)STEAL_PTR(text);
		return r;
	}
	return -ENOENT;
}

static int read_image(struct kconfig *ret, const char *name, const uint8_t *bytes, size_t len,
		      struct diag *diag)
{
	const struct boot_opts opts = {.mode = BOOT_MODE_LINUX64};
	struct boot_plan plan;
	int r = boot_plan_init(&plan, name, bytes, len, &opts, diag);

	if (r == 0)
		r = -ENOENT;
	for (unsigned i = 0; r == -ENOENT && i < plan.nr_segments; i++)
		r = read_copy(ret, name, plan.segment[i].data, plan.segment[i].data_len, diag);
	boot_plan_fini(&plan);
	if (r != -ENOENT)
		return r;
	diag_set(diag, -EINVAL, "kernel-config-absent",
		 "kernel '%s' has no copy of its configuration (CONFIG_IKCONFIG)", name);
	diag_remedy(diag, "name the .config of its build, or /boot/config-VERSION of its package");
	return -EINVAL;
}

/* A kernel may be compressed as a whole, too. */
static int read_compressed(struct kconfig *ret, const char *name, const struct unpack_codec *codec,
			   const uint8_t *bytes, size_t len, struct diag *diag)
{
	const struct unpack_opts opts = {.max = KCONFIG_TEXT_MAX};
	AUTO_FREE uint8_t *text = NULL;
	size_t text_len = 0;
	int r = unpack_run(codec, bytes, len, &opts, &text, &text_len);

	if (r == -EFBIG || (r == 0 && !kconfig_is_config(text, text_len)))
		return read_image(ret, name, bytes, len, diag);
	if (r == -ENOTSUP) {
		diag_set(diag, r, "kernel-config-codec", "'%s' is packed with %s", name,
			 codec->name);
		diag_remedy(diag, "build Tollgate with %s", codec->library);
		return r;
	}
	if (r < 0)
		return diag_set(diag, r, "kernel-config-file-unpack", "unpack '%s'", name);
	r = take_text(ret, name, text, text_len, text, diag);
	if (r == 0)
		(void)STEAL_PTR(text);
	return r;
}

int kconfig_read(struct kconfig *ret, const char *name, const uint8_t *bytes, size_t len,
		 struct diag *diag)
{
	const struct unpack_codec *codec = unpack_detect(bytes, len);

	if (codec)
		return read_compressed(ret, name, codec, bytes, len, diag);
	if (kconfig_is_config(bytes, len))
		return take_text(ret, name, bytes, len, NULL, diag);
	if (!kconfig_is_text(bytes, len))
		return read_image(ret, name, bytes, len, diag);
	diag_set(diag, -EINVAL, "kernel-config-none", "'%s' is not a kernel configuration", name);
	diag_remedy(diag, "name a .config, /boot/config-VERSION, /proc/config.gz or a kernel");
	return -EINVAL;
}

void kconfig_fini(struct kconfig *config)
{
	free(config->owned);
	*config = (struct kconfig){0};
}

/* KCONFIG_UNKNOWN: the line says nothing about the option. */
static enum kconfig_value config_line_value(const char *line, size_t len, const char *option)
{
	const char *end = line + len;
	const char *name = config_line_after(line, len, "# " PREFIX);
	const bool off = name != NULL;
	const char *rest;

	if (!off)
		name = config_line_after(line, len, PREFIX);
	rest = name ? config_line_after(name, (size_t)(end - name), option) : NULL;
	if (!rest)
		return KCONFIG_UNKNOWN;
	if (off)
		return config_line_after(rest, (size_t)(end - rest), " is not set")
			       ? KCONFIG_NO
			       : KCONFIG_UNKNOWN;
	if (rest == end || *rest++ != '=')
		return KCONFIG_UNKNOWN;
	if (end - rest == 1 && (*rest == 'n' || *rest == 'm'))
		return *rest == 'n' ? KCONFIG_NO : KCONFIG_MODULE;
	return KCONFIG_YES;
}

enum kconfig_value kconfig_get(const struct kconfig *config, const char *option)
{
	const char *at = config->text, *end = at + config->len, *line;
	enum kconfig_value value = KCONFIG_UNKNOWN, found;
	size_t n;

	while ((line = config_line_next(&at, end, &n))) {
		found = config_line_value(line, n, option);
		if (found != KCONFIG_UNKNOWN)
			value = found;
	}
	return value;
}
