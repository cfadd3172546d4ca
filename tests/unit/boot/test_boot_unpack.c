/* Unit tests of vmm/boot/unpack*.c: each codec forth and back, its bounds, and broken input. */
#include "boot/unpack.h"

#include <endian.h>

#include "base/macros.h"
#include "boot_pack.h"
#include "boot_rig.h"

enum {
	SMALL = 300000,
	LARGE = 9 << 20, /* more than a block of LZ4's legacy frame */
};

/* Compressible, and different at every place. */
static uint8_t *make_text(size_t len)
{
	uint8_t *text = malloc(len + 1);

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = (uint8_t)((i & 15) < 8 ? i >> 8 : 'a' + i % 23);
	return text;
}

struct packed {
	uint8_t *text, *bytes;
	size_t text_len, len;
	const struct unpack_codec *codec;
};

static struct packed make_packed(const struct packer *packer, size_t text_len)
{
	struct packed p = {.text = make_text(text_len), .text_len = text_len};
	uint8_t *room = malloc(PACK_BOUND(text_len));

	assert_non_null(room);
	p.len = packer->pack(p.text, text_len, room, PACK_BOUND(text_len));
	assert_true(p.len > 0);
	p.bytes = malloc(p.len ? p.len : 1); /* exactly, so that tools see overreads */
	assert_non_null(p.bytes);
	memcpy(p.bytes, room, p.len);
	free(room);
	p.codec = unpack_detect(p.bytes, p.len);
	assert_non_null(p.codec);
	assert_string_equal(p.codec->name, packer->codec);
	return p;
}

static void packed_free(struct packed *p)
{
	free(p->text);
	free(p->bytes);
}

static void assert_unpacks(const struct packed *p, size_t hint, size_t max)
{
	uint8_t *out = NULL;
	size_t len = 0;

	assert_int_equal(unpack_run(p->codec, p->bytes, p->len,
				    &(struct unpack_opts){.hint = hint, .max = max}, &out, &len),
			 0);
	assert_int_equal(len, p->text_len);
	assert_memory_equal(out, p->text, len);
	free(out);
}

/* The same where the output may go to room of len bytes: it does when it fits. */
static void assert_unpacks_in_room(const struct packed *p, size_t hint, size_t room_len)
{
	uint8_t *room = malloc(room_len ? room_len : 1); /* exactly: writes past the end are seen */
	uint8_t *out = NULL;
	size_t len = 0;

	assert_non_null(room);
	assert_int_equal(unpack_run(p->codec, p->bytes, p->len,
				    &(struct unpack_opts){.hint = hint,
							  .max = p->text_len,
							  .room = room,
							  .room_len = room_len},
				    &out, &len),
			 0);
	assert_int_equal(len, p->text_len);
	assert_memory_equal(out, p->text, len);
	if (room_len >= p->text_len + UNPACK_SLACK)
		assert_ptr_equal(out, room);
	if (out != room)
		free(out);
	free(room);
}

static int try_unpack(const struct packed *p, const uint8_t *bytes, size_t len, size_t max)
{
	uint8_t *out = NULL;
	size_t out_len = 0;
	const int r =
		unpack_run(p->codec, bytes, len, &(struct unpack_opts){.max = max}, &out, &out_len);

	if (r == 0)
		assert_true(out_len <= max);
	else
		assert_null(out);
	free(out);
	return r;
}

static void what_was_packed_comes_out_whatever_the_hint(void **state)
{
	/* The last but one is all of an address space: nobody has that, so it must not be asked for. */
	static const size_t hints[] = {0,         1,       SMALL - 1,       SMALL,
				       SMALL + 1, 4 << 20, (size_t)1 << 47, SIZE_MAX};

	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct packed p = make_packed(packer, SMALL);

		for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
			assert_unpacks(&p, hints[i], 64 << 20);
		assert_unpacks(&p, SMALL, SIZE_MAX);
		packed_free(&p);
	}
}

/* Appends bytes to what is packed. */
static void append(struct packed *p, const void *bytes, size_t len)
{
	uint8_t *grown = realloc(p->bytes, p->len + len + 1); /* never none */

	assert_non_null(grown);
	memcpy(grown + p->len, bytes, len);
	p->bytes = grown;
	p->len += len;
}

