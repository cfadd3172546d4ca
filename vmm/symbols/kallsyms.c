/*
 * kallsyms.c - the tables by which a running Linux names its own addresses (scripts/kallsyms.c and kernel/kallsyms.c
 * of Linux 5.10 to 7.0). They have no header: README.md says how they are found.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "symbols/internal.h"

enum {
	TOKENS = 256,
	TOKEN_MAX = 64, /* bytes of a token with its NUL; Linux's have a dozen */
	INDEX_BYTES = TOKENS * 2,
	ALIGN_MAX = 8,
	MARKER_EVERY = 256,
	MARKERS_MAX = SYMBOLS_MAX / MARKER_EVERY,
	NAME_BYTES_MIN = 2, /* with its length */
	NAME_BYTES_MAX = 2 + SYMBOL_NAME_MAX,
	/* Limits on the cost of hostile bytes. */
	INDEXES_MAX = 128,      /* that look like a token index */
	MARKERS_TRIED_MAX = 64, /* that look like markers, for each of those */
	BUDGET = 48 << 20,      /* steps of the search for names */
};

struct kallsyms {
	const uint8_t *bytes;
	size_t len;
	uint64_t linear; /* of bytes */
	/* Where they are in bytes. */
	size_t count, names, markers, token_table, token_index, offsets;
	size_t nr;
	uint64_t base; /* of what is relative to it */
	unsigned budget;
	/* Copies, because the guest may change its own. */
	uint16_t index[TOKENS];
	char tokens[TOKENS * TOKEN_MAX];
};

static uint16_t le16(const struct kallsyms *k, size_t at)
{
	uint16_t v;

	memcpy(&v, k->bytes + at, sizeof(v));
	return v;
}

static uint32_t le32(const struct kallsyms *k, size_t at)
{
	uint32_t v;

	memcpy(&v, k->bytes + at, sizeof(v));
	return v;
}

static uint64_t le64(const struct kallsyms *k, size_t at)
{
	uint64_t v;

	memcpy(&v, k->bytes + at, sizeof(v));
	return v;
}

static size_t align_up(size_t v, size_t align)
{
	return (v + align - 1) & ~(align - 1);
}

/* Whether 256 numbers ascend as the beginnings of short strings do. */
static bool is_index(struct kallsyms *k, size_t at)
{
	k->index[0] = le16(k, at);
	for (unsigned i = 1; i < TOKENS; i++) {
		k->index[i] = le16(k, at + i * sizeof(k->index[0]));
		if (k->index[i] < k->index[i - 1] + 2 || k->index[i] > k->index[i - 1] + TOKEN_MAX)
			return false;
	}
	return k->index[0] == 0;
}

/* Whether the len bytes of tokens[] are exactly the strings that index[] says. */
static bool are_tokens(const struct kallsyms *k, size_t len)
{
	for (unsigned i = 0; i < TOKENS; i++) {
		const size_t end = i + 1 < TOKENS ? k->index[i + 1] : len;
		const size_t n = end - k->index[i];

		if (strnlen(k->tokens + k->index[i], n) != n - 1)
			return false;
	}
	return true;
}

/* The table ends where the index begins, but for zeros that align the latter. */
static bool find_token_table(struct kallsyms *k)
{
	const size_t last = k->index[TOKENS - 1];

	for (size_t len = last + 2; len <= last + TOKEN_MAX; len++) {
		for (size_t pad = 0; pad < ALIGN_MAX; pad++) {
			if (len + pad > k->token_index || (k->token_index - len - pad) % 4 != 0)
				continue;
			k->token_table = k->token_index - len - pad;
			memcpy(k->tokens, k->bytes + k->token_table, len);
			if (are_tokens(k, len))
				return true;
		}
	}
	return false;
}

