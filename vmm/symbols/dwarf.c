#include "symbols/dwarf.h"

#ifdef TOLLGATE_HAVE_LIBDW

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define DWARF_SONAME "libdw.so.1"

enum { RANGES_MAX = 1 << 20 };

struct libdw {
	__typeof__(dwarf_begin) *begin;
	__typeof__(dwarf_end) *end;
	__typeof__(dwarf_addrdie) *addrdie;
	__typeof__(dwarf_nextcu) *nextcu;
	__typeof__(dwarf_offdie) *offdie;
	__typeof__(dwarf_ranges) *ranges;
	__typeof__(dwarf_getsrc_die) *getsrc_die;
	__typeof__(dwarf_linesrc) *linesrc;
	__typeof__(dwarf_lineno) *lineno;
	__typeof__(dwarf_attr) *attr;
	__typeof__(dwarf_formstring) *formstring;
};

/* Addresses of one compilation unit, from first to before end. */
struct dwarf_range {
	uint64_t first, end;
	Dwarf_Off unit; /* of its DIE */
};

struct dwarf_file {
	struct libdw lib;
	Dwarf *dwarf;
	struct dwarf_range *range; /* those of all units; NULL: not read yet */
	size_t nr, cap;
};

const char *dwarf_soname(void)
{
	return DWARF_SONAME;
}

static bool libdw_load(struct libdw *ret)
{
	const struct {
		const char *name;
		void *fn; /* where the function's pointer goes */
	} symbols[] = {
		{"dwarf_begin", &ret->begin},           {"dwarf_end", &ret->end},
		{"dwarf_addrdie", &ret->addrdie},       {"dwarf_nextcu", &ret->nextcu},
		{"dwarf_offdie", &ret->offdie},         {"dwarf_ranges", &ret->ranges},
		{"dwarf_getsrc_die", &ret->getsrc_die}, {"dwarf_linesrc", &ret->linesrc},
		{"dwarf_lineno", &ret->lineno},         {"dwarf_attr", &ret->attr},
		{"dwarf_formstring", &ret->formstring},
	};
	void *lib =
		dlopen(DWARF_SONAME, RTLD_NOW | RTLD_LOCAL); /* stays, as the process is short */

	for (size_t i = 0; lib && i < ARRAY_SIZE(symbols); i++) {
		void *sym = dlsym(lib, symbols[i].name);

		if (!sym)
			return false;
		/* ISO C has no cast from data to function pointers. */
		memcpy(symbols[i].fn, &sym, sizeof(sym));
	}
	return lib != NULL;
}

struct dwarf_file *dwarf_file_open(int fd)
{
	struct dwarf_file *file = calloc(1, sizeof(*file));

	if (file && libdw_load(&file->lib))
		file->dwarf = file->lib.begin(fd, DWARF_C_READ);
	return file && file->dwarf ? file : dwarf_file_close(file);
}

struct dwarf_file *dwarf_file_close(struct dwarf_file *file)
{
	if (!file)
		return NULL;
	if (file->dwarf)
		file->lib.end(file->dwarf);
	free(file->range);
	free(file);
	return NULL;
}

static void add_unit_ranges(struct dwarf_file *file, Dwarf_Off at)
{
	Dwarf_Die unit;
	Dwarf_Addr base = 0, first = 0, end = 0;
	ptrdiff_t next = 0;

	if (!file->lib.offdie(file->dwarf, at, &unit))
		return;
	while ((next = file->lib.ranges(&unit, next, &base, &first, &end)) > 0) {
		if (!file->range || file->nr == file->cap)
			return;
		file->range[file->nr++] =
			(struct dwarf_range){.first = first, .end = end, .unit = at};
	}
}

static void read_ranges(struct dwarf_file *file)
{
	Dwarf_Off at = 0, next = 0;
	size_t header;

	file->range = calloc(RANGES_MAX, sizeof(*file->range));
	if (!file->range)
		return;
	file->cap = RANGES_MAX;
	for (; file->lib.nextcu(file->dwarf, at, &next, &header, NULL, NULL, NULL) == 0; at = next)
		add_unit_ranges(file, at + header);
}

/* Clang writes no .debug_aranges, and an assembler may leave it out. */
static bool find_unit(struct dwarf_file *file, uint64_t addr, Dwarf_Die *ret)
{
	if (!file->range)
		read_ranges(file);
	for (size_t i = 0; i < file->nr; i++)
		if (addr >= file->range[i].first && addr < file->range[i].end)
			return file->lib.offdie(file->dwarf, file->range[i].unit, ret) != NULL;
	return false;
}

/* A path inside the directory of the unit, without that: those of a build differ in nothing else. */
static const char *path_in(const struct dwarf_file *file, Dwarf_Die *unit, const char *path)
{
	Dwarf_Attribute attribute;
	const char *dir = NULL;
	size_t len;

	if (file->lib.attr(unit, DW_AT_comp_dir, &attribute))
		dir = file->lib.formstring(&attribute);
	len = dir ? strlen(dir) : 0;
	return len > 0 && strncmp(path, dir, len) == 0 && path[len] == '/' ? path + len + 1 : path;
}

bool dwarf_file_line(struct dwarf_file *file, uint64_t addr, char ret[SYMBOL_LINE_MAX])
{
	const struct libdw *lib = &file->lib;
	Dwarf_Die unit;
	Dwarf_Line *line;
	const char *path;
	int number;

	if (!lib->addrdie(file->dwarf, addr, &unit) && !find_unit(file, addr, &unit))
		return false;
	line = lib->getsrc_die(&unit, addr);
	path = line ? lib->linesrc(line, NULL, NULL) : NULL;
	/* Line 0: code of no source line (DWARF 5, 6.2.2). */
	if (!path || lib->lineno(line, &number) != 0 || number <= 0)
		return false;
	return snprintf(ret, SYMBOL_LINE_MAX, "%s:%d", path_in(file, &unit, path), number) <
	       SYMBOL_LINE_MAX;
}

#else

#include <stddef.h>

const char *dwarf_soname(void)
{
	return NULL;
}

struct dwarf_file *dwarf_file_open(int fd)
{
	(void)fd;
	return NULL;
}

struct dwarf_file *dwarf_file_close(struct dwarf_file *file)
{
	(void)file;
	return NULL;
}

bool dwarf_file_line(struct dwarf_file *file, uint64_t addr, char ret[SYMBOL_LINE_MAX])
{
	(void)file;
	(void)addr;
	(void)ret;
	return false;
}

#endif
