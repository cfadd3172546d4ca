/* entry.h - constants that the assembly files share with C. */
#ifndef GUEST_ENTRY_H
#define GUEST_ENTRY_H

#define CODE64_SELECTOR 0x08
#define DATA_SELECTOR   0x10
#define CODE32_SELECTOR 0x18

#define BOOT_STACK_BYTES 16384
#define AP_STACK_SHIFT   12

#define CPUS_MAX 255 /* 8-bit APIC IDs, without the broadcast ID 0xff */

/* Vectors: 32 exceptions, then interrupts; the last one is the local APIC's spurious vector. */
#define TRAP_VECTORS    64
#define TRAP_EXCEPTIONS 32
#define TRAP_STUB_BYTES 16
#define TRAP_SPURIOUS   63

#endif