/* The name at *at: one or two bytes of length (ULEB128), then tokens; *at is past it then. */
static bool next_name(const struct kallsyms *k, size_t *at, size_t *ret_first, size_t *ret_len)
{
	size_t len;

	if (*at + 2 > k->markers)
		return false;
	len = k->bytes[(*at)++];
	if (len & 0x80)
		len = (len & 0x7f) | (size_t)(k->bytes[(*at)++] & 0x7f) << 7;
	if (len == 0 || len > k->markers - *at)
		return false;
	*ret_first = *at;
	*ret_len = len;
	*at += len;
	return true;
}

/* How many markers are at at: numbers from 0 on that ascend by what 256 names take. */
static size_t count_markers(const struct kallsyms *k, size_t at)
{
	size_t nr = 0;
	uint32_t before = 0;

	for (; at + (nr + 1) * 4 <= k->token_table && nr < MARKERS_MAX; nr++) {
		const uint32_t marker = le32(k, at + nr * 4);

		if (nr == 0 ? marker != 0
			    : marker < before + MARKER_EVERY * NAME_BYTES_MIN ||
				      marker > before + MARKER_EVERY * NAME_BYTES_MAX)
			break;
		before = marker;
	}
	return nr;
}

/* Whether nr names are there, end before the markers but for zeros that align these, and are where these say. */
static bool are_names(struct kallsyms *k)
{
	size_t at = k->names, first, len;

	for (size_t i = 0; i < k->nr; i++) {
		if (i % MARKER_EVERY == 0 &&
		    le32(k, k->markers + i / MARKER_EVERY * 4) != at - k->names)
			return false;
		if (k->budget == 0 || !next_name(k, &at, &first, &len))
			return false;
		k->budget--;
	}
	return at <= k->markers && k->markers - at < ALIGN_MAX;
}

/* The count is before the names, of which nobody knows the length; it has to fit the number of markers. */
static bool find_count(struct kallsyms *k, size_t nr_markers)
{
	for (size_t at = k->markers & ~(size_t)3; at >= ALIGN_MAX && k->budget > 0; at -= 4) {
		k->budget--;
		k->count = at - ALIGN_MAX;
		k->nr = le32(k, k->count);
		if ((k->nr + MARKER_EVERY - 1) / MARKER_EVERY != nr_markers)
			continue;
		k->names = k->count + ALIGN_MAX;
		if (le32(k, k->count + 4) == 0 && are_names(k))
			return true;
		k->names = k->count + ALIGN_MAX / 2;
		if (are_names(k))
			return true;
	}
	return false;
}

/* Backwards from the token table: before it are the markers, in Linux 6.2 and 6.3 with numbers of the names between. */
static bool find_names(struct kallsyms *k)
{
	unsigned left = MARKERS_TRIED_MAX;

	for (size_t at = k->token_table & ~(size_t)3; at >= 4 && left > 0 && k->budget > 0;
	     at -= 4) {
		size_t nr;

		k->budget--;
		k->markers = at - 4;
		nr = count_markers(k, k->markers);
		if (nr < 2)
			continue;
		left--;
		if (find_count(k, nr))
			return true;
	}
	return false;
}

/* How a number of the offsets becomes an address. */
typedef uint64_t address_fn(const struct kallsyms *k, size_t i);

static uint64_t from_base(const struct kallsyms *k, size_t i)
{
	return k->base + le32(k, k->offsets + i * 4);
}

/* CONFIG_KALLSYMS_ABSOLUTE_PERCPU, on x86 to Linux 6.14. */
static uint64_t from_base_or_absolute(const struct kallsyms *k, size_t i)
{
	const int32_t v = (int32_t)le32(k, k->offsets + i * 4);

	return v >= 0 ? (uint64_t)v : k->base - 1 - (uint64_t)(int64_t)v;
}

static uint64_t from_place(const struct kallsyms *k, size_t i)
{
	const size_t at = k->offsets + i * 4;

	return k->linear + at + (uint64_t)(int64_t)(int32_t)le32(k, at);
}

static bool do_ascend(const struct kallsyms *k, address_fn *address)
{
	uint64_t before = 0;

	for (size_t i = 0; i < k->nr; i++) {
		const uint64_t addr = address(k, i);

		if (addr < before)
			return false;
		before = addr;
	}
	return before >> 63; /* in the upper half, where a kernel is */
}