static void append_text(struct packed *p, const struct packed *more)
{
	uint8_t *grown = realloc(p->text, p->text_len + more->text_len);

	assert_non_null(grown);
	memcpy(grown + p->text_len, more->text, more->text_len);
	p->text = grown;
	p->text_len += more->text_len;
}

/* As `cat a.xz b.xz` makes them; the tools give both back. With the size that Linux's build appends. */
static void all_streams_of_a_file_come_out(void **state)
{
	static const uint8_t size[4] = {1, 2, 3, 4};

	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct packed p = make_packed(packer, SMALL);
		struct packed small = make_packed(packer, 1000), large = make_packed(packer, LARGE);

		append(&p, small.bytes, small.len);
		append_text(&p, &small);
		assert_unpacks(&p, 0, 64 << 20);
		append(&p, large.bytes, large.len);
		append_text(&p, &large);
		assert_unpacks(&p, 0, 64 << 20);
		assert_unpacks(&p, p.text_len, p.text_len);
		assert_unpacks_in_room(&p, p.text_len, p.text_len + UNPACK_SLACK);
		assert_int_equal(try_unpack(&p, p.bytes, p.len, p.text_len - 1), -EFBIG);
		append(&p, size, sizeof(size));
		assert_unpacks(&p, p.text_len, 64 << 20);
		packed_free(&p);
		packed_free(&small);
		packed_free(&large);
	}
}

static void a_broken_second_stream_is_an_error(void **state)
{
	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct packed p = make_packed(packer, SMALL), second = make_packed(packer, SMALL);

		append(&p, second.bytes, second.len / 2);
		if (strcmp(packer->codec, "lzma") != 0 || second.len > 64)
			assert_true(try_unpack(&p, p.bytes, p.len, 64 << 20) < 0);
		packed_free(&p);
		packed_free(&second);
	}
}

/* Zeros after .xz, and the frames to be skipped that pzstd writes, also before the first. */
static void what_lies_between_streams_is_skipped(void **state)
{
	static const uint8_t zeros[8],
		skip[] = {0x53, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 0xfd, '7', 'z', 'X'};

	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		const bool is_xz = strcmp(packer->codec, "xz") == 0;
		struct packed p, second;

		if (!is_xz && strcmp(packer->codec, "zstd") != 0)
			continue;
		p = make_packed(packer, SMALL);
		second = make_packed(packer, 1000);
		append(&p, is_xz ? zeros : skip, is_xz ? sizeof(zeros) : sizeof(skip));
		append(&p, second.bytes, second.len);
		append_text(&p, &second);
		assert_unpacks(&p, 0, 64 << 20);
		if (!is_xz) {
			append(&p, skip, sizeof(skip)); /* and then as the first */
			memmove(p.bytes + sizeof(skip), p.bytes, p.len - sizeof(skip));
			memcpy(p.bytes, skip, sizeof(skip));
			assert_ptr_equal(unpack_detect(p.bytes, p.len), p.codec);
			assert_unpacks(&p, 0, 64 << 20);
		}
		packed_free(&p);
		packed_free(&second);
	}
}

static void large_inputs_come_out_whole(void **state)
{
	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct packed p = make_packed(packer, LARGE);

		assert_unpacks(&p, 0, LARGE);
		assert_unpacks(&p, LARGE, LARGE);
		packed_free(&p);
	}
}

static void room_is_used_when_it_suffices(void **state)
{
	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct packed p = make_packed(packer, LARGE);

		assert_unpacks_in_room(&p, 0, 0);
		assert_unpacks_in_room(&p, 0, 1000);
		assert_unpacks_in_room(&p, LARGE, LARGE - 1);
		assert_unpacks_in_room(&p, LARGE, LARGE);
		assert_unpacks_in_room(&p, 0, LARGE + 1);
		assert_unpacks_in_room(&p, LARGE, LARGE + UNPACK_SLACK);
		assert_unpacks_in_room(&p, 0, (size_t)2 * LARGE + UNPACK_SLACK);
		packed_free(&p);
	}
}

static void the_limit_is_exact(void **state)
{
	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct packed p = make_packed(packer, SMALL);

		assert_unpacks(&p, 0, SMALL);
		assert_int_equal(try_unpack(&p, p.bytes, p.len, SMALL - 1), -EFBIG);
		assert_int_equal(try_unpack(&p, p.bytes, p.len, 1), -EFBIG);
		packed_free(&p);
	}
}

