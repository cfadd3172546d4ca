/*
 * dwarf.h - source lines from the DWARF of an ELF file, by libdw of elfutils, which is loaded when the first file is
 * opened. The file may be hostile, and libdw is not made for that: only the process of lines.h calls these functions.
 *
 * Threads: one at a time.
 */
#ifndef VMM_SYMBOLS_DWARF_H
#define VMM_SYMBOLS_DWARF_H

#include <stdbool.h>
#include <stdint.h>

#include "symbols.h"

struct dwarf_file;

/* The library; NULL: left out of this build. */
const char *dwarf_soname(void);

/*
 * The file at fd, which stays the caller's and open. NULL: it has no DWARF, or there is no libdw. For
 * dwarf_file_close().
 */
struct dwarf_file *dwarf_file_open(int fd);

struct dwarf_file *dwarf_file_close(struct dwarf_file *file); /* takes and returns NULL */

/*
 * "FILE:LINE" of an address as linked; false: none. FILE is relative to the directory that its compiler ran in, if it
 * is inside.
 */
bool dwarf_file_line(struct dwarf_file *file, uint64_t addr, char ret[SYMBOL_LINE_MAX]);

#endif
