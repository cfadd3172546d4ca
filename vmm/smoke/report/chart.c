
#include "smoke/report/files.h"
#include "smoke/report/text.h"
#include "smoke/report/xml.h"

/* In SVG's pixels. */
enum {
	NAME_WIDTH = 280,
	BAR_WIDTH = 640,
	MARGIN = 16,
	ROW_HEIGHT = 22,
	BAR_HEIGHT = 14,
	AXIS_HEIGHT = 28,
	LEGEND_HEIGHT = 28,
	OUTCOME_WIDTH = 140,
	TICKS = 5,
	STAGES = 4,
};

/* Colours that red-green colour blindness leaves distinct, too. */
static const struct {
	const char *name, *colour;
} stages[STAGES] = {
	{"VMM set-up", "#999999"},
	{"kernel, silent", "#56b4e9"},
	{"kernel", "#0072b2"},
	{"after /init", "#e69f00"},
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

static double to_width(int64_t ns, int64_t longest)
{
	return (double)BAR_WIDTH * ((double)ns / (double)longest);
}

static void put_label(FILE *out, double x, unsigned y, const char *anchor, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%u\" text-anchor=\"%s\">", x, y, anchor);
	smoke_xml_string(out, text);
	fputs("</text>\n", out);
}

static void put_legend(FILE *out)
{
	double x = NAME_WIDTH;

	for (int i = 0; i < STAGES; i++) {
		fprintf(out, "<rect x=\"%.1f\" y=\"%d\" width=\"10\" height=\"10\" fill=\"%s\"/>\n",
			x, MARGIN / 2, stages[i].colour);
		put_label(out, x + 14, MARGIN / 2 + 10, "start", stages[i].name);
		x += (double)BAR_WIDTH / (double)STAGES;
	}
}

static void put_bar(FILE *out, const struct smoke_result *result, unsigned y, int64_t longest)
{
	int64_t end_ns[STAGES], from = 0;

	put_label(out, NAME_WIDTH - 8, y + BAR_HEIGHT - 3, "end", result->spec->name);
	if (!result->was_started)
		return;
	stage_ends(result, end_ns);
	for (int i = 0; i < STAGES; i++) {
		fprintf(out,
			"<rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n",
			(double)NAME_WIDTH + to_width(from, longest), y,
			to_width(end_ns[i] - from, longest), BAR_HEIGHT, stages[i].colour);
		from = end_ns[i];
	}
	put_label(out, (double)NAME_WIDTH + to_width(from, longest) + 6, y + BAR_HEIGHT - 3,
		  "start", smoke_outcome_name(result->outcome));
}

static void put_axis(FILE *out, unsigned y, int64_t longest)
{
	for (int i = 0; i <= TICKS; i++) {
		const double x = (double)NAME_WIDTH + (double)BAR_WIDTH * i / (double)TICKS;

		fprintf(out,
			"<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%u\" stroke=\"#cccccc\"/>\n",
			x, LEGEND_HEIGHT, x, y);
		fprintf(out, "<text x=\"%.1f\" y=\"%u\" text-anchor=\"middle\">", x, y + 14);
		smoke_text_seconds(out, longest / TICKS * i);
		fputs(" s</text>\n", out);
	}
}

void smoke_report_chart(FILE *out, const struct smoke_suite *suite,
			const struct smoke_result *results)
{
	const int64_t longest = longest_ns(suite, results);
	const unsigned bottom = LEGEND_HEIGHT + suite->nr * ROW_HEIGHT;

	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
		"font-family=\"sans-serif\" font-size=\"11\">\n<title>tollgate smoke</title>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		NAME_WIDTH + BAR_WIDTH + OUTCOME_WIDTH, bottom + AXIS_HEIGHT);
	put_legend(out);
	put_axis(out, bottom, longest);
	for (unsigned i = 0; i < suite->nr; i++)
		put_bar(out, &results[i], LEGEND_HEIGHT + 4 + i * ROW_HEIGHT, longest);
	fputs("</svg>\n", out);
}
