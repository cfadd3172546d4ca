#include "backend/disk/order.h"

#include <assert.h>
#include <stddef.h>

static bool spans_overlap(const struct disk_span *a, const struct disk_span *b)
{
	return a->first <= b->last && b->first <= a->last;
}

bool disk_order_enter(struct disk_order *order, struct disk_span *span)
{
	span->blockers = 0;
	for (const struct disk_span *s = order->oldest; s; s = s->next)
		span->blockers += spans_overlap(s, span);
	span->prev = order->newest;
	span->next = NULL;
	if (order->newest)
		order->newest->next = span;
	else
		order->oldest = span;
	order->newest = span;
	return span->blockers == 0;
}

void disk_order_leave(struct disk_order *order, struct disk_span *span)
{
	struct disk_span *next;

	assert(span->blockers == 0);
	if (span->prev)
		span->prev->next = span->next;
	else
		order->oldest = span->next;
	if (span->next)
		span->next->prev = span->prev;
	else
		order->newest = span->prev;
	/* A span that does not wait has no blockers, and does not overlap: it would have waited for us. */
	for (struct disk_span *s = span->next; s; s = next) {
		next = s->next;
		if (!spans_overlap(s, span))
			continue;
		assert(s->blockers > 0);
		if (--s->blockers == 0)
			s->go(s);
	}
}
