#include "console.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "terminal.h"

enum { CTRL_A = 0x01 };

static bool port_put(struct char_backend *be, uint8_t byte)
{
	struct console_port *port = container_of(be, struct console_port, be);
	unsigned head = atomic_load_explicit(&port->head, memory_order_relaxed);
	unsigned used = head - atomic_load_explicit(&port->tail, memory_order_acquire);

	if (used == CONSOLE_RING_BYTES) {
		atomic_store(&port->refused, true);
		/* The consumer may have made room between the look and the mark. */
		used = head - atomic_load(&port->tail);
		if (used == CONSOLE_RING_BYTES)
			return false;
	}
	port->ring[head % CONSOLE_RING_BYTES] = byte;
	/*
	 * The first byte after silence wakes the loop; it then looks again on its own. Sequentially
	 * consistent, as timer_ready() is: were the load of active done before the byte is seen, both
	 * sides could leave it to the other.
	 */
	atomic_store(&port->head, head + 1);
	if (!atomic_load(&port->console->active) && !atomic_exchange(&port->console->active, true))
		event_loop_wake(port->console->loop);
	return true;
}

static size_t port_room(const struct char_backend *be)
{
	/* container_of() would drop the const */
	const struct console_port *port =
		(const void *)((const char *)be - offsetof(struct console_port, be));

	return CONSOLE_RING_BYTES - (atomic_load(&port->head) - atomic_load(&port->tail));
}

static void port_input_wanted(struct char_backend *be)
{
	struct console *con = container_of(be, struct console_port, be)->console;

	if (atomic_load_explicit(&con->input_wanted, memory_order_relaxed) &&
	    atomic_exchange(&con->input_wanted, false))
		event_loop_wake(con->loop);
}

/*
 * A write that blocks would keep signals and Ctrl-a x waiting. A pipe that could not be opened anew
 * blocks, but not for up to PIPE_BUF bytes while it polls writable (pipe(7)).
 */
static ssize_t pipe_write(int fd, const uint8_t *buf, size_t n)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};

	if (poll(&pfd, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, buf, n < PIPE_BUF ? n : PIPE_BUF);
}

static ssize_t out_write(const struct console_out *out, const uint8_t *buf, size_t n)
{
	switch (out->kind) {
	case CONSOLE_OUT_SOCKET: return send(out->src.fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	case CONSOLE_OUT_BLOCKING_PIPE: return pipe_write(out->src.fd, buf, n);
	default: return write(out->src.fd, buf, n);
	}
}

/* Nobody will ever read what follows: end as a pipe's writer does. */
static void out_failed(struct console_out *out, int err)
{
	struct power *power = out->console->power;
	const char *by = out->given_fd == STDOUT_FILENO
				 ? (err == EPIPE ? "stdout closed" : "stdout takes no more")
				 : (err == EPIPE ? "output closed" : "output takes no more");

	out->broken = true;
	power->end(power, (struct vm_end){.kind = VM_END_KILLED, .by = by});
}

/* Writes one port's ring until it is empty (true) or its descriptor takes no more (false). */
static bool port_drain(struct console_port *port)
{
	struct console_out *out = port->out;
	unsigned tail = atomic_load_explicit(&port->tail, memory_order_relaxed);

	for (;;) {
		unsigned used = atomic_load_explicit(&port->head, memory_order_acquire) - tail;
		unsigned at = tail % CONSOLE_RING_BYTES;
		unsigned n = used < CONSOLE_RING_BYTES - at ? used : CONSOLE_RING_BYTES - at;
		ssize_t done;

		if (n == 0)
			return true;
		done = out->broken ? (ssize_t)n : out_write(out, port->ring + at, n);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN)
				return false;
			out_failed(out, errno);
			continue;
		}
		tail += (unsigned)done;
		/* Before the look at refused; port_put() marks it and then looks at tail. */
		atomic_store(&port->tail, tail);
	}
}

static void port_tell_room(struct console_port *port)
{
	if (!port->dev || !atomic_load(&port->refused))
		return;
	atomic_store(&port->refused, false);
	device_lock(port->dev);
	port->dev->cls->chr->tx_room(port->dev);
	device_unlock(port->dev);
}

/* blocked: also of the ports whose descriptor takes no more. */
static bool all_empty(const struct console *con, bool blocked)
{
	for (unsigned i = 0; i < con->nr_ports; i++) {
		const struct console_port *port = &con->port[i];

		if ((blocked || !port->out->blocked) &&
		    atomic_load(&port->head) != atomic_load(&port->tail))
			return false;
	}
	return true;
}

/*
 * Marks what takes no more; false when that is every descriptor. A device that had held bytes back may
 * have filled its ring anew.
 */
static bool drain_all(struct console *con)
{
	unsigned blocked = 0;

	for (unsigned i = 0; i < con->nr_ports; i++) {
		struct console_port *port = &con->port[i];

		if (port->out->blocked)
			continue;
		if (port_drain(port))
			port_tell_room(port);
		else
			port->out->blocked = true;
	}
	for (unsigned i = 0; i < con->nr_outs; i++)
		blocked += con->out[i].blocked;
	return blocked < con->nr_outs;
}

