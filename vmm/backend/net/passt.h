/* passt.h - the way to a passt process: what passt.c needs of passt_start.c. For these two alone; before the I/O thread. */
#ifndef VMM_BACKEND_NET_PASST_H
#define VMM_BACKEND_NET_PASST_H

#include "backend/net.h"
#include "base/diag.h"

/*
 * Starts the program passt (found by PATH) with one end of a new pair of sockets. It is ready, and in the background,
 * when this returns: it ends when the other end is closed. Returns that other end, or -errno with diag, which has the
 * last line that passt wrote.
 */
int passt_start(const struct net_passt_opts *opts, struct diag *diag);

/* Connects to the Unix stream socket at path, where a passt listens. Returns the socket, or -errno with diag. */
int passt_connect(const char *path, struct diag *diag);

#endif
