#include "smoke/unittests.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "smoke/options/internal.h"

enum { VALUE_MAX = 1024, REASON_MAX = 256 };

#define DEFAULT_TIMEOUT "90"

/* Keys of a test. All others are not looked at. */
enum key {
	KEY_FILE,
	KEY_SMP,
	KEY_ARGS,
	KEY_PARAMS,
	KEY_GROUPS,
	KEY_ARCH,
	KEY_ACCEL,
	KEY_CHECK,
	KEY_TIMEOUT,
	KEYS
};
static const struct {
	const char *name;
	enum key key;
} keys[] = {
	{"file", KEY_FILE},           {"smp", KEY_SMP},
	{"test_args", KEY_ARGS},      {"qemu_params", KEY_PARAMS},
	{"extra_params", KEY_PARAMS}, {"groups", KEY_GROUPS},
	{"arch", KEY_ARCH},           {"accel", KEY_ACCEL},
	{"check", KEY_CHECK},         {"timeout", KEY_TIMEOUT},
};

/* One test while it is read. Empty values are those that the file does not have. */
struct unit {
	char name[VALUE_MAX];
	char value[KEYS][VALUE_MAX];
	char mem[VALUE_MAX]; /* of -m */
	bool is_cut;         /* a value is longer */
};

/* Strings that boots borrow: a list, the latest first. */
struct unit_text {
	struct unit_text *next;
	char text[];
};

struct unit_reader {
	struct smoke_suite *suite;
	const char *dir, *path; /* and of unittests.cfg there */
	const struct config_smoke_settings *cli;
	FILE *left_out;
	struct diag *diag;
};

void config_smoke_unittests_fini(void *unittests)
{
	struct unit_text *text = unittests, *next;

	for (; text; text = next) {
		next = text->next;
		free(text);
	}
}

/* A copy that the suite keeps; NULL: no memory. */
static const char *unit_keep(struct smoke_suite *suite, const char *s)
{
	const size_t len = strlen(s) + 1;
	struct unit_text *text = malloc(sizeof(*text) + len);

	if (!text)
		return NULL;
	memcpy(text->text, s, len);
	text->next = suite->unittests;
	suite->unittests = text;
	return text->text;
}

static bool unit_has_group(const struct unit *unit, const char *group)
{
	char groups[VALUE_MAX], *rest = NULL;

	memcpy(groups, unit->value[KEY_GROUPS], sizeof(groups));
	for (char *word = strtok_r(groups, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest))
		if (strcmp(word, group) == 0)
			return true;
	return false;
}

/* "PATH=VALUE": the host's file holds that line. */
static bool unit_check_holds(char *check)
{
	char *value = strchr(check, '='), line[VALUE_MAX] = "";
	FILE *f;

	if (!value)
		return false;
	*value++ = '\0';
	f = fopen(check, "re");
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return strcmp(line, value) == 0;
}

static const char *unit_failed_check(const struct unit *unit, char why[REASON_MAX])
{
	char checks[VALUE_MAX], *rest = NULL;

	memcpy(checks, unit->value[KEY_CHECK], sizeof(checks));
	for (char *word = strtok_r(checks, " \t", &rest); word;
	     word = strtok_r(NULL, " \t", &rest)) {
		snprintf(why, REASON_MAX, "the host lacks %s", word);
		if (!unit_check_holds(word))
			return why;
	}
	return NULL;
}

/* "2048" is in MiB, and "4g" in GiB. */
static void unit_take_mem(struct unit *unit, const char *mem)
{
	const size_t len = strlen(mem);
	const bool has_suffix = len && isalpha((unsigned char)mem[len - 1]);

	snprintf(unit->mem, sizeof(unit->mem), "%.*s%c", (int)(has_suffix ? len - 1 : len), mem,
		 has_suffix ? toupper((unsigned char)mem[len - 1]) : 'M');
}

/* QEMU's options: the guest has the host's CPU, and KVM's PIT. NULL: that will do. */
static const char *unit_foreign_param(struct unit *unit, char why[REASON_MAX])
{
	char params[VALUE_MAX], *rest = NULL;

	memcpy(params, unit->value[KEY_PARAMS], sizeof(params));
	for (char *word = strtok_r(params, " \t", &rest); word;
	     word = strtok_r(NULL, " \t", &rest)) {
		const char *value =
			strcmp(word, "-enable-kvm") == 0 ? "" : strtok_r(NULL, " \t", &rest);

		if (value && strcmp(word, "-m") == 0)
			unit_take_mem(unit, value);
		else if (!value ||
			 (value[0] && strcmp(word, "-cpu") != 0 && strcmp(value, "pit=off") != 0)) {
			snprintf(why, REASON_MAX, "it wants %s %s of QEMU", word,
				 value ? value : "");
			return why;
		}
	}
	return NULL;
}

