/*
 * mmio - memory-mapped accesses of every width to the scratch device (lib/scratch.h), to its edges,
 * and to addresses that nobody claims. A copy of the device's bytes says what must be read; bytes
 * outside it are always ones.
 *
 *   mmio=N   where the scratch device is, unless the device tree says so
 */
#include <string.h>

#include "access.h"
#include "boot.h"
#include "check.h"
#include "devtree.h"
#include "power.h"
#include "scratch.h"

#include "insn_tests.h"

enum {
	MARGIN = 8, /* unclaimed bytes on either side */
	PAGE_BYTES = 4096,
};

static struct {
	uint64_t gpa;
	uint64_t pattern;
	uint8_t byte[SCRATCH_BYTES];
} model;

static uint64_t model_read(int off, unsigned width)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < width; i++) {
		const int at = off + (int)i;
		const uint64_t byte = at >= 0 && at < SCRATCH_BYTES ? model.byte[at] : 0xff;

		val |= byte << 8 * i;
	}
	return val;
}

static void model_write(int off, unsigned width, uint64_t val)
{
	for (unsigned i = 0; i < width; i++) {
		const int at = off + (int)i;

		if (at >= 0 && at < SCRATCH_BYTES)
			model.byte[at] = (uint8_t)(val >> 8 * i);
	}
}

/* The same access to device and model; off may be outside the device by MARGIN. */
static bool access_agrees(const char *name, int off, unsigned width)
{
	const uint64_t gpa = model.gpa + (uint64_t)(int64_t)off;
	uint64_t seen;

	model.pattern = model.pattern * UINT64_C(6364136223846793005) + 1;
	mmio_write(gpa, width, model.pattern);
	model_write(off, width, model.pattern);
	seen = mmio_read(gpa, width);
	if (seen == model_read(off, width))
		return true;
	check_fail(name, "%u bytes at 0x%lx: 0x%lx, not 0x%lx", width, gpa, seen,
		   model_read(off, width));
	return false;
}

/* The device against the model, in widest accesses. */
static bool all_bytes_agree(const char *name)
{
	for (int off = 0; off < SCRATCH_BYTES; off += 8) {
		const uint64_t seen = mmio_read64(model.gpa + (uint64_t)off);

		if (seen != model_read(off, 8)) {
			check_fail(name, "afterwards, at 0x%lx: 0x%lx, not 0x%lx",
				   model.gpa + (uint64_t)off, seen, model_read(off, 8));
			return false;
		}
	}
	return true;
}

/* All accesses of all widths that begin in [first, end) in steps of their width or of one byte. */
static void test_span(const char *name, int first, int end, bool aligned)
{
	for (unsigned width = 1; width <= 8; width *= 2) {
		for (int off = first; off < end; off += aligned ? (int)width : 1) {
			if (!access_agrees(name, off, width))
				return;
		}
	}
	if (all_bytes_agree(name))
		check_ok(name);
}

static void test_page_edge(const char *name)
{
	const int edge = (int)(PAGE_BYTES - model.gpa % PAGE_BYTES);

	if (edge + MARGIN >= SCRATCH_BYTES)
		check_fail(name, "no page edge in the device at 0x%lx", model.gpa);
	else
		test_span(name, edge - MARGIN + 1, edge, false);
}

static void test_unclaimed(const char *name)
{
	static const uint64_t holes[] = {0xc8000001, 0xcffffffc, 0xdfffffff, 0xfe000000};

	for (unsigned i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		for (unsigned width = 1; width <= 8; width *= 2) {
			uint64_t seen;

			mmio_write(holes[i], width, 0);
			seen = mmio_read(holes[i], width);
			if (seen != width_mask(width)) {
				check_fail(name, "%u bytes at 0x%lx: 0x%lx", width, holes[i], seen);
				return;
			}
		}
	}
	check_ok(name);
}

void kernel_main(void)
{
	devtree_init();
	if (!scratch_find_mmio(&model.gpa))
		guest_usage("mmio: no scratch device; mmio=N says where it is");
	for (uint64_t i = 0; i < SCRATCH_BYTES; i++)
		mmio_write8(model.gpa + i, 0);
	test_span("mmio-aligned", 0, SCRATCH_BYTES, true);
	test_span("mmio-unaligned", 0, SCRATCH_RANGE_BYTES - MARGIN, false);
	test_page_edge("mmio-page-edge");
	test_span("mmio-range-edge", SCRATCH_RANGE_BYTES - MARGIN + 1, SCRATCH_RANGE_BYTES, false);
	test_span("mmio-before", -MARGIN + 1, 0, false);
	test_span("mmio-behind", SCRATCH_BYTES - MARGIN + 1, SCRATCH_BYTES, false);
	test_unclaimed("mmio-unclaimed-ones");
	insn_tests(model.gpa);
	check_finish();
}
