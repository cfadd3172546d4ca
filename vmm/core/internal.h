/* internal.h - what the files of this folder share. */
#ifndef VMM_CORE_INTERNAL_H
#define VMM_CORE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"

enum { CORE_VMCOREINFO_MAX = 4096 }; /* VMCOREINFO_BYTES of Linux */

/*
 * Finds the note named VMCOREINFO that a Linux kernel keeps in its memory (Linux, kernel/crash_core.c): at the start of
 * a page. Copies its text to buf; how many bytes, 0 for none. The guest may have written anything there.
 */
size_t core_vmcoreinfo_find(const struct guest_mem *mem, char buf[CORE_VMCOREINFO_MAX]);

/* Writes all RAM to fd, from off on, region after region. 0, -ECANCELED or -errno. */
int core_ram_write(const struct core_opts *opts, int fd, uint64_t off);

#endif
