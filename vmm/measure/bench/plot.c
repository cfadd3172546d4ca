/*
 * Plots: an SVG of 800 px that needs no program, and data and script for gnuplot. Time is on a logarithmic axis, since
 * an experiment has hits of an ioeventfd and exits that take fifty times as long.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/out_file.h"
#include "measure/bench/report.h"
#include "measure/bench/stats.h"

enum { WIDTH = 800, HEIGHT = 500, SERIES_MAX = 32, BAR_ROW = 22, BAR_HEIGHT = 13, TICKS_MAX = 64 };

/* The frame of a drawing, in pixels, and the values at its edges. */
struct plot {
	const struct bench_result *res;
	FILE *out;
	double left, right, top, bottom;
	double x_min, x_max, ns_min,
		ns_max;         /* those of ns are powers of ten, or 2 or 5 times one */
	double tick[TICKS_MAX]; /* of ns: 1, 2, 5, 10, ... */
	unsigned nr_ticks;
	const char *series[SERIES_MAX];
	unsigned nr_series;
};

/* Colours that the colour-blind can tell apart (Okabe and Ito), and grey for the floors. */
static const char *const colours[] = {
	"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
	"#000000", "#7f3c8d", "#8c6d1f", "#1b7f3b", "#b00020", "#5a5ad6",
};
enum { COLOURS = sizeof(colours) / sizeof(colours[0]) };

static struct stats_quartiles plot_ns(const struct plot *p, const struct bench_point *point)
{
	return stats_quartiles(point->ns, p->res->nr_batches);
}

/* Times on an axis begin at 1 ns: what is less, as of a timer that is early, is at its edge. */
static double at_least_1(double ns)
{
	return ns > 1 ? ns : 1;
}

/* 1, 2 or 5 times a power of ten: the next one down or up. */
static double round_ns(double ns, bool up)
{
	const double power = pow(10, floor(log10(ns))), digit = ns / power;

	if (up)
		return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
	return power * (digit < 2 ? 1 : digit < 5 ? 2 : 5);
}

static double x_value(const struct plot *p, double x)
{
	return p->res->x_log ? log2(x + 1) : x; /* 0 is on it */
}

static double plot_x(const struct plot *p, double x)
{
	const double span = x_value(p, p->x_max) - x_value(p, p->x_min);

	if (!(span > 0))
		return (p->left + p->right) / 2;
	return p->left + (x_value(p, x) - x_value(p, p->x_min)) / span * (p->right - p->left);
}

/* 0 to 1 along the axis of time. */
static double ns_share(const struct plot *p, double ns)
{
	return log(at_least_1(ns) / p->ns_min) / log(p->ns_max / p->ns_min);
}

static double plot_y(const struct plot *p, double ns)
{
	return p->bottom - ns_share(p, ns) * (p->bottom - p->top);
}

static void plot_init(struct plot *p, const struct bench_result *res, FILE *out)
{
	double least = INFINITY, most = 1;

	*p = (struct plot){.res = res, .out = out, .x_min = INFINITY, .x_max = -INFINITY};
	for (unsigned i = 0; i < res->nr_points; i++) {
		const struct bench_point *point = &res->point[i];
		const struct stats_quartiles ns = plot_ns(p, point);
		unsigned k = 0;

		least = fmin(least, at_least_1(ns.lower));
		most = fmax(most, at_least_1(ns.upper));
		p->x_min = fmin(p->x_min, point->x);
		p->x_max = fmax(p->x_max, point->x);
		while (k < p->nr_series && strcmp(p->series[k], point->series) != 0)
			k++;
		if (k == p->nr_series && k < SERIES_MAX)
			p->series[p->nr_series++] = point->series;
	}
	p->ns_min = round_ns(least, false);
	p->ns_max = round_ns(most, true);
	if (!(p->ns_max > p->ns_min))
		p->ns_max = 10 * p->ns_min;
	p->tick[0] = p->ns_min;
	for (p->nr_ticks = 1; p->nr_ticks < TICKS_MAX; p->nr_ticks++) {
		const double next = round_ns(1.5 * p->tick[p->nr_ticks - 1], true);

		if (next > 1.01 * p->ns_max)
			break;
		p->tick[p->nr_ticks] = next;
	}
}

static void svg_open(const struct plot *p, double height)
{
	fprintf(p->out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
		"viewBox=\"0 0 %d %.0f\" font-family=\"sans-serif\" font-size=\"13\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
		"<text x=\"12\" y=\"24\" font-size=\"16\" font-weight=\"bold\">%s</text>\n",
		WIDTH, height, WIDTH, height, p->res->title);
}

static void svg_text(const struct plot *p, double x, double y, const char *anchor, const char *text)
{
	fprintf(p->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
		text);
}

static void svg_number(const struct plot *p, double x, double y, const char *anchor, double number)
{
	char text[32];

	snprintf(text, sizeof(text), "%.0f", number);
	svg_text(p, x, y, anchor, text);
}

static void svg_line(const struct plot *p, double x1, double y1, double x2, double y2,
		     const char *colour, const char *more)
{
	fprintf(p->out,
		"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" %s/>\n", x1,
		y1, x2, y2, colour, more);
}

