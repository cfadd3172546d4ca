#include "backend/char/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/char/internal.h"
#include "backend/char/terminal.h"
#include "backend/char/writer.h"
#include "base/clock.h"
#include "base/macros.h"

enum { CTRL_A = 0x01 };

/* How often a VM polls whether it has left its terminal's background: nothing reports that. */
#define FOREGROUND_POLL_NS (200 * NS_PER_MS)

enum out_kind {
	OUT_PLAIN, /* a description of our own, without blocking; or the pipe of a file's writer */
	OUT_SOCKET,
	OUT_BLOCKING_PIPE, /* shared with processes that rely on its blocking */
};

struct console {
	struct char_host host;
	int given_fd; /* host.out.fd may be another description of the same file */
	enum out_kind out_kind;
	struct char_writer writer;
	bool own_out, own_in; /* opened anew, so ours to close */
	bool in_is_tty;
	bool escape_seen;
	bool read_failed;              /* the last read, and in the foreground */
	struct event_timer foreground; /* while we are in the background of a terminal */
};

static struct console *stdio_of(struct char_host *host)
{
	return container_of(host, struct console, host);
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

static ssize_t console_write(struct char_host *host, const uint8_t *buf, size_t n)
{
	switch (stdio_of(host)->out_kind) {
	case OUT_SOCKET: return send(host->out.fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	case OUT_BLOCKING_PIPE: return pipe_write(host->out.fd, buf, n);
	default: return write(host->out.fd, buf, n);
	}
}

/* Nobody will ever read what follows: end as a pipe's writer does. */
static void console_out_failed(struct char_host *host, int err)
{
	const char *by = stdio_of(host)->given_fd == STDOUT_FILENO
				 ? (err == EPIPE ? "stdout closed" : "stdout takes no more")
				 : (err == EPIPE ? "output closed" : "output takes no more");

	event_loop_remove(host->loop, &host->out);
	host->out_state = CHAR_OUT_BROKEN;
	host->power->end(host->power, (struct vm_end){.kind = VM_END_KILLED, .by = by});
}

/*
 * End of input, or a terminal that went away: the guest goes on without. In the background read() of a
 * terminal fails, as SIGTTIN is blocked: the keys are for others, until we are in the foreground.
 */
static void console_in_ended(struct char_host *host, int err)
{
	struct console *con = stdio_of(host);
	const bool in_background = con->in_is_tty && terminal_in_background(STDIN_FILENO);

	/* The shell may have brought us to the foreground since that read. A terminal that is gone fails again. */
	if (con->in_is_tty && err == EIO && (in_background || !con->read_failed)) {
		con->read_failed = !in_background;
		console_resume(host);
	} else {
		event_loop_remove(host->loop, &host->in);
	}
}

static void foreground_expired(void *arg)
{
	struct console *con = arg;

	console_resume(&con->host);
}

static const char keys_help[] =
	"\n"
	"Ctrl-a x       ends the VM\n"
	"Ctrl-a c       moves the keys to the next console\n"
	"Ctrl-a b       sends a serial break; Linux takes the next key for SysRq\n"
	"Ctrl-a h       lists these keys\n"
	"Ctrl-a Ctrl-a  sends Ctrl-a\n";

/* Handles the key after Ctrl-a. */
static void escape_key(struct char_host *host, uint8_t key)
{
	switch (key) {
	case 'x':
	case 'X':
		host->power->end(host->power,
				 (struct vm_end){.kind = VM_END_KILLED, .by = "Ctrl-a x"});
		break;
	case 'c':
	case 'C': char_host_next_input(host); break;
	case 'b':
	case 'B': char_host_line_break(host); break;
	case 'h':
	case 'H':
	case '?': terminal_print(keys_help); break;
	default: break;
	}
}

/* On a terminal Ctrl-a is the escape. */
static bool console_in_filter(struct char_host *host, uint8_t byte)
{
	struct console *con = stdio_of(host);
	const bool escaped = con->escape_seen;

	if (!con->in_is_tty)
		return true;
	con->read_failed = false;
	con->escape_seen = !escaped && byte == CTRL_A;
	if (con->escape_seen)
		return false;
	if (escaped)
		escape_key(host, byte);
	return !escaped || byte == CTRL_A;
}

/* The output's, as that is where a person sees the guest. */
static bool console_size(const struct char_host *host, uint16_t *ret_cols, uint16_t *ret_rows)
{
	struct winsize ws;

	if (ioctl(host->out.fd, TIOCGWINSZ, &ws) < 0)
		return false;
	*ret_cols = ws.ws_col;
	*ret_rows = ws.ws_row;
	return true;
}

static void console_close(struct char_host *host, int64_t until_ns)
{
	struct console *con = stdio_of(host);

	terminal_restore();
	char_writer_stop(&con->writer, until_ns);
	event_timer_fini(&con->foreground);
	if (con->own_out)
		close(host->out.fd);
	if (con->own_in)
		close(host->in.fd);
}

static const struct char_host_class console_class = {
	.write = console_write,
	.out_failed = console_out_failed,
	.in_ended = console_in_ended,
	.in_filter = console_in_filter,
	.size = console_size,
	.close = console_close,
};

/* The controlling terminal by its other name, which some users may open who may not open the first. */
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

int char_open_anew(int fd, int flags, const struct stat *st, bool *ret_own)
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

/* A file's description stays shared: others move the position that it has. */
static int start_writer(struct console *con, struct diag *diag)
{
	const int fd = fcntl(con->given_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int r;

	if (fd < 0)
		return diag_set(diag, -errno, "console-output-open", "console output");
	r = char_writer_start(&con->writer, &con->host, fd);
	if (!con->writer.writer)
		close(fd);
	return r < 0 ? diag_set(diag, r, "console-output-thread", "thread of console output") : 0;
}

static int take_output(struct console *con, struct diag *diag)
{
	struct stat st;

	if (fstat(con->given_fd, &st) < 0)
		return diag_set(diag, -errno, "console-output-open", "console output");
	con->host.out.fd = char_open_anew(con->given_fd, O_WRONLY, &st, &con->own_out);
	if (S_ISSOCK(st.st_mode))
		con->out_kind = OUT_SOCKET;
	else if (S_ISFIFO(st.st_mode) && !con->own_out)
		con->out_kind = OUT_BLOCKING_PIPE;
	else if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return start_writer(con, diag);
	return 0;
}

/* On the event thread, which alone reads the terminal; other threads inherit the mask. */
static int watch_foreground(struct console *con, struct diag *diag)
{
	sigset_t ttin;
	int r;

	sigemptyset(&ttin);
	sigaddset(&ttin, SIGTTIN);
	pthread_sigmask(SIG_BLOCK, &ttin, NULL);
	r = event_timer_init(&con->foreground, con->host.loop, foreground_expired, con);
	return r < 0 ? diag_set(diag, r, "terminal-timer", "timer of the terminal") : 0;
}

static int take_stdin(struct console *con, struct diag *diag)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st) < 0)
		return diag_set(diag, -errno, "stdin-stat", "standard input");
	con->host.in.fd = char_open_anew(STDIN_FILENO, O_RDONLY, &st, &con->own_in);
	con->in_is_tty = isatty(STDIN_FILENO) == 1;
	return con->in_is_tty ? watch_foreground(con, diag) : 0;
}

int console_open(int fd, bool input, struct event_loop *loop, struct power *power,
		 struct diag *diag, struct char_host **ret)
{
	struct char_host *host;
	int r = char_host_create(sizeof(struct console), &console_class, loop, power, diag, &host);

	if (r < 0)
		return r;
	stdio_of(host)->given_fd = fd;
	r = take_output(stdio_of(host), diag);
	if (r == 0 && input)
		r = take_stdin(stdio_of(host), diag);
	if (r == 0)
		r = char_host_attach(host);
	if (r < 0) {
		diag_set(diag, r, "console-watch", "console events");
		/* A file's thread that is under way needs time to end, or it is abandoned. */
		char_host_destroy(host, clock_monotonic_ns() + CHAR_CLOSE_NS);
		return r;
	}
	console_resume(host);
	*ret = host;
	return 0;
}

void console_resume(struct char_host *host)
{
	struct console *con = stdio_of(host);

	if (!con->in_is_tty)
		return;
	if (terminal_raw(STDIN_FILENO)) {
		char_host_input_hold(host, false);
	} else {
		char_host_input_hold(host, true);
		event_timer_arm_in(&con->foreground, FOREGROUND_POLL_NS);
	}
}
