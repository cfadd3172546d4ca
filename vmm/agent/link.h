/* link.h - a connection to the agent of a running guest, through the socket of --vsock. */
#ifndef VMM_AGENT_LINK_H
#define VMM_AGENT_LINK_H

#include "agent/frame.h"
#include "base/diag.h"

struct agent_link {
	struct agent_stream stream;
	const char *path;   /* of the VM's socket; borrowed */
	int64_t silence_ns; /* how long the guest may be silent; 0: as long as it takes */
	int64_t heard_ns;   /* when something came last, of CLOCK_MONOTONIC */
	int64_t pinged_ns;  /* when it was asked for a sign of life; 0: not since then */
};

/*
 * Connects; wait_ns is for a guest whose agent does not listen yet, 0: it must. -errno with diag: nobody is there, or
 * the guest does not accept. Then agent_link_close().
 */
int agent_link_open(struct agent_link *link, const char *path, int64_t wait_ns, int64_t silence_ns,
		    struct diag *diag);
void agent_link_close(struct agent_link *link); /* takes a zeroed one, too */

/* Milliseconds for poll(2) until agent_link_alive() is to be called; -1: never. */
int agent_link_timeout_ms(const struct agent_link *link);
/* Asks a silent guest for a sign of life, and gives up after silence_ns. -ETIMEDOUT with diag. */
int agent_link_alive(struct agent_link *link, struct diag *diag);

/* Moves bytes both ways as far as it goes now. -errno with diag: the guest is gone, or sends what is not a frame. */
int agent_link_move(struct agent_link *link, struct diag *diag);

/* The next frame that is there: 1, 0, or -EPROTO with diag. PONGs are left out. */
int agent_link_next(struct agent_link *link, struct agent_frame *ret, struct diag *diag);

/* Waits for the next frame, after all that was queued. 0, or -errno with diag; also when the guest ends the stream. */
int agent_link_await(struct agent_link *link, struct agent_frame *ret, struct diag *diag);
/* Queues a frame, after it has made room. -errno with diag. */
int agent_link_put(struct agent_link *link, unsigned type, const void *data, size_t len,
		   struct diag *diag);

/* Sets diag from a frame AGENT_ERROR, and returns the exit status in it. */
int agent_link_refused(const struct agent_frame *frame, struct diag *diag);

/* The agent of another version or a hostile guest: a frame that has no business here. Returns -EPROTO. */
int agent_link_confused(const struct agent_link *link, struct diag *diag);

#endif
