/*
 * command.c - standard input and signals for a command in the guest, by a console that guest/init reads for it. A
 * terminal of the guest's has neither an end of file nor a signal that a stream of bytes could hold. So these are
 * escapes, as guest/init/input.h describes. Each byte READY of the guest allows CREDIT_BYTES more of the input. Escapes
 * need none, so an interrupt never waits for a command that reads no input.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/char.h"
#include "backend/char/internal.h"
#include "base/macros.h"

enum {
	ESCAPE = 0x10, /* before itself, and before one of: */
	ESCAPE_END = 'E',
	ESCAPE_INTERRUPT = 'I',
	READY = 'R',
	CREDIT_BYTES = 2048,
	CREDIT_MAX = 1 << 16, /* whatever the guest sends */
	/* Room for the end of the input and an interrupt, which so never have to wait. */
	RESERVE_BYTES = 4,
};

struct command_host {
	struct char_host host;
	bool own_in;              /* in.fd was opened anew, so ours to close */
	bool ready;               /* the guest reads escapes */
	unsigned credit;          /* bytes of input that it takes now */
	bool interrupted;         /* and an interrupt was sent: */
	unsigned interrupt_input; /* host.input_tail after it */
};

static struct command_host *command_of(struct char_host *host)
{
	return container_of(host, struct command_host, host);
}

static void command_put(struct char_host *host, uint8_t byte)
{
	host->input[host->input_head++ % CHAR_INPUT_BYTES] = byte;
}

static void command_put_escape(struct char_host *host, uint8_t what)
{
	command_put(host, ESCAPE);
	command_put(host, what);
}

/* The guest writes nothing else that means anything. */
static ssize_t command_write(struct char_host *host, const uint8_t *buf, size_t n)
{
	struct command_host *command = command_of(host);

	for (size_t i = 0; i < n; i++)
		if (buf[i] == READY && command->credit <= CREDIT_MAX - CREDIT_BYTES)
			command->credit += CREDIT_BYTES;
	command->ready |= command->credit > 0;
	if (command->credit && host->in.added)
		char_host_input_hold(host, false);
	return (ssize_t)n;
}

static void command_out_failed(struct char_host *host, int err)
{
	(void)err; /* of /dev/null */
	char_host_detach(host, CHAR_OUT_BROKEN);
}

static void command_in_ended(struct char_host *host, int err)
{
	(void)err;
	event_loop_remove(host->loop, &host->in);
	command_put_escape(host, ESCAPE_END);
	char_host_input_pump(host);
}

/* Each byte may become two. */
static void command_in_ready(struct event_source *src, uint32_t epoll_events)
{
	struct char_host *host = container_of(src, struct char_host, in);
	struct command_host *command = command_of(host);
	const unsigned room = (host->input_max - (host->input_head - host->input_tail) + 1) / 2;
	uint8_t buf[CHAR_INPUT_BYTES / 2];
	ssize_t n = read(src->fd, buf, room < command->credit ? room : command->credit);

	(void)epoll_events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		command_in_ended(host, n < 0 ? errno : 0);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == ESCAPE)
			command_put(host, ESCAPE);
		command_put(host, buf[i]);
	}
	command->credit -= (unsigned)n;
	char_host_input_hold(host, command->credit == 0);
}

bool char_command_interrupt(struct char_host *host)
{
	struct command_host *command = command_of(host);

	if (!command->ready)
		return false;
	/* Of the two numbers, which count up forever, one is at most CHAR_INPUT_BYTES ahead. */
	if (command->interrupted && (int)(command->interrupt_input - host->input_tail) > 0)
		return false;
	command_put_escape(host, ESCAPE_INTERRUPT);
	command->interrupted = true;
	command->interrupt_input = host->input_head;
	char_host_input_pump(host);
	return true;
}

static void command_close(struct char_host *host, int64_t until_ns)
{
	(void)until_ns;
	if (host->out.fd >= 0)
		close(host->out.fd);
	if (command_of(host)->own_in)
		close(host->in.fd);
}

static const struct char_host_class command_class = {
	.write = command_write,
	.out_failed = command_out_failed,
	.in_ended = command_in_ended,
	.close = command_close,
};

int char_command_open(struct event_loop *loop, struct power *power, struct diag *diag,
		      struct char_host **ret)
{
	struct char_host *host;
	struct stat st;
	int r = char_host_create(sizeof(struct command_host), &command_class, loop, power, diag,
				 &host);

	if (r < 0)
		return r;
	host->input_max = CHAR_INPUT_BYTES - RESERVE_BYTES - 1;
	host->out.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (host->out.fd < 0 || fstat(STDIN_FILENO, &st) < 0)
		r = -errno;
	else
		host->in.fd =
			char_open_anew(STDIN_FILENO, O_RDONLY, &st, &command_of(host)->own_in);
	if (r == 0)
		r = char_host_attach(host);
	if (r < 0) {
		diag_set(diag, r, "command-input", "standard input for the command");
		char_host_destroy(host, 0);
		return r;
	}
	host->in.ready = command_in_ready;
	char_host_input_hold(host, true);
	*ret = host;
	return 0;
}
