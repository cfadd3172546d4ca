/*
 * place.c - a plan's segments into memory. A kernel that was decompressed into the memory it will run
 * in is not copied, or only by the little that its file differs from its place.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"

static bool is_in_room(const struct boot_plan *plan, const struct boot_segment *seg)
{
	/* As integers, because they may point into different objects. */
	return plan->room && seg->data_len &&
	       (uintptr_t)seg->data - (uintptr_t)plan->room < plan->room_len;
}

static bool has_data_in_room(const struct boot_plan *plan)
{
	for (unsigned i = 0; i < plan->nr_segments; i++)
		if (is_in_room(plan, &plan->segment[i]))
			return true;
	return false;
}

/*
 * Whether moving one segment after the other overwrites no data still to be moved: true where each
 * moves down or stays, and their data have the order of their places.
 */
static bool moves_down_in_order(const struct boot_plan *plan, uint8_t *const dst[])
{
	uintptr_t moved_end = 0;

	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct boot_segment *seg = &plan->segment[i];
		const uintptr_t at = (uintptr_t)seg->data;

		if (!seg->data_len)
			continue;
		if (!is_in_room(plan, seg) || at < moved_end || at < (uintptr_t)dst[i])
			return false;
		moved_end = at + seg->data_len;
	}
	return true;
}

/* Takes the data out of the room, for a file whose order is another than that of memory. */
static int leave_room(struct boot_plan *plan, struct diag *diag)
{
	const uint8_t *first = plan->room + plan->room_len, *end = plan->room;

	assert(!plan->owned); /* it holds what was decompressed, unless the room does */
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct boot_segment *seg = &plan->segment[i];

		if (!is_in_room(plan, seg))
			continue;
		if (seg->data < first)
			first = seg->data;
		if (seg->data + seg->data_len > end)
			end = seg->data + seg->data_len;
	}
	plan->owned = malloc((size_t)(end - first));
	if (!plan->owned)
		return diag_set(diag, -ENOMEM, "kernel-memory", "copy the kernel");
	memcpy(plan->owned, first, (size_t)(end - first));
	for (unsigned i = 0; i < plan->nr_segments; i++)
		if (is_in_room(plan, &plan->segment[i]))
			plan->segment[i].data = plan->owned + (plan->segment[i].data - first);
	return 0;
}

/* [at, at + len) is zero already but for what lies in the room. */
static void clear_room(const struct boot_plan *plan, uint8_t *at, uint64_t len)
{
	const uintptr_t room = (uintptr_t)plan->room, first = (uintptr_t)at;
	const uintptr_t from = first > room ? first : room;
	const uintptr_t to =
		first + len < room + plan->room_len ? first + len : room + plan->room_len;

	if (from < to)
		memset(at + (from - first), 0, to - from);
}

int boot_plan_place(struct boot_plan *plan, uint8_t *const dst[], struct diag *diag)
{
	int r = 0;

	if (has_data_in_room(plan) && !moves_down_in_order(plan, dst))
		r = leave_room(plan, diag);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		struct boot_segment *seg = &plan->segment[i];

		if (!seg->data_len)
			continue;
		if (seg->data != dst[i])
			memmove(dst[i], seg->data, seg->data_len);
		seg->data = dst[i]; /* where it was, other data may be now */
	}
	/* After all data were moved, since it may have lain here. */
	for (unsigned i = 0; plan->room && i < plan->nr_segments; i++) {
		const struct boot_segment *seg = &plan->segment[i];

		clear_room(plan, dst[i] + seg->data_len, seg->mem_len - seg->data_len);
	}
	return 0;
}
