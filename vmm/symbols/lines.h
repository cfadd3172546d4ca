/*
 * lines.h - source lines of addresses, from the DWARF of an ELF file. The file may be hostile, and libdw crashes, loops
 * or grows on some of those. So another process reads it: this program started anew, with limits on its time and
 * memory, and without any other descriptor. When it fails, there are no lines, and nothing else happens.
 *
 * It is started when the first line is wanted, or before the caller is confined. It reads the file when it is asked for
 * the first line. It is this program (/proc/self/exe): one that is not tollgate must not start it.
 *
 * Threads: one at a time, and not one with KVM_RUN.
 */
#ifndef VMM_SYMBOLS_LINES_H
#define VMM_SYMBOLS_LINES_H

#include <stdint.h>

#include "symbols.h"

/* The command of that process; no user's. */
#define SYMBOLS_LINES_COMMAND "source-lines"

enum { SYMBOLS_LINES_WAIT_MS = 60 * 1000 };

/*
 * The file at fd, of which a duplicate is kept. All lines together are waited for wait_ms at most: then there are no
 * more. -errno. *ret is for symbols_lines_close().
 */
int symbols_lines_open(int fd, int wait_ms, struct symbols_lines **ret);

/* Starts the process now. Without it there are no lines. */
void symbols_lines_start(struct symbols_lines *lines);

struct symbols_lines *symbols_lines_close(struct symbols_lines *lines); /* takes and returns NULL */

/*
 * Copies "FILE:LINE" of an address as linked, in printable characters, to ret, and returns that. "" when there is none,
 * or the file was changed since it was opened.
 */
const char *symbols_lines_find(struct symbols_lines *lines, uint64_t addr,
			       char ret[SYMBOL_LINE_MAX]);

/* That process: serves until its socket is closed. Returns the exit status. */
int symbols_lines_main(void);

#endif
