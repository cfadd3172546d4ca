/*
 * string_io.h - REP INS and REP OUTS of each width, in either direction: one instruction each.
 *
 * A width is 1, 2 or 4 bytes. With down, the direction flag is set: the first element is at the
 * highest address, (n - 1) * width above buf. buf is always the lowest address.
 */
#ifndef GUEST_STRING_IO_H
#define GUEST_STRING_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void string_in(uint16_t port, unsigned width, void *buf, size_t n, bool down);
void string_out(uint16_t port, unsigned width, const void *buf, size_t n, bool down);

#endif
