/*
 * symbols.h - names for the addresses of a guest: from an ELF file's symbol table, a System.map, or the kallsyms
 * tables in a Linux kernel's memory. Pure: bytes to a table. Source lines are another process's to find
 * (symbols/lines.h). All bytes may be hostile: time and memory are bounded, and a name has printable characters only.
 *
 * Threads: none. A table does not change after it is made, but by symbols_move().
 */
#ifndef VMM_SYMBOLS_H
#define VMM_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum {
	SYMBOLS_MAX =
		1 << 20, /* in a table: a kernel with all of its sanitizers has half of that */
	SYMBOL_NAME_MAX = 512, /* bytes of a name with its NUL, as KSYM_NAME_LEN of Linux */
	SYMBOL_LINE_MAX = 256, /* bytes of "FILE:LINE" with its NUL */
	SYMBOL_TEXT_MAX = SYMBOL_NAME_MAX + SYMBOL_LINE_MAX + 48, /* of symbols_format() */
	SYMBOLS_BUILD_ID_MAX = 32,
};

struct symbols;
struct symbols_lines; /* symbols/lines.h */

struct symbol {
	const char *name; /* the table's */
	uint64_t addr;
	uint64_t size; /* bytes; 0: the last one, whose size is unknown */
	bool is_text;  /* code */
};

/*
 * The symbols of an ELF file, or of a System.map; which of the two its content says. name is for messages. -EINVAL
 * with diag for another file or one without symbols, -ENOMEM. *ret is for symbols_free().
 */
int symbols_parse(const char *name, const uint8_t *bytes, size_t len, struct symbols **ret,
		  struct diag *diag);

/* Whether an ELF file has at most max symbols, and one at least. */
bool symbols_elf_is_small(const uint8_t *bytes, size_t len, size_t max);

/* Whether the file is ELF with a name of DWARF's table of lines: else no process has to look for lines. */
bool symbols_elf_has_lines(const uint8_t *bytes, size_t len);

/*
 * The symbols of a running or loaded Linux: bytes are a part of its image that has all of .rodata, 8-byte aligned as
 * its addresses are; linear is the address of the first of them in the kernel. The bytes may change meanwhile. -ENOENT
 * when there are no tables, -ENOMEM.
 */
int symbols_parse_kallsyms(const uint8_t *bytes, size_t len, uint64_t linear, struct symbols **ret);

struct symbols *symbols_free(struct symbols *symbols); /* takes and returns NULL */

size_t symbols_count(const struct symbols *symbols);

/* The build ID of the ELF file: bytes in ret; 0: it has none. */
size_t symbols_build_id(const struct symbols *symbols, uint8_t ret[SYMBOLS_BUILD_ID_MAX]);

/* Adds to all addresses: where the kernel is, less where it was linked. */
void symbols_move(struct symbols *symbols, uint64_t offset);

/* The symbol that has that address in it. symbols may be NULL. */
bool symbols_find(const struct symbols *symbols, uint64_t addr, struct symbol *ret);

/* The address of the first symbol of that name. */
bool symbols_address(const struct symbols *symbols, const char *name, uint64_t *ret);

/* From now on the table has source lines, those of its file; lines is the table's, and goes with it. */
void symbols_set_lines(struct symbols *symbols, struct symbols_lines *lines);

/* Starts the process that finds them now, where there are any, instead of when the first line is wanted. */
void symbols_prepare_lines(const struct symbols *symbols);

/* "FILE:LINE" of an address; "" when it is not known. symbols may be NULL. Returns buf. */
const char *symbols_line(const struct symbols *symbols, uint64_t addr, char buf[SYMBOL_LINE_MAX]);

/*
 * "NAME+0xOFF/0xSIZE", as Linux writes it, with " FILE:LINE" when that is known; "" when no symbol has that address.
 * Returns buf.
 */
const char *symbols_format(const struct symbols *symbols, uint64_t addr, char buf[SYMBOL_TEXT_MAX]);

#endif
