/*
 * console.h - the host side of the character devices: standard input and output, the terminal.
 *
 * Output: each port (one a device) has a ring; the device's put() runs on a vCPU thread and only
 * stores the byte. The event thread writes the rings to the ports' descriptors (standard output, or
 * what console_port_add() was told) without ever blocking; a reader that is slow or stuck fills the
 * ring, and the device then shows the guest a transmitter that is not empty; ports that write
 * elsewhere go on. A burst of output costs one wake-up and at most one write in CONSOLE_FLUSH_NS.
 *
 * Input: read ahead into a small buffer (so that Ctrl-a x works with a guest that reads nothing)
 * and handed on as the device has room; when the buffer is full stdin is left alone.
 *
 * On a terminal, Ctrl-a x ends the VM and Ctrl-a Ctrl-a sends one Ctrl-a. Input that is no terminal
 * is passed as it is.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "base/diag.h"
#include "device.h"
#include "event.h"

enum {
	CONSOLE_RING_BYTES = 1 << 16,
	CONSOLE_INPUT_BYTES = 1 << 12,
	CONSOLE_PORTS_MAX = 8,
	CONSOLE_OUTS_MAX = 4,
};
#define CONSOLE_FLUSH_NS INT64_C(4000000)

struct console;

enum console_out_kind {
	CONSOLE_OUT_PLAIN, /* a description of our own, without blocking; or a file */
	CONSOLE_OUT_SOCKET,
	CONSOLE_OUT_BLOCKING_PIPE, /* shared with others, who rely on its blocking */
};

/* A descriptor that one or more ports write to. Event thread only. */
struct console_out {
	struct event_source src;
	struct console *console;
	int given_fd; /* src.fd may be another description of the same file */
	enum console_out_kind kind;
	bool own;     /* src.fd is ours to close */
	bool blocked; /* waiting for EPOLLOUT */
	bool broken;  /* EPIPE and the like: output is dropped */
};

/* Single producer (the device, under its lock), single consumer (the event thread). */
struct console_port {
	struct char_backend be;
	struct console *console;
	struct console_out *out;
	struct device *dev;
	uint8_t *ring;          /* CONSOLE_RING_BYTES */
	atomic_uint head, tail; /* free-running; head: next byte put, tail: next byte written */
	atomic_bool refused;    /* put failed since tx_room was last called */
};

struct console {
	struct event_loop *loop; /* borrowed */
	struct power *power;     /* borrowed */
	struct console_port port[CONSOLE_PORTS_MAX];
	unsigned nr_ports;
	struct console_out out[CONSOLE_OUTS_MAX];
	unsigned nr_outs;

	struct event_source in;
	int timer_fd;
	struct event_source timer;
	atomic_bool active; /* a flush is due: no put needs to wake the loop */
	atomic_bool input_wanted;
	bool has_input, own_in;

	uint8_t input[CONSOLE_INPUT_BYTES];
	unsigned input_head, input_tail; /* free-running */
	bool escape_seen, in_is_tty;
};

/*
 * With input, takes over stdin, which is open; a terminal there becomes raw. loop and power are
 * borrowed until console_fini(). -errno with diag.
 */
int console_init(struct console *con, struct event_loop *loop, struct power *power, bool input,
		 struct diag *diag);

/*
 * A new port for one device, which has char_ops; the first one also gets the input. Its output goes
 * to fd, which stays the caller's and open until console_fini(). Hand &(*ret)->be to device_create(),
 * then set (*ret)->dev. -errno with diag.
 */
int console_port_add(struct console *con, int fd, struct console_port **ret, struct diag *diag);

/* Starts reading input, for the first port. */
int console_start(struct console *con);

/* To be called by the loop's woken function. Event thread. */
void console_woken(struct console *con);

/*
 * Writes what is left, for at most a second when the reader is slow, and gives the terminal back.
 * The ports' devices must still be there. Takes a zeroed console too.
 */
void console_fini(struct console *con);

/* Raw mode again after a stop and SIGCONT. */
void console_resume(struct console *con);

#endif
