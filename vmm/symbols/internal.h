/* internal.h - between the table and those that fill it. */
#ifndef VMM_SYMBOLS_INTERNAL_H
#define VMM_SYMBOLS_INTERNAL_H

#include "symbols.h"

struct symbols_new {
	const char *name; /* need not end with a NUL */
	size_t name_len;
	uint64_t addr;
	uint64_t size; /* 0: unknown */
	uint64_t end;  /* what is unknown ends there at the latest; 0: unknown */
	unsigned rank; /* of symbols at one address the lowest wins, then the first */
	bool is_text;
};

/* -ENOMEM. Room for nr symbols is made at first, which may be a guess. */
int symbols_create(size_t nr, struct symbols **ret);

/* A name that is empty, too long or not printable is left out; symbols past SYMBOLS_MAX are, too. -ENOMEM. */
int symbols_add(struct symbols *symbols, const struct symbols_new *symbol);

/* After the last one: sorts them. */
void symbols_finish(struct symbols *symbols);

/* Whether one of them is not 0. */
bool symbols_have_addresses(const struct symbols *symbols);

void symbols_set_build_id(struct symbols *symbols, const uint8_t *id, size_t len);

/* The rank of a name: fewer underscores first, as Linux does, and a weak symbol last. */
unsigned symbols_rank(const char *name, size_t len, bool is_weak);

bool symbols_elf_matches(const uint8_t *bytes, size_t len);
int symbols_elf_parse(const char *name, const uint8_t *bytes, size_t len, struct symbols **ret,
		      struct diag *diag);
int symbols_map_parse(const char *name, const uint8_t *bytes, size_t len, struct symbols **ret,
		      struct diag *diag);

#endif
