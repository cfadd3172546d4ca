#include "accesses.h"

#include "hammer_abi.h"

#define STR(x)  #x
#define XSTR(x) STR(x)

#define DEFINE_ACCESS(name, n, insn)                                                               \
	static uint64_t name##_##n(uint64_t addr, uint64_t val)                                    \
	{                                                                                          \
		__asm__ volatile(".rept " XSTR(n) "\n\t" insn "\n\t.endr"                          \
				 : "+a"(val)                                                       \
				 : "d"(addr)                                                       \
				 : "memory");                                                      \
		return val;                                                                        \
	}
#define DEFINE_TIMED(name, insn)                                                                   \
	static uint32_t name##_timed(uint64_t addr, uint64_t val)                                  \
	{                                                                                          \
		const uint64_t start = rdtsc();                                                    \
                                                                                                   \
		__asm__ volatile("" insn "" : "+a"(val) : "d"(addr) : "memory");                   \
		return ticks_since(start);                                                         \
	}
#define DEFINE_ACCESSES(name, insn)                                                                \
	DEFINE_ACCESS(name, 64, insn)                                                              \
	DEFINE_ACCESS(name, 1, insn)                                                               \
	DEFINE_TIMED(name, insn)
_Static_assert(HAMMER_BLOCK == 64, "the 64 above");

DEFINE_ACCESSES(port_out1, "outb %%al, %%dx")
DEFINE_ACCESSES(port_out2, "outw %%ax, %%dx")
DEFINE_ACCESSES(port_out4, "outl %%eax, %%dx")
DEFINE_ACCESSES(port_in1, "inb %%dx, %%al")
DEFINE_ACCESSES(port_in2, "inw %%dx, %%ax")
DEFINE_ACCESSES(port_in4, "inl %%dx, %%eax")
DEFINE_ACCESSES(mmio_out1, "movb %%al, (%%rdx)")
DEFINE_ACCESSES(mmio_out2, "movw %%ax, (%%rdx)")
DEFINE_ACCESSES(mmio_out4, "movl %%eax, (%%rdx)")
DEFINE_ACCESSES(mmio_out8, "movq %%rax, (%%rdx)")
DEFINE_ACCESSES(mmio_in1, "movb (%%rdx), %%al")
DEFINE_ACCESSES(mmio_in2, "movw (%%rdx), %%ax")
DEFINE_ACCESSES(mmio_in4, "movl (%%rdx), %%eax")
DEFINE_ACCESSES(mmio_in8, "movq (%%rdx), %%rax")

/* By space, direction (out, in) and log2 of the width. */
#define ACCESS(name)                                                                               \
	{                                                                                          \
		name##_64, name##_1, name##_timed                                                  \
	}
static const struct access accesses[2][2][4] = {
	{{ACCESS(port_out1), ACCESS(port_out2), ACCESS(port_out4)},
	 {ACCESS(port_in1), ACCESS(port_in2), ACCESS(port_in4)}},
	{{ACCESS(mmio_out1), ACCESS(mmio_out2), ACCESS(mmio_out4), ACCESS(mmio_out8)},
	 {ACCESS(mmio_in1), ACCESS(mmio_in2), ACCESS(mmio_in4), ACCESS(mmio_in8)}},
};

/* The compiler makes its builtin an instruction that not every CPU has. */
static unsigned width_index(unsigned width)
{
	unsigned k = 0;

	while (width >> k > 1)
		k++;
	return k;
}

const struct access *access_of(bool is_mmio, bool in, unsigned width)
{
	return &accesses[is_mmio][in][width_index(width)];
}
