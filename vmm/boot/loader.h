/* loader.h - between plan.c and the loaders, one a format. Nobody else includes it. */
#ifndef BOOT_LOADER_H
#define BOOT_LOADER_H

#include <stdbool.h>

#include "boot/boot.h"

/* Bytes of a kernel, or of what came out of a compressed one; name is for messages. */
struct boot_image {
	const char *name;
	const uint8_t *bytes;
	size_t len;
};

/* Records "kernel 'NAME' FMT…" and the remedy (may be NULL) as -ENOEXEC; returns that. */
int boot_refuse(const struct boot_image *img, struct diag *diag, const char *remedy,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * Appends a segment; mem_len 0 appends nothing. -ENOEXEC with diag when it wraps around the address
 * space or there are more than BOOT_SEGMENTS_MAX.
 */
int boot_plan_add(struct boot_plan *plan, const struct boot_image *img,
		  const struct boot_segment *seg, struct diag *diag);

/* What elf_load() may enter an image by. */
enum elf_entry {
	ELF_ENTRY_PVH = 1,
	ELF_ENTRY_LINUX64 = 2,
};

bool elf_matches(const struct boot_image *img);

/*
 * Plans an ELF kernel, by the first of the allowed entries (a mask of enum elf_entry) that it has,
 * PVH before Linux. -ENOEXEC with diag.
 */
int elf_load(struct boot_plan *plan, const struct boot_image *img, unsigned allowed,
	     struct diag *diag);

#endif
