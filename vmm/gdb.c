#include "gdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "gdb/internal.h"

/* Replies. */

/* A client that takes nothing, and asks for more than there is room for, is left. */
static void out_add(struct gdb *gdb, const char *bytes, size_t n)
{
	if (gdb->client.fd < 0)
		return;
	if (n > sizeof(gdb->out) - gdb->out_len) {
		gdb->is_over = true;
		return;
	}
	memcpy(gdb->out + gdb->out_len, bytes, n);
	gdb->out_len += n;
}

void gdb_reply(struct gdb *gdb, const char *content)
{
	const size_t len = strlen(content);

	gdb->last_len =
		gdb_frame(content, len < GDB_REPLY_BYTES ? len : GDB_REPLY_BYTES, gdb->last);
	out_add(gdb, gdb->last, gdb->last_len);
}

void gdb_replyf(struct gdb *gdb, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gdb_reply(gdb, text);
}

/* The client. */

static void gdb_client_close(struct gdb *gdb)
{
	if (gdb->client.fd < 0)
		return;
	event_loop_remove(&gdb->vm->loop, &gdb->client);
	close(gdb->client.fd);
	gdb->client.fd = -1;
	gdb->out_len = gdb->out_sent = 0;
	event_loop_want(&gdb->vm->loop, &gdb->listen, EPOLLIN);
}

/* False when the client is gone. */
static bool gdb_client_send(struct gdb *gdb)
{
	while (gdb->out_sent < gdb->out_len) {
		const ssize_t n = send(gdb->client.fd, gdb->out + gdb->out_sent,
				       gdb->out_len - gdb->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN;
		gdb->out_sent += (size_t)n;
	}
	gdb->out_len = gdb->out_sent = 0;
	return true;
}

/* As long as the client has not taken its replies, nothing more is read from it. */
static void client_flush(struct gdb *gdb)
{
	if (gdb->client.fd < 0)
		return;
	if (gdb->is_over || !gdb_client_send(gdb)) {
		gdb_client_close(gdb);
		gdb_let_go(gdb);
		return;
	}
	event_loop_want(&gdb->vm->loop, &gdb->client, gdb->out_len ? EPOLLOUT : EPOLLIN);
}

static void gdb_interrupt(struct gdb *gdb)
{
	struct diag diag = {0};

	if (!gdb->is_stopped && gdb_stop(gdb, &diag) == 0)
		gdb_report(gdb, gdb->current, GDB_SIGINT);
}

static void client_event(struct gdb *gdb, enum gdb_event event)
{
	switch (event) {
	case GDB_NONE:
	case GDB_ACK: break;
	case GDB_NAK: out_add(gdb, gdb->last, gdb->last_len); break;
	case GDB_INTERRUPT: gdb_interrupt(gdb); break;
	case GDB_BAD:
		if (!gdb->no_ack)
			out_add(gdb, "-", 1);
		break;
	case GDB_PACKET:
		if (!gdb->no_ack)
			out_add(gdb, "+", 1);
		/* All-stop: a client asks nothing of a guest that runs. */
		if (gdb->is_stopped)
			gdb_command(gdb);
		break;
	}
}

static void gdb_client_ready(struct event_source *src, uint32_t epoll_events)
{
	struct gdb *gdb = container_of(src, struct gdb, client);
	uint8_t buf[512];
	ssize_t n = 0;

	(void)epoll_events;
	if (gdb->out_len == 0) {
		n = recv(src->fd, buf, sizeof(buf), MSG_DONTWAIT);
		gdb->is_over |= n == 0 || (n < 0 && errno != EAGAIN);
	}
	for (ssize_t i = 0; i < n && !gdb->is_over; i++)
		client_event(gdb, gdb_input_feed(&gdb->in, buf[i]));
	client_flush(gdb);
}

/* One at a time: others wait in the kernel's queue until it leaves. */
static void gdb_listen_ready(struct event_source *src, uint32_t epoll_events)
{
	struct gdb *gdb = container_of(src, struct gdb, listen);
	const int fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
	struct diag diag = {0};

	(void)epoll_events;
	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		   sizeof(one)); /* each packet waits for its answer */
	gdb->in = (struct gdb_input){0};
	gdb->no_ack = gdb->is_over = gdb->is_extended = false;
	gdb->last_len = 0;
	gdb->client = (struct event_source){.fd = fd, .events = EPOLLIN, .ready = gdb_client_ready};
	if (event_loop_add(&gdb->vm->loop, &gdb->client) < 0 || gdb_stop(gdb, &diag) < 0) {
		gdb_client_close(gdb);
		return;
	}
	event_loop_want(&gdb->vm->loop, src, 0);
}

