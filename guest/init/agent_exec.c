/* A command for a client: its three streams, signals, its terminal, its end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent.h"

enum {
	WORDS_MAX = 4096,
	STATUS_NOT_FOUND = 127,
	STATUS_NOT_EXECUTABLE = 126,
	STATUS_SIGNAL = 128,
	CTRL_D = 4,
};

/* A request of the client. */
struct request {
	char *word[WORDS_MAX + 1], *env[WORDS_MAX + 1];
	unsigned nr_words, nr_env;
	const char *cwd;
	bool tty;
	struct winsize size;
};

struct command {
	pid_t pid;
	int in, out, err; /* ours; -1: closed. With a terminal in and out are its other end. */
	int signal_fd;
	bool exited, tty;
	int wait_status;
	uint8_t input[AGENT_WINDOW_BYTES]; /* that the command has not read */
	size_t input_first, input_len;
	bool input_ends;
	uint32_t taken; /* of it, that the client has not been sent */
	bool ping;
};

/* The request. */

static bool take_size(const char *value, struct winsize *ret)
{
	char *end;

	ret->ws_col = (unsigned short)strtoul(value, &end, 10);
	if (*end != 'x')
		return false;
	ret->ws_row = (unsigned short)strtoul(end + 1, &end, 10);
	return *end == '\0';
}

/* A later variable replaces an earlier one of its name. */
static bool take_env(struct request *r, char *value)
{
	const size_t name = strcspn(value, "=");
	unsigned i = 0;

	while (i < r->nr_env && (strncmp(r->env[i], value, name) != 0 || r->env[i][name] != '='))
		i++;
	if (value[name] != '=' || i == WORDS_MAX)
		return false;
	r->env[i] = value;
	r->nr_env += i == r->nr_env;
	return true;
}

/* NULL, or what is wrong with it. */
static const char *take_record(struct request *r, const char *key, char *value)
{
	uint32_t version;

	if (strcmp(key, "version") == 0)
		return agent_record_u32(value, &version) && version == AGENT_VERSION
			       ? NULL
			       : "another version of the protocol";
	if (strcmp(key, "arg") == 0 && r->nr_words < WORDS_MAX) {
		r->word[r->nr_words++] = value;
		return NULL;
	}
	if (strcmp(key, "env") == 0 && take_env(r, value))
		return NULL;
	if (strcmp(key, "cwd") == 0) {
		r->cwd = value;
		return NULL;
	}
	r->tty = true;
	return strcmp(key, "tty") == 0 && take_size(value, &r->size) ? NULL : "bad request";
}

/* The strings are copies, which stay until this process ends. */
static const char *take_request(struct request *r, const struct agent_frame *frame,
				char *const *env)
{
	const char *value, *why = NULL;
	char key[16];
	size_t at = 0;
	int more;

	for (; *env; env++)
		take_env(r, *env);
	while (!why && (more = agent_record_next(frame, &at, key, &value)) != 0) {
		char *copy = more > 0 ? strdup(value) : NULL;

		why = copy ? take_record(r, key, copy) : "bad request";
	}
	return !why && r->nr_words == 0 ? "no command" : why;
}

/* The command. */

static _Noreturn void become_command(const struct request *r, const int fd[3], int why_fd)
{
	sigset_t none;
	int err[2] = {0, 1}; /* errno, and whether it is the command's */

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL); /* also those that were ignored before us */
	setsid();
	for (int i = 0; i < 3; i++)
		dup2(fd[i], i);
	if (r->tty)
		ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	environ = (char **)(uintptr_t)r->env;
	if (chdir(r->cwd) == 0)
		execvp(r->word[0], (char *const *)(uintptr_t)r->word);
	else
		err[1] = 0;
	err[0] = errno;
	(void)!write(why_fd, err, sizeof(err));
	_exit(STATUS_NOT_FOUND);
}

/* child: ends for the command; they become its descriptors. */
static int make_pipes(struct command *c, int child[3])
{
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		return -errno;
	child[0] = in[0];
	child[1] = out[1];
	child[2] = err[1];
	c->in = in[1];
	c->out = out[0];
	c->err = err[0];
	return 0;
}

