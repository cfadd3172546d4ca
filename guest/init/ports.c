#include "ports.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
	OUT_PORT_PORTS = 8,
	OUT_PORT_ROOM = 4, /* offset */
	EXIT_PORT_PORTS = 4,
	LINE_BYTES_MAX = 512,
};

static struct {
	struct out_port out, err, log;
	uint16_t exit;
} ports;

static uint32_t room_of(const struct out_port *out)
{
	return inl((uint16_t)(out->port + OUT_PORT_ROOM));
}

static void wait_a_little(void)
{
	const struct timespec ms = {.tv_nsec = 2000000};

	nanosleep(&ms, NULL);
}

struct out_port out_port_open(uint16_t port)
{
	struct out_port out = {.port = port};

	if (port)
		out.capacity = room_of(&out);
	if (out.capacity == UINT32_MAX) /* nothing is there: the bus floats */
		out = (struct out_port){0};
	return out;
}

int ports_open(const struct conf *conf)
{
	const uint16_t out[] = {conf->out, conf->err, conf->log};

	for (unsigned i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		if (out[i] && ioperm(out[i], OUT_PORT_PORTS, 1) < 0)
			return -errno;
	if (ioperm(conf->exit, EXIT_PORT_PORTS, 1) < 0)
		return -errno;
	ports.exit = conf->exit;
	ports.out = out_port_open(conf->out);
	ports.err = out_port_open(conf->err);
	ports.log = out_port_open(conf->log);
	return 0;
}

size_t out_port_write(const struct out_port *out, const void *buf, size_t n)
{
	uint32_t room;

	if (!out->port)
		return n;
	room = room_of(out);
	if (n > room)
		n = room;
	/* KVM may collect four bytes at a time as cheaply as one. */
	outsl(out->port, buf, n / 4);
	outsb(out->port, (const char *)buf + n / 4 * 4, n % 4);
	return n;
}

void out_port_drain(const struct out_port *out)
{
	while (out->port && room_of(out) < out->capacity)
		wait_a_little();
}

static void log_write(const char *line, size_t n)
{
	while (n) {
		const size_t done = out_port_write(&ports.log, line, n);

		if (!done)
			wait_a_little();
		line += done;
		n -= done;
	}
	if (ports.log.port)
		(void)room_of(&ports.log); /* an exit: what KVM collected arrives now */
}

void log_line(const char *fmt, ...)
{
	char line[LINE_BYTES_MAX];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	n = strlen(line);
	line[n] = '\n';
	log_write(line, n + 1);
}

__attribute__((format(printf, 1, 0))) static void vsay(const char *fmt, va_list ap)
{
	char line[LINE_BYTES_MAX];

	vsnprintf(line, sizeof(line), fmt, ap);
	dprintf(STDERR_FILENO, "tollgate-init: %s\n", line);
	tcdrain(STDERR_FILENO);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

void leave(int status)
{
	kill(-1, SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	sync();
	mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL); /* clean, if it is a disk */
	log_line("ended %d", status);
	out_port_drain(&ports.out);
	out_port_drain(&ports.err);
	out_port_drain(&ports.log);
	outl((uint32_t)status, ports.exit);
	reboot(RB_POWER_OFF); /* where the exit port does nothing */
	for (;;)
		pause();
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
	leave(STATUS_FAILED);
}
