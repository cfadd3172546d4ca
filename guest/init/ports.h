/*
 * ports.h - the ways from this /init to the VMM: output ports, the exit port, and the console for what a
 * person must read. Not thread-safe.
 */
#ifndef INIT_PORTS_H
#define INIT_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"

/* An output port (docs/reference/devices/output_port.md). */
struct out_port {
	uint16_t port;     /* 0: none, what is written goes nowhere */
	uint32_t capacity; /* its room when all has left, bytes */
};

/* Lets us use the ports of conf. 0 or -errno. */
int ports_open(const struct conf *conf);

/* out, err and log of conf. */
struct out_port out_port_open(uint16_t port);

/* Writes as much as there is room for: 0 to n bytes. */
size_t out_port_write(const struct out_port *out, const void *buf, size_t n);

/* Waits until all that was written has left: forever if the host does not take it. */
void out_port_drain(const struct out_port *out);

/* One line for the log port, which gets its time from its arrival. */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One line on the console, "tollgate-init: ..."; returns when it has been sent. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Ends all other processes, writes file systems back, and leaves the machine with a status through the
 * exit port once all output has left.
 */
_Noreturn void leave(int status);

/* say(), and leave(): something that was asked for cannot be had. */
_Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

enum {
	STATUS_FAILED = 125, /* of fail(): nothing ran */
	STATUS_NOT_EXECUTABLE = 126,
	STATUS_NOT_FOUND = 127,
	STATUS_SIGNAL = 128, /* and the number of the signal */
};

#endif
