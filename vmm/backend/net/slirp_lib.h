/*
 * slirp_lib.h - libslirp, loaded when a user network is asked for: it and GLib would cost every other
 * start time. libslirp's own names and rules (slirp/libslirp.h, 4.7 to 4.9) hold.
 */
#ifndef VMM_BACKEND_NET_SLIRP_LIB_H
#define VMM_BACKEND_NET_SLIRP_LIB_H

#include <slirp/libslirp.h>

#include "base/diag.h"

#define SLIRP_LIB_SONAME "libslirp.so.0"

struct slirp_lib {
	__typeof__(slirp_new) *new;
	__typeof__(slirp_cleanup) *cleanup;
	/* slirp_pollfds_fill_socket(), since 4.9; before it slirp_pollfds_fill(), which is the same on Linux. */
	void (*pollfds_fill)(Slirp *slirp, uint32_t *timeout, SlirpAddPollCb add_poll, void *arg);
	__typeof__(slirp_pollfds_poll) *pollfds_poll;
	__typeof__(slirp_input) *input;
	__typeof__(slirp_add_hostfwd) *add_hostfwd;
	__typeof__(slirp_remove_hostfwd) *remove_hostfwd;
};

/* -ENOENT with diag when it is not installed. The library stays loaded. */
int slirp_lib_load(struct slirp_lib *ret, struct diag *diag);

/*
 * libslirp keeps the time and the name server's address once for the whole process: hold this around
 * every call, since each network has a thread.
 */
void slirp_lib_lock(void);
void slirp_lib_unlock(void);

#endif
