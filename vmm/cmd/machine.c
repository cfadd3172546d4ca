/* machine.c - `tollgate machine`: print the machine that a run with these options would have. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "cmd/cmds.h"
#include "config.h"
#include "config/exits.h"
#include "config/make_vm.h"
#include "machine.h"
#include "machine/cmdline.h"
#include "machine/fdt.h"
#include "machine/print.h"
#include "vm_end.h"

enum { OPT_JSON = CONFIG_OPT_OWN, OPT_DTB, OPT_ACPI, OPT_CMDLINE };
static const struct option_row output_rows[] = {
	{"json", OPT_JSON, NULL, .help = "the machine as JSON (docs/reference/machine.md)",
	 .common = true},
	{"dtb", OPT_DTB, "FILE", .help = "write its flattened device tree; '-' is standard output",
	 .common = true},
	{"acpi", OPT_ACPI, "DIR",
	 .help = "write its ACPI tables: RSDP.bin, DSDT.aml, FACP.aml, ...", .common = true},
	{"cmdline", OPT_CMDLINE, NULL, .help = "just the kernel command line", .common = true},
	{0},
};
static const struct option_group output_group = {"Instead of the tables", output_rows};
static const struct option_group *const groups[] = {
	&output_group,        &config_kernel_group, &config_machine_group,
	CONFIG_DEVICE_GROUPS, &option_help_group,   NULL,
};
const struct option_table cmd_machine_table = {
	.command = "machine",
	.about = "usage: tollgate machine [OPTIONS] [KERNEL]\n"
		 "\n"
		 "Prints the machine that 'tollgate run' builds from the same options, and how "
		 "KERNEL "
		 "is\n"
		 "recognised and entered. Nothing is started, and KVM is not needed.\n",
	.group = groups,
	.operands = "KERNEL",
};

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_DTB, OUTPUT_ACPI, OUTPUT_CMDLINE };

struct args {
	struct config config;
	enum output output;
	int help;                  /* OPTION_HELP or OPTION_HELP_ALL when it was asked for */
	const char *output_option; /* the option that chose the output */
	const char *path;          /* OUTPUT_DTB: a file; OUTPUT_ACPI: a directory */
};

static int choose_output(struct args *args, enum output output, const char *option,
			 struct diag *diag)
{
	if (args->output_option && args->output != output) {
		diag_set(diag, -EINVAL, "machine-combined", "%s and %s cannot be combined",
			 args->output_option, option);
		diag_remedy(diag, "run the command once for each");
		return -EINVAL;
	}
	args->output = output;
	args->output_option = option;
	return 0;
}

static int machine_take_option(struct args *args, int opt, const char *arg, struct diag *diag)
{
	int r;

	switch (opt) {
	case OPT_JSON: return choose_output(args, OUTPUT_JSON, "--json", diag);
	case OPT_DTB: args->path = arg; return choose_output(args, OUTPUT_DTB, "--dtb", diag);
	case OPT_ACPI: args->path = arg; return choose_output(args, OUTPUT_ACPI, "--acpi", diag);
	case OPT_CMDLINE: return choose_output(args, OUTPUT_CMDLINE, "--cmdline", diag);
	default: break;
	}
	r = config_machine_option(&args->config, opt, arg, diag);
	return r == 1 ? config_kernel_option(&args->config, opt, arg, diag) : r;
}