static void flush_later(const struct console *con)
{
	const struct itimerspec spec = {.it_value.tv_nsec = CONSOLE_FLUSH_NS};

	timerfd_settime(con->timer_fd, 0, &spec, NULL);
}

/* Event thread, with active set: writes what is there, and sees to it that the rest follows. */
static void flush(struct console *con)
{
	const bool takes_more = drain_all(con);

	for (unsigned i = 0; i < con->nr_outs; i++)
		if (con->out[i].blocked)
			event_loop_want(con->loop, &con->out[i].src, EPOLLOUT);
	if (takes_more)
		flush_later(con);
}

static void out_ready(struct event_source *src, uint32_t epoll_events)
{
	struct console_out *out = container_of(src, struct console_out, src);

	(void)epoll_events;
	event_loop_want(out->console->loop, src, 0);
	out->blocked = false;
	atomic_store(&out->console->active, true);
	flush(out->console);
}

static void timer_ready(struct event_source *src, uint32_t epoll_events)
{
	struct console *con = container_of(src, struct console, timer);
	uint64_t n;

	(void)epoll_events;
	if (read(src->fd, &n, sizeof(n)) != sizeof(n))
		return;
	if (all_empty(con, false)) {
		atomic_store(&con->active, false);
		/* A byte put before that store saw active and did not wake us. */
		if (all_empty(con, false) || atomic_exchange(&con->active, true))
			return;
	}
	flush(con);
}

static unsigned input_used(const struct console *con)
{
	return con->input_head - con->input_tail;
}

static void input_push(struct console *con, uint8_t byte)
{
	con->input[con->input_head++ % CONSOLE_INPUT_BYTES] = byte;
}

/* Hands buffered input to the device, as much as it takes without loss. */
static void input_pump(struct console *con)
{
	struct device *dev = con->nr_ports ? con->port[0].dev : NULL;

	if (!dev)
		return;
	while (input_used(con)) {
		uint8_t buf[64];
		size_t n = 0, room;

		device_lock(dev);
		room = dev->cls->chr->rx_room(dev);
		if (room == 0) {
			/* Set under the lock: the device's next input_wanted sees it. */
			atomic_store(&con->input_wanted, true);
			device_unlock(dev);
			break;
		}
		while (n < room && n < sizeof(buf) && n < input_used(con)) {
			buf[n] = con->input[(con->input_tail + n) % CONSOLE_INPUT_BYTES];
			n++;
		}
		dev->cls->chr->rx(dev, buf, n);
		device_unlock(dev);
		con->input_tail += (unsigned)n;
	}
	if (con->in.added)
		event_loop_want(con->loop, &con->in,
				input_used(con) < CONSOLE_INPUT_BYTES ? EPOLLIN : 0);
}

/* On a terminal Ctrl-a is the escape; false when the byte is not for the guest. */
static bool input_escape(struct console *con, uint8_t byte)
{
	const bool escaped = con->escape_seen;

	con->escape_seen = !escaped && byte == CTRL_A;
	if (con->escape_seen)
		return false;
	if (escaped && (byte == 'x' || byte == 'X'))
		con->power->end(con->power,
				(struct vm_end){.kind = VM_END_KILLED, .by = "Ctrl-a x"});
	return !escaped || byte == CTRL_A;
}

static void in_ready(struct event_source *src, uint32_t epoll_events)
{
	struct console *con = container_of(src, struct console, in);
	uint8_t buf[CONSOLE_INPUT_BYTES];
	ssize_t n = read(src->fd, buf, CONSOLE_INPUT_BYTES - input_used(con));

	(void)epoll_events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		/* End of input, or a terminal that went away: the guest goes on without. */
		event_loop_remove(con->loop, src);
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		if (!con->in_is_tty || input_escape(con, buf[i]))
			input_push(con, buf[i]);
	input_pump(con);
}

void console_woken(struct console *con)
{
	if (atomic_load(&con->active))
		flush(con);
	input_pump(con);
}

/* The controlling terminal by its other name, which a user who may not open the first may open. */
static int open_controlling(const struct stat *st, int flags)
{
	int own = open("/dev/tty", flags);
	unsigned dev;

	if (own >= 0 && (ioctl(own, TIOCGDEV, &dev) < 0 || dev != st->st_rdev)) {
		close(own);
		own = -1;
	}
	return own;
}

/*
 * stdin and stdout share their file description with the shell and others, who must not find it
 * non-blocking. A pipe or a terminal is opened anew instead; *ret_own says that it was. It cannot be
 * when it belongs to another user, as after su or sudo.
 */
static int open_anew(int fd, int flags, const struct stat *st, bool *ret_own)
{
	char path[32];
	int own;

	*ret_own = false;
	if (!S_ISFIFO(st->st_mode) && !S_ISCHR(st->st_mode))
		return fd;
	flags |= O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, flags);
	if (own < 0 && S_ISCHR(st->st_mode))
		own = open_controlling(st, flags);
	if (own < 0)
		return fd;
	*ret_own = true;
	return own;
}

