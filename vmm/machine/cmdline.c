#include "machine/cmdline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/params.h"
#include "devices/classes.h"

static unsigned count_serial_ports(const struct machine *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->nr_devices; i++)
		n += m->device[i].cls == &serial_16550_class;
	return n;
}

/* The parameter for the console that we add. */
enum console { CONSOLE_NONE, CONSOLE_PORTS, CONSOLE_MEMORY, CONSOLE_HVC };

static enum console choose_console(const struct machine *m, const char *user)
{
	const struct machine_device *serial = machine_find(m, "serial0");

	if (!serial || params_have(user, "console="))
		return CONSOLE_NONE;
	if (m->hvc)
		return CONSOLE_HVC;
	return serial->range[0].space == IOBUS_PIO ? CONSOLE_PORTS : CONSOLE_MEMORY;
}

/* hvc0 is there once its driver is: what is said before goes to the serial port. */
static void cmdline_put_console(FILE *f, const struct machine_device *serial, enum console console,
				const char *user)
{
	const char *space = serial->range[0].space == IOBUS_PIO ? "io" : "mmio";
	const uint64_t at = serial->range[0].first;

	if (console == CONSOLE_MEMORY)
		fprintf(f, "console=uart8250,%s,%#" PRIx64, space, at);
	else if (params_have(user, "earlycon") || params_have(user, "earlycon="))
		fputs("console=hvc0", f);
	else
		fprintf(f, "earlycon=uart8250,%s,%#" PRIx64 " console=hvc0", space, at);
}

/* The user's parameters, with the console after those of the kernel. */
static void put_console_last(FILE *f, const struct machine_device *serial, enum console console,
			     const char *user)
{
	const char *end = params_end(user);
	const char *rest = end ? end : user;
	const int len = (int)(rest - user);

	fprintf(f, "%.*s%s", len, user, len == 0 || user[len - 1] == ' ' ? "" : " ");
	cmdline_put_console(f, serial, console, user);
	fprintf(f, "%s%s", *rest ? " " : "", rest);
}

static bool says_crypto_tests(const char *user)
{
	return params_have(user, "cryptomgr.notests") || params_have(user, "cryptomgr.notests=");
}

static bool says_how_quiet(const char *user)
{
	return params_have(user, "quiet") || params_have(user, "loglevel=") ||
	       params_have(user, "debug") || params_have(user, "ignore_loglevel");
}

/* Each followed by a blank. */
static void put_defaults(FILE *f, const struct machine *m, enum console console, const char *user)
{
	const unsigned serial_ports = count_serial_ports(m);

	if (console == CONSOLE_PORTS)
		fputs("console=ttyS0 ", f);
	if (serial_ports && !params_have(user, "8250.nr_uarts="))
		fprintf(f, "8250.nr_uarts=%u ", serial_ports);
	for (unsigned i = 0; i < m->platform->nr_params; i++)
		if (!params_have(user, m->platform->param[i].unless))
			fprintf(f, "%s ", m->platform->param[i].param);
	if (m->quick && !says_crypto_tests(user))
		fputs("cryptomgr.notests ", f);
	if (!params_have(user, "panic="))
		fputs("panic=-1 ", f);
	if (m->sysrq && !params_have(user, "sysrq_always_enabled"))
		fputs("sysrq_always_enabled ", f);
	if (m->quiet && !says_how_quiet(user))
		fputs("quiet ", f);
}

int machine_cmdline_render(const struct machine *m, char **ret, struct diag *diag)
{
	const char *user = m->cmdline_user ? m->cmdline_user : "";
	char *line = NULL;
	size_t len = 0;
	const enum console console = choose_console(m, user);
	FILE *f = open_memstream(&line, &len);

	if (!f)
		return diag_set(diag, -ENOMEM, "cmdline-memory", "kernel command line");
	put_defaults(f, m, console, user);
	if (console == CONSOLE_MEMORY || console == CONSOLE_HVC)
		put_console_last(f, machine_find(m, "serial0"), console, user);
	else
		fputs(user, f);
	if (fclose(f) != 0) {
		free(line);
		return diag_set(diag, -ENOMEM, "cmdline-memory", "kernel command line");
	}
	if (len >= m->platform->cmdline_max) {
		free(line);
		diag_set(diag, -EINVAL, "cmdline-length",
			 "kernel command line of %zu bytes: at most %zu fit", len,
			 m->platform->cmdline_max - 1);
		diag_remedy(diag, "shorten --append");
		return -EINVAL;
	}
	if (len > 0 && line[len - 1] == ' ' && *user == '\0')
		line[len - 1] = '\0';
	*ret = line;
	return 0;
}