static int machine_parse(int argc, char **argv, struct args *ret, struct diag *diag)
{
	struct option_reader reader;
	const char *arg;
	int opt, r;

	option_reader_init(&reader, &cmd_machine_table, argc, argv, false);
	while ((r = option_reader_next(&reader, &opt, &arg, diag)) > 0) {
		if (opt == OPTION_HELP || opt == OPTION_HELP_ALL) {
			ret->help = opt;
			return 0;
		}
		r = machine_take_option(ret, opt, arg, diag);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = config_take_kernel(&ret->config, argc, argv, diag);
	if (r == 0)
		r = config_exits_check(&ret->config, diag);
	return r < 0 ? r : config_check_kernel(&ret->config, diag);
}

/* kernel: NULL when none was named. */
static int machine_write_text(const struct machine *m, const struct arch_kernel *kernel,
			      enum output output, struct diag *diag)
{
	AUTO_FREE char *text = NULL;
	struct machine_kernel shown;
	int r;

	if (kernel)
		shown = (struct machine_kernel){
			.name = kernel->name,
			.kind = kernel->kind,
			.entered_by = boot_protocol_name(kernel->protocol),
			.entry_gpa = kernel->entry_gpa,
			.state = arch_entry_state(kernel->protocol, kernel->entry_gpa),
			.has_cmdline = kernel->has_cmdline,
		};
	if (output == OUTPUT_JSON)
		r = machine_print_json(m, kernel ? &shown : NULL, &text, diag);
	else
		r = machine_print_text(m, kernel ? &shown : NULL, &text, diag);
	return r < 0 ? r : cmd_write("-", text, strlen(text), diag);
}

static int write_cmdline(const struct machine *m, struct diag *diag)
{
	AUTO_FREE char *line = NULL;
	int r = machine_cmdline_render(m, &line, diag);

	if (r == 0)
		r = cmd_write("-", line, strlen(line), diag);
	return r < 0 ? r : cmd_write("-", "\n", 1, diag);
}

static int write_dtb(const struct machine *m, const char *path, struct diag *diag)
{
	AUTO_FREE void *blob = NULL;
	size_t len;
	int r = machine_fdt_render(m, &(struct machine_fdt_opts){0}, &blob, &len, diag);

	return r < 0 ? r : cmd_write(path, blob, len, diag);
}

static int write_acpi_table(const char *dir, const uint8_t *tables,
			    const struct arch_acpi_table *table, struct diag *diag)
{
	/* The RSDP is not a table with a header, and iasl would not take it for one. */
	const char *extension = strcmp(table->name, "RSDP") == 0 ? "bin" : "aml";
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s/%s.%s", dir, table->name, extension) < 0) {
		path = NULL; /* asprintf() leaves it undefined */
		return diag_set(diag, -ENOMEM, "acpi-file-memory", "name a file");
	}
	return cmd_write(path, tables + table->offset, table->len, diag);
}

static int write_acpi(const struct machine *m, const char *dir, struct diag *diag)
{
	struct arch_acpi_table table = {0};
	AUTO_FREE void *tables = NULL;
	size_t len;
	int r = arch_acpi_render(m, &tables, &len, diag);

	if (r < 0)
		return r;
	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return diag_set(diag, -errno, "acpi-directory", "create '%s'", dir);
	while (r == 0 && arch_acpi_next(tables, len, &table))
		r = write_acpi_table(dir, tables, &table, diag);
	return r;
}

static int machine_show(struct args *args, struct diag *diag)
{
	struct arch_kernel kernel = {0};
	struct machine m;
	int r;

	if (args->help) {
		option_table_print(&cmd_machine_table, args->help == OPTION_HELP_ALL, stdout);
		return 0;
	}
	if (args->config.kernel)
		r = config_preview(&args->config, &m, &kernel, diag);
	else
		r = machine_resolve(&arch_platform, &args->config.vm.machine, &m, diag);
	if (r < 0)
		return r;
	switch (args->output) {
	case OUTPUT_DTB: return write_dtb(&m, args->path, diag);
	case OUTPUT_ACPI: return write_acpi(&m, args->path, diag);
	case OUTPUT_CMDLINE:
		return args->config.kernel && !kernel.has_cmdline ? cmd_write("-", "\n", 1, diag)
								  : write_cmdline(&m, diag);
	default:
		return machine_write_text(&m, args->config.kernel ? &kernel : NULL, args->output,
					  diag);
	}
}

int cmd_machine(int argc, char **argv)
{
	struct args args = {0};
	struct diag diag = {0};
	int r;

	config_init(&args.config);
	r = machine_parse(argc, argv, &args, &diag);
	if (r == 0)
		r = machine_show(&args, &diag);
	config_fini(&args.config);
	if (r < 0) {
		cmd_fail(&diag);
		return EXIT_SETUP;
	}
	return EXIT_OK;
}
