/* The table of subcommands: main() and the shell completions go by it. */
#include "cmd/cmds.h"
#include "config.h"
#include "smoke/options.h"

const struct command commands[] = {
	{"run", cmd_run, "boot a kernel, or the built-in test kernel", &config_run_table},
	{"smoke", cmd_smoke, "boot kernels and judge each boot, for CI", &config_smoke_table},
	{"control", cmd_control, "inspect or change a running VM", &cmd_control_table},
	{"exec", cmd_exec, "run a command in a running guest", &cmd_exec_table},
	{"cp", cmd_cp, "copy files into a running guest, or out of it", &cmd_cp_table},
	{"top", cmd_top, "show the exits per second of running VMs", &cmd_top_table},
	{"doctor", cmd_doctor, "report whether this host can run guests", &cmd_doctor_table},
	{"hammer", cmd_hammer, "measure exits: a guest makes one access over and over",
	 &cmd_hammer_table},
	{"bench", cmd_bench, "measure exits: experiments, plots, comparisons", &cmd_bench_table},
	{"machine", cmd_machine, "show the machine a guest would see", &cmd_machine_table},
	{"completion", cmd_completion, "print completions for bash, zsh or fish",
	 &cmd_completion_table},
	{0},
};
