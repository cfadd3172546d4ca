/* `tollgate exec`: a command in a running guest, by the agent of its /init. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "agent/link.h"
#include "base/clock.h"
#include "base/io_full.h"
#include "base/macros.h"
#include "base/option.h"
#include "base/signals.h"
#include "cmd/agent.h"
#include "cmd/cmds.h"
#include "vm_end.h"

enum {
	OPT_ENV = 'e',
	OPT_CWD = 'C',
	OPT_TTY = 't',
	EXIT_NOT_RUN = 125, /* as of /init: nothing ran, or nobody knows how it ended */
};

static const struct option_row rows[] = {
	{"tty", OPT_TTY, NULL, .help = "a terminal for CMD, with the size of this one",
	 .common = true},
	{"env", OPT_ENV, "NAME=VALUE", .help = "a variable in CMD's environment", .common = true},
	{"cwd", OPT_CWD, "DIR", .help = "CMD's directory in the guest (default /)", .common = true},
	{0},
};
static const struct option_group group = {NULL, rows};
static const struct option_group *const groups[] = {&group, &cmd_agent_group, &option_help_group,
						    NULL};
const struct option_table cmd_exec_table = {
	.command = "exec",
	.about = "usage: tollgate exec [OPTIONS] SOCK [--] CMD [ARG...]\n"
		 "\n"
		 "Runs CMD in the guest of a VM that was started with --vsock SOCK and with\n"
		 "--run, --root or --rootfs. Input, output and exit status are CMD's. SIGINT,\n"
		 "SIGTERM, SIGHUP and SIGQUIT go to it.\n",
	.group = groups,
	.after = "Exit status: CMD's own, 128 and a signal's number, 127: not found, 126: not\n"
		 "executable, 125: it did not run, or the guest was lost.\n",
	.operands = "PATH",
};

/* One running command. */
struct exec {
	struct agent_link link;
	struct agent_records request;
	bool tty;
	bool raw; /* our terminal was changed: */
	struct termios before;
	int signal_fd;
	bool input_ended;
	size_t window; /* bytes of input that the guest has room for */
};

static bool terminal_size(struct winsize *ret)
{
	return ioctl(STDIN_FILENO, TIOCGWINSZ, ret) == 0 ||
	       ioctl(STDOUT_FILENO, TIOCGWINSZ, ret) == 0;
}

static int add_record(struct exec *e, const char *key, const char *value, struct diag *diag)
{
	if (agent_record_add(&e->request, key, value))
		return 0;
	return diag_set(diag, -EINVAL, "exec-length",
			"the command and its environment have more than %d bytes", AGENT_DATA_MAX);
}

/* Our terminal's name and size are the command's. */
static int add_terminal(struct exec *e, struct diag *diag)
{
	struct winsize size = {.ws_col = 80, .ws_row = 24};
	const char *term = getenv("TERM");
	char text[96];
	int r = 0;

	terminal_size(&size);
	snprintf(text, sizeof(text), "%ux%u", size.ws_col, size.ws_row);
	r = add_record(e, "tty", text, diag);
	if (r < 0 || !term || strlen(term) > 64)
		return r;
	snprintf(text, sizeof(text), "TERM=%s", term);
	return add_record(e, "env", text, diag);
}

/* Keys are the guest's, and so is what they mean. */
static void make_raw(struct exec *e)
{
	struct termios raw;

	if (!e->tty || tcgetattr(STDIN_FILENO, &e->before) < 0)
		return;
	raw = e->before;
	cfmakeraw(&raw);
	e->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

/* Signals that are ignored, as under nohup, stay so. */
static int exec_take_signals(struct exec *e, struct diag *diag)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (!signal_is_ignored(signals[i]))
			sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	e->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return e->signal_fd < 0 ? diag_set(diag, -errno, "exec-signals", "signals") : 0;
}

/* A frame that finds no room is one that the guest does not take: a signal more would change nothing. */
static void pass_signal(struct exec *e)
{
	struct signalfd_siginfo si;
	struct winsize size;
	uint8_t bytes[4];

	while (read(e->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo != SIGWINCH) {
			agent_stream_put32(&e->link.stream, AGENT_SIGNAL, si.ssi_signo);
		} else if (e->tty && terminal_size(&size)) {
			agent_put32(bytes, size.ws_col | (uint32_t)size.ws_row << 16);
			agent_stream_put(&e->link.stream, AGENT_SIZE, bytes, sizeof(bytes));
		}
	}
}

static void pass_input(struct exec *e)
{
	static uint8_t buf[AGENT_WINDOW_BYTES];
	const ssize_t n = read(STDIN_FILENO, buf, e->window);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Input that cannot be read has ended. The queue is empty, so there is room. */
	e->input_ended = n <= 0;
	agent_stream_put(&e->link.stream, AGENT_STDIN, buf, n > 0 ? (size_t)n : 0);
	e->window -= n > 0 ? (size_t)n : 0;
}

static int pass_output(const struct agent_frame *f, struct diag *diag)
{
	const bool out = f->type == AGENT_STDOUT;
	int r = io_write_full(out ? STDOUT_FILENO : STDERR_FILENO, f->data, f->len, NULL);

	while (r == -EAGAIN) /* somebody made it non-blocking */
		r = -EIO;
	return r < 0 ? diag_set(diag, r, "exec-output", "write to standard %s",
				out ? "output" : "error")
		     : 0;
}

