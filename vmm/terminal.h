/* terminal.h - raw mode of the controlling terminal, given back however the process ends. */
#ifndef VMM_TERMINAL_H
#define VMM_TERMINAL_H

/*
 * Makes the terminal behind fd raw: no echo, no line editing, no signal keys; output processing
 * stays on. The first call remembers the old mode and arranges that exit() and the signals that end
 * a process with a core dump (SIGSEGV, SIGABRT, SIGQUIT, …) restore it. No effect when fd is no
 * terminal, or when it is our controlling one and we are in its background.
 */
void terminal_raw(int fd);

/* Restores the mode found by the first terminal_raw(); no effect otherwise. Async-signal-safe. */
void terminal_restore(void);

#endif
