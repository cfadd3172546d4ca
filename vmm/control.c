#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/unix_socket.h"

struct control_client {
	struct event_source src; /* fd -1: nobody */
	struct control *owner;
	struct control_input in;
	bool ended; /* nothing more comes */
	char *out;  /* the reply that it has not taken yet, or NULL */
	size_t out_len, out_sent;
};

struct control {
	struct event_loop *loop;           /* borrowed */
	struct control_commands *commands; /* borrowed */
	struct unix_listener listener;
	struct event_source listen; /* its */
	struct control_client client[CONTROL_CLIENTS_MAX];
};

/* Replies. */

static int run_line(const struct control_client *client, char *line, FILE *out, struct diag *diag)
{
	struct control_commands *commands = client->owner->commands;
	char *argv[CONTROL_ARGS_MAX], *rest = NULL;
	unsigned nr = 0;

	for (char *at = strtok_r(line, " \t", &rest); at; at = strtok_r(NULL, " \t", &rest)) {
		if (nr == CONTROL_ARGS_MAX) {
			diag_set(diag, -EINVAL, "control-line-arguments",
				 "a command has at most %d arguments", CONTROL_ARGS_MAX - 1);
			diag_remedy(diag, "`help` lists the commands");
			return -EINVAL;
		}
		argv[nr++] = at;
	}
	if (nr > 0)
		return commands->run(commands, argv, nr, out, diag);
	diag_set(diag, -EINVAL, "control-line-empty", "an empty line is not a command");
	diag_remedy(diag, "`help` lists the commands");
	return -EINVAL;
}

/* Runs a line, or sets its error; CONTROL_LINE_NONE: the client closed before it ended the line. */
static int client_run(const struct control_client *client, enum control_line kind, char *line,
		      FILE *out, struct diag *diag)
{
	switch (kind) {
	case CONTROL_LINE_READY: return run_line(client, line, out, diag);
	case CONTROL_LINE_TOO_LONG:
		diag_set(diag, -EINVAL, "control-line-length", "a line of more than %d bytes",
			 CONTROL_LINE_MAX);
		diag_remedy(diag, "`help` lists the commands");
		break;
	case CONTROL_LINE_BINARY:
		diag_set(diag, -EINVAL, "control-line-binary", "a line with a byte 0 in it");
		diag_remedy(diag, "commands are lines of text");
		break;
	case CONTROL_LINE_NONE:
		diag_set(diag, -EINVAL, "control-line-unfinished",
			 "the last line has no end, so it was not run");
		diag_remedy(diag, "end each command with a newline");
		break;
	}
	return -EINVAL;
}

void control_print_error(const struct diag *diag, FILE *out)
{
	fputs(CONTROL_REPLY_ERROR, out);
	diag_print(diag, out);
	fprintf(out, "%s%s\n", diag->remedy[0] ? CONTROL_REPLY_REMEDY : "", diag->remedy);
}

/* Makes the reply; false without memory for it. */
static bool client_answer(struct control_client *client, enum control_line kind, char *line)
{
	FILE *out = open_memstream(&client->out, &client->out_len);
	struct diag diag = {0};

	if (!out)
		return false;
	if (client_run(client, kind, line, out, &diag) == 0) {
		fputs(CONTROL_REPLY_OK "\n", out);
	} else {
		rewind(out);
		control_print_error(&diag, out);
	}
	return fclose(out) == 0;
}

/* Clients. */

static void client_close(struct control_client *client)
{
	struct control *control = client->owner;

	event_loop_remove(control->loop, &client->src);
	close(client->src.fd);
	free(client->out);
	*client = (struct control_client){.src.fd = -1, .owner = control};
	event_loop_want(control->loop, &control->listen, EPOLLIN);
}

