/*
 * stdio.h - descriptors that we were given (standard output and others) as places for the character
 * devices, with standard input, and the terminal there.
 *
 * On a terminal, Ctrl-a x ends the VM, Ctrl-a c moves the input to the next console of those that share
 * it, Ctrl-a b sends a serial break, Ctrl-a h lists the keys, and Ctrl-a Ctrl-a sends one Ctrl-a. Input that is no
 * terminal is passed as it is. Output that nobody will ever read ends the VM.
 */
#ifndef VMM_BACKEND_CHAR_STDIO_H
#define VMM_BACKEND_CHAR_STDIO_H

#include <stdbool.h>

#include "backend/char.h"
#include "base/diag.h"
#include "event.h"

/*
 * Output goes to fd, which stays the caller's and open until char_host_destroy(). With input, takes over
 * stdin, which is open; a terminal there becomes raw. Otherwise as char_host_open().
 */
int console_open(int fd, bool input, struct event_loop *loop, struct power *power,
		 struct diag *diag, struct char_host **ret);

/* Raw mode again after a stop and SIGCONT. host is console_open()'s. */
void console_resume(struct char_host *host);

#endif
