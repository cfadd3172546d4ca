/* plan.c - tells an image by its content, hands it to its loader, and puts the plan in order. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "boot/loader.h"

/*
 * Linux x86-64 gives this in every setup header since 2.6.22; a vmlinux carries no header to ask,
 * and takes the address of a PVH module modulo 4 GiB.
 */
static const uint64_t initrd_gpa_max_default = 0x7fffffff;

int boot_refuse(const struct boot_image *img, struct diag *diag, const char *remedy,
		const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	diag_set(diag, -ENOEXEC, "kernel '%s' %s", img->name, what);
	if (remedy)
		diag_remedy(diag, "%s", remedy);
	return -ENOEXEC;
}

int boot_plan_add(struct boot_plan *plan, const struct boot_image *img,
		  const struct boot_segment *seg, struct diag *diag)
{
	uint64_t end;

	if (seg->mem_len == 0)
		return 0;
	if (!u64_add(seg->gpa, seg->mem_len, &end))
		return boot_refuse(
			img, diag, NULL,
			"is corrupt: its segment at %#llx wraps around the address space",
			(unsigned long long)seg->gpa);
	if (plan->nr_segments == BOOT_SEGMENTS_MAX)
		return boot_refuse(img, diag, NULL, "has more than %d segments", BOOT_SEGMENTS_MAX);
	plan->segment[plan->nr_segments++] = *seg;
	if (end > plan->end_gpa)
		plan->end_gpa = end;
	return 0;
}

static int segment_cmp(const void *a, const void *b)
{
	const struct boot_segment *x = a, *y = b;

	return (x->gpa > y->gpa) - (x->gpa < y->gpa);
}

static int order_segments(struct boot_plan *plan, const struct boot_image *img, struct diag *diag)
{
	qsort(plan->segment, plan->nr_segments, sizeof(plan->segment[0]), segment_cmp);
	for (unsigned i = 1; i < plan->nr_segments; i++) {
		const struct boot_segment *below = &plan->segment[i - 1], *seg = &plan->segment[i];

		if (below->gpa + below->mem_len > seg->gpa)
			return boot_refuse(img, diag, NULL,
					   "is corrupt: its segments at %#llx and %#llx overlap",
					   (unsigned long long)below->gpa,
					   (unsigned long long)seg->gpa);
	}
	return 0;
}

static int load(struct boot_plan *plan, const struct boot_image *img, const struct boot_opts *opts,
		struct diag *diag)
{
	unsigned allowed = opts->mode == BOOT_MODE_PVH       ? ELF_ENTRY_PVH
			   : opts->mode == BOOT_MODE_LINUX64 ? ELF_ENTRY_LINUX64
							     : ELF_ENTRY_PVH | ELF_ENTRY_LINUX64;

	if (elf_matches(img))
		return elf_load(plan, img, allowed, diag);
	return boot_refuse(img, diag, NULL, "is of no known kind");
}

int boot_plan_init(struct boot_plan *plan, const char *name, const uint8_t *image, size_t len,
		   const struct boot_opts *opts, struct diag *diag)
{
	const struct boot_image img = {.name = name, .bytes = image, .len = len};
	static const struct boot_opts automatic = {.mode = BOOT_MODE_AUTO};
	int r;

	*plan = (struct boot_plan){
		.initrd_gpa_max = initrd_gpa_max_default,
		.cmdline_max = UINT32_MAX,
	};
	r = load(plan, &img, opts ? opts : &automatic, diag);
	if (r == 0)
		r = order_segments(plan, &img, diag);
	if (r < 0)
		boot_plan_fini(plan);
	return r;
}

void boot_plan_fini(struct boot_plan *plan)
{
	if (!plan)
		return;
	free(plan->owned);
	*plan = (struct boot_plan){0};
}
