/*
 * packet.h - bytes that come in any pieces -> packets of gdb's remote protocol (gdb's manual, "Overview"), in bounded
 * memory; and hexadecimal. Pure, for the stub and its fuzz target.
 */
#ifndef VMM_GDB_PACKET_H
#define VMM_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GDB_PACKET_BYTES = 8192 }; /* of a packet's content, without escapes */

enum gdb_input_state { GDB_BETWEEN, GDB_CONTENT, GDB_ESCAPED, GDB_SUM_HIGH, GDB_SUM_LOW };

/* The part of a packet that has come; zeroed at first. */
struct gdb_input {
	enum gdb_input_state state;
	uint8_t content[GDB_PACKET_BYTES + 1]; /* and a byte 0 */
	size_t len;
	bool is_overlong;
	uint8_t sum, sum_high;
};

enum gdb_event {
	GDB_NONE,      /* more bytes are needed */
	GDB_PACKET,    /* content and len are one, until the next byte is fed */
	GDB_BAD,       /* one whose checksum is wrong, or that is too long; it is gone */
	GDB_ACK,       /* '+' */
	GDB_NAK,       /* '-': the last reply is wanted again */
	GDB_INTERRUPT, /* the byte 3 between packets */
};

enum gdb_event gdb_input_feed(struct gdb_input *in, uint8_t byte);

/*
 * "$" content "#" sum into out, which has room for len + 4 and a byte 0; returns the length. content has no '$', '#',
 * '}', '*'.
 */
size_t gdb_frame(const char *content, size_t len, char *out);

/* n bytes as 2 * n digits and a byte 0. */
void gdb_to_hex(const void *bytes, size_t n, char *ret);
/* 2 * n digits as n bytes; false, and nothing is known of ret, when they are not all digits. */
bool gdb_from_hex(const char *digits, size_t n, uint8_t *ret);

/* Takes a hexadecimal number of at most 64 bits off *at, which is then after it. False: there is none. */
bool gdb_take_number(const char **at, uint64_t *ret);
/* Takes that character. */
bool gdb_take(const char **at, char c);

#endif
