/*
 * agent.h - the agent: runs commands and copies files for `tollgate exec` and `tollgate cp`, which reach it by a vsock
 * port. docs/design/agent.md has the protocol, vmm/agent/frame.h its frames.
 *
 * Each connection has a process of its own, so connections cannot disturb each other.
 */
#ifndef INIT_AGENT_H
#define INIT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../vmm/agent/frame.h"

/* Listens on the vsock port, in a process of its own that ends with this machine. 0, or -errno: there are no sockets. */
int agent_start(uint32_t port, char *const *env);

/* Serves one connection until its end. fd is closed; env is for commands. In a process of its own. */
void agent_serve(int fd, char *const *env);

/* For the files that serve one kind of request. */

struct agent {
	struct agent_stream stream;
	char *const *env;
};

enum { AGENT_FAILED = 125 }; /* nothing ran: as STATUS_FAILED */

/* Waits until a frame has come, all that was queued having been sent. False: the client is gone, or sends no frames. */
bool agent_await(struct agent *agent, struct agent_frame *ret);
/* Queues a frame, after it has made room, and sends all. False: the client is gone. */
bool agent_send(struct agent *agent, unsigned type, const void *data, size_t len);
/* Refuses a request; the reason is about what, unless it is NULL. Returns as agent_send(). */
bool agent_refuse(struct agent *agent, unsigned status, const char *what, const char *why);

/* AGENT_EXEC. True while the client is there. */
bool agent_exec(struct agent *agent, const struct agent_frame *request);
/* AGENT_PUT and AGENT_GET. */
bool agent_put_file(struct agent *agent, const struct agent_frame *request);
bool agent_get_file(struct agent *agent, const struct agent_frame *request);

#endif
