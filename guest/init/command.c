#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "input.h"
#include "ports.h"
#include "setup.h"

enum {
	STREAM_BYTES = 1 << 16, /* as much as a pipe holds, and as an output port takes */
	WORDS_MAX = 128,
	GROUPS_MAX = 1024,
	RETRY_MS = 2, /* until a port that had no room is looked at again */
};

/* One of the command's outputs on its way to its port. */
struct stream {
	int fd; /* read end of the pipe; -1 after its end */
	struct out_port out;
	size_t first, len; /* what of buf is still to go */
	uint8_t buf[STREAM_BYTES];
};

static struct stream streams[2];
static struct input input = {.hvc_fd = -1, .pipe_fd = -1};

/* By /bin/sh -c where there is one, else its words. */
static void exec_line(const char *line)
{
	char *words[WORDS_MAX + 1], *rest;
	unsigned n = 0;

	if (access("/bin/sh", X_OK) == 0) {
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		return;
	}
	rest = strdup(line);
	while (rest && n < WORDS_MAX && (words[n] = strtok_r(rest, " \t\n", &rest)))
		n++;
	words[n] = NULL;
	errno = ENOENT;
	if (n)
		execvp(words[0], words);
}

/* Becomes the user of conf, in its directory. */
static int take_identity(const struct conf *conf)
{
	gid_t group[GROUPS_MAX];
	size_t nr = 0;

	for (const char *at = conf->groups; *at && nr < GROUPS_MAX;) {
		char *end;

		group[nr++] = (gid_t)strtoul(at, &end, 10);
		at = *end == ',' ? end + 1 : end + strlen(end);
	}
	if (setgroups(nr, group) < 0 || setgid(conf->gid) < 0 || setuid(conf->uid) < 0 ||
	    chdir(conf->cwd) < 0)
		return -errno;
	return 0;
}

