#include "config/console.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/option.h"
#include "base/parse.h"
#include "config.h"
#include "virtio/classes.h"

static const struct option_value console_values[] = {
	{"serial", CONFIG_CONSOLE_SERIAL},
	{"virtio", CONFIG_CONSOLE_VIRTIO},
	{"both", CONFIG_CONSOLE_BOTH},
	{0},
};

/* A path follows those that end with ':' or '='. */
static const struct option_value dest_values[] = {
	{"stdio", CHAR_STDIO},
	{"null", CHAR_NULL},
	{"file:", CHAR_FILE},
	{"unix:", CHAR_UNIX},
	{"pty", CHAR_PTY},
	{"pty,link=", CHAR_PTY},
	{0},
};

/* The rest of s after prefix, when that is not empty; else NULL. */
static const char *after_prefix(const char *s, const char *prefix)
{
	const size_t len = strlen(prefix);

	return strncmp(s, prefix, len) == 0 && s[len] ? s + len : NULL;
}

/* Takes ",limit=SIZE" off a file's path, the last that is there; spec then has a copy. */
static int parse_limit(struct config *config, const char *option, struct char_spec *spec,
		       struct diag *diag)
{
	static const char key[] = ",limit=";
	const char *limit = NULL;
	char *path;
	size_t len;

	for (const char *at = spec->path; (at = strstr(at, key)); at++)
		limit = at;
	if (!limit)
		return 0;
	len = (size_t)(limit - spec->path);
	limit += sizeof(key) - 1;
	if (parse_size_bytes(limit, &spec->limit_bytes) < 0 || spec->limit_bytes == 0) {
		diag_set(diag, -EINVAL, "console-limit",
			 "%s '%s': the limit '%s' is not a size above 0", option, spec->path,
			 limit);
		diag_remedy(diag, "as in file:PATH,limit=64M");
		return -EINVAL;
	}
	if (len == 0)
		return diag_set(diag, -EINVAL, "console-no-path",
				"%s '%s' has no path before the limit", option, spec->path);
	if (len >= PATH_MAX)
		return diag_set(diag, -ENAMETOOLONG, "console-path-long", "%s '%s'", option,
				spec->path);
	path = config_alloc(config, len + 1, diag);
	if (!path)
		return -ENOMEM;
	memcpy(path, spec->path, len);
	spec->path = path;
	return 0;
}

static int parse_dest(struct config *config, const char *option, const char *arg,
		      struct char_spec *ret, struct diag *diag)
{
	for (const struct option_value *dest = dest_values; dest->name; dest++) {
		const bool has_path = strpbrk(dest->name, ":=");
		const char *path = has_path ? after_prefix(arg, dest->name) : NULL;

		if (path || (!has_path && strcmp(arg, dest->name) == 0)) {
			*ret = (struct char_spec){.kind = (unsigned)dest->value, .path = path};
			return path && ret->kind == CHAR_FILE
				       ? parse_limit(config, option, ret, diag)
				       : 0;
		}
	}
	diag_set(diag, -EINVAL, "console-destination", "%s '%s' is not a console's destination",
		 option, arg);
	diag_remedy(diag, "stdio, null, file:PATH, file:PATH,limit=SIZE, unix:PATH, pty or "
			  "pty,link=PATH");
	return -EINVAL;
}

/* Once, however often it is asked for. */
static int add_virtio(struct config *config, struct diag *diag)
{
	int r = 0;

	if (!config->consoles.added)
		r = config_virtio_add(config, "console", &virtio_console_class, NULL, diag);
	config->consoles.added = true;
	return r;
}

static int console_take_which(void *target, const char *arg, struct diag *diag)
{
	struct config *config = target;
	int which = 0;
	int r = option_choice("--console", arg, console_values, &which, diag);

	if (r < 0)
		return r;
	if (config->consoles.which != CONFIG_CONSOLE_DEFAULT)
		return diag_set(diag, -EINVAL, "console-twice", "--console is given twice");
	config->consoles.which = (unsigned)which;
	config->vm.machine.hvc = which == CONFIG_CONSOLE_VIRTIO;
	return which == CONFIG_CONSOLE_SERIAL ? 0 : add_virtio(config, diag);
}

static int console_take_serial(void *target, const char *arg, struct diag *diag)
{
	struct config *config = target;
	struct config_consoles *con = &config->consoles;

	con->has_serial = true;
	return parse_dest(config, "--serial", arg, &con->serial, diag);
}

static int console_take_virtio(void *target, const char *arg, struct diag *diag)
{
	struct config *config = target;
	struct config_consoles *con = &config->consoles;
	int r = parse_dest(config, "--virtio-console", arg, &con->virtio, diag);

	con->has_virtio = true;
	return r < 0 ? r : add_virtio(config, diag);
}

static const struct option_row console_rows[] = {
	{"console", CONFIG_OPT_CONSOLE, "WHICH",
	 .help = "serial (default), virtio (hvc0) or both\n"
		 "virtio: the serial port only for what is said early;\n"
		 "both: serial, and hvc0 for programs",
	 console_values, true, .take = console_take_which},
	{0},
};
const struct option_group config_console_group = {"Devices", console_rows};

static const struct option_row dest_rows[] = {
	{"serial", CONFIG_OPT_SERIAL, "DEST", .help = "where the serial port is (default stdio)",
	 dest_values, true, .take = console_take_serial},
	{"virtio-console", CONFIG_OPT_VIRTIO_CONSOLE, "DEST",
	 .help = "where hvc0 is (default stdio); adds it, as --console both", dest_values,
	 .take = console_take_virtio},
	{0},
};
const struct option_group config_console_dest_group = {"Consoles", dest_rows};

int config_console_check(const struct config *config, struct diag *diag)
{
	const struct config_consoles *con = &config->consoles;

	if (con->has_virtio && con->which == CONFIG_CONSOLE_SERIAL) {
		diag_set(diag, -EINVAL, "console-serial-only",
			 "--virtio-console with --console serial");
		diag_remedy(diag, "--console both, or virtio");
		return -EINVAL;
	}
	return 0;
}

int config_console_add_command(struct config *config, struct diag *diag)
{
	config->consoles.is_commands = true;
	return add_virtio(config, diag);
}

static void add_output(struct vm_output *output, unsigned *nr, const char *device,
		       const struct char_spec *dest)
{
	assert(*nr < VM_OUTPUTS_MAX);
	output[(*nr)++] = (struct vm_output){.device = device, .dest = dest};
}

static const struct char_spec command_input = {.kind = CHAR_COMMAND};

/* Without a destination of its own, the virtio console goes where the serial port would have gone. */
void config_console_connect(const struct config *config, struct vm_output *output, unsigned *nr)
{
	const struct config_consoles *con = &config->consoles;

	for (unsigned i = *nr; i-- > 0 && !con->has_virtio && !con->is_commands;) {
		if (strcmp(output[i].device, "serial0") == 0) {
			assert(*nr < VM_OUTPUTS_MAX);
			output[*nr] = output[i];
			output[(*nr)++].device = "console0";
			break;
		}
	}
	if (con->has_serial) {
		add_output(output, nr, "serial0", &con->serial);
		add_output(output, nr, "debugcon0", &con->serial);
	}
	if (con->has_virtio)
		add_output(output, nr, "console0", &con->virtio);
	if (con->is_commands && config->initramfs.host_root.terminal)
		output[(*nr)++] = (struct vm_output){.device = "console0", .fd = STDOUT_FILENO};
	else if (con->is_commands)
		add_output(output, nr, "console0", &command_input);
}
