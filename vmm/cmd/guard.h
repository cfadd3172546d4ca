/*
 * guard.h - signals and the timeout while a VM is set up: its files are read and unpacked, its memory
 * is populated. Nothing that others see was made by then, so the process ends on the spot.
 */
#ifndef VMM_CMD_GUARD_H
#define VMM_CMD_GUARD_H

#include <stdint.h>

/*
 * From now on SIGINT, SIGTERM and SIGHUP, unless they are ignored, end the process with EXIT_KILLED, and
 * deadline_ns (of CLOCK_MONOTONIC; 0: none) ends it with EXIT_TIMEOUT; one line on standard error says so.
 * A VM that is set up blocks these signals and takes them itself (vm.h). Once a process.
 */
void cmd_guard_begin(int64_t deadline_ns);

/* The VM is set up: no deadline any more. */
void cmd_guard_end(void);

#endif
