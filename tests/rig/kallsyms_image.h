/*
 * kallsyms_image.h - memory of a Linux kernel with kallsyms tables in it, laid out as scripts/kallsyms.c of the
 * versions from 5.10 to 7.0 does. For unit tests and fuzzing.
 */
#ifndef TESTS_RIG_KALLSYMS_IMAGE_H
#define TESTS_RIG_KALLSYMS_IMAGE_H

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum kallsyms_layout {
	KALLSYMS_5_10, /* offsets, base, count, names, markers, tokens; per-CPU addresses absolute */
	KALLSYMS_6_2,  /* the same with numbers of the names after the markers */
	KALLSYMS_6_4, /* count, names, markers, tokens, offsets, base, numbers; per-CPU addresses absolute */
	KALLSYMS_6_15, /* the same, all relative to the base */
	KALLSYMS_7_0,  /* without a base: relative to their own place */
	KALLSYMS_LAYOUTS,
};

enum {
	KALLSYMS_SYMBOLS = 1000,
	KALLSYMS_PER_CPU = 3, /* the first ones, in layouts that have them */
	KALLSYMS_IMAGE_BYTES = 64 << 10,
	KALLSYMS_TOKENS = 256,
	KALLSYMS_LONG = 200, /* bytes of the tokens of symbol KALLSYMS_LONG_AT */
	KALLSYMS_LONG_AT = 500,
};

#define KALLSYMS_LINEAR UINT64_C(0xffffffff82000000) /* of the image's first byte */
#define KALLSYMS_TEXT   UINT64_C(0xffffffff81000000) /* of the first symbol that is not per CPU */

struct kallsyms_image {
	_Alignas(8) uint8_t bytes[KALLSYMS_IMAGE_BYTES];
	size_t len;
	size_t align; /* of the tables' labels */
	size_t count, markers, token_table, token_index, offsets, base;
};

static inline int kallsyms_has_per_cpu(enum kallsyms_layout layout)
{
	return layout <= KALLSYMS_6_4;
}

static inline uint64_t kallsyms_addr(enum kallsyms_layout layout, unsigned i)
{
	return kallsyms_has_per_cpu(layout) && i < KALLSYMS_PER_CPU
		       ? i * UINT64_C(0x1000)
		       : KALLSYMS_TEXT + i * UINT64_C(64);
}

/* "fn_I"; token 128 is "fn_", the others are what they are. Type T, but each third one is D. */
static inline size_t kallsyms_name(unsigned i, uint8_t buf[KALLSYMS_LONG + 2])
{
	size_t n;

	buf[0] = i % 3 ? 'T' : 'D';
	buf[1] = 128;
	n = 2 + (size_t)sprintf((char *)buf + 2, "%u", i);
	while (i == KALLSYMS_LONG_AT && n < KALLSYMS_LONG)
		buf[n++] = 'x';
	return n;
}

static inline void kallsyms_align(struct kallsyms_image *img)
{
	while (img->len % img->align)
		img->bytes[img->len++] = 0;
}

static inline void kallsyms_put(struct kallsyms_image *img, const void *v, size_t n)
{
	assert(img->len + n <= sizeof(img->bytes));
	memcpy(img->bytes + img->len, v, n);
	img->len += n;
}

static inline void kallsyms_put32(struct kallsyms_image *img, uint32_t v)
{
	kallsyms_put(img, &v, sizeof(v));
}

static inline void kallsyms_put_offsets(struct kallsyms_image *img, enum kallsyms_layout layout)
{
	const uint64_t base = KALLSYMS_TEXT;

	kallsyms_align(img);
	img->offsets = img->len;
	for (unsigned i = 0; i < KALLSYMS_SYMBOLS; i++) {
		const uint64_t addr = kallsyms_addr(layout, i);

		if (layout == KALLSYMS_7_0)
			kallsyms_put32(img, (uint32_t)(addr - (KALLSYMS_LINEAR + img->len)));
		else if (!kallsyms_has_per_cpu(layout))
			kallsyms_put32(img, (uint32_t)(addr - base));
		else
			kallsyms_put32(img, i < KALLSYMS_PER_CPU ? (uint32_t)addr
								 : (uint32_t)(base - 1 - addr));
	}
	if (layout == KALLSYMS_7_0)
		return;
	kallsyms_align(img);
	img->base = img->len;
	kallsyms_put(img, &base, sizeof(base));
}

static inline void kallsyms_put_names(struct kallsyms_image *img)
{
	uint32_t marker[KALLSYMS_SYMBOLS / 256 + 1] = {0};
	uint8_t name[KALLSYMS_LONG + 2];
	size_t names;

	kallsyms_align(img);
	img->count = img->len;
	kallsyms_put32(img, KALLSYMS_SYMBOLS);
	kallsyms_align(img);
	names = img->len;
	for (unsigned i = 0; i < KALLSYMS_SYMBOLS; i++) {
		const size_t n = kallsyms_name(i, name);
		const uint8_t len[2] = {(uint8_t)(n > 127 ? (n & 0x7f) | 0x80 : n),
					(uint8_t)(n >> 7)};

		if (i % 256 == 0)
			marker[i / 256] = (uint32_t)(img->len - names);
		kallsyms_put(img, len, n > 127 ? 2 : 1);
		kallsyms_put(img, name, n);
	}
	kallsyms_align(img);
	img->markers = img->len;
	kallsyms_put(img, marker, sizeof(marker));
}

static inline void kallsyms_put_numbers(struct kallsyms_image *img)
{
	kallsyms_align(img);
	for (uint32_t i = 0; i < KALLSYMS_SYMBOLS; i++) {
		const uint32_t v = (i * 7) % KALLSYMS_SYMBOLS;

		kallsyms_put(img, &v, 3);
	}
}

/* Each character for itself, but for what is not printable: token I is then "tI", and token 128 "fn_". */
static inline void kallsyms_put_tokens(struct kallsyms_image *img)
{
	uint16_t index[KALLSYMS_TOKENS];

	kallsyms_align(img);
	img->token_table = img->len;
	for (unsigned i = 0; i < KALLSYMS_TOKENS; i++) {
		char token[8];
		const int n = i == 128              ? sprintf(token, "fn_")
			      : i > ' ' && i <= '~' ? sprintf(token, "%c", (char)i)
						    : sprintf(token, "t%u", i);

		index[i] = (uint16_t)(img->len - img->token_table);
		kallsyms_put(img, token, (size_t)n + 1);
	}
	kallsyms_align(img);
	img->token_index = img->len;
	kallsyms_put(img, index, sizeof(index));
}

static inline void kallsyms_image_make(struct kallsyms_image *img, enum kallsyms_layout layout,
				       size_t align)
{
	memset(img, 0, sizeof(*img));
	img->align = align;
	for (; img->len < 4096; img->len++) /* what is before: no tables */
		img->bytes[img->len] = (uint8_t)(img->len * 37 + 1);
	if (layout <= KALLSYMS_6_2)
		kallsyms_put_offsets(img, layout);
	kallsyms_put_names(img);
	if (layout == KALLSYMS_6_2)
		kallsyms_put_numbers(img);
	kallsyms_put_tokens(img);
	if (layout > KALLSYMS_6_2) {
		kallsyms_put_offsets(img, layout);
		kallsyms_put_numbers(img);
	}
	kallsyms_align(img);
	for (unsigned i = 0; i < 64; i++)
		kallsyms_put32(img, 0x90909090);
}

#endif
