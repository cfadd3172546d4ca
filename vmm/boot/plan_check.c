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

static int refuse_size(const struct need *need, const char *name, const struct boot_span *ram,
		       unsigned nr_ram, struct diag *diag)
{
	const uint64_t end = need->gpa + need->len;
	uint64_t ram_end = 0;
	char size[24];

	for (unsigned i = 0; i < nr_ram; i++)
		if (ram[i].gpa <= need->gpa && ram[i].gpa + ram[i].len > ram_end)
			ram_end = ram[i].gpa + ram[i].len;
	diag_set(diag, -EINVAL,
		 "kernel '%s' needs memory from %#" PRIx64 " to %#" PRIx64
		 ", and the machine's ends at %#" PRIx64,
		 name, need->gpa, end, ram_end);
	if (nr_ram && ram[0].gpa == 0 && ram_end == ram[0].len && end <= UINT64_MAX - MIB)
		diag_remedy(diag, "give the machine more than %s of memory",
			    format_size((end + MIB - 1) & ~(MIB - 1), size));
	return -EINVAL;
}

static int check_need(const struct need *need, const char *name, const struct boot_span *ram,
		      unsigned nr_ram, const struct boot_span *taken, unsigned nr_taken,
		      struct diag *diag)
{
	bool inside = false;

	for (unsigned i = 0; i < nr_ram && !inside; i++)
		inside = is_inside(need, &ram[i]);
	if (!inside)
		return refuse_size(need, name, ram, nr_ram, diag);
	for (unsigned i = 0; i < nr_taken; i++)
		if (taken[i].len && is_touching(need, &taken[i]))
			return diag_set(diag, -EINVAL,
					"kernel '%s' needs memory from %#" PRIx64 " to %#" PRIx64
					", where %s lies (%#" PRIx64 " to %#" PRIx64 ")",
					name, need->gpa, need->gpa + need->len, taken[i].name,
					taken[i].gpa, taken[i].gpa + taken[i].len);
	return 0;
}

int boot_plan_check(const struct boot_plan *plan, const char *name, const struct boot_span *ram,
		    unsigned nr_ram, const struct boot_span *taken, unsigned nr_taken,
		    struct diag *diag)
{
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct need need = segment_need(plan, i);
		const int r = check_need(&need, name, ram, nr_ram, taken, nr_taken, diag);

		if (r < 0)
			return r;
	}
	return 0;
}
