/* command.h - the one command that this /init is there for. */
#ifndef INIT_COMMAND_H
#define INIT_COMMAND_H

#include "conf.h"

/*
 * Runs conf->arg by PATH, or conf->run: by /bin/sh -c where there is a shell, else its words, split at blanks. Its
 * standard output and error go to the output ports, and its input is that of conf->input; or hvc0 is its terminal. Orphans are reaped meanwhile;
 * what the command left running is killed. Returns its exit status as a shell reports it.
 */
int command_run(const struct conf *conf);

/* Becomes the root directory's own init. */
_Noreturn void command_exec_init(const struct conf *conf);

#endif
