/*
 * slowcat - copies a pipe on standard input to standard output, but holds its writer up first: makes
 * the pipe as small as it gets, waits until it is full, then for STALL_S more, and reads in small
 * pieces from then on.
 *
 *   --until-full   reads nothing, and ends once the pipe is full and has got no more for STILL_MS:
 *                  its writer has tried and failed
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { STALL_S = 2, PIECE_BYTES = 500, LOOK_MS = 5, STILL_MS = 500 };

/* As small as what is in it already allows. */
static bool make_pipe_small(void)
{
	const int before = fcntl(STDIN_FILENO, F_GETPIPE_SZ);

	for (int bytes = 1; bytes <= before; bytes *= 2) {
		if (fcntl(STDIN_FILENO, F_SETPIPE_SZ, bytes) >= 0)
			return true;
		if (errno != EBUSY)
			return false;
	}
	return before > 0; /* full, or filled while we tried */
}

/* Whether a writer would have to wait. True as well when there is no writer any more. */
static bool is_full_or_ended(void)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	struct pollfd out = {.fd = open("/proc/self/fd/0", O_WRONLY | O_NONBLOCK | O_CLOEXEC),
			     .events = POLLOUT};
	bool full = poll(&out, 1, 0) == 0;

	close(out.fd);
	poll(&in, 1, 0);
	return full || (in.revents & POLLHUP);
}

static void wait_until_still(void)
{
	int before = -1, bytes = 0;

	while (ioctl(STDIN_FILENO, FIONREAD, &bytes) == 0 && bytes != before) {
		before = bytes;
		poll(NULL, 0, STILL_MS);
	}
}

int main(int argc, char **argv)
{
	const bool reads = argc < 2 || strcmp(argv[1], "--until-full") != 0;
	char buf[PIECE_BYTES];
	ssize_t n;

	if (!make_pipe_small()) {
		perror("slowcat: standard input");
		return 1;
	}
	while (!is_full_or_ended())
		poll(NULL, 0, LOOK_MS);
	if (!reads) {
		wait_until_still();
		return 0;
	}
	sleep(STALL_S);
	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		if (write(STDOUT_FILENO, buf, (size_t)n) != n)
			return 1;
	return n < 0;
}
