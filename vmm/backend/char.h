/*
 * char.h - the host side of the character devices: where their output goes and their input comes from.
 *
 * A host (struct char_host) is one destination: the standard streams (console.h), a file, a
 * pseudo-terminal, a listening Unix socket. A port is one device's place at it. Devices see nothing but
 * the port's struct char_backend, be they byte-wise UARTs or block-wise virtio consoles.
 *
 * Output: a device puts bytes into its port's ring, on whatever thread it runs, and never waits. The
 * event thread writes the rings out without ever blocking. A reader that is slow or stuck fills the
 * ring, and the device then shows the guest that it is busy: nothing is lost, nothing grows. A burst
 * costs one wake-up and at most one write in CHAR_FLUSH_NS, unless a ring is full before.
 *
 * Nobody there (a pseudo-terminal that no one has open, a socket without a client): the newest
 * CHAR_KEEP_BYTES of each port wait for the next client, older ones are dropped and the guest is never
 * busy. Bytes that the kernel took for a client that left without reading them are gone.
 *
 * Input: read ahead into a small buffer and handed on as the device has room; when the buffer is full
 * the source is left alone. Of a host's ports, the last one whose device listens gets it, or the one
 * chosen by char_host_next_input().
 *
 * Threads: a port's backend belongs to its device, one caller at a time; all else to the event thread.
 */
#ifndef VMM_BACKEND_CHAR_H
#define VMM_BACKEND_CHAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/diag.h"
#include "device/lines.h"
#include "event.h"

enum {
	CHAR_RING_BYTES = 1 << 16,
	CHAR_KEEP_BYTES = CHAR_RING_BYTES / 2,
	CHAR_INPUT_BYTES = 1 << 12,
	CHAR_PORTS_MAX = 4,
};
#define CHAR_FLUSH_NS INT64_C(4000000)

enum char_kind {
	CHAR_STDIO,   /* console.h */
	CHAR_NULL,    /* output is dropped, there is no input */
	CHAR_FILE,    /* path: created, or appended to; no input */
	CHAR_PTY,     /* path: a symbolic link to make to it, or NULL */
	CHAR_UNIX,    /* path: the socket to listen on */
	CHAR_COMMAND, /* standard input, framed for guest/init; output is dropped */
};

/* One destination as the user named it; path is borrowed. */
struct char_spec {
	enum char_kind kind;
	const char *path;
	uint64_t limit_bytes; /* CHAR_FILE: at most so much is written to it; 0: no limit */
};

struct char_host;

/*
 * A Linux kernel's panic in what it prints (kernel/panic.c, from 2.6 on). One that stays as it is afterwards ends with
 * a line of its own, and prints nothing more.
 */
#define CHAR_PANIC_TEXT      "Kernel panic - not syncing"
#define CHAR_PANIC_LAST_TEXT "[ end Kernel panic"

/* Zeroed at first. */
struct char_panic {
	enum {
		CHAR_PANIC_NONE,
		CHAR_PANIC_SAID, /* CHAR_PANIC_TEXT was there */
		CHAR_PANIC_LAST, /* in the last line */
		CHAR_PANIC_OVER, /* after it, with nothing but ends of lines since */
	} state;
	unsigned len; /* of the text that is looked for, how much was there last */
};

void char_panic_feed(struct char_panic *panic, const uint8_t *buf, size_t n);

/* Single producer (the device), single consumer (the event thread). */
struct char_port {
	struct char_backend be;
	struct char_host *host;
	struct char_client *client; /* borrowed; NULL before it is connected */
	uint8_t *ring;              /* CHAR_RING_BYTES */
	atomic_uint head, tail;     /* free-running; head: next byte put, tail: next byte written */
	atomic_bool refused;        /* write took less since tx_room was last called */
	/* Event thread: what has been looked at for a panic, and what was found. */
	unsigned searched;
	struct char_panic panic;
	void (*panic_over)(void *arg); /* NULL: nobody looks for one */
	void *panic_arg;
};

enum char_out_state {
	CHAR_OUT_OPEN,
	CHAR_OUT_ABSENT, /* nobody there: see above */
	CHAR_OUT_BROKEN, /* nobody will be there any more: output is dropped */
};

/* Operations that differ by kind of host. Event thread; size on any. */
struct char_host_class {
	/* As write(2), never blocking: -1 with EAGAIN when nothing can be taken now. */
	ssize_t (*write)(struct char_host *host, const uint8_t *buf, size_t n);
	/* A write failed with err, which is positive: leaves out_state other than open. */
	void (*out_failed)(struct char_host *host, int err);
	/* The input's end (0) or an error of read(2) other than EAGAIN and EINTR. */
	void (*in_ended)(struct char_host *host, int err);
	/* Whether a byte of input is for the guest; NULL: each is. */
	bool (*in_filter)(struct char_host *host, uint8_t byte);
	/* As char_backend.size; NULL: there never is a terminal. */
	bool (*size)(const struct char_host *host, uint16_t *ret_cols, uint16_t *ret_rows);
	/* Closes what is the class's own, by until_ns; nobody is watched any more. May be NULL. */
	void (*close)(struct char_host *host, int64_t until_ns);
};

/* First member of each kind's own struct, which is allocated by itself. */
struct char_host {
	const struct char_host_class *cls;
	struct event_loop *loop; /* borrowed */
	struct power *power;     /* borrowed */
	char name[128];          /* where it is, when only we know: "/dev/pts/3"; else empty */
	struct char_port port[CHAR_PORTS_MAX];
	unsigned nr_ports;

