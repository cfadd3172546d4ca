#include "arch/x86_64/aml.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

/* 20.2: each is the first byte of what it is called after. */
enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE_PREFIX = 0x0a,
	AML_WORD_PREFIX = 0x0b,
	AML_DWORD_PREFIX = 0x0c,
	AML_STRING_PREFIX = 0x0d,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_EXT_PREFIX = 0x5b,
	AML_EXT_DEVICE = 0x82,

	AML_NAME_SEG_LEN = 4,
};

/* 6.4.2 and 6.4.3: tags, a small one with the length of what follows in its low bits. */
enum {
	RES_IO = 0x47,
	RES_END = 0x79,
	RES_MEMORY32_FIXED = 0x86,
	RES_EXTENDED_INTERRUPT = 0x89,

	IO_DECODE16 = 1 << 0,
	MEMORY_READ_WRITE = 1 << 0,
	INTERRUPT_CONSUMER = 1 << 0,
	INTERRUPT_EDGE = 1 << 1, /* active high and not shared are 0 */
};

/* 20.2.2. Short names end in '_'. */
static void name_seg(struct byte_writer *w, const char *name)
{
	assert(isupper((unsigned char)*name) || *name == '_');
	byte_writer_text(w, name, AML_NAME_SEG_LEN, '_');
}

void aml_name(struct byte_writer *w, const char *name)
{
	byte_writer_u8(w, AML_NAME);
	name_seg(w, name);
}

void aml_integer(struct byte_writer *w, uint32_t v)
{
	if (v == 0) {
		byte_writer_u8(w, AML_ZERO);
	} else if (v == 1) {
		byte_writer_u8(w, AML_ONE);
	} else if (v <= UINT8_MAX) {
		byte_writer_u8(w, AML_BYTE_PREFIX);
		byte_writer_u8(w, (uint8_t)v);
	} else if (v <= UINT16_MAX) {
		byte_writer_u8(w, AML_WORD_PREFIX);
		byte_writer_u16(w, (uint16_t)v);
	} else {
		byte_writer_u8(w, AML_DWORD_PREFIX);
		byte_writer_u32(w, v);
	}
}

/* s: ASCII 0x01 to 0x7f. */
static void aml_string(struct byte_writer *w, const char *s)
{
	byte_writer_u8(w, AML_STRING_PREFIX);
	byte_writer_bytes(w, s, strlen(s) + 1);
}

/* 19.3.4: three letters of 5 bits, then four digits of 4, the most significant byte first. */
static bool eisa_id(const char *hid, uint32_t *ret)
{
	uint32_t id = 0;

	if (strlen(hid) != 7)
		return false;
	for (unsigned i = 0; i < 3; i++) {
		if (hid[i] < 'A' || hid[i] > 'Z')
			return false;
		id = id << 5 | (uint32_t)(hid[i] - 'A' + 1);
	}
	for (unsigned i = 3; i < 7; i++) {
		static const char digits[] = "0123456789ABCDEF";
		const char *digit = strchr(digits, hid[i]);

		if (!digit)
			return false;
		id = id << 4 | (uint32_t)(digit - digits);
	}
	*ret = __builtin_bswap32(id);
	return true;
}

void aml_hardware_id(struct byte_writer *w, const char *hid)
{
	uint32_t id;

	if (eisa_id(hid, &id))
		aml_integer(w, id);
	else
		aml_string(w, hid);
}

size_t aml_begin_scope(struct byte_writer *w, const char *name)
{
	size_t mark;

	byte_writer_u8(w, AML_SCOPE);
	mark = w->len;
	name_seg(w, name);
	return mark;
}

size_t aml_begin_device(struct byte_writer *w, const char *name)
{
	size_t mark;

	byte_writer_u8(w, AML_EXT_PREFIX);
	byte_writer_u8(w, AML_EXT_DEVICE);
	mark = w->len;
	name_seg(w, name);
	return mark;
}

size_t aml_begin_package(struct byte_writer *w, uint8_t elements)
{
	size_t mark;

	byte_writer_u8(w, AML_PACKAGE);
	mark = w->len;
	byte_writer_u8(w, elements);
	return mark;
}

/*
 * Puts the PkgLength at the mark (20.2.4). It counts itself: in one byte up to 63, or in a first byte
 * with the number of further bytes in bits 6 and 7 and the lowest 4 bits of the length.
 */
void aml_end(struct byte_writer *w, size_t mark)
{
	const size_t contents = w->len - mark;
	uint8_t bytes[4];
	size_t n = 1;

	if (contents + 1 < 1 << 6) {
		bytes[0] = (uint8_t)(contents + 1);
	} else {
		size_t len;

		do {
			n++;
			len = contents + n;
		} while (len >> (8 * n - 4));
		assert(n <= sizeof(bytes));
		bytes[0] = (uint8_t)((n - 1) << 6 | (len & 0xf));
		for (size_t i = 1; i < n; i++)
			bytes[i] = (uint8_t)(len >> (8 * i - 4));
	}
	byte_writer_insert(w, mark, bytes, n);
}

size_t aml_begin_resources(struct byte_writer *w)
{
	byte_writer_u8(w, AML_BUFFER);
	return w->len;
}

void aml_io(struct byte_writer *w, uint16_t port, uint8_t len)
{
	byte_writer_u8(w, RES_IO);
	byte_writer_u8(w, IO_DECODE16);
	byte_writer_u16(w, port); /* lowest and highest base: it stays where it is */
	byte_writer_u16(w, port);
	byte_writer_u8(w, 1); /* alignment */
	byte_writer_u8(w, len);
}

void aml_memory32(struct byte_writer *w, uint32_t gpa, uint32_t len)
{
	byte_writer_u8(w, RES_MEMORY32_FIXED);
	byte_writer_u16(w, 9);
	byte_writer_u8(w, MEMORY_READ_WRITE);
	byte_writer_u32(w, gpa);
	byte_writer_u32(w, len);
}

void aml_interrupt_edge_high(struct byte_writer *w, uint32_t gsi)
{
	byte_writer_u8(w, RES_EXTENDED_INTERRUPT);
	byte_writer_u16(w, 6);
	byte_writer_u8(w, INTERRUPT_CONSUMER | INTERRUPT_EDGE);
	byte_writer_u8(w, 1); /* how many follow */
	byte_writer_u32(w, gsi);
}

void aml_end_resources(struct byte_writer *w, size_t mark)
{
	uint8_t size[5];
	struct byte_writer size_writer = {.buf = size, .cap = sizeof(size)};

	byte_writer_u8(w, RES_END);
	byte_writer_u8(w, 0); /* 6.4.2.9: a checksum of 0 is taken as right */
	aml_integer(&size_writer, (uint32_t)(w->len - mark));
	byte_writer_insert(w, mark, size, size_writer.len);
	aml_end(w, mark);
}
