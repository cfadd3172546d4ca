/*
 * boot.h - kernel image bytes -> load plan. Pure: no KVM, no guest memory, no file system, so every
 * loader can be fuzzed. The kind of an image is recognised by its content, never by its name.
 */
#ifndef VMM_BOOT_BOOT_H
#define VMM_BOOT_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum { BOOT_INITRDS_MAX = 17 }; /* those of the user, and the one of --run */

/* Bytes of a file or of something built in; borrowed. */
struct boot_file {
	const char *name; /* for messages */
	const uint8_t *data;
	size_t len;
	int fd; /* of that file; 0: data is from elsewhere */
};

/* The state a vCPU must be in at entry_gpa, and what its registers point to. */
enum boot_protocol {
	BOOT_PVH, /* 32-bit protected mode, no paging, EBX = hvm_start_info (Xen's pvh.pandoc) */
	BOOT_LINUX64,    /* long mode, RAM mapped 1:1, RSI = zero page (Linux boot.rst, 64-bit) */
	BOOT_LINUX32,    /* 32-bit protected mode, no paging, ESI = zero page (boot.rst, 32-bit) */
	BOOT_MULTIBOOT,  /* 32-bit protected mode, no paging, EAX = 0x2badb002, EBX = its info */
	BOOT_MULTIBOOT2, /* the same, with EAX = 0x36d76289 and Multiboot 2's information */
	/*
	 * Real mode, CS base = entry_gpa, IP = 0. At BOOT_SECTOR_GPA as a BIOS enters a boot sector
	 * instead: CS = DS = ES = SS = 0, IP = SP = 0x7c00, DL = 0x80.
	 */
	BOOT_FLAT_REAL,
	BOOT_FLAT_LONG, /* long mode, RAM mapped 1:1 */
};

/* The boot mode that the user asked for. */
enum boot_mode {
	BOOT_MODE_AUTO,    /* by content, by the quickest way in that the image offers */
	BOOT_MODE_PVH,     /* only by PVH note */
	BOOT_MODE_LINUX64, /* the 64-bit entry of a vmlinux, decompressed on the host if need be */
	/* The bzImage's own 64-bit entry, or 32-bit where it has no other: the guest decompresses. */
	BOOT_MODE_BZIMAGE,
	BOOT_MODE_MULTIBOOT,  /* only by Multiboot 1 header */
	BOOT_MODE_MULTIBOOT2, /* only by Multiboot 2 header */
	BOOT_MODE_FLAT_REAL,  /* no format: the bytes go to flat_gpa and run there in real mode */
	BOOT_MODE_FLAT_LONG,  /* the same in long mode */
};

struct boot_opts {
	enum boot_mode mode;
	uint64_t flat_gpa;     /* BOOT_MODE_FLAT_*: load and entry address */
	uint64_t unpacked_max; /* bytes a compressed kernel may grow to; 0: BOOT_UNPACKED_MAX */
	uint8_t *room; /* where it may be decompressed to, if it fits: any of it is written then */
	size_t room_len; /* 0: nowhere but in memory of the plan's own */
};

#define BOOT_UNPACKED_MAX (UINT64_C(1) << 30)
#define BOOT_SECTOR_GPA   UINT64_C(0x7c00) /* where a BIOS loads a boot sector */

enum {
	BOOT_SEGMENTS_MAX = 64,
	BOOT_BUILD_ID_MAX = 32,
	BOOT_SETUP_HEADER_MAX = 0x290 - 0x1f1, /* the room the zero page has for it */
};

/* mem_len bytes at gpa: data_len from data, zeros after. */
struct boot_segment {
	uint64_t gpa;
	const uint8_t *data;        /* NULL when data_len is 0 */
	uint64_t data_len, mem_len; /* data_len <= mem_len, mem_len > 0, gpa + mem_len fits */
};