/* Sends what it takes of the reply; false when it is gone. */
static bool client_send(struct control_client *client)
{
	while (client->out_sent < client->out_len) {
		const ssize_t n =
			send(client->src.fd, client->out + client->out_sent,
			     client->out_len - client->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN;
		client->out_sent += (size_t)n;
	}
	free(client->out);
	client->out = NULL;
	client->out_len = client->out_sent = 0;
	return true;
}

/* False when it is gone. */
static bool client_receive(struct control_client *client)
{
	struct control_input *in = &client->in;
	const ssize_t n =
		recv(client->src.fd, control_input_end(in), control_input_room(in), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN;
	client->ended = n == 0;
	control_input_add(in, (size_t)n);
	return true;
}

/* Runs its next command, if there is one and it has taken the last reply; false when it is done. */
static bool client_turn(struct control_client *client)
{
	char line[CONTROL_INPUT_BYTES];
	enum control_line kind;

	if (!client_send(client))
		return false;
	if (client->out)
		return true;
	if (!control_input_has_line(&client->in) && !client->ended && !client_receive(client))
		return false;
	kind = control_input_next(&client->in, line);
	if (kind == CONTROL_LINE_NONE) {
		if (!client->ended)
			return true;
		if (!control_input_partial(&client->in))
			return false;
		client->in = (struct control_input){0};
	}
	return client_answer(client, kind, line) && client_send(client);
}

static void client_ready(struct event_source *src, uint32_t epoll_events)
{
	struct control_client *client = container_of(src, struct control_client, src);
	bool busy;

	(void)epoll_events;
	if (!client_turn(client)) {
		client_close(client);
		return;
	}
	/* A socket that takes output calls at once: so it does for lines that came already. */
	busy = client->out || control_input_has_line(&client->in);
	event_loop_want(client->owner->loop, src, busy ? EPOLLOUT : EPOLLIN);
}

static struct control_client *free_client(struct control *control)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->client[i].src.fd < 0)
			return &control->client[i];
	return NULL;
}

static void client_refuse(int fd)
{
	struct diag diag = {0};
	char text[256] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	diag_set(&diag, -EINVAL, "control-clients",
		 "%d clients are connected, and more are not taken", CONTROL_CLIENTS_MAX);
	diag_remedy(&diag, "end one of them");
	if (out) {
		control_print_error(&diag, out);
		fclose(out);
	}
	send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/*
 * One a turn. A client that cannot be taken for want of descriptors would keep the thread busy, so it then
 * waits until another one comes or leaves.
 */
static void listen_ready(struct event_source *src, uint32_t epoll_events)
{
	struct control *control = container_of(src, struct control, listen);
	struct control_client *client = free_client(control);
	const int fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)epoll_events;
	if (fd < 0) {
		event_loop_want(control->loop, src, EPOLLIN | (uint32_t)EPOLLET);
		return;
	}
	event_loop_want(control->loop, src, EPOLLIN);
	if (!client) {
		client_refuse(fd);
		return;
	}
	client->src = (struct event_source){.fd = fd, .events = EPOLLIN, .ready = client_ready};
	if (event_loop_add(control->loop, &client->src) < 0)
		client_close(client);
}

/* The socket. */

static int say_no_socket(const char *path, int r, struct diag *diag)
{
	switch (r) {
	case -ENAMETOOLONG:
		diag_set(diag, -EINVAL, "control-path-length",
			 "control socket '%s': a path of at most %d bytes", path,
			 UNIX_PATH_BYTES_MAX);
		break;
	case -EADDRINUSE:
		diag_set(diag, -EINVAL, "control-socket-in-use",
			 "control socket '%s' is in use: a running VM, or another program, "
			 "listens there",
			 path);
		diag_remedy(diag, "choose another path");
		break;
	case -EEXIST:
		diag_set(diag, -EINVAL, "control-path-taken",
			 "control socket '%s': there is a file that is not a socket", path);
		diag_remedy(diag, "choose another path, or remove the file");
		break;
	default: diag_set(diag, r, "control-socket-open", "control socket '%s'", path); break;
	}
	return r;
}

int control_open(const char *path, struct event_loop *loop, struct control_commands *commands,
		 struct control **ret, struct diag *diag)
{
	struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return diag_set(diag, -ENOMEM, "control-memory", "control socket '%s'", path);
	control->loop = loop;
	control->commands = commands;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control->client[i] = (struct control_client){.src.fd = -1, .owner = control};
	r = unix_listener_open(&control->listener, path, CONTROL_CLIENTS_MAX);
	if (r == 0) {
		control->listen = (struct event_source){
			.fd = control->listener.fd,
			.events = EPOLLIN,
			.ready = listen_ready,
		};
		r = event_loop_add(loop, &control->listen);
	}
	if (r < 0) {
		control_close(control);
		return say_no_socket(path, r, diag);
	}
	*ret = control;
	return 0;
}

struct control *control_close(struct control *control)
{
	if (!control)
		return NULL;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->client[i].src.fd >= 0)
			client_close(&control->client[i]);
	event_loop_remove(control->loop, &control->listen);
	unix_listener_close(&control->listener);
	free(control);
	return NULL;
}
