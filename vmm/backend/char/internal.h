/*
 * internal.h - what the parts of a console's host share: char.c, output and the host's life; char/port.c, a
 * device's side; char/input.c, input. For these alone.
 */
#ifndef VMM_BACKEND_CHAR_INTERNAL_H
#define VMM_BACKEND_CHAR_INTERNAL_H

#include <sys/stat.h>

#include "backend/char.h"

/* Bytes in the ring. Any thread. */
static inline unsigned char_port_used(const struct char_port *port)
{
	return atomic_load(&port->head) - atomic_load(&port->tail);
}

/*
 * Looks for a panic up to head, where that is wanted: each byte once, before anything takes it out of the ring. Event
 * thread.
 */
void char_port_search_panic(struct char_port *port, unsigned head);

/* Whether there is something to look at; nothing that is kept for a client is written, and yet it may be a panic. */
static inline bool char_port_unsearched(const struct char_port *port)
{
	return port->panic_over && port->searched != atomic_load(&port->head);
}

/* Hands buffered input to the device that listens, if there is one, as much as it takes. Event thread. */
void char_host_input_pump(struct char_host *host);

/*
 * stdin and outputs share their file description with the shell and others, which must not find it
 * non-blocking. A pipe or a terminal is opened anew instead; *ret_own says that it was. It cannot be
 * when it belongs to another user, as after su or sudo: then fd itself is returned, as for a file.
 */
int char_open_anew(int fd, int flags, const struct stat *st, bool *ret_own);

/* char_host.in has something to read, or has ended. Event thread. */
void char_host_in_ready(struct event_source *src, uint32_t epoll_events);

#endif