/* The reason why a test cannot be run here; NULL: none. */
static const char *unit_obstacle(struct unit *unit, const char *kernel, char why[REASON_MAX])
{
	const char *arch = unit->value[KEY_ARCH], *accel = unit->value[KEY_ACCEL];
	const char *foreign;

	if (unit->is_cut) {
		snprintf(why, REASON_MAX, "a value has more than %d bytes", VALUE_MAX - 1);
		return why;
	}
	if (arch[0] && strcmp(arch, "x86_64") != 0)
		return "it is for another architecture";
	if (accel[0] && strncmp(accel, "kvm", 3) != 0)
		return "it is for another accelerator";
	if (unit_has_group(unit, "nodefault"))
		return "it is not run by default";
	if (unit_has_group(unit, "migration") || unit_has_group(unit, "panic"))
		return "QEMU's monitor has to act on it";
	if (unit->value[KEY_SMP][strspn(unit->value[KEY_SMP], "0123456789")] ||
	    strpbrk(unit->value[KEY_ARGS], "`$"))
		return "a shell has to expand its values";
	foreign = unit_foreign_param(unit, why);
	if (!foreign)
		foreign = unit_failed_check(unit, why);
	if (!foreign && access(kernel, F_OK) < 0) {
		snprintf(why, REASON_MAX, "there is no '%s'", kernel);
		foreign = why;
	}
	return foreign;
}

/* "'a b'" and "\"a b\"" are one argument each for the shell, and as a text the same without quotes. */
static void unit_unquote(char *s)
{
	const size_t len = strlen(s);

	if (len < 2 || (s[0] != '\'' && s[0] != '"') || s[len - 1] != s[0])
		return;
	memmove(s, s + 1, len - 2);
	s[len - 2] = '\0';
}

static int unit_set(const struct unit_reader *reader, struct config_smoke_settings *settings,
		    int opt, const char *text)
{
	const char *kept = unit_keep(reader->suite, text);

	return kept ? config_smoke_settings_add(settings, opt, kept) : -ENOMEM;
}

static int unit_settings(const struct unit_reader *reader, struct unit *unit,
			 struct config_smoke_settings *settings)
{
	char *timeout = unit->value[KEY_TIMEOUT];
	int r = unit_set(reader, settings, CONFIG_OPT_TEST_DEVICE, "pc");

	timeout[strcspn(timeout, "s")] = '\0';
	if (r == 0)
		r = unit_set(reader, settings, SMOKE_OPT_TEST_FORMAT, "kvm-unit-tests");
	if (r == 0)
		r = unit_set(reader, settings, SMOKE_OPT_TIMEOUT,
			     timeout[0] ? timeout : DEFAULT_TIMEOUT);
	if (r == 0 && unit->value[KEY_SMP][0])
		r = unit_set(reader, settings, 'c', unit->value[KEY_SMP]);
	if (r == 0 && unit->mem[0])
		r = unit_set(reader, settings, 'm', unit->mem);
	if (r == 0 && unit->value[KEY_ARGS][0])
		r = unit_set(reader, settings, 'p', unit->value[KEY_ARGS]);
	return r < 0 ? r : config_smoke_settings_append(settings, reader->cli);
}

static int unit_add(const struct unit_reader *reader, struct unit *unit, const char *kernel)
{
	struct config_smoke_settings settings = {0};
	const struct config_smoke_boot boot = {
		.name = unit->name,
		.kernel = unit_keep(reader->suite, kernel),
		.settings = &settings,
		.times = 1,
	};
	struct diag why = {0};
	int r = boot.kernel ? unit_settings(reader, unit, &settings) : -ENOMEM;

	if (r < 0)
		diag_set(reader->diag, r, "unittests-memory", "test '%s'", unit->name);
	else
		r = config_smoke_add(reader->suite, &boot, &why);
	if (why.err) {
		diag_set(reader->diag, -EINVAL, why.id, "%s: test '%s': %s", reader->path,
			 unit->name, why.what);
		if (why.remedy[0])
			diag_remedy(reader->diag, "%s", why.remedy);
	}
	config_smoke_settings_fini(&settings);
	return r;
}

