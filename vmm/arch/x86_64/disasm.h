/* disasm.h - one instruction as text, for reports. */
#ifndef VMM_ARCH_X86_64_DISASM_H
#define VMM_ARCH_X86_64_DISASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The instruction at the start of code, as it is at linear address rip in code of so many bits (16,
 * 32 or 64), in Intel's syntax. False, and nothing written, when the bytes are not an instruction or
 * Tollgate was built without libZydis, or it is not installed here. The library is loaded at the
 * first call, because a run that needs no report shall not pay for it.
 */
bool disasm_insn(const uint8_t *code, size_t len, uint64_t rip, unsigned bits, char *buf,
		 size_t size);

#endif
