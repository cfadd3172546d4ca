#include "string_io.h"

/* The flag is set for the one instruction only: the C around it expects it clear. */
#define REP_IN(set, insn)                                                                          \
	__asm__ volatile(set "; rep " insn "; cld" : "+D"(at), "+c"(n) : "d"(port) : "memory")
#define REP_OUT(set, insn)                                                                         \
	__asm__ volatile(set "; rep " insn "; cld" : "+S"(at), "+c"(n) : "d"(port) : "memory")

void string_in(uint16_t port, unsigned width, void *buf, size_t n, bool down)
{
	char *at = (char *)buf + (down && n ? (n - 1) * width : 0);

	switch (width | (down ? 8u : 0)) {
	case 1: REP_IN("cld", "insb"); break;
	case 2: REP_IN("cld", "insw"); break;
	case 4: REP_IN("cld", "insl"); break;
	case 8 | 1: REP_IN("std", "insb"); break;
	case 8 | 2: REP_IN("std", "insw"); break;
	case 8 | 4: REP_IN("std", "insl"); break;
	default: break;
	}
}

void string_out(uint16_t port, unsigned width, const void *buf, size_t n, bool down)
{
	const char *at = (const char *)buf + (down && n ? (n - 1) * width : 0);

	switch (width | (down ? 8u : 0)) {
	case 1: REP_OUT("cld", "outsb"); break;
	case 2: REP_OUT("cld", "outsw"); break;
	case 4: REP_OUT("cld", "outsl"); break;
	case 8 | 1: REP_OUT("std", "outsb"); break;
	case 8 | 2: REP_OUT("std", "outsw"); break;
	case 8 | 4: REP_OUT("std", "outsl"); break;
	default: break;
	}
}
