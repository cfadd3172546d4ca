#include "base/suggest.h"

#include <string.h>

enum { NAME_BYTES_MAX = 63 };

/* Of three characters one may be wrong, of six two: a guess that is further off helps nobody. */
static size_t furthest(size_t len)
{
	if (len < 3)
		return 0;
	return len < 6 ? 1 : len < 12 ? 2 : 3;
}

void suggest_init(struct suggest *suggest, const char *typed, size_t typed_len)
{
	*suggest = (struct suggest){
		.typed = typed,
		.typed_len = typed_len,
		.distance = furthest(typed_len) + 1,
	};
}

void suggest_offer(struct suggest *suggest, const char *candidate)
{
	const size_t limit = suggest->distance - 1;
	size_t distance;

	if (suggest->distance == 0)
		return;
	distance = suggest_distance(suggest->typed, suggest->typed_len, candidate, limit);
	if (distance > limit)
		return;
	suggest->best = candidate;
	suggest->distance = distance;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t suggest_distance(const char *a, size_t a_len, const char *b, size_t limit)
{
	/* Distances from the first i bytes of a to the first k of b: of this i and of the two before. */
	size_t rows[3][NAME_BYTES_MAX + 1];
	const size_t b_len = strlen(b);

	if (a_len > NAME_BYTES_MAX || b_len > NAME_BYTES_MAX)
		return limit + 1;
	for (size_t i = 0; i <= a_len; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t k = 1; k <= b_len; k++) {
			if (i == 0) {
				row[k] = k;
				continue;
			}
			row[k] = least(above[k - 1] + (a[i - 1] != b[k - 1]),
				       least(above[k], row[k - 1]) + 1);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				row[k] = least(row[k], two_above[k - 2] + 1);
		}
	}
	return least(rows[a_len % 3][b_len], limit + 1);
}