static address_fn *choose_from_base(struct kallsyms *k, size_t base_at)
{
	k->base = le64(k, base_at);
	if (!(k->base >> 63))
		return NULL;
	return do_ascend(k, from_base_or_absolute) ? from_base_or_absolute
	       : do_ascend(k, from_base)           ? from_base
						   : NULL;
}

/* Linux to 6.3 has offsets and base before the count, later ones after the token index, and 7.0 has no base. */
static address_fn *find_offsets(struct kallsyms *k)
{
	const size_t bytes = align_up(k->nr * 4, ALIGN_MAX);
	address_fn *found = NULL;

	if (k->count >= bytes + sizeof(k->base)) {
		k->offsets = k->count - sizeof(k->base) - bytes;
		found = choose_from_base(k, k->count - sizeof(k->base));
	}
	if (found || k->len - k->token_index < INDEX_BYTES + bytes)
		return found;
	k->offsets = k->token_index + INDEX_BYTES;
	if (k->len - k->offsets >= bytes + ALIGN_MAX + sizeof(k->base))
		found = choose_from_base(k, align_up(k->offsets + k->nr * 4, ALIGN_MAX));
	if (!found && do_ascend(k, from_place))
		found = from_place;
	return found;
}

static bool kallsyms_find(struct kallsyms *k, address_fn **ret)
{
	unsigned left = INDEXES_MAX;

	for (size_t at = 0; at + INDEX_BYTES <= k->len && left > 0; at += 4) {
		const uint32_t first = le32(k, at);

		if ((first & 0xffff) != 0 || first >> 16 < 2 || first >> 16 > TOKEN_MAX ||
		    !is_index(k, at))
			continue;
		left--;
		k->token_index = at;
		if (!find_token_table(k) || !find_names(k))
			continue;
		*ret = find_offsets(k);
		if (*ret)
			return true;
	}
	return false;
}

/* Of a name and the type before it. */
static size_t expand(const struct kallsyms *k, size_t at, size_t len, char buf[SYMBOL_NAME_MAX + 2])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const char *token = k->tokens + k->index[k->bytes[at + i]];
		const size_t more = strlen(token);

		if (more > SYMBOL_NAME_MAX - n)
			return 0;
		memcpy(buf + n, token, more + 1);
		n += more;
	}
	return n;
}

static bool is_text_type(char type)
{
	return type == 't' || type == 'T' || type == 'w' || type == 'W';
}

static int kallsyms_take(const struct kallsyms *k, address_fn *address, struct symbols *symbols)
{
	size_t at = k->names, first, len;
	char buf[SYMBOL_NAME_MAX + 2];
	int r = 0;

	for (size_t i = 0; r == 0 && i < k->nr && next_name(k, &at, &first, &len); i++) {
		const size_t n = expand(k, first, len, buf);

		if (n > 1)
			r = symbols_add(symbols, &(struct symbols_new){
							 .name = buf + 1,
							 .name_len = n - 1,
							 .addr = address(k, i),
							 .is_text = is_text_type(buf[0]),
						 });
	}
	if (r == 0)
		symbols_finish(symbols);
	return r;
}

int symbols_parse_kallsyms(const uint8_t *bytes, size_t len, uint64_t linear, struct symbols **ret)
{
	AUTO_FREE struct kallsyms *k = calloc(1, sizeof(*k));
	struct symbols *symbols = NULL;
	address_fn *address = NULL;
	int r;

	if (!k)
		return -ENOMEM;
	k->bytes = bytes;
	k->len = len;
	k->linear = linear;
	k->budget = BUDGET;
	if (!kallsyms_find(k, &address))
		return -ENOENT;
	r = symbols_create(k->nr, &symbols);
	if (r == 0)
		r = kallsyms_take(k, address, symbols);
	if (r < 0) {
		symbols_free(symbols);
		return r;
	}
	*ret = symbols;
	return 0;
}
