/* `tollgate doctor`: whether this host can run us, and what to do when it cannot. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/json.h"
#include "cmd/cmds.h"
#include "cmd/kernel_config.h"
#include "config.h"
#include "kvm.h"
#include "kvm/caps.h"
#include "sandbox.h"
#include "vm_end.h"

enum { OPT_JSON = CONFIG_OPT_OWN, OPT_KERNEL_CONFIG };
static const struct option_row rows[] = {
	{"json", OPT_JSON, NULL, .help = "the same for programs", .common = true},
	{"kernel-config", OPT_KERNEL_CONFIG, "FILE",
	 .help = "report what a kernel's configuration lacks, and nothing of this host\n"
		 "a .config, /boot/config-VERSION, /proc/config.gz, or a kernel that has\n"
		 "a copy (CONFIG_IKCONFIG)",
	 .common = true},
	{0},
};
static const struct option_group group = {NULL, rows};
static const struct option_group *const groups[] = {&group, &option_help_group, NULL};
const struct option_table cmd_doctor_table = {
	.command = "doctor",
	.about = "usage: tollgate doctor [--json] [--kernel-config FILE]\n"
		 "\n"
		 "Reports whether this host can run guests, what backs its KVM, which capabilities "
		 "it\n"
		 "has and what its limits are. Exit status 0 when guests can run, 2 when not.\n"
		 "--kernel-config reports on a kernel instead: which features it has the options "
		 "for.\n",
	.group = groups,
};

struct findings {
	struct kvm kvm;
	struct diag diag; /* why not, when can_run is false */
	bool can_run;
	const char *backing; /* NULL: none */
	char module[32];
	struct utsname uts;
	unsigned mode, gid; /* of /dev/kvm; mode 0 when it is not there */
	struct kvm_doctor_cap cap[KVM_DOCTOR_CAPS_MAX];
	unsigned nr_caps;
	struct kvm_doctor_limits limits;
	enum arch_guest_clock guest_tsc;
	struct rlimit files;
	bool has_passt;
	struct sandbox_host sandbox;
};

/* In PATH, where --net passt will find it. */
static bool finds_program(const char *name)
{
	const char *dir = getenv("PATH");
	char path[PATH_MAX];

	while (dir && *dir) {
		const size_t len = strcspn(dir, ":");

		if (snprintf(path, sizeof(path), "%.*s/%s", (int)len, dir, name) < PATH_MAX &&
		    access(path, X_OK) == 0)
			return true;
		dir += len + (dir[len] == ':');
	}
	return false;
}

static void examine(struct findings *f)
{
	struct stat st;

	uname(&f->uts);
	if (stat(KVM_DEVICE_PATH, &st) == 0) {
		f->mode = st.st_mode & 07777;
		f->gid = st.st_gid;
	}
	f->backing = arch_backing_name();
	arch_backing_module(f->module, sizeof(f->module));
	getrlimit(RLIMIT_NOFILE, &f->files);
	f->has_passt = finds_program("passt");
	sandbox_examine_host(&f->sandbox);
	f->can_run = kvm_open(&f->kvm, &f->diag) == 0;
	if (!f->can_run)
		return;
	f->nr_caps = kvm_doctor_caps(&f->kvm, arch_cap_rows, arch_nr_cap_rows, f->cap);
	kvm_doctor_limits(&f->kvm, &f->limits);
	f->guest_tsc = arch_guest_clock_examine(&f->kvm);
	f->can_run = kvm_caps_check(&f->kvm, arch_cap_rows, arch_nr_cap_rows, &f->diag) == 0;
}

static void print_backing(const struct findings *f)
{
	printf("virtualization  %s%s%s%s\n", f->backing ? f->backing : arch_backing_none,
	       f->module[0] ? " (module " : "", f->module, f->module[0] ? ")" : "");
	if (f->backing || !f->can_run)
		return;
	printf("                guest kernel code is emulated instruction by instruction: about a\n"
	       "                million per second. Small kernels and `tollgate hammer` run; a\n"
	       "                distribution's kernel takes minutes and stops at an instruction "
	       "that\n"
	       "                KVM cannot emulate. Run those on a host with %s, or on a\n"
	       "                nested KVM (docs/guide/boot.md).\n",
	       arch_backing_any);
}

static void print_caps(const struct findings *f)
{
	puts("capabilities");
	for (unsigned i = 0; i < f->nr_caps; i++) {
		const struct kvm_doctor_cap *c = &f->cap[i];

		printf("  %-28s %-4s %s%s%s\n", c->row->name + sizeof("KVM_CAP_") - 1,
		       c->value ? "yes" : "NO", c->row->use,
		       c->value || !c->row->without ? "" : "; without it: ",
		       c->value || !c->row->without ? "" : c->row->without);
	}
}

static void print_guest_tsc(const struct findings *f)
{
	if (f->guest_tsc != ARCH_GUEST_CLOCK_STANDS)
		return;
	printf("guest's TSC     KVM takes it to stand still: every timer of a guest is late by "
	       "this\n"
	       "                host's uptime. KVM was loaded before Linux refined the frequency "
	       "of\n"
	       "                the TSC, and cannot scale it. Load KVM again (as root, no guest "
	       "runs):\n"
	       "                modprobe -r %s && modprobe %s\n",
	       f->module[0] ? f->module : "kvm", f->module[0] ? f->module : "kvm");
}

