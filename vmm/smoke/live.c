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
	COLUMNS_FOR_STAGE = 40,
	NAME_COLUMNS_MIN = 8,
	NAME_COLUMNS_MAX = 40,
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

/* Printable ASCII, a byte per column: what is of a name. As much as cap holds; its length. */
static size_t to_columns(const char *s, char *buf, size_t cap)
{
	size_t n = 0;

	for (; *s && n < cap - 1; s++)
		if ((*s & 0xc0) != 0x80)
			buf[n++] = *s >= ' ' && *s < 0x7f ? *s : '?';
	buf[n] = '\0';
	return n;
}

/*
 * A name in so many columns, at least 4: the middle of a longer one is left out, since boots of a matrix differ at both
 * ends.
 */
static void put_short(FILE *out, const char *name, size_t columns)
{
	char text[COLUMNS_MAX];
	const size_t len = to_columns(name, text, sizeof(text));
	const size_t head = (columns - 2) / 2, tail = columns - 2 - head;

	if (len <= columns)
		fprintf(out, "%-*s", (int)columns, text);
	else
		fprintf(out, "%.*s..%s", (int)head, text, text + len - tail);
}

/*
 * Name, seconds, stage, last line: the first two always. A name has up to 40 columns, but no more than half of them;
 * the last line has what is left, and at least a third where there is a stage.
 */
static void draw_row(struct smoke_live *live, const struct smoke_live_row *row, unsigned columns,
		     int64_t now_ns)
{
	char seconds[24], stage[16], line[COLUMNS_MAX];
	const unsigned most = columns / 2 < NAME_COLUMNS_MAX ? columns / 2 : NAME_COLUMNS_MAX;
	unsigned used, name = most;

	to_columns(smoke_result_stage(&live->results[row->i]), stage, sizeof(stage));
	used = (unsigned)snprintf(seconds, sizeof(seconds), " %4lld s ",
				  (long long)((now_ns - row->start_ns) / NS_PER_S));
	if (columns < COLUMNS_FOR_STAGE)
		stage[0] = '\0';
	if (live->name_columns < name)
		name = live->name_columns;
	put_short(live->out, live->suite->spec[row->i]->name, name);
	fputs(seconds, live->out);
	used += name;
	if (stage[0])
		used += (unsigned)fprintf(live->out, " %-8s ", stage);
	snprintf(line, sizeof(line), "%s", row->text);
	if (used + 1 < columns) /* the last column is left free: some terminals wrap after it */
		fprintf(live->out, "%.*s", (int)(columns - used - 1), line);
	fputc('\n', live->out);
	live->shown++;
}

/* Of the longest name that is drawn, so that the columns of all rows are in line. */
static unsigned names_columns(const struct smoke_live *live, unsigned rows)
{
	unsigned most = NAME_COLUMNS_MIN;

	for (unsigned k = 0; k < rows; k++) {
		char text[COLUMNS_MAX];
		const size_t n =
			to_columns(live->suite->spec[live->row[k].i]->name, text, sizeof(text));

		if (n > most)
			most = (unsigned)n;
	}
	return most;
}

void smoke_live_draw(struct smoke_live *live, int64_t now_ns)
{
	const struct winsize size = size_of(live);
	const unsigned room = size.ws_row - 2U; /* what scrolled away could not be cleared */
	const unsigned rows = live->nr < room ? live->nr : room;
	const unsigned more = live->nr - rows + live->nr_more;

	smoke_live_clear(live);
	live->name_columns = names_columns(live, rows);
	fputs("\033[?7l",
	      live->out); /* no wrap: a terminal that became narrower has cut rows, not more of them */
	for (unsigned k = 0; k < rows; k++)
		draw_row(live, &live->row[k], size.ws_col, now_ns);
	if (more) {
		fprintf(live->out, "and %u more\n", more);
		live->shown++;
	}
	fputs("\033[?7h", live->out);
	fflush(live->out);
}