/* 0 to go on; 1 with the exit status; -errno with diag. */
static int take_frame(struct exec *e, const struct agent_frame *f, int *ret_status,
		      struct diag *diag)
{
	switch (f->type) {
	case AGENT_STARTED: return 0;
	case AGENT_STDOUT:
	case AGENT_STDERR: return pass_output(f, diag);
	case AGENT_TAKEN:
		if (f->len != 4 || agent_get32(f->data) > AGENT_WINDOW_BYTES - e->window)
			break;
		e->window += agent_get32(f->data);
		return 0;
	case AGENT_EXIT:
		if (f->len != 4)
			break;
		*ret_status = (int)(agent_get32(f->data) & 0xff);
		return 1;
	case AGENT_ERROR: *ret_status = agent_link_refused(f, diag); return -EINVAL;
	default: break;
	}
	return agent_link_confused(&e->link, diag);
}

static void wait_for_events(struct exec *e, struct pollfd pfd[3])
{
	const struct agent_stream *s = &e->link.stream;
	const bool wants_input = !e->input_ended && e->window > 0 && s->out_len == 0;

	pfd[0] = (struct pollfd){.fd = s->fd,
				 .events = (short)(POLLIN | (s->out_len ? POLLOUT : 0))};
	pfd[1] = (struct pollfd){.fd = e->signal_fd, .events = POLLIN};
	pfd[2] = (struct pollfd){.fd = wants_input ? STDIN_FILENO : -1, .events = POLLIN};
	poll(pfd, 3, agent_link_timeout_ms(&e->link));
}

static int run_remote(struct exec *e, int *ret_status, struct diag *diag)
{
	for (;;) {
		struct agent_frame f;
		struct pollfd pfd[3];
		int r;

		while ((r = agent_link_next(&e->link, &f, diag)) == 1) {
			r = take_frame(e, &f, ret_status, diag);
			if (r != 0)
				return r < 0 ? r : 0;
		}
		if (r < 0)
			return r;
		wait_for_events(e, pfd);
		if (pfd[1].revents)
			pass_signal(e);
		if (pfd[2].revents)
			pass_input(e);
		r = agent_link_move(&e->link, diag);
		if (r == 0)
			r = agent_link_alive(&e->link, diag);
		if (r < 0)
			return r;
	}
}

static int exec_run(struct exec *e, const struct cmd_agent *opts, char *const *argv,
		    int *ret_status, struct diag *diag)
{
	int r = e->tty ? add_terminal(e, diag) : 0;

	for (char *const *arg = argv + 1; r == 0 && *arg; arg++)
		r = add_record(e, "arg", *arg, diag);
	if (r == 0)
		r = agent_link_open(&e->link, argv[0], opts->wait_ns, opts->silence_ns, diag);
	if (r == 0)
		r = exec_take_signals(e, diag);
	if (r < 0)
		return r;
	make_raw(e);
	e->window = AGENT_WINDOW_BYTES;
	agent_stream_put(&e->link.stream, AGENT_EXEC, e->request.buf, e->request.len);
	r = run_remote(e, ret_status, diag);
	if (e->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &e->before);
	return r;
}

/* Frees nothing: argv's strings stay. */
static int exec_option(struct exec *e, int opt, const char *arg, struct diag *diag)
{
	const char *equals;

	switch (opt) {
	case OPT_TTY: e->tty = true; return 0;
	case OPT_CWD: return add_record(e, "cwd", arg, diag);
	default:
		equals = strchr(arg, '=');
		if (!equals || equals == arg)
			return diag_set(diag, -EINVAL, "exec-env-form",
					"--env '%s' is not NAME=VALUE", arg);
		return add_record(e, "env", arg, diag);
	}
}

/* SOCK and CMD, with or without -- between them: the new first one. */
static char **exec_operands(int argc, char **argv, struct diag *diag)
{
	char **first = argv + optind;
	const bool dashes = argc - optind >= 2 && strcmp(first[1], "--") == 0;

	if (argc - optind < (dashes ? 3 : 2)) {
		diag_set(diag, -EINVAL, "exec-operands",
			 "exec needs the SOCK of a VM's --vsock and a CMD");
		diag_remedy(diag, "as in: tollgate exec vm.vsock -- uname -a");
		return NULL;
	}
	if (dashes) {
		first[1] = first[0];
		first++;
	}
	return first;
}

int cmd_exec(int argc, char **argv)
{
	static struct exec e;
	struct cmd_agent opts = CMD_AGENT_DEFAULTS;
	struct option_reader reader;
	struct diag diag = {0};
	int opt, status = EXIT_NOT_RUN, r;
	const char *arg;
	char **operand = NULL;

	agent_record_add_u32(&e.request, "version", AGENT_VERSION); /* an empty record has room */
	option_reader_init(&reader, &cmd_exec_table, argc, argv, true);
	while ((r = option_reader_next(&reader, &opt, &arg, &diag)) > 0) {
		if (opt == OPTION_HELP || opt == OPTION_HELP_ALL) {
			option_table_print(&cmd_exec_table, true, stdout);
			return EXIT_OK;
		}
		r = cmd_agent_option(&opts, opt, arg, &diag);
		if (r > 0)
			r = exec_option(&e, opt, arg, &diag);
		if (r < 0)
			break;
	}
	if (r == 0)
		operand = exec_operands(argc, argv, &diag);
	if (r == 0 && operand)
		exec_run(&e, &opts, operand, &status, &diag);
	agent_link_close(&e.link);
	if (diag.err)
		cmd_fail(&diag);
	return status;
}
