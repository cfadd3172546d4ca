/*
 * pty - runs a command on a terminal of its own, plays a dialogue with it, and looks at what it did to
 * the terminal.
 *
 *   pty [STEP...] -- COMMAND...
 *
 *   expect TEXT   wait until the output after what was matched before, has TEXT
 *   send TEXT     type TEXT; \xNN is a byte
 *   raw, cooked   wait until the terminal is in that mode
 *   restore       set the mode the terminal had at first, as a shell does for a stopped job
 *   kill SIGNAL   number; to the command
 *   crash-vcpu    SIGSEGV to the command's thread "vcpu0"
 *   resize COLSxROWS  set the terminal's size, which is 80x24 at first
 *   limit SECONDS of each step from here on, and of the command's end (120)
 *   hangup        close the terminal's other end; the last step
 *   background    first step: run the command as a shell's job, in the terminal's background
 *   job           first step: the same, in front; `kill` then takes 1, 2, 15, 18 (CONT) and 20 (TSTP)
 *   front, back   put such a job in the foreground, or the background
 *
 * Prints the command's output. Exits with its status, or 128 and the number of the signal that ended
 * it; a job that SIGTTIN or SIGTTOU stops is killed (137); with 97 when it left the inherited description non-blocking,
 * 98 when it left the terminal in another mode, 99 when a step was not met in time or could not be done.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
	OUTPUT_MAX = 1 << 20,
	LIMIT_S = 120,
	LOOK_MS = 10,
	EXIT_NONBLOCK = 97,
	EXIT_MODE = 98,
	EXIT_STEP = 99,
};

enum how { ALONE, IN_BACKGROUND, IN_FRONT };

struct session {
	int terminal, other; /* the command's end and ours; other is -1 after a hangup */
	pid_t pid;
	int limit_s; /* of a step: a hang, not slowness */
	struct termios at_first;
	bool is_job; /* pid is that of its shell */
	char output[OUTPUT_MAX + 1];
	size_t len, matched;
};

