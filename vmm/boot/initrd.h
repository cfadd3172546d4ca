/* initrd.h - where the initrd goes, and how several files become one. Pure. */
#ifndef VMM_BOOT_INITRD_H
#define VMM_BOOT_INITRD_H

#include "boot/boot.h"

struct boot_initrd {
	uint64_t gpa, len; /* of the whole, gpa a multiple of 4 KiB; len 0: there is none */
};

/*
 * Places the files one after the other, each padded with zeros to 4 bytes, as Linux wants of a
 * buffer of several archives (buffer-format.rst). The whole goes to the highest page-aligned
 * address where it lies inside one span of RAM, above plan->end_gpa, not past plan->initrd_gpa_max,
 * and touches nothing that is taken: out of the way of what the kernel allocates from below. Where
 * nothing is free there, an address up to plan->initrd_gpa_limit will do. The layout's holes are not used.
 * segment[i], one a file, is what to load; it points into the file's bytes. -EINVAL with diag for
 * an empty file, and when nothing that large is free. nr 0 gives len 0.
 */
int boot_initrd_place(const struct boot_plan *plan, const struct boot_file *file, unsigned nr,
		      const struct boot_layout *layout, struct boot_segment *segment,
		      struct boot_initrd *ret, struct diag *diag);

#endif