static int make_terminal(struct command *c, const struct winsize *size, int child[3])
{
	const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64];

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, name, sizeof(name)) != 0)
		return -errno;
	child[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (child[0] < 0)
		return -errno;
	child[1] = fcntl(child[0], F_DUPFD_CLOEXEC, 3);
	child[2] = fcntl(child[0], F_DUPFD_CLOEXEC, 3);
	ioctl(master, TIOCSWINSZ, size);
	c->out = master;
	c->in = fcntl(master, F_DUPFD_CLOEXEC, 3);
	return c->in < 0 || child[1] < 0 || child[2] < 0 ? -errno : 0;
}

/* 0; an errno of the command, or with *ret_what another thing's. */
static int start_command(struct command *c, const struct request *r, const char **ret_what)
{
	int child[3] = {-1, -1, -1}, why[2], err[2] = {0}, res;
	const int *mine[] = {&c->in, &c->out, &c->err};

	res = r->tty ? make_terminal(c, &r->size, child) : make_pipes(c, child);
	*ret_what = "a process";
	if (res < 0 || pipe2(why, O_CLOEXEC) < 0)
		return res < 0 ? -res : errno;
	c->pid = fork();
	if (c->pid == 0)
		become_command(r, child, why[1]);
	close(why[1]);
	for (int i = 0; i < 3; i++) {
		close(child[i]);
		if (*mine[i] >= 0)
			fcntl(*mine[i], F_SETFL, O_NONBLOCK);
	}
	if (c->pid < 0)
		return errno;
	if (read(why[0], err, sizeof(err)) != sizeof(err))
		err[0] = 0;
	close(why[0]);
	*ret_what = err[1] ? NULL : r->cwd;
	return err[0];
}

/* Frames of the client. */

static bool queue_input(struct command *c, const struct agent_frame *f)
{
	if (f->len > sizeof(c->input) - c->input_len || (c->input_ends && f->len))
		return false;
	memmove(c->input, c->input + c->input_first, c->input_len);
	c->input_first = 0;
	memcpy(c->input + c->input_len, f->data, f->len);
	c->input_len += f->len;
	c->input_ends |= f->len == 0;
	return true;
}

static bool send_signal(const struct command *c, const struct agent_frame *f)
{
	const uint32_t number = f->len == 4 ? agent_get32(f->data) : 0;

	if (number == 0 || number >= NSIG)
		return false;
	/* The session's leader, and its group: the command, and what it started. */
	if (!c->exited)
		kill(-c->pid, (int)number);
	return true;
}

static bool set_size(const struct command *c, const struct agent_frame *f)
{
	struct winsize size = {0};

	if (f->len != 4 || !c->tty)
		return false;
	size.ws_col = (unsigned short)(f->data[0] | f->data[1] << 8);
	size.ws_row = (unsigned short)(f->data[2] | f->data[3] << 8);
	if (c->out >= 0)
		ioctl(c->out, TIOCSWINSZ, &size);
	return true;
}

static bool take_frame(struct command *c, const struct agent_frame *f)
{
	switch (f->type) {
	case AGENT_STDIN: return queue_input(c, f);
	case AGENT_SIGNAL: return send_signal(c, f);
	case AGENT_SIZE: return set_size(c, f);
	case AGENT_PING: c->ping = true; return true;
	default: return false;
	}
}

static bool take_frames(struct agent *agent, struct command *c)
{
	struct agent_frame f;
	int r;

	while ((r = agent_stream_next(&agent->stream, &f)) == 1)
		if (!take_frame(c, &f))
			return false;
	return r == 0;
}

/* Streams. */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Hands input on. A command that reads no more lets it go. */
static void move_input(struct command *c)
{
	static const uint8_t end = CTRL_D;
	ssize_t n = 0;

	while (c->input_len > 0) {
		n = c->in < 0 ? (ssize_t)c->input_len
			      : write(c->in, c->input + c->input_first, c->input_len);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			close_fd(&c->in);
			continue;
		}
		c->input_first += (size_t)n;
		c->input_len -= (size_t)n;
		c->taken += (uint32_t)n;
	}
	if (!c->input_ends || c->in < 0)
		return;
	if (c->tty)
		(void)!write(c->in, &end, 1);
	close_fd(&c->in);
}

