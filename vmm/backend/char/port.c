/*
 * port.c - a device's port at a console: its ring, on any thread with one caller at a time, and the text of a
 * panic in what goes through it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "backend/char/internal.h"
#include "base/macros.h"

static const struct char_port *port_of_const(const struct char_backend *be)
{
	/* container_of() would drop the const */
	return (const void *)((const char *)be - offsetof(struct char_port, be));
}

/*
 * The ring is full: the event thread is to write now, rather than at the end of CHAR_FLUSH_NS, and to
 * call tx_room. It may have made room between the look and the mark, so the caller looks again.
 */
static void port_refuse(struct char_port *port)
{
	if (!atomic_exchange(&port->refused, true))
		event_loop_wake(port->host->loop);
}

static size_t port_write(struct char_backend *be, const uint8_t *buf, size_t n)
{
	struct char_port *port = container_of(be, struct char_port, be);
	const unsigned head = atomic_load_explicit(&port->head, memory_order_relaxed);
	const unsigned at = head % CHAR_RING_BYTES;
	size_t room = CHAR_RING_BYTES - char_port_used(port), till_end = CHAR_RING_BYTES - at;

	if (room < n) {
		port_refuse(port);
		room = CHAR_RING_BYTES - char_port_used(port);
		if (room < n)
			n = room;
	}
	if (n == 0)
		return 0;
	memcpy(port->ring + at, buf, n < till_end ? n : till_end);
	if (n > till_end)
		memcpy(port->ring, buf + till_end, n - till_end);
	/*
	 * The first byte after silence wakes the loop; it then looks again on its own. Sequentially
	 * consistent, as host_timer_expired() is: were the load of active done before the byte is seen, both
	 * sides could leave it to the other.
	 */
	atomic_store(&port->head, head + (unsigned)n);
	if (!atomic_load(&port->host->active) && !atomic_exchange(&port->host->active, true))
		event_loop_wake(port->host->loop);
	return n;
}

static size_t port_room(const struct char_backend *be)
{
	return CHAR_RING_BYTES - char_port_used(port_of_const(be));
}

/* The look at the mark comes after the device made room; char_host_input_pump() marks, then looks at the room. */
static void port_input_wanted(struct char_backend *be)
{
	struct char_host *host = container_of(be, struct char_port, be)->host;

	if (atomic_load(&host->input_wanted) && atomic_exchange(&host->input_wanted, false))
		event_loop_wake(host->loop);
}

static bool port_size(const struct char_backend *be, uint16_t *ret_cols, uint16_t *ret_rows)
{
	const struct char_host *host = port_of_const(be)->host;

	return host->cls->size && host->cls->size(host, ret_cols, ret_rows);
}

struct char_port *char_port_add(struct char_host *host)
{
	struct char_port *port = &host->port[host->nr_ports];

	assert(host->nr_ports < CHAR_PORTS_MAX);
	port->ring = malloc(CHAR_RING_BYTES);
	if (!port->ring)
		return NULL;
	port->be = (struct char_backend){
		.write = port_write,
		.room = port_room,
		.input_wanted = port_input_wanted,
		.size = port_size,
	};
	port->host = host;
	host->nr_ports++;
	return port;
}

void char_port_connect(struct char_port *port, struct char_client *client)
{
	port->client = client;
}

/* Each text begins with a character that is nowhere else in it, so that a mismatch starts anew. */
static bool panic_finds(struct char_panic *panic, const char *text, uint8_t byte)
{
	if (byte == (uint8_t)text[panic->len])
		panic->len++;
	else
		panic->len = byte == (uint8_t)text[0];
	if (text[panic->len])
		return false;
	panic->len = 0;
	return true;
}

static void panic_feed_byte(struct char_panic *panic, uint8_t byte)
{
	if (panic->state == CHAR_PANIC_OVER && byte != '\r' && byte != '\n')
		panic->state = CHAR_PANIC_SAID; /* a log, in which another one may follow */
	switch (panic->state) {
	case CHAR_PANIC_NONE:
		if (panic_finds(panic, CHAR_PANIC_TEXT, byte))
			panic->state = CHAR_PANIC_SAID;
		break;
	case CHAR_PANIC_SAID:
		if (panic_finds(panic, CHAR_PANIC_LAST_TEXT, byte))
			panic->state = CHAR_PANIC_LAST;
		break;
	case CHAR_PANIC_LAST:
		if (byte == '\n')
			panic->state = CHAR_PANIC_OVER;
		break;
	case CHAR_PANIC_OVER: break;
	}
}

void char_panic_feed(struct char_panic *panic, const uint8_t *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		panic_feed_byte(panic, buf[i]);
}

void char_port_search_panic(struct char_port *port, unsigned head)
{
	if (!port->panic_over || port->searched == head)
		return;
	for (; port->searched != head; port->searched++)
		panic_feed_byte(&port->panic, port->ring[port->searched % CHAR_RING_BYTES]);
	if (port->panic.state == CHAR_PANIC_OVER)
		port->panic_over(port->panic_arg);
}

void char_port_watch_panic(struct char_port *port, void (*panic_over)(void *arg), void *arg)
{
	port->panic_over = panic_over;
	port->panic_arg = arg;
}

void char_port_forget_panic(struct char_port *port)
{
	port->searched = atomic_load(&port->head);
	port->panic = (struct char_panic){0};
}

const struct char_panic *char_port_panic(struct char_port *port)
{
	char_port_search_panic(port, atomic_load(&port->head));
	return &port->panic;
}
