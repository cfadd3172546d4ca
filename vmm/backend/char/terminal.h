/* terminal.h - raw mode of the controlling terminal, given back however the process ends. */
#ifndef VMM_BACKEND_CHAR_TERMINAL_H
#define VMM_BACKEND_CHAR_TERMINAL_H

#include <stdbool.h>

/*
 * Makes the terminal that fd refers to raw: no echo, no line editing, no signal keys; output processing
 * stays on. The first call remembers the old mode and arranges that exit() and the signals that end
 * a process with a core dump (SIGSEGV, SIGABRT, SIGQUIT, …) restore it, but for those that are ignored.
 * No effect when fd is not a terminal. False, without effect, when we are in the terminal's background.
 */
bool terminal_raw(int fd);

/* Whether fd is our controlling terminal and another process group than ours is in its foreground. */
bool terminal_in_background(int fd);

/* Prints text on our controlling terminal, as much as it takes at once; nothing when there is none. */
void terminal_print(const char *text);

/*
 * Restores the mode found by the first terminal_raw(); no effect otherwise, and none in the terminal's
 * background, where its mode is somebody else's. Async-signal-safe.
 */
void terminal_restore(void);

#endif
