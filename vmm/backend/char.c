#include "backend/char.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"

/* A device's side: any thread, one caller at a time. */

static const struct char_port *port_of_const(const struct char_backend *be)
{
	/* container_of() would drop the const */
	return (const void *)((const char *)be - offsetof(struct char_port, be));
}

static unsigned port_used(const struct char_port *port)
{
	return atomic_load(&port->head) - atomic_load(&port->tail);
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
	size_t room = CHAR_RING_BYTES - port_used(port), till_end = CHAR_RING_BYTES - at;

	if (room < n) {
		port_refuse(port);
		room = CHAR_RING_BYTES - port_used(port);
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
	 * consistent, as host_timer_ready() is: were the load of active done before the byte is seen, both
	 * sides could leave it to the other.
	 */
	atomic_store(&port->head, head + (unsigned)n);
	if (!atomic_load(&port->host->active) && !atomic_exchange(&port->host->active, true))
		event_loop_wake(port->host->loop);
	return n;
}

static size_t port_room(const struct char_backend *be)
{
	return CHAR_RING_BYTES - port_used(port_of_const(be));
}

/* The look at the mark comes after the device made room; input_pump() marks, then looks at the room. */
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

/* Output: the event thread. */

/* What may stay in a ring when nothing more can be done for it. */
static unsigned host_keeps(const struct char_host *host)
{
	return host->out_state == CHAR_OUT_ABSENT ? CHAR_KEEP_BYTES : 0;
}

static bool host_idle(const struct char_host *host)
{
	for (unsigned i = 0; i < host->nr_ports; i++)
		if (port_used(&host->port[i]) > host_keeps(host))
			return false;
	return true;
}

/* The words begin with a letter that is nowhere else in them, so that a mismatch starts anew. */
static void port_look_at(struct char_port *port, uint8_t byte)
{
	static const char words[] = CHAR_PANIC_WORDS;

	if (byte == (uint8_t)words[port->panic_len])
		port->panic_len++;
	else
		port->panic_len = byte == (uint8_t)words[0];
	if (port->panic_len == sizeof(words) - 1) {
		port->saw_panic = true;
		port->panic_len = 0;
	}
}

/* Each byte once, before anything takes it out of the ring. */
static void port_look_for_panic(struct char_port *port, unsigned head)
{
	for (; port->looked_at != head && !port->saw_panic; port->looked_at++)
		port_look_at(port, port->ring[port->looked_at % CHAR_RING_BYTES]);
}

bool char_port_saw_panic(struct char_port *port)
{
	port_look_for_panic(port, atomic_load(&port->head));
	return port->saw_panic;
}

/* Carriage returns do not count: some guests put them behind the newline. */
static void host_note_written(struct char_host *host, const uint8_t *buf, size_t n)
{
	while (n > 0 && buf[n - 1] == '\r')
		n--;
	if (n > 0)
		host->line_open = buf[n - 1] != '\n';
	host->wrote_ns = clock_monotonic_ns();
}

/*
 * Writes what the ring held at first, no more, lest a guest that never pauses keeps the event thread
 * here: true, or false when the destination takes no more now.
 */
static bool port_drain(struct char_port *port)
{
	struct char_host *host = port->host;
	const unsigned head = atomic_load(&port->head);
	unsigned tail = atomic_load(&port->tail), left = head - tail;

	port_look_for_panic(port, head);
	while (left && host->out_state == CHAR_OUT_OPEN) {
		unsigned at = tail % CHAR_RING_BYTES;
		unsigned n = left < CHAR_RING_BYTES - at ? left : CHAR_RING_BYTES - at;
		ssize_t done = host->cls->write(host, port->ring + at, n);

		if (done < 0) {
			if (errno == EAGAIN)
				return false;
			if (errno != EINTR)
				host->cls->out_failed(host, errno);
			continue;
		}
		host_note_written(host, port->ring + at, (size_t)done);
		tail += (unsigned)done;
		left -= (unsigned)done;
		/* Before the look at refused; port_refuse() marks it, and tail is looked at then. */
		atomic_store(&port->tail, tail);
	}
	if (left > host_keeps(host))
		atomic_store(&port->tail, tail + left - host_keeps(host));
	return true;
}

static void port_tell_room(struct char_port *port)
{
	if (!port->client || !atomic_load(&port->refused))
		return;
	atomic_store(&port->refused, false);
	port->client->output_room(port->client);
}

/* False when the destination takes no more. A device that had held bytes back may have put more. */
static bool host_drain(struct char_host *host)
{
	bool takes_more = true;

	for (unsigned i = 0; i < host->nr_ports; i++) {
		if (port_drain(&host->port[i]))
			port_tell_room(&host->port[i]);
		else
			takes_more = false;
	}
	return takes_more;
}

static void flush_later(const struct char_host *host)
{
	const struct itimerspec spec = {.it_value.tv_nsec = CHAR_FLUSH_NS};

	timerfd_settime(host->timer.fd, 0, &spec, NULL);
}

/* With active set: writes what is there, and sees to it that the rest follows. */
static void host_flush(struct char_host *host)
{
	if (host->out_blocked)
		return;
	if (!host_drain(host)) {
		host->out_blocked = true;
		event_loop_want(host->loop, &host->out, EPOLLOUT);
		return;
	}
	flush_later(host);
}

static void out_ready(struct event_source *src, uint32_t epoll_events)
{
	struct char_host *host = container_of(src, struct char_host, out);

	(void)epoll_events;
	event_loop_want(host->loop, src, 0);
	host->out_blocked = false;
	host_flush(host);
}

static void host_timer_ready(struct event_source *src, uint32_t epoll_events)
{
	struct char_host *host = container_of(src, struct char_host, timer);
	uint64_t n;

	(void)epoll_events;
	if (read(src->fd, &n, sizeof(n)) != sizeof(n))
		return;
	if (host_idle(host)) {
		atomic_store(&host->active, false);
		/* A byte put before that store saw active and did not wake us. */
		if (host_idle(host) || atomic_exchange(&host->active, true))
			return;
	}
	host_flush(host);
}

/* Input: the event thread. */

static unsigned host_input_used(const struct char_host *host)
{
	return host->input_head - host->input_tail;
}

static bool port_listens(const struct char_port *port)
{
	return port->client && port->client->listens(port->client);
}

static struct char_port *input_port(struct char_host *host)
{
	if (host->input_choice && port_listens(host->input_choice))
		return host->input_choice;
	for (unsigned i = host->nr_ports; i-- > 0;)
		if (port_listens(&host->port[i]))
			return &host->port[i];
	return NULL;
}

void char_host_next_input(struct char_host *host)
{
	const struct char_port *now = input_port(host);

	for (unsigned i = 0; now && i < host->nr_ports; i++) {
		struct char_port *next =
			&host->port[((unsigned)(now - host->port) + 1 + i) % host->nr_ports];

		if (port_listens(next)) {
			host->input_choice = next;
			return;
		}
	}
}

/* Hands the device some of the input: how many bytes, 0 when it has no room. */
static size_t port_feed(struct char_port *port)
{
	struct char_host *host = port->host;
	uint8_t buf[512];
	size_t n = 0;

	while (n < sizeof(buf) && n < host_input_used(host)) {
		buf[n] = host->input[(host->input_tail + n) % CHAR_INPUT_BYTES];
		n++;
	}
	n = port->client->input(port->client, buf, n);
	host->input_tail += (unsigned)n;
	return n;
}

/* Hands buffered input to the device that listens, if there is one, as much as it takes. */
static void input_pump(struct char_host *host)
{
	bool marked = false;

	while (host_input_used(host)) {
		struct char_port *port = input_port(host);

		if (port && port_feed(port))
			continue;
		if (marked)
			break;
		/* What a device makes room for from here on it tells; what before, is seen now. */
		atomic_store(&host->input_wanted, true);
		marked = true;
	}
	event_loop_want(host->loop, &host->in,
			host_input_used(host) < CHAR_INPUT_BYTES ? host->in_events : 0);
}

static void in_ready(struct event_source *src, uint32_t epoll_events)
{
	struct char_host *host = container_of(src, struct char_host, in);
	uint8_t buf[CHAR_INPUT_BYTES];
	ssize_t n = read(src->fd, buf, CHAR_INPUT_BYTES - host_input_used(host));

	(void)epoll_events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		host->cls->in_ended(host, n < 0 ? errno : 0);
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		if (!host->cls->in_filter || host->cls->in_filter(host, buf[i]))
			host->input[host->input_head++ % CHAR_INPUT_BYTES] = buf[i];
	input_pump(host);
}

void char_host_woken(struct char_host *host)
{
	if (atomic_load(&host->active))
		host_flush(host);
	input_pump(host);
}

void char_host_resized(struct char_host *host)
{
	for (unsigned i = 0; i < host->nr_ports; i++) {
		const struct char_port *port = &host->port[i];

		if (port->client)
			port->client->resized(port->client);
	}
}

/* Those who come and go. */

int char_host_attach(struct char_host *host)
{
	int r;

	host->out.events = 0;
	host->out.ready = out_ready;
	host->in.events = host->in_events = EPOLLIN;
	host->in.ready = in_ready;
	r = event_loop_add(host->loop, &host->out);
	if (r == 0 && host->in.fd >= 0)
		r = event_loop_add(host->loop, &host->in);
	if (r < 0) {
		char_host_detach(host, CHAR_OUT_ABSENT);
		return r;
	}
	host->out_state = CHAR_OUT_OPEN;
	/* What was kept for whoever is there now; host_timer_ready() sees it when a flush is due anyway. */
	if (!atomic_exchange(&host->active, true))
		event_loop_wake(host->loop);
	return 0;
}

void char_host_detach(struct char_host *host, enum char_out_state state)
{
	event_loop_remove(host->loop, &host->out);
	event_loop_remove(host->loop, &host->in);
	host->out_state = state;
	if (host->out_blocked) { /* nobody says any more that there is room */
		host->out_blocked = false;
		flush_later(host);
	}
}

void char_host_input_end(struct char_host *host)
{
	host->in_events = EPOLLHUP;
	event_loop_want(host->loop, &host->in, EPOLLHUP);
}

void char_host_input_hold(struct char_host *host, bool hold)
{
	host->in_events = hold ? 0 : EPOLLIN;
	input_pump(host);
}

int char_host_create(size_t size, const struct char_host_class *cls, struct event_loop *loop,
		     struct power *power, struct diag *diag, struct char_host **ret)
{
	struct char_host *host = calloc(1, size);
	int r;

	if (!host)
		return diag_set(diag, -ENOMEM, "console");
	host->cls = cls;
	host->loop = loop;
	host->power = power;
	host->out_state = CHAR_OUT_ABSENT;
	host->out.fd = host->in.fd = -1;
	host->timer = (struct event_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.events = EPOLLIN,
		.ready = host_timer_ready,
	};
	r = host->timer.fd < 0 ? -errno : event_loop_add(loop, &host->timer);
	if (r < 0) {
		if (host->timer.fd >= 0)
			close(host->timer.fd);
		free(host);
		return diag_set(diag, r, "console timer");
	}
	*ret = host;
	return 0;
}

bool char_host_flush(struct char_host *host)
{
	while (!host_idle(host))
		if (!host_drain(host))
			return false;
	return true;
}

int char_host_destroy(struct char_host *host, int64_t until_ns)
{
	int lost;

	char_host_detach(host, CHAR_OUT_BROKEN);
	if (host->cls->close)
		host->cls->close(host, until_ns);
	event_loop_remove(host->loop, &host->timer);
	close(host->timer.fd);
	for (unsigned i = 0; i < host->nr_ports; i++)
		free(host->port[i].ring);
	lost = host->lost;
	free(host);
	return lost;
}

int char_host_open(const struct char_spec *spec, struct event_loop *loop, struct power *power,
		   struct diag *diag, struct char_host **ret)
{
	switch (spec->kind) {
	case CHAR_FILE: return char_file_open(spec, loop, power, diag, ret);
	case CHAR_PTY: return char_pty_open(spec->path, loop, power, diag, ret);
	case CHAR_UNIX: return char_unix_open(spec->path, loop, power, diag, ret);
	default: break;
	}
	assert(false && "a kind that is opened elsewhere");
	return -EINVAL;
}

/* Nobody: the back end of a device that is connected to nothing. */

static size_t null_write(struct char_backend *be, const uint8_t *buf, size_t n)
{
	(void)be;
	(void)buf;
	return n;
}

static size_t null_room(const struct char_backend *be)
{
	(void)be;
	return SIZE_MAX;
}

static void null_input_wanted(struct char_backend *be)
{
	(void)be;
}

static bool null_size(const struct char_backend *be, uint16_t *ret_cols, uint16_t *ret_rows)
{
	(void)be;
	(void)ret_cols;
	(void)ret_rows;
	return false;
}

void char_null_init(struct char_backend *be)
{
	*be = (struct char_backend){
		.write = null_write,
		.room = null_room,
		.input_wanted = null_input_wanted,
		.size = null_size,
	};
}