/* One frame of output; false when there is none now. The caller has made room. */
static bool move_output(struct agent *agent, int *fd, unsigned type)
{
	static uint8_t buf[AGENT_DATA_MAX];
	const ssize_t n = *fd < 0 ? -1 : read(*fd, buf, sizeof(buf));

	if (n > 0)
		return agent_stream_put(&agent->stream, type, buf, (size_t)n);
	if (*fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR)))
		close_fd(fd); /* the end of a pipe; a terminal that nobody has open says EIO */
	return false;
}

static void reap_command(struct command *c)
{
	struct signalfd_siginfo si;

	(void)!read(c->signal_fd, &si, sizeof(si));
	if (!c->exited && waitpid(c->pid, &c->wait_status, WNOHANG) == c->pid)
		c->exited = true;
}

/* True when the command has ended and all of its output is in frames. Others may hold its pipes: nobody waits for them. */
static bool move_streams(struct agent *agent, struct command *c)
{
	struct agent_stream *s = &agent->stream;
	bool any = false;

	move_input(c);
	if (s->out_len > 0)
		return false;
	if (c->ping)
		c->ping = !agent_stream_put(s, AGENT_PONG, NULL, 0);
	if (c->taken && agent_stream_put32(s, AGENT_TAKEN, c->taken))
		c->taken = 0;
	any = move_output(agent, &c->out, AGENT_STDOUT);
	if (!any)
		any = move_output(agent, &c->err, AGENT_STDERR);
	return c->exited && !any;
}

static void wait_for_events(const struct agent *agent, const struct command *c)
{
	const struct agent_stream *s = &agent->stream;
	struct pollfd pfd[] = {
		{.fd = s->fd, .events = (short)(POLLIN | (s->out_len ? POLLOUT : 0))},
		{.fd = c->signal_fd, .events = POLLIN},
		{.fd = c->input_len ? c->in : -1, .events = POLLOUT},
		{.fd = s->out_len ? -1 : c->out, .events = POLLIN},
		{.fd = s->out_len ? -1 : c->err, .events = POLLIN},
	};

	/* With room again there is something to send at once. */
	poll(pfd, sizeof(pfd) / sizeof(pfd[0]),
	     !s->out_len && (c->exited || c->ping || c->taken) ? 0 : -1);
}

/* False when the client is gone; the command then gets a hang-up, as of a terminal that was closed. */
static bool run_command(struct agent *agent, struct command *c)
{
	struct agent_stream *s = &agent->stream;

	/* Frames may have come with the request: they are taken before anything is waited for. */
	while (take_frames(agent, c) && !s->ended) {
		const bool done = move_streams(agent, c);

		if (agent_stream_flush(s) < 0)
			break;
		if (done && s->out_len == 0)
			return true;
		wait_for_events(agent, c);
		reap_command(c);
		if (agent_stream_fill(s) < 0)
			break;
	}
	if (!c->exited)
		kill(-c->pid, SIGHUP);
	return false;
}

static bool end_command(struct agent *agent, const struct command *c)
{
	const uint32_t status = WIFSIGNALED(c->wait_status)
					? STATUS_SIGNAL + (uint32_t)WTERMSIG(c->wait_status)
					: (uint32_t)WEXITSTATUS(c->wait_status);
	uint8_t bytes[4];

	agent_put32(bytes, status);
	return agent_send(agent, AGENT_EXIT, bytes, sizeof(bytes));
}

bool agent_exec(struct agent *agent, const struct agent_frame *frame)
{
	static struct request r = {.cwd = "/"};
	static struct command c;
	const char *why = take_request(&r, frame, agent->env), *what = NULL;
	unsigned status = AGENT_FAILED;
	sigset_t set;
	int err;

	if (why) {
		agent_refuse(agent, AGENT_FAILED, NULL, why);
		return false;
	}
	c = (struct command){.in = -1, .out = -1, .err = -1, .tty = r.tty};
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	c.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	err = c.signal_fd < 0 ? errno : start_command(&c, &r, &what);
	if (err) {
		if (!what)
			status = err == ENOENT || err == ENOTDIR ? STATUS_NOT_FOUND
								 : STATUS_NOT_EXECUTABLE;
		agent_refuse(agent, status, what ? what : r.word[0], strerror(err));
		return false;
	}
	agent_send(agent, AGENT_STARTED, NULL, 0);
	/* A second command would need a second process: the client closes now. */
	if (run_command(agent, &c))
		end_command(agent, &c);
	return false;
}