/* Data that unpacks to more than the limit and its slack together is stopped on the way. */
static void a_bomb_is_stopped_at_the_limit(void **state)
{
	const size_t len = 24 << 20;
	uint8_t *zeros = calloc(1, len), *room = malloc(PACK_BOUND(len));

	(void)state;
	assert_non_null(zeros);
	assert_non_null(room);
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct packed p = {.bytes = room};

		p.len = packer->pack(zeros, len, room, PACK_BOUND(len));
		p.codec = unpack_detect(p.bytes, p.len);
		assert_int_equal(try_unpack(&p, p.bytes, p.len, 1 << 20), -EFBIG);
	}
	free(zeros);
	free(room);
}

static void a_size_appended_by_the_build_is_ignored(void **state)
{
	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct packed p = make_packed(packer, SMALL);
		uint8_t *longer = realloc(p.bytes, p.len + 4);

		assert_non_null(longer);
		p.bytes = longer;
		memset(p.bytes + p.len, 0xff, 4);
		p.len += 4;
		assert_unpacks(&p, 0, 1 << 20);
		packed_free(&p);
	}
}

/*
 * LZ4's legacy frame has no end mark: cut between blocks, or in the four bytes of a block's length,
 * it is a shorter frame. The ELF loader notices.
 */
static bool is_lz4_boundary(const struct packer *packer, size_t len)
{
	return packer->codec && strcmp(packer->codec, "lz4") == 0 && !packer->has_checksum &&
	       (len == 4 || len == 8);
}

static void input_cut_anywhere_is_noticed(void **state)
{
	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct packed p = make_packed(packer, 2000);

		for (size_t len = 0; len < p.len; len++) {
			uint8_t *cut = malloc(len + 1);
			int r;

			assert_non_null(cut);
			memcpy(cut, p.bytes, len);
			r = try_unpack(&p, cut, len, 1 << 20);
			if (len && !is_lz4_boundary(packer, len))
				assert_true(r == -ENODATA || r == -EBADMSG);
			free(cut);
		}
		assert_int_equal(try_unpack(&p, p.bytes, p.len, 1 << 20), 0);
		packed_free(&p);
	}
}

/* Each byte changed in turn: noticed, or of no consequence (a name, a time, a window size). */
static void no_changed_byte_changes_what_a_checksum_covers(void **state)
{
	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct packed p = make_packed(packer, 2000);

		for (size_t i = 0; i < p.len; i++) {
			uint8_t *out = NULL;
			size_t len = 0;
			int r;

			p.bytes[i] ^= 0x10;
			r = unpack_run(p.codec, p.bytes, p.len,
				       &(struct unpack_opts){.max = 1 << 20}, &out, &len);
			p.bytes[i] ^= 0x10;
			if (r == 0 && packer->has_checksum) {
				assert_int_equal(len, p.text_len);
				assert_memory_equal(out, p.text, len);
			}
			free(out);
		}
		packed_free(&p);
	}
}

static void a_dictionary_past_the_limit_is_refused(void **state)
{
#ifdef TOLLGATE_HAVE_LZMA
	/* lzma: properties 5d, a dictionary of 3 GiB, size unknown, then data nobody gets to */
	static const uint8_t in[] = {0x5d, 0,    0,    0,    0xc0, 0xff, 0xff, 0xff, 0xff,
				     0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,    0};
	const struct unpack_codec *codec = unpack_detect(in, sizeof(in));
	uint8_t *out = NULL;
	size_t len = 0;

	assert_non_null(codec);
	assert_int_equal(unpack_run(codec, in, sizeof(in), &(struct unpack_opts){.max = 1 << 20},
				    &out, &len),
			 -ENOBUFS);
#endif
	(void)state;
}

#ifdef TOLLGATE_HAVE_LZMA
/*
 * A small file whose header asks for 4 GiB (.xz file format 1.1.0, 3.1 and 5.3.1): after 12 bytes of stream
 * header are the block header's size in words, its flags, and the filter, whose last byte is the dictionary's
 * size; a CRC ends it.
 */
