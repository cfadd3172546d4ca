#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "ports.h"
#include "setup.h"

enum {
	ESCAPE = 0x10,
	ESCAPE_END = 'E',
	ESCAPE_INTERRUPT = 'I',
	READY = 'R',
};

void input_open(struct input *input, const char *terminal, int *ret_command_fd)
{
	struct termios raw;
	int ends[2];

	*input = (struct input){.hvc_fd = -1, .pipe_fd = -1};
	if (!setup_wait_for(terminal))
		fail("no %s: does the kernel have virtio_console (--modules)?", terminal);
	input->hvc_fd = open(terminal, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (input->hvc_fd < 0 || tcgetattr(input->hvc_fd, &raw) < 0)
		fail("open %s: %s", terminal, strerror(errno));
	cfmakeraw(&raw);
	if (tcsetattr(input->hvc_fd, TCSANOW, &raw) < 0 || pipe2(ends, O_CLOEXEC) < 0)
		fail("the command's input: %s", strerror(errno));
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	input->pipe_fd = ends[1];
	*ret_command_fd = ends[0];
}

static void give_credit(const struct input *input, unsigned times)
{
	static const char ready[INPUT_BYTES / INPUT_CREDIT] = {READY, READY};

	if (write(input->hvc_fd, ready, times) != (ssize_t)times)
		say("the command's input ends early: %s", strerror(errno));
}

void input_start(const struct input *input)
{
	give_credit(input, INPUT_BYTES / INPUT_CREDIT);
}

void input_wait_for(const struct input *input, struct pollfd pfd[2])
{
	pfd[0] = (struct pollfd){.fd = input->hvc_fd, .events = POLLIN};
	pfd[1] = (struct pollfd){.fd = input->len ? input->pipe_fd : -1, .events = POLLOUT};
}

/* A command that reads no more gets no more; interrupts still come. */
static void pipe_close(struct input *input)
{
	if (input->pipe_fd >= 0)
		close(input->pipe_fd);
	input->pipe_fd = -1;
	input->len = 0;
}

static void pipe_write(struct input *input)
{
	const ssize_t n = write(input->pipe_fd, input->buf + input->first, input->len);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		pipe_close(input);
	if (n <= 0)
		return;
	input->first += (size_t)n;
	input->len -= (size_t)n;
	input->written += (size_t)n;
	for (; input->written >= INPUT_CREDIT; input->written -= INPUT_CREDIT)
		give_credit(input, 1);
}

/* A byte of the input. The host keeps to its credit, so there is room. */
static void buf_put(struct input *input, uint8_t byte)
{
	if (input->pipe_fd < 0)
		return;
	if (input->first + input->len == sizeof(input->buf)) {
		memmove(input->buf, input->buf + input->first, input->len);
		input->first = 0;
	}
	if (input->len < sizeof(input->buf))
		input->buf[input->first + input->len++] = byte;
}

static void take(struct input *input, uint8_t byte, pid_t pid)
{
	const bool escaped = input->escaped;

	input->escaped = !escaped && byte == ESCAPE;
	if (input->escaped)
		return;
	if (escaped && byte == ESCAPE_END)
		input->ended = true;
	else if (escaped && byte == ESCAPE_INTERRUPT)
		kill(-pid, SIGINT);
	else
		buf_put(input, byte);
}

static void hvc_read(struct input *input, pid_t pid)
{
	uint8_t buf[INPUT_BYTES];
	const ssize_t n = read(input->hvc_fd, buf, sizeof(buf));

	for (ssize_t i = 0; i < n; i++)
		take(input, buf[i], pid);
}

void input_run(struct input *input, const struct pollfd pfd[2], pid_t pid)
{
	if (pfd[0].revents)
		hvc_read(input, pid);
	if (input->len)
		pipe_write(input);
	if (input->len == 0 && input->ended)
		pipe_close(input);
}
