/*
 * input.h - the command's standard input and its interrupts, from the host by hvc0 (vmm/backend/char/command.c).
 *
 * hvc0 is raw, and a byte 0x10 is an escape: 0x10 0x10 is that byte, 0x10 'E' the end of the input, and 0x10 'I' an
 * interrupt for the command's process group. Each 'R' that this writes allows the host INPUT_CREDIT bytes more of
 * input, escapes not counted. So all that comes has room here, and an interrupt waits for no command that reads nothing.
 */
#ifndef INIT_INPUT_H
#define INIT_INPUT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define INPUT_TERMINAL "/dev/hvc0"

enum { INPUT_CREDIT = 2048, INPUT_BYTES = 2 * INPUT_CREDIT };

struct input {
	int hvc_fd;
	int pipe_fd; /* to the command; -1: it has no more */
	bool escaped, ended;
	size_t first, len; /* of buf: what is still to go to the command */
	size_t written;    /* to it, since the last credit */
	uint8_t buf[INPUT_BYTES];
};

/* Opens the terminal, INPUT_TERMINAL but in tests, or fails. *ret_command_fd is the command's standard input. */
void input_open(struct input *input, const char *terminal, int *ret_command_fd);

/* Once the command runs: the host may send. */
void input_start(const struct input *input);

/* Two entries for poll(2); fd -1: nothing. */
void input_wait_for(const struct input *input, struct pollfd pfd[2]);

/* These have come. An interrupt goes to the process group of pid. */
void input_run(struct input *input, const struct pollfd pfd[2], pid_t pid);

#endif
