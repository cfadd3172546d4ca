/*
 * input.c - a console's input: read ahead, and handed to the device that listens as it has room. Event thread.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "backend/char/internal.h"
#include "base/macros.h"

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

void char_host_input_pump(struct char_host *host)
{
	bool marked = false;

	while (host_input_used(host)) {
		struct char_port *port = input_port(host);

		if (port && port_feed(port))
			continue;
		if (marked)
			break;
		/* A device reports room that it makes from here on; earlier room is seen now. */
		atomic_store(&host->input_wanted, true);
		marked = true;
	}
	event_loop_want(host->loop, &host->in,
			host_input_used(host) < host->input_max ? host->in_events : 0);
}

void char_host_line_break(struct char_host *host)
{
	struct char_port *port;

	char_host_input_pump(host);
	port = input_port(host);
	if (port)
		port->client->line_break(port->client, NULL, 0);
}

void char_host_in_ready(struct event_source *src, uint32_t epoll_events)
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
	char_host_input_pump(host);
}

void char_host_resized(struct char_host *host)
{
	for (unsigned i = 0; i < host->nr_ports; i++) {
		const struct char_port *port = &host->port[i];

		if (port->client)
			port->client->resized(port->client);
	}
}