static void svg_axes(const struct plot *p)
{
	double x_last = -INFINITY;

	for (unsigned i = 0; i < p->nr_ticks; i++) {
		const double y = plot_y(p, p->tick[i]);

		svg_line(p, p->left, y, p->right, y, "#dddddd", "");
		svg_number(p, p->left - 6, y + 4, "end", p->tick[i]);
	}
	for (unsigned i = 0; i < p->res->nr_points; i++) {
		const double x = plot_x(p, p->res->point[i].x);

		if (x < x_last + 20) /* in order, but for floors */
			continue;
		svg_line(p, x, p->bottom, x, p->bottom + 5, "#000000", "");
		svg_number(p, x, p->bottom + 20, "middle", p->res->point[i].x);
		x_last = x;
	}
	svg_line(p, p->left, p->bottom, p->right, p->bottom, "#000000", "");
	svg_line(p, p->left, p->top, p->left, p->bottom, "#000000", "");
	svg_text(p, (p->left + p->right) / 2, p->bottom + 40, "middle", p->res->x_label);
	fprintf(p->out,
		"<text transform=\"translate(18 %.1f) rotate(-90)\" text-anchor=\"middle\">"
		"time per %s in ns</text>\n",
		(p->top + p->bottom) / 2, p->res->of);
}

static bool is_floor_series(const char *series)
{
	return strncmp(series, "floor", 5) == 0;
}

/* A line from point to point with the quartiles of each; the floor is dashed, and goes all the way when it is one. */
static void svg_series(const struct plot *p, unsigned series, const char *colour)
{
	const char *dashes = is_floor_series(p->series[series]) ? "stroke-dasharray=\"6 4\" " : "";
	double x_before = 0, y_before = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < p->res->nr_points; i++) {
		const struct bench_point *point = &p->res->point[i];
		const struct stats_quartiles ns = plot_ns(p, point);
		const double x = plot_x(p, point->x), y = plot_y(p, ns.median);

		if (strcmp(point->series, p->series[series]) != 0)
			continue;
		if (n++ > 0)
			svg_line(p, x_before, y_before, x, y, colour, dashes);
		svg_line(p, x, plot_y(p, ns.lower), x, plot_y(p, ns.upper), colour,
			 "stroke-width=\"5\" stroke-opacity=\"0.35\"");
		if (!*dashes)
			fprintf(p->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n",
				x, y, colour);
		x_before = x;
		y_before = y;
	}
	if (n == 1 && *dashes)
		svg_line(p, p->left, y_before, p->right, y_before, colour, dashes);
}

static void svg_lines(struct plot *p)
{
	const double key_x = 560;
	unsigned colour = 0;

	p->left = 76;
	p->right = key_x - 20;
	p->top = 44;
	p->bottom = HEIGHT - 56;
	svg_open(p, HEIGHT);
	svg_axes(p);
	for (unsigned i = 0; i < p->nr_series; i++) {
		const bool floor = is_floor_series(p->series[i]);
		const char *c = floor ? "#666666" : colours[colour++ % COLOURS];
		const double y = 60 + 22 * (double)i;

		svg_series(p, i, c);
		svg_line(p, key_x, y - 4, key_x + 24, y - 4, c,
			 floor ? "stroke-width=\"2\" stroke-dasharray=\"6 4\""
			       : "stroke-width=\"3\"");
		svg_text(p, key_x + 30, y, "start", p->series[i]);
	}
}

/* A bar, the quartiles as a thin line, and the floor as a stroke across. */
static void svg_bar(const struct plot *p, const struct bench_point *point, double y)
{
	const struct stats_quartiles ns = plot_ns(p, point);
	const double width = p->right - p->left;
	const double middle = y + (double)BAR_HEIGHT / 2;
	char label[96];

	snprintf(label, sizeof(label), point->x > 0 ? "%s, %g" : "%s", point->series, point->x);
	svg_text(p, p->left - 8, y + (BAR_HEIGHT - 2), "end", label);
	fprintf(p->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n",
		p->left, y, fmax(1, ns_share(p, ns.median) * width), BAR_HEIGHT, colours[5]);
	svg_line(p, p->left + ns_share(p, ns.lower) * width, middle,
		 p->left + ns_share(p, ns.upper) * width, middle, "#000000", "");
	if (point->floor >= 0) {
		const double x =
			p->left +
			ns_share(p, plot_ns(p, &p->res->point[point->floor]).median) * width;

		svg_line(p, x, y - 3, x, y + (BAR_HEIGHT + 3), colours[1], "stroke-width=\"2.5\"");
	}
	svg_number(p, p->right + 8, y + (BAR_HEIGHT - 2), "start", ns.median);
}

/* Numbers that would touch are left out. */
static void svg_time_axis(const struct plot *p)
{
	double x_last = -INFINITY;

	for (unsigned i = 0; i < p->nr_ticks; i++) {
		const double x = p->left + ns_share(p, p->tick[i]) * (p->right - p->left);

		svg_line(p, x, p->top - 4, x, p->bottom, "#dddddd", "");
		if (x < x_last + 72)
			continue;
		svg_number(p, x, p->bottom + 16, "middle", p->tick[i]);
		x_last = x;
	}
}

