#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ports.h"

enum {
	STREAM_BYTES = 1 << 16, /* as much as a pipe holds, and as an output port takes */
	WORDS_MAX = 128,
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

/* In the child. Both outcomes of a failed exec have a status of their own, as shells have it. */
static _Noreturn void exec_command(const struct conf *conf, int why_fd)
{
	char *words[WORDS_MAX + 1];
	unsigned n = 0;
	int err;

	environ = conf->env;
	if (access("/bin/sh", X_OK) == 0) {
		execl("/bin/sh", "sh", "-c", conf->run, (char *)NULL);
	} else {
		char *rest = strdup(conf->run);

		while (rest && n < WORDS_MAX && (words[n] = strtok_r(rest, " \t\n", &rest)))
			n++;
		words[n] = NULL;
		errno = ENOENT;
		if (n)
			execvp(words[0], words);
	}
	err = errno;
	write(why_fd, &err, sizeof(err));
	_exit(err == ENOENT || err == ENOTDIR ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
}

static _Noreturn void child(const struct conf *conf, const int out[2], const int err[2], int why_fd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	close(STDIN_FILENO);
	open("/dev/null", O_RDWR);
	dup2(out[1], STDOUT_FILENO);
	dup2(err[1], STDERR_FILENO);
	exec_command(conf, why_fd);
}

/* Shows a person why nothing ran; a shell, where there is one, does so itself. */
static void read_why(const struct conf *conf, int why_fd)
{
	int err;

	if (read(why_fd, &err, sizeof(err)) == sizeof(err)) {
		say("cannot execute '%.200s': %s", conf->run, strerror(err));
		if (err == ENOENT)
			say("there is no shell; --busybox, --overlay and --copy bring programs");
	}
	close(why_fd);
}

static pid_t start(const struct conf *conf)
{
	int out[2], err[2], why[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 || pipe2(why, O_CLOEXEC) < 0)
		fail("pipes for the command: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		child(conf, out, err, why[1]);
	if (pid < 0)
		fail("start the command: %s", strerror(errno));
	close(out[1]);
	close(err[1]);
	close(why[1]);
	read_why(conf, why[0]);
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

static void streams_move(int signal_fd)
{
	struct pollfd pfd[3] = {{.fd = signal_fd, .events = POLLIN}};
	bool stuck = false;

	for (unsigned i = 0; i < 2; i++) {
		if (streams[i].len)
			stream_write(&streams[i]);
		stuck |= streams[i].len > 0;
		pfd[1 + i] = (struct pollfd){
			.fd = streams[i].len ? -1 : streams[i].fd,
			.events = POLLIN,
		};
	}
	poll(pfd, 3, stuck ? RETRY_MS : -1);
	for (unsigned i = 0; i < 2; i++)
		if (pfd[1 + i].revents)
			stream_read(&streams[i]);
	if (pfd[0].revents) {
		struct signalfd_siginfo si;

		read(signal_fd, &si, sizeof(si));
	}
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
		streams_move(signal_fd);
		if (!reap(pid, &wait_status))
			continue;
		ended = true;
		kill(-1, SIGKILL);
	}
	close(signal_fd);
	return WIFSIGNALED(wait_status) ? STATUS_SIGNAL + WTERMSIG(wait_status)
					: WEXITSTATUS(wait_status);
}

void command_exec_init(const struct conf *conf)
{
	static const char *const path[] = {"/sbin/init", "/etc/init", "/bin/init", "/bin/sh"};

	environ = conf->env;
	for (unsigned i = 0; i < sizeof(path) / sizeof(path[0]); i++)
		execl(path[i], path[i], (char *)NULL);
	fail("%s has no init: none of /sbin/init, /etc/init, /bin/init and /bin/sh can be executed",
	     conf->root);
}
