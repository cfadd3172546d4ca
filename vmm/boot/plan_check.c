/* plan_check.c - whether a planned kernel fits the machine it is planned for. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "base/checked.h"
#include "base/parse.h"
#include "boot/boot.h"

#define MIB (UINT64_C(1) << 20)

/* One stretch of guest memory that the kernel needs. */
struct need {
	uint64_t gpa, len;
};

static struct need segment_need(const struct boot_plan *plan, unsigned i)
{
	const struct boot_segment *seg = &plan->segment[i];
	struct need need = {.gpa = seg->gpa, .len = seg->mem_len};

	if (i + 1 == plan->nr_segments && plan->end_gpa > seg->gpa + seg->mem_len)
		need.len = plan->end_gpa - seg->gpa;
	return need;
}

static bool is_inside(const struct need *need, const struct boot_span *span)
{
	return need->gpa >= span->gpa &&
	       u64_range_within(need->gpa - span->gpa, need->len, span->len);
}

static bool is_touching(const struct need *need, const struct boot_span *span)
{
	return need->gpa < span->gpa ? need->len > span->gpa - need->gpa
				     : span->len > need->gpa - span->gpa;
}

/* Memory at its place does not help: no machine of this kind has RAM there. */
static int refuse_hole(const struct need *need, const char *name, const struct boot_span *hole,
		       struct diag *diag)
{
	const uint64_t hole_end = hole->gpa + hole->len;

	diag_set(diag, -EINVAL, "kernel-over-hole",
		 "kernel '%s' needs memory from %#" PRIx64 " to %#" PRIx64 ", and from %#" PRIx64
		 " to %#" PRIx64 " there is %s, whatever the machine's memory",
		 name, need->gpa, need->gpa + need->len, hole->gpa, hole_end, hole->name);
	if (need->gpa < hole->gpa)
		diag_remedy(diag, "link it to end at %#" PRIx64 " or to begin at %#" PRIx64,
			    hole->gpa, hole_end);
	else
		diag_remedy(diag,
			    "link it to begin at %#" PRIx64 ": ld's -Ttext-segment=%#" PRIx64
			    " counts the ELF headers in, -Ttext does not",
			    hole_end, hole_end);
	return -EINVAL;
}

/* The memory that a machine has when its RAM ends at end. */
static uint64_t memory_to(uint64_t end, const struct boot_layout *layout)
{
	uint64_t memory = end;

	for (unsigned i = 0; i < layout->nr_holes; i++)
		if (layout->hole[i].moves_memory && layout->hole[i].span.gpa < end)
			memory -= layout->hole[i].span.len;
	return memory;
}

static int need_refuse_size(const struct need *need, const char *name,
			    const struct boot_layout *layout, struct diag *diag)
{
	const uint64_t end = need->gpa + need->len;
	uint64_t ram_end = 0, more;
	char size[24];

	for (unsigned i = 0; i < layout->nr_ram; i++)
		if (layout->ram[i].gpa + layout->ram[i].len > ram_end)
			ram_end = layout->ram[i].gpa + layout->ram[i].len;
	diag_set(diag, -EINVAL, "kernel-past-memory",
		 "kernel '%s' needs memory from %#" PRIx64 " to %#" PRIx64
		 ", and the machine's ends at %#" PRIx64,
		 name, need->gpa, end, ram_end);
	if (end > ram_end && u64_align_up(memory_to(end, layout), MIB, &more))
		diag_remedy(diag, "give the machine more than %s of memory",
			    format_size(more, size));
	return -EINVAL;
}

static int check_need(const struct need *need, const char *name, const struct boot_layout *layout,
		      struct diag *diag)
{
	bool inside = false;

	for (unsigned i = 0; i < layout->nr_ram && !inside; i++)
		inside = is_inside(need, &layout->ram[i]);
	for (unsigned i = 0; i < layout->nr_holes && !inside; i++)
		if (is_touching(need, &layout->hole[i].span))
			return refuse_hole(need, name, &layout->hole[i].span, diag);
	if (!inside)
		return need_refuse_size(need, name, layout, diag);
	for (unsigned i = 0; i < layout->nr_taken; i++) {
		const struct boot_span *taken = &layout->taken[i];

		if (taken->len && is_touching(need, taken))
			return diag_set(diag, -EINVAL, "kernel-overlap",
					"kernel '%s' needs memory from %#" PRIx64 " to %#" PRIx64
					", where %s lies (%#" PRIx64 " to %#" PRIx64 ")",
					name, need->gpa, need->gpa + need->len, taken->name,
					taken->gpa, taken->gpa + taken->len);
	}
	return 0;
}

int boot_plan_check(const struct boot_plan *plan, const char *name,
		    const struct boot_layout *layout, struct diag *diag)
{
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct need need = segment_need(plan, i);
		const int r = check_need(&need, name, layout, diag);

		if (r < 0)
			return r;
	}
	return 0;
}
