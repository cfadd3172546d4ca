/* system_map.c - "ADDRESS TYPE NAME" per line, as nm(1) prints it: System.map, or a copy of /proc/kallsyms. */
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "symbols/internal.h"

struct map_line {
	uint64_t addr;
	char type;
	const char *name;
	size_t name_len;
};

static bool take_hex(const char **at, const char *end, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned digits = 0;

	for (; *at < end && digits <= 16; (*at)++, digits++) {
		const int digit = parse_hex_digit(**at);

		if (digit < 0)
			break;
		v = v << 4 | (uint64_t)digit;
	}
	*ret = v;
	return digits > 0 && digits <= 16;
}

/* The name ends at a blank: /proc/kallsyms has a module's name after it. */
static bool take_line(const char *at, const char *end, struct map_line *ret)
{
	if (!take_hex(&at, end, &ret->addr) || end - at < 4 || at[0] != ' ' || at[2] != ' ')
		return false;
	ret->type = at[1];
	ret->name = at + 3;
	for (at = ret->name; at < end && *at != ' ' && *at != '\t' && *at != '\r';)
		at++;
	ret->name_len = (size_t)(at - ret->name);
	return ret->name_len > 0;
}

static int map_add(struct symbols *symbols, const struct map_line *line)
{
	const char type = (char)(line->type | 0x20);
	const bool is_weak = type == 'w' || type == 'v';

	if (type == 'u' || type == 'a') /* not defined; not an address */
		return 0;
	return symbols_add(symbols,
			   &(struct symbols_new){
				   .name = line->name,
				   .name_len = line->name_len,
				   .addr = line->addr,
				   .rank = symbols_rank(line->name, line->name_len, is_weak),
				   .is_text = type == 't' || type == 'w',
			   });
}

static int refuse_line(const char *name, size_t nr, struct diag *diag)
{
	diag_set(diag, -EINVAL, "symbols-kind",
		 "symbols '%s' are neither an ELF file nor a System.map: line %zu is not "
		 "ADDRESS TYPE NAME",
		 name, nr);
	diag_remedy(diag, "name the vmlinux or the System.map of the kernel's build");
	return -EINVAL;
}

static int map_take(struct symbols *symbols, const char *name, const uint8_t *bytes, size_t len,
		    struct diag *diag)
{
	const char *at = (const char *)bytes, *end = at + len;
	int r = 0;

	for (size_t nr = 1; r == 0 && at < end; nr++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		struct map_line line;

		if (!take_line(at, newline ? newline : end, &line))
			return refuse_line(name, nr, diag);
		r = map_add(symbols, &line);
		at = newline ? newline + 1 : end;
	}
	return r < 0 ? diag_set(diag, r, "symbols-memory", "symbols '%s'", name) : 0;
}

/* /proc/kallsyms has zeros for who may not read it. */
static int map_check_addresses(const struct symbols *symbols, const char *name, struct diag *diag)
{
	if (symbols_have_addresses(symbols))
		return 0;
	diag_set(diag, -EINVAL, "symbols-no-addresses", "symbols '%s' have no addresses", name);
	diag_remedy(diag, "/proc/kallsyms shows addresses to root alone: copy it as root");
	return -EINVAL;
}

int symbols_map_parse(const char *name, const uint8_t *bytes, size_t len, struct symbols **ret,
		      struct diag *diag)
{
	struct symbols *symbols = NULL;
	int r = symbols_create(len / 48, &symbols);

	if (r < 0)
		return diag_set(diag, r, "symbols-memory", "symbols '%s'", name);
	r = map_take(symbols, name, bytes, len, diag);
	symbols_finish(symbols);
	if (r == 0)
		r = map_check_addresses(symbols, name, diag);
	if (r < 0) {
		symbols_free(symbols);
		return r;
	}
	*ret = symbols;
	return 0;
}
