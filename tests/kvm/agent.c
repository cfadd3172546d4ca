/*
 * agent - the agent of /init on this host, at a Unix socket that answers as that of --vsock does. For the tests of
 * `tollgate exec` and `tollgate cp`.
 *
 *   agent PATH [MODE]     serves clients until it is killed; "agent: ready" on standard output once it listens
 *
 * MODE is another guest: "refuse" closes after the line, "deaf" never answers it, "mute" answers it and says nothing
 * more, "die" ends after the first frame, "babble" sends what is not a frame, "liar" sends a frame that nobody asked for.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../guest/init/agent.h"

/* "CONNECT PORT\n", and the answer. */
static void handshake(int fd, const char *mode)
{
	char byte;

	while (read(fd, &byte, 1) == 1 && byte != '\n')
		;
	if (strcmp(mode, "refuse") == 0)
		exit(0);
	if (strcmp(mode, "deaf") == 0)
		pause();
	dprintf(fd, "OK 1073741824\n");
}

static void serve(int fd, const char *mode)
{
	static const unsigned char frame[] = {0, 0, 0, 0, 99, 0, 0, 0};

	handshake(fd, mode);
	if (strcmp(mode, "mute") == 0)
		pause();
	if (strcmp(mode, "die") == 0)
		(void)!read(fd, (char[1]){0}, 1);
	else if (strcmp(mode, "babble") == 0)
		(void)!write(fd, "\377\377\377\377\377\377\377\377", 8);
	else if (strcmp(mode, "liar") == 0)
		(void)!write(fd, frame, sizeof(frame));
	else
		agent_serve(fd, environ);
	if (strcmp(mode, "babble") == 0 || strcmp(mode, "liar") == 0)
		pause();
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *mode = argc > 2 ? argv[2] : "";

	if (argc < 2 || strlen(argv[1]) >= sizeof(addr.sun_path))
		return 2;
	memcpy(addr.sun_path, argv[1], strlen(argv[1]));
	if (listener < 0 || bind(listener, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(listener, 64) < 0)
		return 2;
	puts("agent: ready");
	fflush(stdout);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0 && fork() == 0) {
			close(listener);
			signal(SIGCHLD, SIG_DFL);
			serve(fd, mode);
			_exit(0);
		}
		close(fd);
	}
}