static void an_xz_dictionary_past_the_limit_is_refused(void **state)
{
	enum { BLOCK = 12, DICT_4G = 40 };
	uint8_t in[PACK_BOUND(1000)];
	struct packed p = {.text = make_text(1000), .bytes = in};
	uint8_t *filter;
	uint32_t crc;
	size_t len;

	(void)state;
	p.len = pack_xz(p.text, 1000, in, sizeof(in));
	p.codec = unpack_detect(in, p.len);
	assert_int_equal(try_unpack(&p, in, p.len, 1000), 0);
	len = ((size_t)in[BLOCK] + 1) * 4;
	filter = memmem(in + BLOCK + 2, len - 6, "\x21\x01", 2);
	assert_non_null(filter);
	filter[2] = DICT_4G;
	crc = htole32(lzma_crc32(in + BLOCK, len - 4, 0));
	memcpy(in + BLOCK + len - 4, &crc, 4);
	assert_int_equal(try_unpack(&p, in, p.len, 1000), -ENOBUFS);
	free(p.text);
}
#endif

#ifdef TOLLGATE_HAVE_LZ4
static void lz4_legacy_frames_may_follow_each_other(void **state)
{
	uint8_t two[8192];
	struct packed p = {.text = make_text(2000), .text_len = 2000, .bytes = two};
	size_t n;

	(void)state;
	n = pack_lz4_legacy(p.text, 1000, two, 4096);
	n += pack_lz4_legacy(p.text + 1000, 1000, two + n, 4096);
	p.len = n;
	p.codec = unpack_detect(two, n);
	assert_unpacks(&p, 0, 2000);
	free(p.text);
}

static void lz4_legacy_block_lengths_are_checked(void **state)
{
	static const struct {
		uint32_t block_len;
		int r;
	} cases[] = {
		{0, -EBADMSG}, {100, -ENODATA}, {0x7fffffff, -EBADMSG}, {UINT32_MAX, -EBADMSG}};
	uint8_t in[32] = {0x02, 0x21, 0x4c, 0x18};
	struct packed p = {.codec = unpack_detect(in, sizeof(in))};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(in + 4, &cases[i].block_len, 4);
		assert_int_equal(try_unpack(&p, in, sizeof(in), 1 << 20), cases[i].r);
	}
}
#endif

static void only_magic_numbers_are_detected(void **state)
{
	static const uint8_t elf[] = {0x7f, 'E', 'L', 'F', 0, 0, 0, 0, 0, 0};
	static const uint8_t xz[] = {0xfd, '7', 'z', 'X', 'Z', 0};

	(void)state;
	assert_null(unpack_detect(elf, sizeof(elf)));
	assert_null(unpack_detect(elf, 0));
	assert_null(unpack_detect(xz, sizeof(xz) - 1));
	assert_non_null(unpack_detect(xz, sizeof(xz)));
}

static void a_codec_that_was_left_out_says_so(void **state)
{
	const struct unpack_codec codec = {.name = "gzip", .library = "zlib"};
	uint8_t *out = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(unpack_run(&codec, (const uint8_t *)"", 0, &(struct unpack_opts){.max = 1},
				    &out, &len),
			 -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_packed_comes_out_whatever_the_hint),
		cmocka_unit_test(large_inputs_come_out_whole),
		cmocka_unit_test(all_streams_of_a_file_come_out),
		cmocka_unit_test(a_broken_second_stream_is_an_error),
		cmocka_unit_test(what_lies_between_streams_is_skipped),
		cmocka_unit_test(room_is_used_when_it_suffices),
		cmocka_unit_test(the_limit_is_exact),
		cmocka_unit_test(a_bomb_is_stopped_at_the_limit),
		cmocka_unit_test(a_size_appended_by_the_build_is_ignored),
		cmocka_unit_test(input_cut_anywhere_is_noticed),
		cmocka_unit_test(no_changed_byte_changes_what_a_checksum_covers),
		cmocka_unit_test(a_dictionary_past_the_limit_is_refused),
#ifdef TOLLGATE_HAVE_LZMA
		cmocka_unit_test(an_xz_dictionary_past_the_limit_is_refused),
#endif
#ifdef TOLLGATE_HAVE_LZ4
		cmocka_unit_test(lz4_legacy_frames_may_follow_each_other),
		cmocka_unit_test(lz4_legacy_block_lengths_are_checked),
#endif
		cmocka_unit_test(only_magic_numbers_are_detected),
		cmocka_unit_test(a_codec_that_was_left_out_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
