/*
 * control.h - a Unix socket through which a running VM takes commands: its clients, the framing
 * of commands and replies, and their bounds. Its user supplies the commands (control/commands.c). The
 * protocol is in docs/guide/control.md.
 *
 * A command is a line; its reply is lines of data and one last line, CONTROL_REPLY_OK or one that begins
 * with CONTROL_REPLY_ERROR. A client's next command runs when it has taken the reply to the one before, so
 * one reply and CONTROL_INPUT_BYTES are all that we hold for it. One command a turn: between two of them
 * everything else on the loop is serviced.
 *
 * Threads: all on the one that runs the loop, or before and after it runs.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <stdio.h>

#include "base/diag.h"
#include "control/line.h"
#include "event.h"

enum {
	CONTROL_CLIENTS_MAX = 8,
	CONTROL_ARGS_MAX = 8, /* the name of a command and its arguments */
};

#define CONTROL_REPLY_OK     "ok"
#define CONTROL_REPLY_ERROR  "error: "    /* what [id], and: */
#define CONTROL_REPLY_REMEDY "; remedy: " /* where there is one */

/* Prints the line that ends a reply to a command that failed: "error: WHAT [ID]; remedy: REMEDY". */
void control_print_error(const struct diag *diag, FILE *out);

struct control_commands {
	/*
	 * Runs argv[0], a command, with nr - 1 arguments. It prints lines of data to out, none of them such as a
	 * reply ends with. 0, or -errno with diag: what it printed is dropped then. It waits for no client and no
	 * guest; unplug waits for a virtio device, and what stops vCPUs for those, for a few seconds at most.
	 */
	int (*run)(struct control_commands *commands, char *const argv[], unsigned nr, FILE *out,
		   struct diag *diag);
};

struct control;

/*
 * Makes the socket, for its owner alone, in the place of one that a dead VM left. loop and commands are
 * borrowed until control_close(). -errno with diag.
 */
int control_open(const char *path, struct event_loop *loop, struct control_commands *commands,
		 struct control **ret, struct diag *diag);

/* Removes the socket; what clients have not taken is lost. Takes NULL; returns NULL. */
struct control *control_close(struct control *control);

#endif
