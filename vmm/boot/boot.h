/*
 * boot.h - kernel image bytes -> load plan. Pure: no KVM, no guest memory, no file system, so every
 * loader can be fuzzed. The kind of an image is told by its content, never by its name.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum boot_protocol {
	BOOT_PVH, /* 32-bit protected mode, no paging, EBX = hvm_start_info (Xen's pvh.pandoc) */
};

enum { BOOT_SEGMENTS_MAX = 64 };

/* mem_len bytes at gpa: data_len from data, zeros after. */
struct boot_segment {
	uint64_t gpa;
	const uint8_t *data;
	uint64_t data_len, mem_len; /* data_len <= mem_len */
};

struct boot_plan {
	enum boot_protocol protocol;
	const char *kind; /* "ELF64 with PVH note": a static string for people */
	uint64_t entry_gpa;
	struct boot_segment segment[BOOT_SEGMENTS_MAX]; /* ascending, disjoint */
	unsigned nr_segments;
	uint8_t *owned; /* bytes that segments point into, beside the image; or NULL */
};

/*
 * Reads an image of any kind we boot. name is for messages only. Segments point into image, which
 * must outlive the plan, or into plan->owned. -ENOEXEC with a diag that names what the file is and
 * what is wrong with it; -ENOMEM.
 */
int boot_plan_init(struct boot_plan *plan, const char *name, const uint8_t *image, size_t len,
		   struct diag *diag);
void boot_plan_fini(struct boot_plan *plan);

#endif