static int out_open(struct console *con, int fd, struct console_out **ret, struct diag *diag)
{
	struct console_out *out = &con->out[con->nr_outs];
	struct stat st;
	int r;

	assert(con->nr_outs < CONSOLE_OUTS_MAX);
	if (fstat(fd, &st) < 0)
		return diag_set(diag, -errno, "console output");
	*out = (struct console_out){.console = con, .given_fd = fd, .src.ready = out_ready};
	out->src.fd = open_anew(fd, O_WRONLY, &st, &out->own);
	if (S_ISSOCK(st.st_mode))
		out->kind = CONSOLE_OUT_SOCKET;
	else if (S_ISFIFO(st.st_mode) && !out->own)
		out->kind = CONSOLE_OUT_BLOCKING_PIPE;
	r = event_loop_add(con->loop, &out->src);
	if (r < 0) {
		if (out->own)
			close(out->src.fd);
		return diag_set(diag, r, "console events");
	}
	con->nr_outs++;
	*ret = out;
	return 0;
}

static struct console_out *out_find(struct console *con, int fd)
{
	for (unsigned i = 0; i < con->nr_outs; i++)
		if (con->out[i].given_fd == fd)
			return &con->out[i];
	return NULL;
}

int console_port_add(struct console *con, int fd, struct console_port **ret, struct diag *diag)
{
	struct console_port *port = &con->port[con->nr_ports];
	struct console_out *out = out_find(con, fd);
	int r = out ? 0 : out_open(con, fd, &out, diag);

	assert(con->nr_ports < CONSOLE_PORTS_MAX);
	if (r < 0)
		return r;
	port->ring = malloc(CONSOLE_RING_BYTES);
	if (!port->ring)
		return diag_set(diag, -ENOMEM, "console output");
	port->be = (struct char_backend){
		.put = port_put,
		.room = port_room,
		.input_wanted = port_input_wanted,
	};
	port->console = con;
	port->out = out;
	con->nr_ports++;
	*ret = port;
	return 0;
}

static int take_stdin(struct console *con, struct diag *diag)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st) < 0)
		return diag_set(diag, -errno, "standard input");
	con->in = (struct event_source){.events = EPOLLIN, .ready = in_ready};
	con->in.fd = open_anew(STDIN_FILENO, O_RDONLY, &st, &con->own_in);
	con->in_is_tty = isatty(STDIN_FILENO) == 1;
	return 0;
}

int console_init(struct console *con, struct event_loop *loop, struct power *power, bool input,
		 struct diag *diag)
{
	int r;

	memset(con, 0, sizeof(*con));
	con->loop = loop;
	con->power = power;
	con->has_input = input;
	con->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (con->timer_fd < 0) {
		con->loop = NULL;
		return diag_set(diag, -errno, "console timer");
	}
	con->timer =
		(struct event_source){.fd = con->timer_fd, .events = EPOLLIN, .ready = timer_ready};
	r = input ? take_stdin(con, diag) : 0;
	if (r == 0)
		r = event_loop_add(loop, &con->timer);
	if (r < 0) {
		diag_set(diag, r, "console events");
		console_fini(con);
		return r;
	}
	if (con->in_is_tty)
		terminal_raw(STDIN_FILENO);
	return 0;
}

int console_start(struct console *con)
{
	return con->has_input ? event_loop_add(con->loop, &con->in) : 0;
}

void console_resume(struct console *con)
{
	if (con->in_is_tty)
		terminal_raw(STDIN_FILENO);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Until one of those that took no more does, or for 100 ms. */
static void wait_for_readers(struct console *con)
{
	struct pollfd pfd[CONSOLE_OUTS_MAX];

	for (unsigned i = 0; i < con->nr_outs; i++)
		pfd[i] = (struct pollfd){.fd = con->out[i].blocked ? con->out[i].src.fd : -1,
					 .events = POLLOUT};
	poll(pfd, con->nr_outs, 100);
	for (unsigned i = 0; i < con->nr_outs; i++)
		if (pfd[i].revents)
			con->out[i].blocked = false;
}

void console_fini(struct console *con)
{
	const int64_t until_ns = now_ns() + NS_PER_S;

	if (!con->loop)
		return;
	while (!all_empty(con, true) && now_ns() < until_ns) {
		if (all_empty(con, false))
			wait_for_readers(con);
		drain_all(con);
	}
	terminal_restore();
	event_loop_remove(con->loop, &con->in);
	event_loop_remove(con->loop, &con->timer);
	for (unsigned i = 0; i < con->nr_outs; i++) {
		event_loop_remove(con->loop, &con->out[i].src);
		if (con->out[i].own)
			close(con->out[i].src.fd);
	}
	if (con->own_in)
		close(con->in.fd);
	close(con->timer_fd);
	for (unsigned i = 0; i < con->nr_ports; i++)
		free(con->port[i].ring);
	con->loop = NULL;
}
