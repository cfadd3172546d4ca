#include <string.h>

#include "base/clock.h"
#include "smoke/report/files.h"
#include "smoke/report/text.h"
#include "smoke/report/xml.h"

/* In SVG's pixels. */
enum {
	NAME_WIDTH_MIN = 120,
	BAR_WIDTH = 640,
	MARGIN = 16,
	ROW_HEIGHT = 22,
	BAR_HEIGHT = 14,
	AXIS_HEIGHT = 28,
	LEGEND_HEIGHT = 50,
	OUTCOME_WIDTH = 170,
	TICKS_MAX = 8,
	STAGES = 4,
	KINDS = 5,
};

/* Of a character of the names, which are in a font of equal widths, at its size of 11. */
#define NAME_CHAR_WIDTH 6.7

/* Colours that those who see red and green alike can tell apart, too (Okabe and Ito, Color Universal Design). */
static const struct {
	const char *name, *colour;
} stages[STAGES] = {
	{"VMM set-up", "#999999"},
	{"kernel, silent", "#c6e2f5"},
	{"kernel", "#56b4e9"},
	{"after /init", "#f0e442"},
};

/* Outcomes of a boot, with a colour and a shape each. */
enum chart_kind { KIND_PASS, KIND_FAIL, KIND_TIME, KIND_HOST, KIND_NOT_RUN };

static const struct {
	const char *name, *colour;
} kinds[KINDS] = {
	[KIND_PASS] = {"pass", "#009e73"},
	[KIND_FAIL] = {"failure", "#d55e00"},
	[KIND_TIME] = {"out of time", "#cc79a7"},
	[KIND_HOST] = {"error of the host or the set-up", "#000000"},
	[KIND_NOT_RUN] = {"not run", "#999999"},
};

static enum chart_kind chart_kind_of(const struct smoke_result *result)
{
	switch (result->outcome) {
	case SMOKE_PASS: return KIND_PASS;
	case SMOKE_TIMEOUT:
	case SMOKE_STALL:
	case SMOKE_PHASE_TIMEOUT: return KIND_TIME;
	case SMOKE_KVM_ERROR:
	case SMOKE_SETUP_ERROR: return KIND_HOST;
	case SMOKE_KILLED: return result->was_started ? KIND_HOST : KIND_NOT_RUN;
	case SMOKE_NOT_RUN: return KIND_NOT_RUN;
	default: return KIND_FAIL;
	}
}

/* Values that all rows share. */
struct chart {
	FILE *out;
	double name_width;
	int64_t axis_ns, tick_ns; /* the whole axis, a multiple of a tick */
};

/* The ends of the stages since the boot began; one that never came has no length. */
static void stage_ends(const struct smoke_result *result, int64_t ret_ns[STAGES])
{
	const struct smoke_times *times = &result->times;
	const int64_t at[STAGES] = {times->guest_ns, times->first_byte_ns, times->init_ns,
				    times->end_ns};
	int64_t end = times->start_ns;

	for (int i = 0; i < STAGES; i++) {
		/* Without /init the kernel's own stage lasts to the end. */
		const int64_t next = i == 2 && at[i] == 0 ? times->end_ns : at[i];

		if (next > end)
			end = next;
		ret_ns[i] = end - times->start_ns;
	}
}

static int64_t longest_ns(const struct smoke_suite *suite, const struct smoke_result *results)
{
	int64_t longest = 1;

	for (unsigned i = 0; i < suite->nr; i++) {
		const int64_t ns = results[i].times.end_ns - results[i].times.start_ns;

		if (ns > longest)
			longest = ns;
	}
	return longest;
}

/* The least of 1, 2 or 5 times a power of ten, in milliseconds, of which TICKS_MAX hold so much. */
static int64_t round_tick_ns(int64_t longest)
{
	static const int64_t factor[] = {1, 2, 5};
	int64_t unit = NS_PER_MS;

	for (;; unit *= 10)
		for (int i = 0; i < 3; i++)
			if (longest / TICKS_MAX < factor[i] * unit)
				return factor[i] * unit;
}

/* Characters of UTF-8. */
static size_t nr_characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static double names_width(const struct smoke_suite *suite)
{
	size_t longest = 0;

	for (unsigned i = 0; i < suite->nr; i++) {
		const size_t n = nr_characters(suite->spec[i]->name);

		if (n > longest)
			longest = n;
	}
	return (double)NAME_WIDTH_MIN > (double)longest * NAME_CHAR_WIDTH + 2 * MARGIN
		       ? (double)NAME_WIDTH_MIN
		       : (double)longest * NAME_CHAR_WIDTH + 2 * MARGIN;
}

static double to_width(const struct chart *chart, int64_t ns)
{
	return (double)BAR_WIDTH * ((double)ns / (double)chart->axis_ns);
}

static void put_label(FILE *out, double x, unsigned y, const char *attributes, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%u\" %s>", x, y, attributes);
	smoke_xml_string(out, text);
	fputs("</text>\n", out);
}