/* The test is read: it becomes a boot, or is left out. */
static int unit_finish(const struct unit_reader *reader, struct unit *unit)
{
	AUTO_FREE char *kernel = NULL;
	char reason[REASON_MAX];
	const char *why;

	if (!unit->name[0])
		return 0;
	if (asprintf(&kernel, "%s/%s", reader->dir, unit->value[KEY_FILE]) < 0) {
		kernel = NULL; /* asprintf() leaves it undefined */
		return diag_set(reader->diag, -ENOMEM, "unittests-memory", "test '%s'", unit->name);
	}
	unit_unquote(unit->value[KEY_ARGS]);
	why = unit_obstacle(unit, kernel, reason);
	if (!why)
		return unit_add(reader, unit, kernel);
	fprintf(reader->left_out, "left out %s: %s\n", unit->name, why);
	return 0;
}

static void unit_take_value(struct unit *unit, const char *line)
{
	const size_t len = strcspn(line, " \t=");
	const char *value = line + len + strspn(line + len, " \t");

	if (*value != '=')
		return;
	value += 1 + strspn(value + 1, " \t");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strlen(keys[i].name) == len && memcmp(keys[i].name, line, len) == 0)
			unit->is_cut |= snprintf(unit->value[keys[i].key], VALUE_MAX, "%s",
						 value) >= VALUE_MAX;
}

/* The line without the blanks at its ends, which do not count. */
static char *unit_trim(char *line)
{
	size_t len;

	line += strspn(line, " \t");
	len = strcspn(line, "\r\n");
	while (len && isblank((unsigned char)line[len - 1]))
		len--;
	line[len] = '\0';
	return line;
}

/* "[NAME]": NAME; else NULL. */
static char *unit_header(char *line)
{
	const size_t len = strlen(line);

	if (len < 2 || line[0] != '[' || line[len - 1] != ']')
		return NULL;
	line[len - 1] = '\0';
	return line + 1;
}

static int unit_read_lines(const struct unit_reader *reader, FILE *f)
{
	AUTO_FREE char *line = NULL;
	AUTO_FREE struct unit *unit = calloc(1, sizeof(*unit));
	size_t cap = 0;
	int r = 0;

	if (!unit)
		return diag_set(reader->diag, -ENOMEM, "unittests-memory", "read tests");
	while (r == 0 && getline(&line, &cap, f) >= 0) {
		char *text = unit_trim(line);
		const char *name = unit_header(text);

		if (!name) {
			unit_take_value(unit, text);
			continue;
		}
		r = unit_finish(reader, unit);
		memset(unit, 0, sizeof(*unit));
		snprintf(unit->name, sizeof(unit->name), "%s", name);
	}
	if (r == 0 && ferror(f))
		r = diag_set(reader->diag, -EIO, "unittests-read", "read '%s'", reader->path);
	return r < 0 ? r : unit_finish(reader, unit);
}

static int unit_read_file(struct unit_reader *reader)
{
	FILE *f = fopen(reader->path, "re");
	int r;

	if (!f) {
		r = diag_set(reader->diag, -errno, "unittests-open", "open '%s'", reader->path);
		diag_remedy(reader->diag,
			    "name the folder x86 of a built checkout of kvm-unit-tests");
		return r;
	}
	r = unit_read_lines(reader, f);
	fclose(f);
	if (r == 0 && reader->suite->nr == 0) {
		r = diag_set(reader->diag, -EINVAL, "unittests-none",
			     "'%s' has no test that can be run here", reader->path);
		diag_remedy(reader->diag, "build the tests: ./configure && make");
	}
	return r;
}

int config_smoke_unittests(struct smoke_suite *suite, const char *dir,
			   const struct config_smoke_settings *settings, struct diag *diag)
{
	struct unit_reader reader = {.suite = suite, .dir = dir, .cli = settings, .diag = diag};
	AUTO_FREE char *path = NULL;
	size_t len = 0;
	int r;

	if (asprintf(&path, "%s/unittests.cfg", dir) < 0) {
		path = NULL; /* asprintf() leaves it undefined */
		return diag_set(diag, -ENOMEM, "unittests-memory", "read tests");
	}
	reader.path = path;
	reader.left_out = open_memstream(&suite->left_out, &len);
	if (!reader.left_out)
		return diag_set(diag, -ENOMEM, "unittests-memory", "read '%s'", path);
	r = unit_read_file(&reader);
	if (fclose(reader.left_out) != 0 && r == 0)
		r = diag_set(diag, -ENOMEM, "unittests-memory", "read '%s'", path);
	return r;
}