static void svg_bars(struct plot *p)
{
	unsigned rows = 0;
	char text[128];

	for (unsigned i = 0; i < p->res->nr_points; i++)
		rows += p->res->point[i].floor >= 0;
	p->left = 240;
	p->right = WIDTH - 88;
	p->top = 44;
	p->bottom = p->top + BAR_ROW * rows;
	svg_open(p, p->bottom + 64);
	svg_time_axis(p);
	rows = 0;
	for (unsigned i = 0; i < p->res->nr_points; i++)
		if (p->res->point[i].floor >= 0)
			svg_bar(p, &p->res->point[i], p->top + BAR_ROW * rows++);
	snprintf(text, sizeof(text), "time per %s in ns%s%s", p->res->of,
		 *p->res->x_label ? "; after the comma: " : "", p->res->x_label);
	svg_text(p, (p->left + p->right) / 2, p->bottom + 36, "middle", text);
	svg_line(p, 12, p->bottom + 44, 12, p->bottom + 58, colours[1], "stroke-width=\"2.5\"");
	snprintf(text, sizeof(text), "the floor: %s. Thin line: quartiles.", p->res->floor);
	svg_text(p, 20, p->bottom + 56, "start", text);
}

static void draw_svg(const struct bench_result *res, FILE *out)
{
	struct plot p;

	plot_init(&p, res, out);
	if (res->bars)
		svg_bars(&p);
	else
		svg_lines(&p);
	fprintf(out, "</svg>\n");
}

/* A block for each series, for `index`; the columns are x, median and quartiles. */
static void write_data(const struct bench_result *res, FILE *out)
{
	struct plot p;

	plot_init(&p, res, out);
	for (unsigned i = 0; i < p.nr_series; i++) {
		fprintf(out, "%s# %s: x, ns, lower quartile, upper quartile\n", i ? "\n\n" : "",
			p.series[i]);
		for (unsigned k = 0; k < res->nr_points; k++) {
			const struct bench_point *point = &res->point[k];
			const struct stats_quartiles ns = plot_ns(&p, point);

			if (strcmp(point->series, p.series[i]) == 0)
				fprintf(out, "%g %.1f %.1f %.1f\n", point->x, ns.median, ns.lower,
					ns.upper);
		}
	}
}

static void write_script(const struct bench_result *res, FILE *out)
{
	struct plot p;

	plot_init(&p, res, out);
	fprintf(out,
		"# gnuplot %s.gp makes %s-gnuplot.svg\n"
		"set terminal svg size %d,%d\n"
		"set output '%s-gnuplot.svg'\n"
		"set title '%s'\n"
		"set xlabel '%s'\n"
		"set ylabel 'time per %s in ns'\n"
		"set logscale y\n%s"
		"set key outside right\n"
		"set grid\n"
		"plot",
		res->experiment, res->experiment, WIDTH, HEIGHT, res->experiment, res->title,
		res->x_label, res->of,
		res->x_log ? "set nonlinear x via log(x+1) inverse exp(x)-1\n" : "");
	for (unsigned i = 0; i < p.nr_series; i++)
		fprintf(out, "%s '%s.dat' index %u with yerrorlines%s title '%s'",
			i ? ", \\\n\t" : "", res->experiment, i,
			is_floor_series(p.series[i]) ? " dashtype 2" : "", p.series[i]);
	fprintf(out, "\n");
}

static int plot_file(const char *dir, const struct bench_result *res, const char *suffix,
		     void (*write)(const struct bench_result *res, FILE *out), struct diag *diag)
{
	AUTO_FREE char *path = NULL;
	FILE *out;
	bool failed;
	int fd;

	if (asprintf(&path, "%s/%s.%s", dir, res->experiment, suffix) < 0) {
		path = NULL; /* asprintf() leaves it undefined */
		return diag_set(diag, -ENOMEM, "plot-memory", "name a file");
	}
	fd = out_file_open(path, &(struct out_file_opts){0});
	if (fd < 0)
		return diag_set(diag, fd, "plot-create", "create '%s'", path);
	out = fdopen(fd, "w");
	if (!out) {
		close(fd);
		return diag_set(diag, -ENOMEM, "plot-memory", "write '%s'", path);
	}
	write(res, out);
	failed = ferror(out);
	if (fclose(out) != 0 || failed)
		return diag_set(diag, errno ? -errno : -EIO, "plot-write", "write '%s'", path);
	return 0;
}

int bench_plot(const char *dir, const struct bench_result *res, struct diag *diag)
{
	int r;

	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return diag_set(diag, -errno, "plot-directory", "create '%s'", dir);
	r = plot_file(dir, res, "svg", draw_svg, diag);
	if (r == 0)
		r = plot_file(dir, res, "dat", write_data, diag);
	return r < 0 ? r : plot_file(dir, res, "gp", write_script, diag);
}
