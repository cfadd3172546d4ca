/*
 * debug_exit.c - ends a machine with a code: writes it to the port of QEMU's isa-debug-exit, on which
 * QEMU exits with 2 * code + 1: at once, or as 11.1 does, after a moment. Tollgate has the same port, so
 * guests use this program too.
 * In C because Debian's cloud kernel has no /dev/port.
 */
#include <stdlib.h>
#include <sys/io.h>
#include <termios.h>
#include <unistd.h>

enum {
	DEBUG_EXIT_PORT = 0x501, /* as tests/linux/testbed places the device */
	CONTROL_FD = 3,          /* as tests/linux/testbed-init opens L1's control channel */
	MOMENT_S = 60,
};

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	/* The last output is still on its way through the UARTs. */
	tcdrain(STDOUT_FILENO);
	tcdrain(CONTROL_FD);
	if (ioperm(DEBUG_EXIT_PORT, 1, 1) != 0)
		return 1;
	outb((unsigned char)strtoul(argv[1], NULL, 10), DEBUG_EXIT_PORT);
	sleep(MOMENT_S); /* the kernel panics when its init ends */
	return 1;        /* no such device */
}