struct boot_plan {
	enum boot_protocol protocol;
	const char *kind;      /* "ELF64 with PVH note": static, for people */
	const char *container; /* "bzImage" when the kernel was taken out of one; static or NULL */
	const char *compression; /* "lz4": what was decompressed on the host; static or NULL */
	uint64_t entry_gpa;
	/* Ascending, disjoint, at least one; the data of none ends with a zero. */
	struct boot_segment segment[BOOT_SEGMENTS_MAX];
	unsigned nr_segments;
	/*
	 * First address past what the kernel needs when it starts: its segments, and after them
	 * the room a bzImage decompresses itself into (init_size).
	 */
	uint64_t end_gpa;
	/*
	 * The highest address that a byte of the initrd should have, and the highest that it may have
	 * where there is no room below. A limit below the maximum counts as the maximum.
	 */
	uint64_t initrd_gpa_max, initrd_gpa_limit;
	uint32_t cmdline_max; /* bytes the kernel reads, without the NUL; UINT32_MAX: unknown */
	uint64_t
		load_base_gpa; /* Multiboot 2, a kernel that may be moved: where it begins; else 0 */
	uint8_t setup_header[BOOT_SETUP_HEADER_MAX]; /* a bzImage's, from its offset 0x1f1 */
	uint32_t setup_header_len;                   /* 0: no bzImage */
	bool is_linux;                               /* an ELF file that shows a sign of it */
	/* Of an ELF file, which runs where it is loaded: linear addresses less physical ones. */
	bool has_linear_offset;
	uint64_t linear_offset;
	uint8_t build_id[BOOT_BUILD_ID_MAX]; /* of an ELF file (NT_GNU_BUILD_ID) */
	uint32_t build_id_len;               /* 0: none */
	uint8_t *owned; /* bytes that segments point into, besides the image; or NULL */
	uint8_t *
		room; /* opts->room when it was written to and segments may point into it, or NULL */
	size_t room_len;
};

/* Guest addresses that somebody has use for; name is for messages: "the ACPI tables". */
struct boot_span {
	uint64_t gpa, len;
	const char *name;
};

/* Guest addresses where no machine has RAM for a kernel, however much memory it has. */
struct boot_hole {
	struct boot_span span;
	bool moves_memory; /* memory that would lie here lies above instead */
};

/* The machine, as far as a loader has to know it; all borrowed, holes ascending. */
struct boot_layout {
	const struct boot_span *ram, *taken;
	const struct boot_hole *hole;
	unsigned nr_ram, nr_taken, nr_holes;
};

/*
 * Reads an image of any kind we boot. name is for messages only. opts may be NULL: automatic.
 * Segments point into image, which must outlive the plan, into plan->owned, or into opts->room. -ENOEXEC with a diag
 * that names what the file is and what is wrong with it; -ENOMEM; -EINVAL for options that make no
 * sense. After a failure the plan holds nothing, and boot_plan_fini() is allowed.
 */
int boot_plan_init(struct boot_plan *plan, const char *name, const uint8_t *image, size_t len,
		   const struct boot_opts *opts, struct diag *diag);
void boot_plan_fini(struct boot_plan *plan);

/*
 * Whether the kernel fits the machine: each segment, and the last one's room up to end_gpa, lies
 * inside one span of ram, and touches none of taken. -EINVAL with a diag that names the addresses
 * and the owner: of what is taken, or of the hole that it would lie in. For a machine that is too
 * small it names the memory that would do. name as above.
 */
int boot_plan_check(const struct boot_plan *plan, const char *name,
		    const struct boot_layout *layout, struct diag *diag);

/*
 * Puts each segment where it belongs: dst[i] is its mem_len bytes, zeros but for what decompression
 * left there. The dst may cover each other's data, and do when opts->room is the memory that the
 * kernel will run in: then most of it is in its place already. The segments' data are there afterwards;
 * nothing else may be loaded by the plan. -ENOMEM with diag.
 */
int boot_plan_place(struct boot_plan *plan, uint8_t *const dst[], struct diag *diag);

/*
 * Whether the kernel is a Linux that finds a UART in memory: first by the command line, which takes
 * SERIAL_8250_CONSOLE and its early console "uart8250", and then by ACPI, which takes PNPACPI, whose
 * parameter is "pnpacpi=". To any other kernel the ports are to be advertised, which need no finding.
 */
bool boot_plan_finds_memory_uart(const struct boot_plan *plan);

/* A protocol's name for reports: "pvh", "linux64", "multiboot2"; NULL for none there is. Static. */
const char *boot_protocol_name(enum boot_protocol protocol);

/* "bzImage, lz4: ELF64 with PVH note". Returns buf. */
const char *boot_plan_describe(const struct boot_plan *plan, char *buf, size_t size);

#endif
