/* initrd.c - placing the initrd (boot.rst, initrd_addr_max; buffer-format.rst). */
#include "boot/initrd.h"

#include <errno.h>
#include <stdbool.h>

#include "base/checked.h"
#include "base/parse.h"

enum {
	PAGE = 4096,
	ARCHIVE_ALIGN = 4,
};

struct limits {
	uint64_t first, end; /* [first, end) is allowed */
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The taken span that begins lowest of those that overlap [gpa, gpa + len), or NULL. */
static const struct boot_span *find_taken(const struct boot_span *taken, unsigned nr, uint64_t gpa,
					  uint64_t len)
{
	const struct boot_span *lowest = NULL;

	for (unsigned i = 0; i < nr; i++) {
		const struct boot_span *t = &taken[i];
		const bool meets = t->gpa < gpa ? t->len > gpa - t->gpa : t->gpa - gpa < len;

		if (t->len && meets && (!lowest || t->gpa < lowest->gpa))
			lowest = t;
	}
	return lowest;
}

/* The highest place in one span of RAM: from the top down, past everything that is taken. */
static bool place_in(const struct boot_span *ram, const struct limits *lim,
		     const struct boot_span *taken, unsigned nr_taken, uint64_t len, uint64_t *ret)
{
	const uint64_t first = ram->gpa > lim->first ? ram->gpa : lim->first;
	uint64_t end = UINT64_MAX;

	u64_add(ram->gpa, ram->len, &end);
	end = min_u64(end, lim->end);
	while (end >= first && end - first >= len) {
		const uint64_t gpa = (end - len) & ~(uint64_t)(PAGE - 1);
		const struct boot_span *hit;

		if (gpa < first)
			return false;
		hit = find_taken(taken, nr_taken, gpa, len);
		if (!hit) {
			*ret = gpa;
			return true;
		}
		end = hit->gpa; /* below gpa + len: each step goes down */
	}
	return false;
}

static int whole_len(const struct boot_file *file, unsigned nr, uint64_t *ret, struct diag *diag)
{
	uint64_t len = 0;

	for (unsigned i = 0; i < nr; i++) {
		if (file[i].len == 0)
			return diag_set(diag, -EINVAL, "initrd-empty",
					"initrd '%s' is an empty file", file[i].name);
		if (!u64_align_up(len, ARCHIVE_ALIGN, &len) || !u64_add(len, file[i].len, &len))
			return diag_set(diag, -EINVAL, "initrd-too-large",
					"initrd '%s' is too large", file[i].name);
	}
	*ret = len;
	return 0;
}

static void fill_segments(const struct boot_file *file, unsigned nr, uint64_t gpa,
			  struct boot_segment *segment)
{
	for (unsigned i = 0; i < nr; i++) {
		uint64_t mem_len = file[i].len;

		if (i + 1 < nr)
			u64_align_up(mem_len, ARCHIVE_ALIGN,
				     &mem_len); /* whole_len() found it fits */
		segment[i] = (struct boot_segment){
			.gpa = gpa,
			.data = file[i].data,
			.data_len = file[i].len,
			.mem_len = mem_len,
		};
		gpa += mem_len;
	}
}

static int initrd_refuse_size(const struct boot_plan *plan, const struct boot_file *file,
			      unsigned nr, uint64_t len, uint64_t last, struct diag *diag)
{
	const bool can_fit = last > plan->end_gpa && len <= last - plan->end_gpa;
	char size[24];

	diag_set(diag, -EINVAL, "initrd-no-room",
		 "initrd '%s'%s: no %s of free memory between the kernel's end at %#llx and the "
		 "last address it may have, %#llx",
		 file[0].name, nr > 1 ? " and those after it" : "", format_size(len, size),
		 (unsigned long long)plan->end_gpa, (unsigned long long)last);
	if (can_fit)
		diag_remedy(diag, "give the machine more memory, or make the initrd smaller");
	else
		diag_remedy(diag, "make the initrd smaller, or a disk: more memory is out of this "
				  "kernel's reach at its start");
	return -EINVAL;
}

/* The highest place in any RAM, up to the last address. */
static bool place_up_to(const struct boot_plan *plan, uint64_t last, uint64_t len,
			const struct boot_layout *layout, uint64_t *ret)
{
	struct limits lim = {.end = last};
	bool found = false;
	uint64_t at;

	if (lim.end < UINT64_MAX)
		lim.end++; /* last is an address that it may have, not the one after it */
	if (!u64_align_up(plan->end_gpa, PAGE, &lim.first))
		return false;
	for (unsigned i = 0; i < layout->nr_ram; i++) {
		if (!place_in(&layout->ram[i], &lim, layout->taken, layout->nr_taken, len, &at))
			continue;
		if (!found || at > *ret)
			*ret = at;
		found = true;
	}
	return found;
}

int boot_initrd_place(const struct boot_plan *plan, const struct boot_file *file, unsigned nr,
		      const struct boot_layout *layout, struct boot_segment *segment,
		      struct boot_initrd *ret, struct diag *diag)
{
	const uint64_t last = plan->initrd_gpa_limit > plan->initrd_gpa_max ? plan->initrd_gpa_limit
									    : plan->initrd_gpa_max;
	uint64_t len = 0, gpa = 0;
	int r = whole_len(file, nr, &len, diag);

	if (r < 0)
		return r;
	if (nr) {
		if (!place_up_to(plan, plan->initrd_gpa_max, len, layout, &gpa) &&
		    !place_up_to(plan, last, len, layout, &gpa))
			return initrd_refuse_size(plan, file, nr, len, last, diag);
		fill_segments(file, nr, gpa, segment);
	}
	*ret = (struct boot_initrd){.gpa = gpa, .len = len};
	return 0;
}
