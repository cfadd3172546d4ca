#include "smoke/live.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	COLUMNS_DEFAULT = 80,
	COLUMNS_MIN = 20,
	COLUMNS_MAX = 512,
	ROWS_DEFAULT = 24,
	ROWS_MIN = 4,
};

bool smoke_live_can(FILE *out)
{
	const char *term = getenv("TERM");

	return isatty(fileno(out)) == 1 && term && strcmp(term, "dumb") != 0;
}

void smoke_live_init(struct smoke_live *live, FILE *out, const struct smoke_suite *suite,
		     const struct smoke_result *results)
{
	*live = (struct smoke_live){.out = out, .suite = suite, .results = results};
}

void smoke_live_start(struct smoke_live *live, unsigned i, int64_t now_ns)
{
	if (live->nr == SMOKE_LIVE_ROWS_MAX) {
		live->nr_more++;
		return;
	}
	live->row[live->nr++] = (struct smoke_live_row){.i = i, .start_ns = now_ns};
}

static struct smoke_live_row *live_find(struct smoke_live *live, unsigned i)
{
	for (unsigned k = 0; k < live->nr; k++)
		if (live->row[k].i == i)
			return &live->row[k];
	return NULL;
}

void smoke_live_line(struct smoke_live *live, unsigned i, const struct smoke_line *line)
{
	struct smoke_live_row *row = live_find(live, i);
	size_t n = 0;

	if (!row || line->stream == SMOKE_INIT_LOG || line->len == 0)
		return;
	for (size_t k = 0; k < line->len && n < sizeof(row->text) - 1; k++) {
		const char c = line->text[k];

		/* A column each: how wide a terminal draws other characters, nobody knows. */
		if ((c & 0xc0) != 0x80)
			row->text[n++] = c >= ' ' && c < 0x7f ? c : c == '\t' ? ' ' : '?';
	}
	row->text[n] = '\0';
}

void smoke_live_stop(struct smoke_live *live, unsigned i)
{
	struct smoke_live_row *row = live_find(live, i);

	if (!row) {
		live->nr_more -= live->nr_more > 0;
		return;
	}
	live->nr--;
	memmove(row, row + 1, (size_t)(live->row + live->nr - row) * sizeof(*row));
}

void smoke_live_clear(struct smoke_live *live)
{
	if (live->shown)
		fprintf(live->out, "\033[%uA\r\033[J", live->shown);
	live->shown = 0;
}

/* Of the terminal, or of the one that all have had. */
static struct winsize size_of(const struct smoke_live *live)
{
	struct winsize size;

	if (ioctl(fileno(live->out), TIOCGWINSZ, &size) < 0 || size.ws_col < COLUMNS_MIN ||
	    size.ws_row < ROWS_MIN)
		size = (struct winsize){.ws_col = COLUMNS_DEFAULT, .ws_row = ROWS_DEFAULT};
	if (size.ws_col > COLUMNS_MAX)
		size.ws_col = COLUMNS_MAX;
	return size;
}

static void draw_row(struct smoke_live *live, const struct smoke_live_row *row, unsigned columns,
		     int64_t now_ns)
{
	char line[COLUMNS_MAX + 1] = "";
	FILE *f = fmemopen(line, columns, "w");

	if (!f)
		return;
	fprintf(f, "%-20.40s %4lld s  %-8.20s %s", live->suite->spec[row->i]->name,
		(long long)((now_ns - row->start_ns) / NS_PER_S),
		smoke_result_stage(&live->results[row->i]), row->text);
	fclose(f);
	line[columns - 1] = '\0'; /* no more than fits, lest the terminal wraps */
	for (char *p = line; *p; p++)
		if (*p < ' ' || *p == 0x7f)
			*p = '?'; /* of a name */
	fprintf(live->out, "%s\n", line);
	live->shown++;
}

void smoke_live_draw(struct smoke_live *live, int64_t now_ns)
{
	const struct winsize size = size_of(live);
	const unsigned room = size.ws_row - 2U; /* what scrolled away could not be cleared */
	const unsigned rows = live->nr < room ? live->nr : room;
	const unsigned more = live->nr - rows + live->nr_more;

	smoke_live_clear(live);
	for (unsigned k = 0; k < rows; k++)
		draw_row(live, &live->row[k], size.ws_col, now_ns);
	if (more) {
		fprintf(live->out, "and %u more\n", more);
		live->shown++;
	}
	fflush(live->out);
}