static int fail(const struct session *s, const char *what, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(const struct session *s, const char *what, ...)
{
	va_list ap;

	fwrite(s->output, 1, s->len, stdout);
	fflush(stdout);
	fputs("\npty: ", stderr);
	va_start(ap, what);
	vfprintf(stderr, what, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (s->pid > 0)
		kill(s->pid, SIGKILL);
	return EXIT_STEP;
}

static int64_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Takes what output there is within LOOK_MS; false at its end. */
static bool take_output(struct session *s)
{
	struct pollfd pfd = {.fd = s->other, .events = POLLIN};
	ssize_t n;

	if (poll(&pfd, 1, LOOK_MS) <= 0)
		return true;
	n = read(s->other, s->output + s->len, OUTPUT_MAX - s->len);
	if (n <= 0)
		return n < 0 && errno == EINTR; /* EIO: nobody has the terminal open any more */
	s->len += (size_t)n;
	s->output[s->len] = '\0';
	return true;
}

static int step_expect(struct session *s, const char *text)
{
	const int64_t limit_s = now_s() + s->limit_s;
	bool more = true;
	const char *found;

	while (!(found = strstr(s->output + s->matched, text))) {
		if (!more)
			return fail(s, "the output ended without '%s'", text);
		if (now_s() > limit_s || s->len == OUTPUT_MAX)
			return fail(s, "no '%s' in the output", text);
		more = take_output(s);
	}
	s->matched = (size_t)(found - s->output) + strlen(text);
	return 0;
}

static int step_send(struct session *s, const char *text)
{
	while (*text) {
		char byte = *text++;

		if (byte == '\\' && text[0] == 'x' && text[1] && text[2]) {
			const char hex[] = {text[1], text[2], '\0'};

			byte = (char)strtoul(hex, NULL, 16);
			text += 3;
		}
		if (write(s->other, &byte, 1) != 1)
			return fail(s, "send: %s", strerror(errno));
	}
	return 0;
}

static int step_mode(struct session *s, bool raw)
{
	const int64_t limit_s = now_s() + s->limit_s;
	struct termios now;

	for (;;) {
		if (tcgetattr(s->terminal, &now) < 0)
			return fail(s, "tcgetattr: %s", strerror(errno));
		if (raw == !(now.c_lflag & (ICANON | ECHO | ISIG)))
			return 0;
		if (now_s() > limit_s)
			return fail(s, "the terminal is not %s", raw ? "raw" : "cooked");
		take_output(s);
	}
}

static int step_restore(const struct session *s)
{
	if (tcsetattr(s->terminal, TCSANOW, &s->at_first) < 0)
		return fail(s, "tcsetattr: %s", strerror(errno));
	return 0;
}

/* The ID of the command's thread of that name, or -1. */
static pid_t find_thread(pid_t pid, const char *name)
{
	char path[300], comm[32];
	const struct dirent *e;
	pid_t found = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && found < 0 && (e = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", (int)pid, e->d_name);
		f = fopen(path, "re");
		if (f && fgets(comm, sizeof(comm), f)) {
			comm[strcspn(comm, "\n")] = '\0';
			if (strcmp(comm, name) == 0)
				found = (pid_t)strtol(e->d_name, NULL, 10);
		}
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int step_crash_vcpu(const struct session *s)
{
	pid_t thread = find_thread(s->pid, "vcpu0");

	if (thread < 0)
		return fail(s, "the command has no thread 'vcpu0'");
	if (syscall(SYS_tgkill, s->pid, thread, SIGSEGV) < 0)
		return fail(s, "tgkill: %s", strerror(errno));
	return 0;
}

static int step_hangup(struct session *s)
{
	close(s->terminal);
	close(s->other);
	s->terminal = s->other = -1;
	return 0;
}

static int step_resize(struct session *s, const char *text)
{
	struct winsize ws = {0};
	char *end;

	ws.ws_col = (unsigned short)strtoul(text, &end, 10);
	if (*end == 'x')
		ws.ws_row = (unsigned short)strtoul(end + 1, NULL, 10);
	if (ws.ws_row == 0 || ioctl(s->other, TIOCSWINSZ, &ws) < 0)
		return fail(s, "resize: '%s' is no size", text);
	return 0;
}

static int step_move(const struct session *s, bool front)
{
	const int64_t limit_s = now_s() + LIMIT_S;

	if (!s->is_job)
		return fail(s, "front, back: the command is not a job");
	kill(s->pid, front ? SIGUSR1 : SIGUSR2);
	while ((tcgetpgrp(s->other) != s->pid) != front) {
		if (now_s() > limit_s)
			return fail(s, "the job does not move");
		poll(NULL, 0, LOOK_MS);
	}
	return 0;
}

/* Plays one step; *arg is at its name and ends at its last argument. */
static int step_play(struct session *s, char ***arg)
{
	const char *name = **arg;

	if (strcmp(name, "raw") == 0 || strcmp(name, "cooked") == 0)
		return step_mode(s, name[0] == 'r');
	if (strcmp(name, "restore") == 0)
		return step_restore(s);
	if (strcmp(name, "crash-vcpu") == 0)
		return step_crash_vcpu(s);
	if (strcmp(name, "hangup") == 0)
		return step_hangup(s);
	if (strcmp(name, "front") == 0 || strcmp(name, "back") == 0)
		return step_move(s, name[0] == 'f');
	++*arg;
	if (!**arg)
		return fail(s, "step '%s' is unknown, or lacks its argument", name);
	if (strcmp(name, "expect") == 0)
		return step_expect(s, **arg);
	if (strcmp(name, "send") == 0)
		return step_send(s, **arg);
	if (strcmp(name, "kill") == 0) {
		kill(s->pid, (int)strtol(**arg, NULL, 10));
		return 0;
	}
	if (strcmp(name, "resize") == 0)
		return step_resize(s, **arg);
	if (strcmp(name, "limit") == 0) {
		s->limit_s = (int)strtol(**arg, NULL, 10);
		return 0;
	}
	return fail(s, "step '%s' is unknown", name);
}

/* Of the shell's process. */
static struct {
	int terminal;
	pid_t pid;
} job;

/* SIGUSR1 and SIGUSR2 move the job, other signals are for it. */
static void shell_signal(int sig)
{
	if (sig == SIGUSR1)
		tcsetpgrp(job.terminal, job.pid);
	else if (sig == SIGUSR2)
		tcsetpgrp(job.terminal, getpgrp());
	else
		kill(job.pid, sig);
}

static void shell_take_signals(void)
{
	static const int sigs[] = {SIGUSR1, SIGUSR2, SIGHUP, SIGINT, SIGTERM, SIGCONT, SIGTSTP};
	const struct sigaction sa = {.sa_handler = shell_signal};

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &sa, NULL);
	signal(SIGTTOU, SIG_IGN);
}

/* The session's leader, as a shell is: waits for its job. Returns in the job. */
static void run_shell(const struct session *s, enum how how)
{
	sigset_t all, old;
	int status;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	job.terminal = s->terminal;
	job.pid = fork();
	if (job.pid == 0) {
		setpgid(0, 0);
		if (how == IN_FRONT)
			tcsetpgrp(s->terminal, getpgrp()); /* SIGTTOU is blocked */
		sigprocmask(SIG_SETMASK, &old, NULL);
		return;
	}
	setpgid(job.pid, job.pid);
	shell_take_signals();
	sigprocmask(SIG_SETMASK, &old, NULL);
	do {
		while (waitpid(job.pid, &status, WUNTRACED) < 0)
			;
		if (WIFSTOPPED(status) && WSTOPSIG(status) != SIGTSTP)
			kill(job.pid, SIGKILL);
	} while (WIFSTOPPED(status));
	tcsetpgrp(s->terminal, getpgrp());
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static _Noreturn void run_command(const struct session *s, char **command, enum how how)
{
	setsid();
	ioctl(s->terminal, TIOCSCTTY, 0);
	if (how != ALONE)
		run_shell(s, how);
	dup2(s->terminal, STDIN_FILENO);
	dup2(s->terminal, STDOUT_FILENO);
	dup2(s->terminal, STDERR_FILENO);
	close(s->terminal);
	close(s->other);
	execv(command[0], command);
	_exit(127);
}

/* Waits for the command's end; its status as this program's. */
static int reap(struct session *s)
{
	const int64_t limit_s = now_s() + s->limit_s;
	int status;

	while (waitpid(s->pid, &status, WNOHANG) == 0) {
		if (now_s() > limit_s)
			return fail(s, "the command does not end");
		if (s->other >= 0)
			take_output(s);
		else
			poll(NULL, 0, LOOK_MS);
	}
	s->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Member by member, for there is padding between them. */
static bool same_mode(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

static int look_at_terminal(struct session *s, int status)
{
	struct termios at_last;
	size_t before;

	if (s->other < 0)
		return status;
	do {
		before = s->len;
		take_output(s);
	} while (s->len != before);
	fwrite(s->output, 1, s->len, stdout);
	if (fcntl(s->terminal, F_GETFL) & O_NONBLOCK) {
		fputs("pty: the command left its standard input non-blocking\n", stderr);
		return EXIT_NONBLOCK;
	}
	if (tcgetattr(s->terminal, &at_last) < 0 || !same_mode(&at_last, &s->at_first)) {
		fputs("pty: the command left the terminal in another mode\n", stderr);
		return EXIT_MODE;
	}
	return status;
}

int main(int argc, char **argv)
{
	struct session *s = calloc(1, sizeof(*s));
	enum how how = ALONE;
	char **step = argv + 1, **command = argv + 1;
	int r = 0;

	(void)argc;
	while (*command && strcmp(*command, "--") != 0)
		command++;
	if (!s || !*command || !command[1]) {
		fputs("usage: pty [STEP...] -- COMMAND...\n", stderr);
		free(s);
		return EXIT_STEP;
	}
	s->limit_s = LIMIT_S;
	*command++ = NULL; /* ends the steps */
	if (*step && strcmp(*step, "background") == 0)
		how = IN_BACKGROUND;
	else if (*step && strcmp(*step, "job") == 0)
		how = IN_FRONT;
	step += how != ALONE;
	s->is_job = how != ALONE;
	if (openpty(&s->other, &s->terminal, NULL, NULL, NULL) < 0 ||
	    tcgetattr(s->terminal, &s->at_first) < 0 ||
	    ioctl(s->other, TIOCSWINSZ, &(struct winsize){.ws_col = 80, .ws_row = 24}) < 0 ||
	    (s->pid = fork()) < 0) {
		perror("pty");
		free(s);
		return EXIT_STEP;
	}
	if (s->pid == 0)
		run_command(s, command, how);
	for (; r == 0 && *step; step++)
		r = step_play(s, &step);
	if (r == 0)
		r = look_at_terminal(s, reap(s));
	else
		waitpid(s->pid, NULL, 0);
	free(s);
	return r;
}
