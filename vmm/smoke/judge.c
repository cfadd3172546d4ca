#include "smoke/judge.h"

#include <assert.h>
#include <string.h>

void smoke_judge_init(struct smoke_judge *judge, const struct smoke_judge_opts *opts)
{
	memset(judge, 0, sizeof(*judge));
	judge->opts = *opts;
	judge->line_nr = 1;
}

static bool is_decided(const struct smoke_judge *judge)
{
	return judge->finding == SMOKE_FOUND_ALL_EXPECTED && judge->opts.expects_decide;
}

/* Where rule is first met in the line, from where its kind is done with; false when it is not. */
static bool find(struct smoke_judge *judge, const struct smoke_rule *rule, bool unfinished,
		 size_t *ret_end)
{
	const struct smoke_subject subject = {
		.text = judge->line,
		.len = judge->len,
		.from = judge->from[rule->kind],
		.unfinished = unfinished,
		.continued = judge->continued,
	};

	switch (smoke_rule_match(judge->opts.rules, rule, &subject, ret_end)) {
	case SMOKE_MATCH_YES: return true;
	case SMOKE_MATCH_TOO_DEAR: judge->too_dear++; return false;
	case SMOKE_MATCH_NO: break;
	}
	return false;
}

/* The reject or panic rule whose match ends first; NULL when none matches. */
static const struct smoke_rule *find_trouble(struct smoke_judge *judge, bool unfinished,
					     size_t *ret_end)
{
	const struct smoke_rules *rules = judge->opts.rules;
	const struct smoke_rule *first = NULL;

	for (unsigned i = 0; i < rules->nr; i++) {
		const struct smoke_rule *rule = &rules->rule[i];
		size_t end;

		if (rule->kind != SMOKE_RULE_REJECT && rule->kind != SMOKE_RULE_PANIC)
			continue;
		if (!find(judge, rule, unfinished, &end) || (first && end >= *ret_end))
			continue;
		first = rule;
		*ret_end = end;
	}
	return first;
}

static void decide(struct smoke_judge *judge, enum smoke_finding finding,
		   const struct smoke_rule *rule)
{
	judge->finding = finding;
	judge->decided_by = rule;
	judge->decided_line = judge->line_nr;
	judge->marked = true;
}

/* The rules of one kind that are to be met in their order, as far as they are before limit. */
static void meet(struct smoke_judge *judge, enum smoke_rule_kind kind, bool unfinished,
		 size_t limit, int64_t now_ns)
{
	const struct smoke_rule *rule;
	size_t end;

	while ((rule = smoke_rules_get(judge->opts.rules, kind, judge->met[kind])) != NULL) {
		if (!find(judge, rule, unfinished, &end) || end >= limit)
			return;
		judge->from[kind] = end;
		judge->met[kind]++;
		judge->opts.sink->met(judge->opts.sink, rule, now_ns);
		if (kind == SMOKE_RULE_EXPECT && judge->finding == SMOKE_FOUND_NOTHING &&
		    judge->met[kind] == judge->opts.rules->nr_of[kind])
			decide(judge, SMOKE_FOUND_ALL_EXPECTED, rule);
	}
}

/* An oops may be followed by the panic that it causes; nothing follows a panic. */
static void take_trouble(struct smoke_judge *judge, const struct smoke_rule *rule, size_t end)
{
	const bool panic = rule->kind == SMOKE_RULE_PANIC;

	judge->from[SMOKE_RULE_REJECT] = judge->from[SMOKE_RULE_PANIC] = end;
	judge->marked = true;
	if (judge->finding == SMOKE_FOUND_PANIC || (judge->finding == SMOKE_FOUND_REJECT && !panic))
		return;
	decide(judge, panic ? SMOKE_FOUND_PANIC : SMOKE_FOUND_REJECT, rule);
}

/*
 * Holds the line against the rules. What ends first in it came first, so that the same bytes give the
 * same finding however they were split.
 */
