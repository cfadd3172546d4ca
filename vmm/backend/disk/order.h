/*
 * order.h - keeps requests on overlapping blocks apart: one that has to write more than it was
 * asked to (a whole block around half a block) must not have a neighbour's write come in between.
 *
 * One thread. First come, first served; no request overtakes one that it overlaps with, so none waits
 * forever.
 */
#ifndef VMM_BACKEND_DISK_ORDER_H
#define VMM_BACKEND_DISK_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct disk_span {
	uint64_t first, last; /* blocks, both inclusive */
	unsigned blockers;    /* earlier spans that overlap */
	void (*go)(struct disk_span *span);
	struct disk_span *prev, *next;
};

/* Zeroed: empty. */
struct disk_order {
	struct disk_span *oldest, *newest;
};

/* True when span may go at once; else span->go() runs inside a later disk_order_leave(). */
bool disk_order_enter(struct disk_order *order, struct disk_span *span);
void disk_order_leave(struct disk_order *order, struct disk_span *span);

#endif
