#include "symbols.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "symbols/internal.h"
#include "symbols/lines.h"

enum {
	NAMES_BYTES_MAX = 96 << 20,
	CAP_MIN = 64,
	RANK_WEAK = 32,
};

struct entry {
	uint64_t addr;
	uint64_t size; /* 0: unknown */
	uint32_t name; /* in names */
	uint32_t order;
	uint16_t rank;
	bool is_text;
	bool is_open; /* size is only an upper bound */
};

struct symbols {
	struct entry *entry;
	size_t nr, cap;
	char *names;
	size_t names_len, names_cap;
	uint8_t build_id[SYMBOLS_BUILD_ID_MAX];
	size_t build_id_len;
	uint64_t moved;              /* from where they were linked */
	struct symbols_lines *lines; /* NULL: none */
};

int symbols_create(size_t nr, struct symbols **ret)
{
	struct symbols *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->cap = nr < CAP_MIN ? CAP_MIN : nr > SYMBOLS_MAX ? SYMBOLS_MAX : nr;
	s->names_cap = s->cap * 16;
	s->entry = malloc(s->cap * sizeof(*s->entry));
	s->names = malloc(s->names_cap);
	if (!s->entry || !s->names) {
		symbols_free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

struct symbols *symbols_free(struct symbols *s)
{
	if (!s)
		return NULL;
	symbols_lines_close(s->lines);
	free(s->entry);
	free(s->names);
	free(s);
	return NULL;
}

static bool is_name(const char *name, size_t len)
{
	if (len == 0 || len >= SYMBOL_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return true;
}

/* Room for one more, and its name. */
static int symbols_make_room(struct symbols *s, size_t name_len)
{
	if (s->nr == s->cap) {
		struct entry *more = realloc(s->entry, 2 * s->cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->entry = more;
		s->cap *= 2;
	}
	if (name_len + 1 > s->names_cap - s->names_len) {
		char *more = realloc(s->names, 2 * s->names_cap + name_len);

		if (!more)
			return -ENOMEM;
		s->names = more;
		s->names_cap = 2 * s->names_cap + name_len;
	}
	return 0;
}

int symbols_add(struct symbols *s, const struct symbols_new *symbol)
{
	struct entry *e;
	int r;

	if (s->nr == SYMBOLS_MAX || s->names_len > NAMES_BYTES_MAX ||
	    !is_name(symbol->name, symbol->name_len))
		return 0;
	r = symbols_make_room(s, symbol->name_len);
	if (r < 0)
		return r;
	e = &s->entry[s->nr];
	*e = (struct entry){
		.addr = symbol->addr,
		.size = symbol->size,
		.name = (uint32_t)s->names_len,
		.order = (uint32_t)s->nr++,
		.rank = (uint16_t)symbol->rank,
		.is_text = symbol->is_text,
		.is_open = symbol->size == 0,
	};
	if (e->is_open && symbol->end > symbol->addr)
		e->size = symbol->end - symbol->addr;
	memcpy(s->names + s->names_len, symbol->name, symbol->name_len);
	s->names_len += symbol->name_len;
	s->names[s->names_len++] = '\0';
	return 0;
}

unsigned symbols_rank(const char *name, size_t len, bool is_weak)
{
	unsigned underscores = 0;

	while (underscores < len && underscores < RANK_WEAK - 1 && name[underscores] == '_')
		underscores++;
	return underscores + (is_weak ? RANK_WEAK : 0);
}

static int entry_cmp(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static bool is_upper(const struct entry *e)
{
	return e->addr >> 63;
}

/* A kernel's per-CPU variables have offsets that look like addresses. */
static void drop_per_cpu(struct symbols *s)
{
	size_t upper = 0, kept = 0;

	for (size_t i = 0; i < s->nr; i++)
		upper += is_upper(&s->entry[i]);
	if (upper <= s->nr / 2)
		return;
	for (size_t i = 0; i < s->nr; i++)
		if (is_upper(&s->entry[i]))
			s->entry[kept++] = s->entry[i];
	s->nr = kept;
}

static bool is_sorted(const struct symbols *s)
{
	for (size_t i = 1; i < s->nr; i++)
		if (entry_cmp(&s->entry[i - 1], &s->entry[i]) > 0)
			return false;
	return true;
}

void symbols_finish(struct symbols *s)
{
	uint64_t next = 0; /* address after that of the current one; 0: none */

	drop_per_cpu(s);
	if (!is_sorted(s))
		qsort(s->entry, s->nr, sizeof(s->entry[0]), entry_cmp);
	for (size_t i = s->nr; i-- > 0;) {
		struct entry *e = &s->entry[i];

		if (i + 1 < s->nr && s->entry[i + 1].addr != e->addr)
			next = s->entry[i + 1].addr;
		if (e->is_open && next && (e->size == 0 || e->size > next - e->addr))
			e->size = next - e->addr;
	}
}

int symbols_parse(const char *name, const uint8_t *bytes, size_t len, struct symbols **ret,
		  struct diag *diag)
{
	return symbols_elf_matches(bytes, len) ? symbols_elf_parse(name, bytes, len, ret, diag)
					       : symbols_map_parse(name, bytes, len, ret, diag);
}

bool symbols_have_addresses(const struct symbols *s)
{
	return s->nr > 0 && s->entry[s->nr - 1].addr != 0;
}

size_t symbols_count(const struct symbols *s)
{
	return s->nr;
}

void symbols_set_build_id(struct symbols *s, const uint8_t *id, size_t len)
{
	if (len > sizeof(s->build_id))
		return;
	memcpy(s->build_id, id, len);
	s->build_id_len = len;
}

size_t symbols_build_id(const struct symbols *s, uint8_t ret[SYMBOLS_BUILD_ID_MAX])
{
	memcpy(ret, s->build_id, s->build_id_len);
	return s->build_id_len;
}

void symbols_move(struct symbols *s, uint64_t offset)
{
	for (size_t i = 0; i < s->nr; i++)
		s->entry[i].addr += offset;
	s->moved += offset;
	if (!is_sorted(s)) /* some went past the end of the address space */
		qsort(s->entry, s->nr, sizeof(s->entry[0]), entry_cmp);
}

bool symbols_find(const struct symbols *s, uint64_t addr, struct symbol *ret)
{
	size_t low = 0, high = s ? s->nr : 0;
	const struct entry *e;

	/* The first one past addr. */
	while (low < high) {
		const size_t mid = low + (high - low) / 2;

		if (s->entry[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0)
		return false;
	e = &s->entry[low - 1];
	while (e > s->entry && e[-1].addr == e->addr)
		e--;
	if (addr - e->addr >= e->size && addr != e->addr)
		return false;
	*ret = (struct symbol){.name = s->names + e->name,
			       .addr = e->addr,
			       .size = e->size,
			       .is_text = e->is_text};
	return true;
}

bool symbols_address(const struct symbols *s, const char *name, uint64_t *ret)
{
	for (size_t i = 0; i < s->nr; i++) {
		if (strcmp(s->names + s->entry[i].name, name) == 0) {
			*ret = s->entry[i].addr;
			return true;
		}
	}
	return false;
}

void symbols_prepare_lines(const struct symbols *s)
{
	if (s->lines)
		symbols_lines_start(s->lines);
}

void symbols_set_lines(struct symbols *s, struct symbols_lines *lines)
{
	symbols_lines_close(s->lines);
	s->lines = lines;
}

const char *symbols_line(const struct symbols *s, uint64_t addr, char buf[SYMBOL_LINE_MAX])
{
	buf[0] = '\0';
	return s && s->lines ? symbols_lines_find(s->lines, addr - s->moved, buf) : buf;
}

const char *symbols_format(const struct symbols *s, uint64_t addr, char buf[SYMBOL_TEXT_MAX])
{
	char line[SYMBOL_LINE_MAX];
	struct symbol symbol;

	buf[0] = '\0';
	if (!symbols_find(s, addr, &symbol))
		return buf;
	symbols_line(s, addr, line);
	snprintf(buf, SYMBOL_TEXT_MAX, "%s+0x%" PRIx64 "/0x%" PRIx64 "%s%s", symbol.name,
		 addr - symbol.addr, symbol.size, line[0] ? " " : "", line);
	return buf;
}