/* In the child. Both outcomes of a failed exec have a status of their own, as shells have it. */
static _Noreturn void exec_command(const struct conf *conf, int why_fd)
{
	int err = conf->host_root ? -take_identity(conf) : 0;

	environ = conf->env.item;
	if (err == 0) {
		if (conf->arg.nr)
			execvp(conf->arg.item[0], conf->arg.item);
		else
			exec_line(conf->run);
		err = errno;
	}
	write(why_fd, &err, sizeof(err));
	_exit(err == ENOENT || err == ENOTDIR ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
}

/* The command's ends of its three streams; -1: nothing, or the terminal. */
struct child_fds {
	int in, out, err, why;
};

/* After setsid(): the first terminal that is opened is the session's. */
static void take_terminal(const struct conf *conf, const struct child_fds *fds)
{
	const int fd = open(INPUT_TERMINAL, O_RDWR);

	if (fd < 0)
		return;
	fchown(fd, conf->uid, conf->gid);
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(conf->stderr_is_terminal ? fd : fds->err, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static _Noreturn void child(const struct conf *conf, const struct child_fds *fds)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	close(STDIN_FILENO);
	open("/dev/null", O_RDWR);
	if (conf->input == CONF_INPUT_TERMINAL) {
		take_terminal(conf, fds);
		exec_command(conf, fds->why);
	}
	if (fds->in >= 0)
		dup2(fds->in, STDIN_FILENO);
	dup2(fds->out, STDOUT_FILENO);
	dup2(fds->err, STDERR_FILENO);
	exec_command(conf, fds->why);
}

/* Shows a person why nothing ran; a shell, where there is one, does so itself. */
static void read_why(const struct conf *conf, int why_fd)
{
	int err;

	if (read(why_fd, &err, sizeof(err)) == sizeof(err)) {
		say("cannot execute '%.200s': %s", conf->arg.nr ? conf->arg.item[0] : conf->run,
		    strerror(err));
		if (err == ENOENT && !conf->host_root)
			say("there is no shell; --busybox, --overlay and --copy bring programs");
	}
	close(why_fd);
}

static pid_t start(const struct conf *conf)
{
	int out[2], err[2], why[2], in = -1;
	pid_t pid;

	if (conf->input == CONF_INPUT_FRAMES)
		input_open(&input, INPUT_TERMINAL, &in);
	if (conf->input == CONF_INPUT_TERMINAL && !setup_wait_for(INPUT_TERMINAL))
		fail("no " INPUT_TERMINAL ": does the kernel have virtio_console (--modules)?");

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 || pipe2(why, O_CLOEXEC) < 0)
		fail("pipes for the command: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		child(conf, &(struct child_fds){in, out[1], err[1], why[1]});
	if (pid < 0)
		fail("start the command: %s", strerror(errno));
	close(out[1]);
	close(err[1]);
	close(why[1]);
	if (in >= 0)
		close(in);
	read_why(conf, why[0]);
	if (conf->input == CONF_INPUT_FRAMES)
		input_start(&input);
	streams[0].fd = out[0];
	streams[0].out = out_port_open(conf->out);
	streams[1].fd = err[0];
	streams[1].out = out_port_open(conf->err);
	return pid;
}

static void stream_read(struct stream *s)
{
	const ssize_t n = read(s->fd, s->buf, sizeof(s->buf));

	if (n > 0) {
		s->first = 0;
		s->len = (size_t)n;
	} else if (n == 0 || errno != EINTR) {
		close(s->fd);
		s->fd = -1;
	}
}

static void stream_write(struct stream *s)
{
	const size_t n = out_port_write(&s->out, s->buf + s->first, s->len);

	s->first += n;
	s->len -= n;
}

/* Reaps every child that ended; true when the command is one of them. */
static bool reap(pid_t command, int *ret_wait_status)
{
	bool ended = false;
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
		if (pid != command)
			continue;
		*ret_wait_status = wait_status;
		ended = true;
	}
	return ended;
}

static bool streams_are_open(void)
{
	return streams[0].fd >= 0 || streams[0].len || streams[1].fd >= 0 || streams[1].len;
}

static void streams_move(int signal_fd, pid_t pid)
{
	struct pollfd pfd[5] = {{.fd = signal_fd, .events = POLLIN}};
	bool stuck = false;

	input_wait_for(&input, &pfd[3]);

	for (unsigned i = 0; i < 2; i++) {
		if (streams[i].len)
			stream_write(&streams[i]);
		stuck |= streams[i].len > 0;
		pfd[1 + i] = (struct pollfd){
			.fd = streams[i].len ? -1 : streams[i].fd,
			.events = POLLIN,
		};
	}
	poll(pfd, 5, stuck ? RETRY_MS : -1);
	input_run(&input, &pfd[3], pid);
	for (unsigned i = 0; i < 2; i++)
		if (pfd[1 + i].revents)
			stream_read(&streams[i]);
	if (pfd[0].revents) {
		struct signalfd_siginfo si;

		read(signal_fd, &si, sizeof(si));
	}
}

/* Waits until the last output of the command has left. */
static void drain_terminal(void)
{
	const int fd = open(INPUT_TERMINAL, O_WRONLY | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return;
	tcdrain(fd);
	close(fd);
}

int command_run(const struct conf *conf)
{
	bool ended = false;
	int wait_status = 0, signal_fd;
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		fail("wait for the command: %s", strerror(errno));
	log_line("command");
	pid = start(conf);
	/* Processes that it left running are killed, so that the pipes end after what is in them now. */
	while (!ended || streams_are_open()) {
		streams_move(signal_fd, pid);
		if (!reap(pid, &wait_status))
			continue;
		ended = true;
		kill(-1, SIGKILL);
	}
	close(signal_fd);
	if (conf->input == CONF_INPUT_TERMINAL)
		drain_terminal();
	return WIFSIGNALED(wait_status) ? STATUS_SIGNAL + WTERMSIG(wait_status)
					: WEXITSTATUS(wait_status);
}

void command_exec_init(const struct conf *conf)
{
	static const char *const path[] = {"/sbin/init", "/etc/init", "/bin/init", "/bin/sh"};

	environ = conf->env.item;
	for (unsigned i = 0; i < sizeof(path) / sizeof(path[0]); i++)
		execl(path[i], path[i], (char *)NULL);
	fail("%s has no init: none of /sbin/init, /etc/init, /bin/init and /bin/sh can be executed",
	     conf->root);
}
