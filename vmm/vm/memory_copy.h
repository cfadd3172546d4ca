/*
 * memory_copy.h - guest memory as it was before the first instruction, for a reset: kernel, initrds, and what the boot
 * protocol puts there. Pages of zeros take no memory.
 *
 * Threads: the event thread's, or the one that makes the VM. Nothing else may use guest memory.
 */
#ifndef VMM_VM_MEMORY_COPY_H
#define VMM_VM_MEMORY_COPY_H

#include <stdint.h>

#include "base/diag.h"

struct guest_mem;

struct memory_copy {
	uint8_t *bytes;    /* as many as guest memory has; NULL: no copy */
	uint8_t *has_page; /* a bit per page: it is in bytes */
	uint64_t len;
};

/* Copies mem. *copy is zeroed. -ENOMEM with diag: then it still is. */
int memory_copy_init(struct memory_copy *copy, const struct guest_mem *mem, struct diag *diag);
/* Clears mem, and puts the pages back. -errno with diag: the host has no pages. */
int memory_copy_put_back(const struct memory_copy *copy, const struct guest_mem *mem,
			 struct diag *diag);
void memory_copy_fini(struct memory_copy *copy); /* takes a zeroed one too */

#endif
