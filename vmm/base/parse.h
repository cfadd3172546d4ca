/*
 * parse.h - numbers and sizes as users type them. Each reads the whole string or fails with -EINVAL,
 * or with -ERANGE when the value does not fit; *ret is untouched on failure.
 */
#ifndef VMM_BASE_PARSE_H
#define VMM_BASE_PARSE_H

#include <stdint.h>

/* Decimal, or hexadecimal with 0x. No sign, no white space, no octal. */
int parse_u64(const char *s, uint64_t *ret);

/* As parse_u64, and min <= value <= max or -ERANGE. */
int parse_u64_in(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/* 0 to 15 for a hexadecimal digit of either case, else -1. */
int parse_hex_digit(char c);

/* Bytes: a number and one of K, M, G, T (powers of 1,024; either case; "iB" or "B" may follow). */
int parse_size_bytes(const char *s, uint64_t *ret);

/*
 * Seconds, with up to nine decimals ("1.5"), as nanoseconds. -ERANGE above 146 years: what is read can be
 * added to what a clock says.
 */
int parse_seconds_ns(const char *s, int64_t *ret);

/* "4 GiB", "63 MiB", "4.5 KiB", "17 B": for messages. buf holds at least 24 bytes; returns buf. */
const char *format_size(uint64_t bytes, char *buf);

#endif