	/* fd: the class's to open and close. in.fd may be -1: there is no input. */
	struct event_source out, in;
	uint32_t in_events; /* what in waits for while there is room for input */
	enum char_out_state out_state;
	bool out_blocked;        /* waiting for EPOLLOUT */
	int64_t wrote_ns;        /* when anything was written last, of CLOCK_MONOTONIC; 0: never */
	bool line_open;          /* the last byte, but for carriage returns, was not a newline */
	uint64_t left_out_bytes; /* that a limit of the destination kept from it */
	int lost; /* what close() found: a negative errno when output that was taken is lost */

	struct event_timer timer;
	atomic_bool active; /* a flush is due: no put needs to wake the loop */
	atomic_bool input_wanted;

	unsigned
		input_max; /* input is read while less than this waits; the class's, CHAR_INPUT_BYTES at first */
	uint8_t input[CHAR_INPUT_BYTES];
	unsigned input_head, input_tail; /* free-running */
	struct char_port *input_choice;  /* NULL: the last one that listens */
};

/*
 * Opens a destination of any kind but CHAR_STDIO and CHAR_NULL. loop and power are borrowed until
 * char_host_destroy(). Returns 0 and the host, or -errno with diag.
 */
int char_host_open(const struct char_spec *spec, struct event_loop *loop, struct power *power,
		   struct diag *diag, struct char_host **ret);

/*
 * A place for one device. Hand &port->be to device_create(), then char_port_connect() it. NULL without
 * memory; at most CHAR_PORTS_MAX of one host.
 */
struct char_port *char_port_add(struct char_host *host);
void char_port_connect(struct char_port *port, struct char_client *client);

/* To be called by the loop's woken function. */
void char_host_woken(struct char_host *host);

/* The terminal may have another size: notifies the devices. */
void char_host_resized(struct char_host *host);

/*
 * Of a host of kind CHAR_COMMAND: an interrupt for the command. False when the guest does not take it: it reads no
 * input yet, or has not read the last interrupt.
 */
bool char_command_interrupt(struct char_host *host);

/* Input goes to the next of the ports that listen, from now on. */
void char_host_next_input(struct char_host *host);

/* A serial break for the port that listens, after what came before. One that has no room loses it, as on a line. */
void char_host_line_break(struct char_host *host);

/*
 * For the end, when the loop does not run any more and no device puts anything: writes what can be
 * written now; true when nothing is left, false when out.fd takes no more before it polls writable.
 */
bool char_host_flush(struct char_host *host);

/*
 * From now on a panic is looked for in what is put to port. panic_over(arg) is called when the kernel has printed its
 * last line, and again while ends of lines follow. It must not call back.
 */
void char_port_watch_panic(struct char_port *port, void (*panic_over)(void *arg), void *arg);

/* Looks for one from here on. */
void char_port_forget_panic(struct char_port *port);

/* Searches the output so far for a panic, also output that nobody reads, and returns the result. */
const struct char_panic *char_port_panic(struct char_port *port);

/*
 * How long the destinations may take to close. A file that is slow, since its file system has much else
 * to write, is not a file that does not answer.
 */
#define CHAR_CLOSE_NS (5 * NS_PER_S)

/*
 * Closes and frees. The ports' devices must still be there. until_ns, of CLOCK_MONOTONIC: how long a
 * client may take to read what the kernel holds for it, where that would be lost. Returns 0, or -errno when
 * output that had been taken is lost; -ETIMEDOUT: the file or client did not answer in time.
 */
int char_host_destroy(struct char_host *host, int64_t until_ns);

/* A backend that drops output and has no input, for a device that is connected to nothing. */
void char_null_init(struct char_backend *be);

/* One that looks for a panic in what it drops. */
struct char_null {
	struct char_backend be;
	struct char_panic panic; /* the device's thread; read when it has ended */
};
void char_null_init_watching(struct char_null *null);

/*
 * For the kinds.
 */

/*
 * Allocates size zeroed bytes that begin with a struct char_host and makes it ready, with nobody there
 * (CHAR_OUT_ABSENT). -errno with diag.
 */
int char_host_create(size_t size, const struct char_host_class *cls, struct event_loop *loop,
		     struct power *power, struct diag *diag, struct char_host **ret);

/*
 * Somebody is connected at out.fd and in.fd, which the class has set and which must differ. Returns 0,
 * or -errno when they cannot be watched; nobody is there then.
 */
int char_host_attach(struct char_host *host);

/* Nobody is there any more: state is not CHAR_OUT_OPEN. The descriptors stay the class's to close. */
void char_host_detach(struct char_host *host, enum char_out_state state);

/* No more input is expected, though output goes on: waits for the hang-up alone. */
void char_host_input_end(struct char_host *host);

/* Leaves the input to others, or takes it again: hold is for a source that is not ours for a while. */
void char_host_input_hold(struct char_host *host, bool hold);

/* The kinds; each as char_host_open(). */
int char_file_open(const struct char_spec *spec, struct event_loop *loop, struct power *power,
		   struct diag *diag, struct char_host **ret);
int char_pty_open(const char *link, struct event_loop *loop, struct power *power, struct diag *diag,
		  struct char_host **ret);
int char_unix_open(const char *path, struct event_loop *loop, struct power *power,
		   struct diag *diag, struct char_host **ret);
int char_command_open(struct event_loop *loop, struct power *power, struct diag *diag,
		      struct char_host **ret);

#endif
