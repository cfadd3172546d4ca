/* flat.c - raw code without a format: it goes where the user says and runs from its first byte. */
#include <errno.h>

#include "base/checked.h"
#include "boot/loader.h"

static const uint64_t real_mode_end = 1 << 20;

static int check_real_mode(const struct boot_image *img, uint64_t gpa, struct diag *diag)
{
	if (gpa % 16)
		return diag_set(diag, -EINVAL, "flat-alignment",
				"flat kernel address %#llx: real mode starts at multiples of 16",
				(unsigned long long)gpa);
	if (!u64_range_within(gpa, img->len, real_mode_end))
		return diag_set(
			diag, -EINVAL, "flat-end",
			"flat kernel '%s': %zu bytes at %#llx end past 1 MiB, where real mode "
			"does not reach",
			img->name, img->len, (unsigned long long)gpa);
	return 0;
}

int flat_load(struct boot_plan *plan, const struct boot_image *img, const struct boot_opts *opts,
	      struct diag *diag)
{
	const struct boot_segment seg = {
		.gpa = opts->flat_gpa,
		.data = img->bytes,
		.data_len = img->len,
		.mem_len = img->len,
	};
	const bool real = opts->mode == BOOT_MODE_FLAT_REAL;
	int r = real ? check_real_mode(img, opts->flat_gpa, diag) : 0;

	if (r < 0)
		return r;
	plan->protocol = real ? BOOT_FLAT_REAL : BOOT_FLAT_LONG;
	plan->kind = real ? "flat real-mode code" : "flat 64-bit code";
	plan->entry_gpa = opts->flat_gpa;
	return boot_plan_add(plan, img, &seg, diag);
}
