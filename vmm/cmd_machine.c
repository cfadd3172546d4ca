/* cmd_machine.c - `tollgate machine`: print the machine that a run with these options would have. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmds.h"
#include "machine.h"
#include "machine_cmdline.h"
#include "machine_fdt.h"
#include "machine_print.h"
#include "vm_end.h"

static const char help[] =
	"Usage: tollgate machine [OPTION]...\n"
	"Print the machine that 'tollgate run' builds from the same options. Nothing is started, "
	"and\n"
	"KVM is not needed.\n"
	"\n"
	"  --mem SIZE            memory, such as 64M or 4G (default 512M)\n"
	"  --cpus N              CPUs, 1 to 255 (default 1)\n"
	"  -p, --append CMDLINE  words for the kernel command line, behind the default ones\n"
	"\n"
	"Instead of the tables:\n"
	"  --json                the machine as JSON (docs/machine.md)\n"
	"  --dtb FILE            write its flattened device tree; '-' is standard output\n"
	"  --cmdline             just the kernel command line\n"
	"  --help                this text\n";

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_DTB, OUTPUT_CMDLINE, OUTPUT_HELP };

struct args {
	struct machine_spec spec;
	enum output output;
	const char *output_option; /* the option that chose the output */
	const char *dtb_path;
};

static int choose_output(struct args *args, enum output output, const char *option,
			 struct diag *diag)
{
	if (args->output_option && args->output != output) {
		diag_set(diag, -EINVAL, "%s and %s exclude each other", args->output_option,
			 option);
		diag_remedy(diag, "ask twice");
		return -EINVAL;
	}
	args->output = output;
	args->output_option = option;
	return 0;
}

static int parse(int argc, char **argv, struct args *ret, struct diag *diag)
{
	enum { MEM = 256, CPUS, JSON, DTB, CMDLINE, HELP };
	static const struct option options[] = {
		{"mem", required_argument, NULL, MEM},    {"cpus", required_argument, NULL, CPUS},
		{"append", required_argument, NULL, 'p'}, {"json", no_argument, NULL, JSON},
		{"dtb", required_argument, NULL, DTB},    {"cmdline", no_argument, NULL, CMDLINE},
		{"help", no_argument, NULL, HELP},        {0},
	};
	int c, r = 0;

	opterr = 0;
	optind = 0; /* glibc: start afresh, main() may have looked at options too */
	while (r == 0 && (c = getopt_long(argc, argv, ":p:", options, NULL)) != -1) {
		switch (c) {
		case MEM: r = cmd_parse_mem(optarg, &ret->spec.mem_bytes, diag); break;
		case CPUS: r = cmd_parse_cpus(optarg, &ret->spec.cpus, diag); break;
		case 'p': ret->spec.cmdline = optarg; break;
		case JSON: r = choose_output(ret, OUTPUT_JSON, "--json", diag); break;
		case DTB:
			r = choose_output(ret, OUTPUT_DTB, "--dtb", diag);
			ret->dtb_path = optarg;
			break;
		case CMDLINE: r = choose_output(ret, OUTPUT_CMDLINE, "--cmdline", diag); break;
		case HELP: ret->output = OUTPUT_HELP; return 0;
		default: r = cmd_bad_option(argv, c, diag);
		}
	}
	return r < 0 ? r : cmd_no_operands(argc, argv, diag);
}

static int write_text(const struct machine *m, enum output output, struct diag *diag)
{
	AUTO_FREE char *text = NULL;
	int r;

	if (output == OUTPUT_JSON)
		r = machine_print_json(m, &text, diag);
	else
		r = machine_print_text(m, &text, diag);
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

static int show(const struct args *args, struct diag *diag)
{
	struct machine m;
	int r;

	if (args->output == OUTPUT_HELP)
		return cmd_write("-", help, strlen(help), diag);
	r = machine_resolve(&args->spec, &m, diag);
	if (r < 0)
		return r;
	switch (args->output) {
	case OUTPUT_DTB: return write_dtb(&m, args->dtb_path, diag);
	case OUTPUT_CMDLINE: return write_cmdline(&m, diag);
	default: return write_text(&m, args->output, diag);
	}
}

int cmd_machine(int argc, char **argv)
{
	struct args args = {
		.spec = {.mem_bytes = MACHINE_DEFAULT_MEM_BYTES, .cpus = MACHINE_DEFAULT_CPUS},
	};
	struct diag diag = {0};
	int r = parse(argc, argv, &args, &diag);

	if (r == 0)
		r = show(&args, &diag);
	if (r < 0) {
		cmd_fail(&diag);
		return EXIT_SETUP;
	}
	return EXIT_OK;
}
