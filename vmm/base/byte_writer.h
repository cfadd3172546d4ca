/*
 * byte_writer.h - little-endian tables, byte by byte, into a buffer of fixed size.
 *
 * Bytes that do not fit are dropped and set full: a renderer writes everything and asks once, at the
 * end, whether full is set. Nothing is written past cap, and len never passes it.
 */
#ifndef VMM_BASE_BYTE_WRITER_H
#define VMM_BASE_BYTE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct byte_writer {
	uint8_t *buf; /* borrowed */
	size_t cap, len;
	bool full; /* something did not fit: the bytes are of no use */
};

void byte_writer_u8(struct byte_writer *w, uint8_t v);
void byte_writer_u16(struct byte_writer *w, uint16_t v);
void byte_writer_u32(struct byte_writer *w, uint32_t v);
void byte_writer_u64(struct byte_writer *w, uint64_t v);
void byte_writer_zeros(struct byte_writer *w, size_t n);
void byte_writer_bytes(struct byte_writer *w, const void *bytes, size_t n);

/* s without its NUL, then as many fill bytes as make it width bytes; s must not be longer. */
void byte_writer_text(struct byte_writer *w, const char *s, size_t width, char fill);

/* Zeros up to the next multiple of align, a power of two. */
void byte_writer_align(struct byte_writer *w, size_t align);

/* n bytes between what was written before and after offset at (at <= len). */
void byte_writer_insert(struct byte_writer *w, size_t at, const void *bytes, size_t n);

/* Overwrite bytes that are there already; nothing happens on a full writer. */
void byte_writer_patch_u8(struct byte_writer *w, size_t at, uint8_t v);
void byte_writer_patch_u16(struct byte_writer *w, size_t at, uint16_t v);
void byte_writer_patch_u32(struct byte_writer *w, size_t at, uint32_t v);

/* The byte that makes the sum of [first, first + len) and itself 0 modulo 256; 0 on a full writer. */
uint8_t byte_writer_checksum(const struct byte_writer *w, size_t first, size_t len);

#endif
