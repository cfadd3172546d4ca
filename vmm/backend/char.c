#include "backend/char.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "backend/char/internal.h"
#include "base/clock.h"
#include "base/macros.h"

/* Output: the event thread. */

/* Bytes that may stay in a ring when nothing more can be done for them. */
static unsigned host_keeps(const struct char_host *host)
{
	return host->out_state == CHAR_OUT_ABSENT ? CHAR_KEEP_BYTES : 0;
}

static bool host_idle(const struct char_host *host)
{
	for (unsigned i = 0; i < host->nr_ports; i++)
		if (char_port_used(&host->port[i]) > host_keeps(host) ||
		    char_port_unsearched(&host->port[i]))
			return false;
	return true;
}

/* Carriage returns do not count: some guests put them after the newline. */
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

	char_port_search_panic(port, head);
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

static void port_report_room(struct char_port *port)
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
			port_report_room(&host->port[i]);
		else
			takes_more = false;
	}
	return takes_more;
}

static void flush_later(const struct char_host *host)
{
	event_timer_arm_in(&host->timer, CHAR_FLUSH_NS);
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

static void host_timer_expired(void *arg)
{
	struct char_host *host = arg;

	if (host_idle(host)) {
		atomic_store(&host->active, false);
		/* A byte put before that store saw active and did not wake us. */
		if (host_idle(host) || atomic_exchange(&host->active, true))
			return;
	}
	host_flush(host);
}

void char_host_woken(struct char_host *host)
{
	if (atomic_load(&host->active))
		host_flush(host);
	char_host_input_pump(host);
}

/* Clients that come and go. */

int char_host_attach(struct char_host *host)
{
	int r;

	host->out.events = 0;
	host->out.ready = out_ready;
	host->in.events = host->in_events = EPOLLIN;
	host->in.ready = char_host_in_ready;
	r = event_loop_add(host->loop, &host->out);
	if (r == 0 && host->in.fd >= 0)
		r = event_loop_add(host->loop, &host->in);
	if (r < 0) {
		char_host_detach(host, CHAR_OUT_ABSENT);
		return r;
	}
	host->out_state = CHAR_OUT_OPEN;
	/*
	 * The output that was kept for the client that is there now; host_timer_expired() sees it when a flush is due
	 * anyway.
	 */
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
	char_host_input_pump(host);
}

int char_host_create(size_t size, const struct char_host_class *cls, struct event_loop *loop,
		     struct power *power, struct diag *diag, struct char_host **ret)
{
	struct char_host *host = calloc(1, size);
	int r;

	if (!host)
		return diag_set(diag, -ENOMEM, "console-memory", "console");
	host->cls = cls;
	host->loop = loop;
	host->power = power;
	host->out_state = CHAR_OUT_ABSENT;
	host->input_max = CHAR_INPUT_BYTES;
	host->out.fd = host->in.fd = -1;
	r = event_timer_init(&host->timer, loop, host_timer_expired, host);
	if (r < 0) {
		free(host);
		return diag_set(diag, r, "console-timer", "console timer");
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
	event_timer_fini(&host->timer);
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
	case CHAR_COMMAND: return char_command_open(loop, power, diag, ret);
	default: break;
	}
	assert(false && "a kind that is opened elsewhere");
	return -EINVAL;
}
