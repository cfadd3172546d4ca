/*
 * hammer_abi.h - the control area between the host and the hammer kernel, in guest RAM at the
 * address of the command line's ctl=. Shared with the VMM; little-endian, every member naturally
 * aligned.
 *
 * The area is HAMMER_CTL_BYTES long, aligned to HAMMER_LINE_BYTES, below 4 GiB and outside
 * everything else in use (the kernel's image starts at 1 MiB; boot.h and smp.h name the rest).
 *
 *   host, before the guest starts     zeroes the area, sets magic; go = 1 unless it wants to hold
 *                                     the CPUs back
 *   guest, each CPU once it runs      ready += 1
 *   host, some time after ready ==    go = 1
 *   the number of CPUs
 *   guest, each CPU                   starts when ready == cpus and go != 0, all at the same time
 *   host, when it had enough          stop = 1; seen within HAMMER_BLOCK accesses
 *   guest, each CPU at its end        writes its struct hammer_cpu, then done += 1 (release)
 *   guest, the boot CPU               when done == cpus: exits with 0
 *
 * A line each, so that a CPU that finishes early does not slow the others down.
 *
 * With the word "commands", each CPU instead takes turns with the host:
 *
 *   guest                             writes HAMMER_NEXT_PORT, which must exit
 *   host                              fills in the CPU's command
 *   guest                             reads it, and writes HAMMER_START_PORT, which must exit
 *   guest                             makes blocks times HAMMER_BLOCK accesses, then those that are timed, and adds
 *                                     them to count
 *   guest                             begins again; after HAMMER_END it is done as above
 */
#ifndef GUEST_HAMMER_ABI_H
#define GUEST_HAMMER_ABI_H

#include <stdint.h>

#define HAMMER_MAGIC      UINT64_C(0x72656d6d61486754) /* "TgHammer" */
#define HAMMER_LINE_BYTES 64
#define HAMMER_CPUS_MAX   255
#define HAMMER_BLOCK      64 /* accesses between two looks at stop */

/* The ports of turns; nothing else may be there. */
#define HAMMER_NEXT_PORT  0xa20
#define HAMMER_START_PORT 0xa28

/* The input of the I/O APIC by which the host answers a doorbell; an edge is an answer. */
#define HAMMER_GSI 10

enum hammer_kind {
	HAMMER_END,
	HAMMER_PIO,
	HAMMER_MMIO,
	HAMMER_TWO_PORTS, /* writes a byte to the ports addr and value, in turn */
	HAMMER_STRING,    /* a block is one instruction of string I/O; an access is one element */
	HAMMER_CPUID,
	HAMMER_HYPERCALL, /* one that KVM answers: it polls for a pending interrupt */
	HAMMER_SLEEP, /* HLT until the local APIC's timer interrupts, value ns after it was set */
	HAMMER_DOORBELL, /* a write to the port addr, and then a wait for the host's answer */
};

/* How the answer to a doorbell comes. */
enum hammer_wait {
	HAMMER_WAIT_MEMORY,   /* hammer_ctl.answer changes */
	HAMMER_WAIT_SPINNING, /* an interrupt of HAMMER_GSI, for which the CPU polls */
	HAMMER_WAIT_HALTED,   /* the same, for which the CPU halts */
};

struct hammer_command {
	uint64_t addr, value;
	uint32_t blocks;
	uint16_t kind;     /* enum hammer_kind */
	uint8_t width, in; /* bytes; 0 writes, 1 reads */
	uint8_t wait;      /* enum hammer_wait, of HAMMER_DOORBELL */
	uint8_t timed; /* the boot CPU: so many more, at most HAMMER_BLOCK, each timed: hammer_ctl.ticks */
};

struct hammer_cpu {
	_Alignas(HAMMER_LINE_BYTES) uint64_t count; /* accesses made, exactly */
	uint64_t tsc_first, tsc_last;               /* around the first and the last access */
	uint32_t apic_id;
	uint32_t in_value;             /* dir=in: what the last access read, its low 32 bits */
	struct hammer_command command; /* host */
};

struct hammer_ctl {
	_Alignas(HAMMER_LINE_BYTES) uint64_t magic;      /* host */
	uint32_t go;                                     /* host */
	_Alignas(HAMMER_LINE_BYTES) uint32_t stop;       /* host */
	_Alignas(HAMMER_LINE_BYTES) uint32_t ready;      /* guest */
	uint32_t done;                                   /* guest */
	struct hammer_cpu cpu[HAMMER_CPUS_MAX];          /* guest; [0] is the boot CPU */
	_Alignas(HAMMER_LINE_BYTES) uint32_t answer;     /* host: answers by memory so far */
	_Alignas(HAMMER_LINE_BYTES) uint32_t interrupts; /* guest: of HAMMER_GSI, handled so far */
	/* guest: of the timed accesses, TSC ticks from before to after; at most UINT32_MAX */
	_Alignas(HAMMER_LINE_BYTES) uint32_t ticks[HAMMER_BLOCK];
};

#define HAMMER_CTL_BYTES sizeof(struct hammer_ctl)

_Static_assert(sizeof(struct hammer_cpu) == HAMMER_LINE_BYTES, "one line a CPU");
_Static_assert(sizeof(struct hammer_ctl) == (5 + HAMMER_CPUS_MAX) * sizeof(struct hammer_cpu) +
						    HAMMER_BLOCK * sizeof(uint32_t),
	       "no holes");

#endif