/* A disc, a cross, a triangle, a square, a ring: the shapes differ without colours, too. x, y: the middle. */
static void put_mark(FILE *out, double x, double y, enum chart_kind kind)
{
	const char *colour = kinds[kind].colour;

	switch (kind) {
	case KIND_PASS:
		fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"/>\n", x, y,
			colour);
		return;
	case KIND_FAIL:
		fprintf(out,
			"<path d=\"M%.1f %.1fl8 8m0 -8l-8 8\" stroke=\"%s\" stroke-width=\"3\"/>\n",
			x - 4, y - 4, colour);
		return;
	case KIND_TIME:
		fprintf(out, "<path d=\"M%.1f %.1fl5 9h-10z\" fill=\"%s\"/>\n", x, y - 5, colour);
		return;
	case KIND_HOST:
		fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"9\" height=\"9\" fill=\"%s\"/>\n",
			x - 4.5, y - 4.5, colour);
		return;
	case KIND_NOT_RUN:
		fprintf(out,
			"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"none\" stroke=\"%s\" "
			"stroke-width=\"2\"/>\n",
			x, y, colour);
	}
}

static void put_legend(const struct chart *chart)
{
	double x = chart->name_width;

	for (int i = 0; i < STAGES; i++) {
		fprintf(chart->out,
			"<rect x=\"%.1f\" y=\"%d\" width=\"10\" height=\"10\" fill=\"%s\" "
			"stroke=\"#666666\" stroke-width=\"0.5\"/>\n",
			x, MARGIN / 2, stages[i].colour);
		put_label(chart->out, x + 14, MARGIN / 2 + 10, "", stages[i].name);
		x += 110;
	}
	x = chart->name_width + 5;
	for (int i = 0; i < KINDS; i++) {
		put_mark(chart->out, x, (double)MARGIN / 2 + 25, (enum chart_kind)i);
		put_label(chart->out, x + 9, MARGIN / 2 + 30, "", kinds[i].name);
		x += 32 + (double)nr_characters(kinds[i].name) * 6;
	}
}

static void put_bar(const struct chart *chart, const struct smoke_result *result, unsigned y)
{
	const enum chart_kind kind = chart_kind_of(result);
	int64_t end_ns[STAGES] = {0}, from = 0;
	char fill[32];
	double x;

	put_label(chart->out, chart->name_width - 8, y + BAR_HEIGHT - 3,
		  "text-anchor=\"end\" font-family=\"monospace\"", result->spec->name);
	if (result->was_started)
		stage_ends(result, end_ns);
	for (int i = 0; i < STAGES; i++) {
		if (end_ns[i] == from)
			continue;
		fprintf(chart->out,
			"<rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n",
			chart->name_width + to_width(chart, from), y,
			to_width(chart, end_ns[i] - from), BAR_HEIGHT, stages[i].colour);
		from = end_ns[i];
	}
	x = chart->name_width + to_width(chart, from) + 10;
	put_mark(chart->out, x, y + (double)BAR_HEIGHT / 2, kind);
	snprintf(fill, sizeof(fill), "fill=\"%s\"",
		 kind == KIND_PASS ? "#333333" : kinds[kind].colour);
	put_label(chart->out, x + 9, y + BAR_HEIGHT - 3, fill, smoke_outcome_name(result->outcome));
}

/* "0.25 s", "3 s": as many decimals as a tick needs. */
static void put_tick_text(const struct chart *chart, int64_t ns)
{
	const int64_t ms = ns / NS_PER_MS;

	fprintf(chart->out, "%lld", (long long)(ms / 1000));
	if (chart->tick_ns % NS_PER_S) {
		char decimals[8];
		size_t n = (size_t)snprintf(decimals, sizeof(decimals), ".%03d", (int)(ms % 1000));
		int64_t unit = chart->tick_ns / NS_PER_MS;

		for (; unit % 10 == 0 && n > 1; unit /= 10)
			n--;
		fprintf(chart->out, "%.*s", (int)n, decimals);
	}
	fputs(" s", chart->out);
}

static void put_axis(const struct chart *chart, unsigned y)
{
	for (int64_t ns = 0; ns <= chart->axis_ns; ns += chart->tick_ns) {
		const double x = chart->name_width + to_width(chart, ns);

		fprintf(chart->out,
			"<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%u\" stroke=\"#cccccc\"/>\n",
			x, LEGEND_HEIGHT, x, y);
		fprintf(chart->out, "<text x=\"%.1f\" y=\"%u\" text-anchor=\"middle\">", x, y + 14);
		put_tick_text(chart, ns);
		fputs("</text>\n", chart->out);
	}
}

void smoke_report_chart(FILE *out, const struct smoke_suite *suite,
			const struct smoke_result *results)
{
	const int64_t longest = longest_ns(suite, results), tick = round_tick_ns(longest);
	const struct chart chart = {
		.out = out,
		.name_width = names_width(suite),
		.tick_ns = tick,
		.axis_ns = (longest + tick - 1) / tick * tick,
	};
	const unsigned bottom = LEGEND_HEIGHT + suite->nr * ROW_HEIGHT;

	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%u\" "
		"font-family=\"sans-serif\" font-size=\"11\">\n<title>",
		chart.name_width + (BAR_WIDTH + OUTCOME_WIDTH), bottom + AXIS_HEIGHT);
	smoke_xml_string(out, suite->run.suite);
	fputs("</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n", out);
	put_legend(&chart);
	put_axis(&chart, bottom);
	for (unsigned i = 0; i < suite->nr; i++)
		put_bar(&chart, &results[i], LEGEND_HEIGHT + 4 + i * ROW_HEIGHT);
	fputs("</svg>\n", out);
}
