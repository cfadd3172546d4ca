#include "arch/x86_64/disasm.h"

#include "arch/arch.h"

#ifdef TOLLGATE_HAVE_ZYDIS

#include <Zydis/Zydis.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef ZyanStatus disassemble_fn(ZydisMachineMode mode, ZyanU64 rip, const void *code,
				  ZyanUSize len, ZydisDisassembledInstruction *ret);

const char *arch_disasm_soname(void)
{
	static char soname[32];

	snprintf(soname, sizeof(soname), "libZydis.so.%u.%u",
		 (unsigned)ZYDIS_VERSION_MAJOR(ZYDIS_VERSION),
		 (unsigned)ZYDIS_VERSION_MINOR(ZYDIS_VERSION));
	return soname;
}

static disassemble_fn *disassembler_load(void)
{
	static disassemble_fn *fn; /* the event thread's */
	void *lib, *sym;

	if (fn)
		return fn;
	lib = dlopen(arch_disasm_soname(),
		     RTLD_NOW | RTLD_LOCAL); /* stays loaded: the process is about to end */
	sym = lib ? dlsym(lib, "ZydisDisassembleIntel") : NULL;
	memcpy(&fn, &sym, sizeof(fn)); /* ISO C has no cast from data to function pointers */
	return fn;
}

void arch_disasm_load(void)
{
	disassembler_load();
}

bool disasm_insn(const uint8_t *code, size_t len, uint64_t rip, unsigned bits, char *buf,
		 size_t size)
{
	const ZydisMachineMode mode = bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
				      : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
						   : ZYDIS_MACHINE_MODE_LEGACY_16;
	disassemble_fn *disassemble = disassembler_load();
	ZydisDisassembledInstruction insn;

	if (!disassemble || !ZYAN_SUCCESS(disassemble(mode, rip, code, len, &insn)))
		return false;
	snprintf(buf, size, "%s", insn.text);
	return true;
}

#else

const char *arch_disasm_soname(void)
{
	return NULL;
}

void arch_disasm_load(void)
{
}

bool disasm_insn(const uint8_t *code, size_t len, uint64_t rip, unsigned bits, char *buf,
		 size_t size)
{
	(void)code;
	(void)len;
	(void)rip;
	(void)bits;
	(void)buf;
	(void)size;
	return false;
}

#endif
