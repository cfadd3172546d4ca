#include "smoke/tail.h"

#include <string.h>

/* How many kept lines come before the first marked one; nr when none is. */
static unsigned first_marked(const struct smoke_tail *tail)
{
	unsigned i = 0;

	while (i < tail->nr && !smoke_tail_get(tail, i)->marked)
		i++;
	return i;
}

/* As many whole characters as fit. */
static void copy_text(struct smoke_tail_line *to, const struct smoke_line *line)
{
	size_t n = line->len;

	to->cut = n >= sizeof(to->text);
	if (to->cut) {
		n = sizeof(to->text) - 1;
		while ((line->text[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(to->text, line->text, n);
	to->text[n] = '\0';
}

void smoke_tail_add(struct smoke_tail *tail, const struct smoke_line *line)
{
	struct smoke_tail_line *to;

	if (tail->nr == SMOKE_TAIL_LINES) {
		if (first_marked(tail) <= SMOKE_TAIL_BEFORE) {
			tail->after++;
			return;
		}
		tail->first = (tail->first + 1) % SMOKE_TAIL_LINES;
		tail->nr--;
		tail->before++;
	}
	to = &tail->line[(tail->first + tail->nr++) % SMOKE_TAIL_LINES];
	to->at_ns = line->at_ns;
	to->stream = line->stream;
	to->marked = line->marked;
	copy_text(to, line);
}

const struct smoke_tail_line *smoke_tail_get(const struct smoke_tail *tail, unsigned i)
{
	return &tail->line[(tail->first + i) % SMOKE_TAIL_LINES];
}
