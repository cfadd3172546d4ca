/*
 * Fuzz target: names of addresses from ELF files, System.maps and the kallsyms tables in a kernel's memory.
 *
 * Input: what it is (first byte), then for kallsyms changes to a good image: where, how many bytes, and these. All else
 * is a file. Invariants, besides not crashing: a symbol that is found has the address in it, its name is printable,
 * and the next address after it is not its own.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kallsyms_image.h"
#include "symbols.h"

static void check_at(const struct symbols *symbols, uint64_t addr)
{
	char text[SYMBOL_TEXT_MAX];
	struct symbol symbol;

	if (!symbols_find(symbols, addr, &symbol)) {
		assert(symbols_format(symbols, addr, text)[0] == '\0');
		return;
	}
	assert(symbol.addr <= addr && (addr - symbol.addr < symbol.size || addr == symbol.addr));
	assert(strlen(symbol.name) > 0 && strlen(symbol.name) < SYMBOL_NAME_MAX);
	for (const char *c = symbol.name; *c; c++)
		assert(*c > ' ' && *c <= '~');
	assert(strlen(symbols_format(symbols, addr, text)) < SYMBOL_TEXT_MAX - 1);
}

static void check(struct symbols *symbols, struct fuzz_input in)
{
	uint64_t addr;

	assert(symbols_count(symbols) <= SYMBOLS_MAX);
	for (unsigned i = 0; i < 8; i++) {
		check_at(symbols, fuzz_uint(&in, 8));
		check_at(symbols, KALLSYMS_TEXT + fuzz_uint(&in, 2));
	}
	symbols_move(symbols, fuzz_uint(&in, 8));
	if (symbols_address(symbols, "fn_20", &addr))
		check_at(symbols, addr);
	symbols_free(symbols);
}

static void change(struct kallsyms_image *image, struct fuzz_input *in)
{
	for (unsigned n = fuzz_u8(in) % 8; n > 0; n--) {
		const size_t places[] = {image->count,
					 image->markers,
					 image->token_table,
					 image->token_index,
					 image->offsets,
					 image->base,
					 0,
					 image->len};
		size_t at = places[fuzz_u8(in) % 8] + (size_t)fuzz_u8(in) * 4;
		const unsigned bytes = fuzz_u8(in) % 9;
		const uint64_t v = fuzz_uint(in, 8);

		if (at > sizeof(image->bytes) - 8)
			at = 0;
		memcpy(image->bytes + at, &v, bytes < 8 ? bytes : 8);
	}
}

static int parse_kallsyms(struct fuzz_input *in, struct symbols **ret)
{
	static struct kallsyms_image image;
	const unsigned how = fuzz_u8(in);
	size_t len;
	uint8_t *copy;
	int r;

	kallsyms_image_make(&image, (enum kallsyms_layout)(how % KALLSYMS_LAYOUTS),
			    how & 0x80 ? 4 : 8);
	change(&image, in);
	len = how & 0x40 ? (size_t)fuzz_uint(in, 2) % image.len : image.len;
	copy = malloc(len ? len : 1);
	assert(copy);
	memcpy(copy, image.bytes, len);
	r = symbols_parse_kallsyms(copy, len, KALLSYMS_LINEAR + fuzz_uint(in, 4), ret);
	free(copy);
	return r;
}

/* Any bytes after the beginning of an ELF file, or of a System.map. */
static int parse_file(struct fuzz_input *in, unsigned kind, struct symbols **ret)
{
	static const uint8_t first[3][16] = {
		{0x7f, 'E', 'L', 'F', 2, 1, 1},
		{0x7f, 'E', 'L', 'F', 1, 1, 1},
		{'1', ' ', 'T', ' ', 'a', '\n', '7', '7', '7', '7', '7', '7', '7', '7', '7', '7'},
	};
	const size_t len = 16 + in->left;
	uint8_t *copy = malloc(len);
	int r;

	assert(copy);
	memcpy(copy, first[kind - 1], 16);
	memcpy(copy + 16, in->data, in->left);
	symbols_elf_is_small(copy, len, 100);
	r = symbols_parse("fuzz", copy, len, ret, NULL);
	free(copy);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	struct symbols *symbols = NULL;
	const unsigned kind = fuzz_u8(&in) % 8;
	const int r = kind > 0 && kind < 4 ? parse_file(&in, kind, &symbols)
					   : parse_kallsyms(&in, &symbols);

	assert((r == 0) == (symbols != NULL));
	if (r == 0)
		check(symbols, in);
	return 0;
}
