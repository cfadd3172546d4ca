/* kernel_config.h - `tollgate doctor --kernel-config`: what a kernel's configuration lacks for which feature. */
#ifndef VMM_CMD_KERNEL_CONFIG_H
#define VMM_CMD_KERNEL_CONFIG_H

#include <stdbool.h>

/* Prints the report on that file; the exit status: EXIT_SETUP, when a run without options lacks an option. */
int kernel_config_report(const char *file, bool json);

#endif