static void scan(struct smoke_judge *judge, bool unfinished, int64_t now_ns)
{
	const struct smoke_rule *trouble;
	size_t limit = SIZE_MAX;

	judge->scanned = judge->len;
	do {
		if (is_decided(judge))
			return;
		trouble = find_trouble(judge, unfinished, &limit);
		if (!trouble)
			limit = SIZE_MAX;
		meet(judge, SMOKE_RULE_INIT, unfinished, limit, now_ns);
		meet(judge, SMOKE_RULE_PHASE, unfinished, limit, now_ns);
		meet(judge, SMOKE_RULE_EXPECT, unfinished, limit, now_ns);
		if (trouble && !is_decided(judge))
			take_trouble(judge, trouble, limit);
	} while (trouble);
}

/* Tells the sink of the line's first n bytes. */
static void tell_line(struct smoke_judge *judge, size_t n)
{
	const struct smoke_line line = {
		.text = judge->line,
		.len = n,
		.nr = judge->line_nr,
		.at_ns = judge->line_at_ns,
		.marked = judge->marked,
		.continued = judge->continued,
	};

	judge->opts.sink->line(judge->opts.sink, &line);
	judge->line_nr++;
	judge->marked = false;
}

static void end_line(struct smoke_judge *judge, int64_t now_ns)
{
	scan(judge, false, now_ns);
	tell_line(judge, judge->len);
	judge->continued = false;
	judge->len = judge->scanned = 0;
	memset(judge->from, 0, sizeof(judge->from));
}

/* No room: all but the overlap becomes a line of its own. A character stays whole. */
static void cut_line(struct smoke_judge *judge, int64_t now_ns)
{
	size_t cut = SMOKE_LINE_MAX - SMOKE_LINE_OVERLAP;

	scan(judge, true, now_ns);
	while ((judge->line[cut] & 0xc0) == 0x80)
		cut--;
	tell_line(judge, cut);
	judge->len -= cut;
	memmove(judge->line, judge->line + cut, judge->len);
	judge->scanned = judge->len;
	judge->continued = true;
	judge->line_at_ns = now_ns;
	for (unsigned i = 0; i < SMOKE_RULE_KINDS; i++)
		judge->from[i] = judge->from[i] > cut ? judge->from[i] - cut : 0;
}

static void put(struct smoke_judge *judge, const char *text, size_t n, int64_t now_ns)
{
	if (n == 1 && *text == '\n') {
		if (judge->len == 0 && !judge->continued)
			judge->line_at_ns = now_ns;
		end_line(judge, now_ns);
		return;
	}
	if (judge->len + n > SMOKE_LINE_MAX)
		cut_line(judge, now_ns);
	if (judge->len == 0)
		judge->line_at_ns = now_ns;
	memcpy(judge->line + judge->len, text, n);
	judge->len += n;
}

/*
 * One byte may make a replacement for what came before and a newline, which are put one by one: a
 * newline is always the last.
 */
static void put_text(struct smoke_judge *judge, const char *text, size_t n, int64_t now_ns)
{
	if (n > 1 && text[n - 1] == '\n') {
		put(judge, text, n - 1, now_ns);
		put(judge, text + n - 1, 1, now_ns);
	} else if (n > 0) {
		put(judge, text, n, now_ns);
	}
}

void smoke_judge_feed(struct smoke_judge *judge, const uint8_t *buf, size_t n, int64_t now_ns)
{
	char text[SMOKE_TEXT_OUT_MAX];

	for (size_t i = 0; i < n; i++)
		put_text(judge, text, smoke_text_feed(&judge->text, buf[i], text), now_ns);
	if (judge->scanned != judge->len)
		scan(judge, true, now_ns);
}

bool smoke_judge_waits(const struct smoke_judge *judge)
{
	return judge->len > 0;
}

void smoke_judge_quiet(struct smoke_judge *judge, int64_t now_ns)
{
	if (judge->len > 0)
		scan(judge, false, now_ns);
}

void smoke_judge_finish(struct smoke_judge *judge, int64_t now_ns)
{
	char text[SMOKE_TEXT_OUT_MAX];

	put_text(judge, text, smoke_text_finish(&judge->text, text), now_ns);
	if (judge->len > 0)
		end_line(judge, now_ns);
}
