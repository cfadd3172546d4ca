/*
 * boot.h - kernel image bytes -> load plan. Pure: no KVM, no guest memory, no file system, so every
 * loader can be fuzzed. The kind of an image is told by its content, never by its name.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

/* The state a vCPU must be in at entry_gpa, and what its registers point to. */
enum boot_protocol {
	BOOT_PVH, /* 32-bit protected mode, no paging, EBX = hvm_start_info (Xen's pvh.pandoc) */
	BOOT_LINUX64,   /* long mode, RAM mapped 1:1, RSI = zero page (Linux boot.rst, 64-bit) */
	BOOT_MULTIBOOT, /* 32-bit protected mode, EAX = 0x2badb002, EBX = info (Multiboot 0.6.96) */
	BOOT_FLAT_REAL, /* real mode, CS base = entry_gpa, IP = 0 */
	BOOT_FLAT_LONG, /* long mode, RAM mapped 1:1 */
};

/* What the user asked for. */
enum boot_mode {
	BOOT_MODE_AUTO,    /* by content; the fastest protocol the image offers */
	BOOT_MODE_PVH,     /* only by PVH note */
	BOOT_MODE_LINUX64, /* the 64-bit entry of a vmlinux, decompressed on the host where need be */
	BOOT_MODE_BZIMAGE,   /* the bzImage's own 64-bit entry: the guest decompresses */
	BOOT_MODE_MULTIBOOT, /* only by Multiboot 1 header */
	BOOT_MODE_FLAT_REAL, /* no format: the bytes go to flat_gpa and run there in real mode */
	BOOT_MODE_FLAT_LONG, /* the same in long mode */
};

struct boot_opts {
	enum boot_mode mode;
	uint64_t flat_gpa;     /* BOOT_MODE_FLAT_*: load and entry address */
	uint64_t unpacked_max; /* bytes a compressed kernel may grow to; 0: BOOT_UNPACKED_MAX */
};

#define BOOT_UNPACKED_MAX (UINT64_C(1) << 30)

enum {
	BOOT_SEGMENTS_MAX = 64,
	BOOT_SETUP_HEADER_MAX = 272, /* 0x1f1 up to the furthest end its length byte can name */
};

/* mem_len bytes at gpa: data_len from data, zeros after. */
struct boot_segment {
	uint64_t gpa;
	const uint8_t *data;        /* NULL when data_len is 0 */
	uint64_t data_len, mem_len; /* data_len <= mem_len, mem_len > 0, gpa + mem_len fits */
};

struct boot_plan {
	enum boot_protocol protocol;
	const char *kind; /* "ELF64 with PVH note": a static string for people */
	const char
		*compression; /* "lz4": what was decompressed on the host, static; NULL: nothing */
	uint64_t entry_gpa;
	struct boot_segment segment[BOOT_SEGMENTS_MAX]; /* ascending, disjoint, at least one */
	unsigned nr_segments;
	uint64_t end_gpa; /* first address past what the kernel needs when it starts: its segments,
			     and the room a bzImage decompresses itself into (init_size) */
	uint64_t initrd_gpa_max; /* the last address an initrd's last byte may have */
	uint32_t
		cmdline_max; /* bytes without the NUL that the kernel reads; UINT32_MAX: no limit known */
	uint8_t setup_header
		[BOOT_SETUP_HEADER_MAX]; /* a bzImage's, from offset 0x1f1: for the zero page */
	uint32_t setup_header_len;       /* 0: the image has none */
	uint32_t multiboot_flags;        /* BOOT_MULTIBOOT: what the header asks for */
	uint8_t *owned; /* bytes that segments point into, beside the image; or NULL */
};

/*
 * Reads an image of any kind we boot. name is for messages only. opts may be NULL: automatic.
 * Segments point into image, which must outlive the plan, or into plan->owned. -ENOEXEC with a diag
 * that names what the file is and what is wrong with it; -ENOMEM; -EINVAL for opts that make no
 * sense. After a failure the plan holds nothing and boot_plan_fini() is allowed.
 */
int boot_plan_init(struct boot_plan *plan, const char *name, const uint8_t *image, size_t len,
		   const struct boot_opts *opts, struct diag *diag);
void boot_plan_fini(struct boot_plan *plan);

#endif
