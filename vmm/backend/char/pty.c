/*
 * A pseudo-terminal: we hold the master, and the opener of the slave is the client. The slave is raw, so
 * that bytes pass as they are.
 *
 * Only a failing read or write of the master shows that no one has the slave open. Nothing of the
 * master shows that someone opened it: inotify does.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "backend/char.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macros.h"

enum { LINGER_POLL_MS = 10 };

struct pty_host {
	struct char_host host;      /* out.fd: the master; in.fd: a duplicate */
	struct event_source opened; /* inotify: somebody opened the slave */
	char *link;                 /* a symbolic link that is ours, or NULL */
};

static struct pty_host *pty_of(struct char_host *host)
{
	return container_of(host, struct pty_host, host);
}

static ssize_t pty_write(struct char_host *host, const uint8_t *buf, size_t n)
{
	return write(host->out.fd, buf, n);
}

static void pty_out_failed(struct char_host *host, int err)
{
	(void)err; /* EIO: nobody has it open */
	char_host_detach(host, CHAR_OUT_ABSENT);
}

static void pty_in_ended(struct char_host *host, int err)
{
	(void)err;
	char_host_detach(host, CHAR_OUT_ABSENT);
}

static void pty_opened(struct event_source *src, uint32_t epoll_events)
{
	struct pty_host *pty = container_of(src, struct pty_host, opened);
	/* The kernel's alignment of what is read; its content does not matter. */
	_Alignas(struct inotify_event) char buf[1024];

	(void)epoll_events;
	if (read(src->fd, buf, sizeof(buf)) <= 0 || pty->host.out_state == CHAR_OUT_OPEN)
		return;
	/* If it cannot be watched nobody counts as connected; the next open tries again. */
	(void)char_host_attach(&pty->host);
}

static int open_slave(const struct char_host *host)
{
	return ioctl(host->out.fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/*
 * Whether the slave's reader has not taken all that was written to the master. A worker of the kernel moves
 * that to the slave's queue, which FIONREAD counts; poll() waits for the worker (n_tty_poll() in Linux).
 */
static bool slave_has_input(int slave)
{
	struct pollfd pfd = {.fd = slave, .events = POLLIN};
	int queued = 0;

	poll(&pfd, 1, 0);
	return ioctl(slave, FIONREAD, &queued) == 0 && queued > 0;
}

/* Closing the master discards what the client has not read yet, the guest's last words. */
static void pty_linger(const struct char_host *host, int64_t until_ns)
{
	AUTO_CLOSE int slave = open_slave(host);

	while (slave >= 0 && slave_has_input(slave) && clock_monotonic_ns() < until_ns)
		poll(NULL, 0, LINGER_POLL_MS);
}

/* Whether a client has the slave open: the master of a slave that nobody has open is hung up. */
static bool pty_has_client(const struct char_host *host)
{
	struct pollfd pfd = {.fd = host->out.fd};

	return host->out.fd >= 0 && poll(&pfd, 1, 0) >= 0 && !(pfd.revents & POLLHUP);
}

static void pty_close(struct char_host *host, int64_t until_ns)
{
	struct pty_host *pty = pty_of(host);
	char target[sizeof(host->name)];
	ssize_t n;

	if (pty->opened.fd >= 0) {
		event_loop_remove(host->loop, &pty->opened);
		close(pty->opened.fd);
		if (pty_has_client(host))
			pty_linger(host, until_ns);
	}
	if (pty->link) {
		n = readlink(pty->link, target, sizeof(target));
		if (n > 0 && (size_t)n == strlen(host->name) &&
		    memcmp(target, host->name, (size_t)n) == 0)
			unlink(pty->link);
		free(pty->link);
	}
	if (host->in.fd >= 0)
		close(host->in.fd);
	if (host->out.fd >= 0)
		close(host->out.fd);
}

static const struct char_host_class pty_class = {
	.write = pty_write,
	.out_failed = pty_out_failed,
	.in_ended = pty_in_ended,
	.close = pty_close,
};

static int open_master(struct char_host *host)
{
	struct termios raw;

	host->out.fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (host->out.fd < 0)
		return -errno;
	host->in.fd = fcntl(host->out.fd, F_DUPFD_CLOEXEC, 0);
	if (host->in.fd < 0 || grantpt(host->out.fd) < 0 || unlockpt(host->out.fd) < 0)
		return -errno;
	if (ptsname_r(host->out.fd, host->name, sizeof(host->name)) != 0)
		return -errno;
	/* The pair has one mode, the slave's. */
	if (tcgetattr(host->out.fd, &raw) < 0)
		return -errno;
	cfmakeraw(&raw);
	return tcsetattr(host->out.fd, TCSANOW, &raw) < 0 ? -errno : 0;
}

/* The slave must have been open and closed once, before the master shows that nobody has it open. */
static int watch_slave(struct pty_host *pty)
{
	AUTO_CLOSE int slave = open_slave(&pty->host);
	char path[32];

	pty->opened = (struct event_source){
		.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
		.events = EPOLLIN,
		.ready = pty_opened,
	};
	if (slave < 0 || pty->opened.fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", slave);
	if (inotify_add_watch(pty->opened.fd, path, IN_OPEN) < 0)
		return -errno;
	return event_loop_add(pty->host.loop, &pty->opened);
}

/* A link to a pseudo-terminal, which an earlier run left, may go; nothing else. */
static int make_link(struct pty_host *pty, const char *path, struct diag *diag)
{
	static const char dir[] = "/dev/pts/";
	char target[sizeof(dir) - 1];

	if (readlink(path, target, sizeof(target)) == sizeof(target) &&
	    memcmp(target, dir, sizeof(target)) == 0)
		unlink(path);
	if (symlink(pty->host.name, path) < 0) {
		const int r = diag_set(diag, -errno, "pty-link", "link '%s' to the console's %s",
				       path, pty->host.name);

		if (r == -EEXIST)
			diag_remedy(diag, "remove it, or choose another path");
		return r;
	}
	pty->link = strdup(path);
	return pty->link ? 0 : diag_set(diag, -ENOMEM, "pty-link-memory", "link '%s'", path);
}

int char_pty_open(const char *link, struct event_loop *loop, struct power *power, struct diag *diag,
		  struct char_host **ret)
{
	struct char_host *host;
	int r = char_host_create(sizeof(struct pty_host), &pty_class, loop, power, diag, &host);

	if (r < 0)
		return r;
	pty_of(host)->opened.fd = -1;
	r = open_master(host);
	if (r == 0)
		r = watch_slave(pty_of(host));
	if (r < 0)
		diag_set(diag, r, "pty-open", "console's pseudo-terminal");
	if (r == 0 && link)
		r = make_link(pty_of(host), link, diag);
	if (r < 0) {
		char_host_destroy(host, 0);
		return r;
	}
	*ret = host;
	return 0;
}