static void woken(void *arg)
{
	gdb_woken(arg);
	client_flush(arg);
}

/* The listener. */

static int listen_tcp(uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -errno;
	*ret_port = ntohs(addr.sin_port);
	return STEAL_FD(fd);
}

static int listener_open(struct gdb *gdb, const struct gdb_opts *opts, uint16_t *ret_port,
			 struct diag *diag)
{
	int r;

	if (opts->path) {
		r = unix_listener_open(&gdb->listener, opts->path, 1);
		if (r < 0)
			return diag_set(diag, r, "gdb-socket-open", "gdb's socket '%s'",
					opts->path);
		gdb->listen.fd = gdb->listener.fd;
	} else {
		r = listen_tcp(opts->port, ret_port);
		if (r < 0) {
			diag_set(diag, r, "gdb-port-listen", "listen for gdb at 127.0.0.1:%u",
				 opts->port);
			if (r == -EADDRINUSE)
				diag_remedy(diag, "choose another port; 0 has the host choose one");
			return r;
		}
		gdb->listen.fd = r;
	}
	gdb->listen.events = EPOLLIN;
	gdb->listen.ready = gdb_listen_ready;
	r = event_loop_add(&gdb->vm->loop, &gdb->listen);
	return r < 0 ? diag_set(diag, r, "gdb-watch", "listen for gdb") : 0;
}

static int target_make(struct gdb *gdb)
{
	FILE *out = open_memstream(&gdb->target, &gdb->target_len);

	if (!out)
		return -ENOMEM;
	arch_print_target(out);
	return fclose(out) == 0 ? 0 : -ENOMEM;
}

static int check_guest_debug(const struct vm *vm, struct diag *diag)
{
	static const struct arch_debug none;

	if (arch_vcpu_debug(vm->vcpu[0].fd, &none) == 0)
		return 0;
	return diag_set(diag, -ENOTSUP, "gdb-unsupported",
			"KVM_SET_GUEST_DEBUG, which --gdb needs");
}

int gdb_open(const struct gdb_opts *opts, struct vm *vm, struct control_commands *commands,
	     struct gdb **ret, uint16_t *ret_port, struct diag *diag)
{
	struct gdb *gdb = calloc(1, sizeof(*gdb));
	int r;

	if (!gdb)
		return diag_set(diag, -ENOMEM, "gdb-memory", "gdb stub");
	gdb->vm = vm;
	gdb->commands = commands;
	gdb->listener.fd = gdb->listen.fd = gdb->client.fd = -1;
	gdb->is_stopped = vm->pause.at_start & VM_PAUSED_BY_DEBUGGER;
	gdb->vcpu = calloc(vm->nr_vcpus, sizeof(*gdb->vcpu));
	r = gdb->vcpu ? target_make(gdb) : -ENOMEM;
	if (r < 0)
		diag_set(diag, r, "gdb-watch", "gdb stub");
	if (r == 0)
		r = check_guest_debug(vm, diag);
	if (r == 0)
		r = listener_open(gdb, opts, ret_port, diag);
	if (r < 0) {
		gdb_close(gdb, 0);
		return r;
	}
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		vm->vcpu[i].debugged = gdb_vcpu_stopped;
		vm->vcpu[i].debugged_arg = gdb;
	}
	vm->debugger.arg = gdb;
	vm->debugger.woken = woken;
	vm->debugger.reset = gdb_vm_reset;
	*ret = gdb;
	return 0;
}

struct gdb *gdb_close(struct gdb *gdb, int exit_status)
{
	if (!gdb)
		return NULL;
	if (gdb->client.fd >= 0) {
		gdb_replyf(gdb, "W%02x", exit_status & 0xff);
		gdb_client_send(gdb);
		gdb_client_close(gdb);
	}
	gdb->vm->debugger.woken = gdb->vm->debugger.reset = NULL;
	event_loop_remove(&gdb->vm->loop, &gdb->listen);
	if (gdb->listener.path)
		unix_listener_close(&gdb->listener);
	else if (gdb->listen.fd >= 0)
		close(gdb->listen.fd);
	free(gdb->target);
	free(gdb->vcpu);
	free(gdb);
	return NULL;
}
