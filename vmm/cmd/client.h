/* client.h - asks a running VM through its control socket (docs/guide/control.md). */
#ifndef VMM_CMD_CLIENT_H
#define VMM_CMD_CLIENT_H

#include <stdint.h>

#include "base/diag.h"

struct client_request {
	const char *path; /* of the socket */
	const char *line; /* the command, with its newline */
	int64_t wait_ns;  /* for a VM that is not there yet; 0: none */
	int64_t reply_ns; /* how long the VM may be silent; 0: as long as it takes */
	/* Gets each line of the reply, with its newline; not the last, which ends it. */
	void (*take)(void *arg, const char *line);
	void *arg;
};

/* Returns once the VM has answered. -errno with diag: nobody is there, or the VM refused, or ended before the end. */
int client_ask(const struct client_request *request, struct diag *diag);

#endif