/* "guests can run here, but …" */
static const char *verdict(const struct findings *f)
{
	if (!f->can_run)
		return "guests cannot run here";
	return f->guest_tsc == ARCH_GUEST_CLOCK_STANDS
		       ? "guests can run here, but their timers are late"
		       : "guests can run here";
}

static void doctor_print_text(const struct findings *f)
{
	printf("host            Linux %s, %s\n", f->uts.release, f->uts.machine);
	if (f->mode)
		printf("%s        mode %04o, group %u, %s\n", KVM_DEVICE_PATH, f->mode, f->gid,
		       f->kvm.fd >= 0 ? "opens, API version 12" : "does not open");
	else
		printf("%s        not there\n", KVM_DEVICE_PATH);
	print_backing(f);
	if (f->nr_caps) {
		print_caps(f);
		printf("limits          %d vCPUs recommended, %d at most; %d memory slots\n",
		       f->limits.vcpus_recommended, f->limits.vcpus_max, f->limits.memory_slots);
	}
	print_guest_tsc(f);
	printf("open files      %llu, can be raised to %llu: about as many ioeventfds\n",
	       (unsigned long long)f->files.rlim_cur, (unsigned long long)f->files.rlim_max);
	printf("--net passt     %s\n",
	       f->has_passt ? "passt is installed" : "passt is not installed (package passt)");
	printf("sandbox         seccomp filters %s; Landlock ABI %d%s\n",
	       f->sandbox.seccomp ? "yes" : "NO: run and smoke need --no-sandbox",
	       f->sandbox.landlock_abi, f->sandbox.landlock_abi < 2 ? ", and shares need 2" : "");
	printf("verdict         %s\n", verdict(f));
}

static void doctor_print_json(const struct findings *f)
{
	struct json_object *root = json_object_new_object(), *caps = json_object_new_object();

	json_object_object_add(root, "can_run", json_object_new_boolean(f->can_run));
	json_object_object_add(root, "reason",
			       f->can_run ? NULL : json_object_new_string(f->diag.what));
	json_object_object_add(root, "reason_id",
			       f->can_run ? NULL : json_object_new_string(f->diag.id));
	json_object_object_add(root, "backing",
			       json_object_new_string(f->backing ? f->backing : "none"));
	json_object_object_add(root, "module", json_object_new_string(f->module));
	json_object_object_add(root, "kernel", json_object_new_string(f->uts.release));
	for (unsigned i = 0; i < f->nr_caps; i++)
		json_object_object_add(caps, f->cap[i].row->name,
				       json_object_new_int(f->cap[i].value));
	json_object_object_add(root, "capabilities", caps);
	json_object_object_add(
		root, "guest_tsc_stands_still",
		f->guest_tsc == ARCH_GUEST_CLOCK_UNKNOWN
			? NULL
			: json_object_new_boolean(f->guest_tsc == ARCH_GUEST_CLOCK_STANDS));
	json_object_object_add(root, "vcpus_recommended",
			       json_object_new_int(f->limits.vcpus_recommended));
	json_object_object_add(root, "vcpus_max", json_object_new_int(f->limits.vcpus_max));
	json_object_object_add(root, "memory_slots", json_object_new_int(f->limits.memory_slots));
	json_add_u64(root, "open_files", f->files.rlim_cur);
	json_add_u64(root, "open_files_max", f->files.rlim_max);
	json_object_object_add(root, "passt", json_object_new_boolean(f->has_passt));
	json_object_object_add(root, "seccomp", json_object_new_boolean(f->sandbox.seccomp));
	json_object_object_add(root, "landlock_abi", json_object_new_int(f->sandbox.landlock_abi));
	puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
}

struct doctor_opts {
	bool json, wants_help;
	const char *kernel_config; /* a file, or NULL */
};

static int doctor_parse(int argc, char **argv, struct doctor_opts *opts, struct diag *diag)
{
	struct option_reader reader;
	const char *arg;
	int opt, r;

	option_reader_init(&reader, &cmd_doctor_table, argc, argv, false);
	while ((r = option_reader_next(&reader, &opt, &arg, diag)) > 0) {
		if (opt == OPT_JSON)
			opts->json = true;
		else if (opt == OPT_KERNEL_CONFIG)
			opts->kernel_config = arg;
		else
			opts->wants_help = true;
	}
	return r < 0 ? r : cmd_no_operands(argc, argv, diag);
}

int cmd_doctor(int argc, char **argv)
{
	struct findings f = {.kvm = {.fd = -1, .vm_fd = -1}, .guest_tsc = ARCH_GUEST_CLOCK_UNKNOWN};
	struct diag diag = {0};
	struct doctor_opts opts = {0};

	if (doctor_parse(argc, argv, &opts, &diag) < 0) {
		cmd_fail(&diag);
		return EXIT_SETUP;
	}
	if (opts.wants_help) {
		option_table_print(&cmd_doctor_table, true, stdout);
		return EXIT_OK;
	}
	if (opts.kernel_config)
		return kernel_config_report(opts.kernel_config, opts.json);
	examine(&f);
	if (opts.json)
		doctor_print_json(&f);
	else
		doctor_print_text(&f);
	fflush(stdout);
	if (!f.can_run && !opts.json)
		cmd_fail(&f.diag);
	kvm_close(&f.kvm);
	return f.can_run ? EXIT_OK : EXIT_SETUP;
}
