#include "smoke/judge.h"

#include <assert.h>
#include <string.h>

void smoke_judge_init(struct smoke_judge *judge, const struct smoke_judge_opts *opts)
{
	memset(judge, 0, sizeof(*judge));
	judge->opts = *opts;
	for (enum smoke_stream i = 0; i < SMOKE_STREAMS; i++)
		judge->lane[i].stream = i;
}

static bool is_decided(const struct smoke_judge *judge)
{
	return judge->finding == SMOKE_FOUND_ALL_EXPECTED && judge->opts.expects_decide;
}

/* Where rule is first met in the line, from where its kind is done with; false when it is not. */
static bool find(struct smoke_judge *judge, struct smoke_lane *lane, const struct smoke_rule *rule,
		 bool unfinished, size_t *ret_end)
{
	const struct smoke_subject subject = {
		.text = lane->line,
		.len = lane->len,
		.from = lane->from[rule->kind],
		.unfinished = unfinished,
		.continued = lane->continued,
	};

	switch (smoke_rule_match(judge->opts.rules, rule, &subject, ret_end)) {
	case SMOKE_MATCH_YES: return true;
	case SMOKE_MATCH_TOO_DEAR: judge->too_dear++; return false;
	case SMOKE_MATCH_NO: break;
	}
	return false;
}

/* The reject or panic rule whose match ends first; NULL when none matches. */
static const struct smoke_rule *find_trouble(struct smoke_judge *judge, struct smoke_lane *lane,
					     bool unfinished, size_t *ret_end)
{
	const struct smoke_rules *rules = judge->opts.rules;
	const struct smoke_rule *first = NULL;

	for (unsigned i = 0; i < rules->nr; i++) {
		const struct smoke_rule *rule = &rules->rule[i];
		size_t end;

		if (rule->kind != SMOKE_RULE_REJECT && rule->kind != SMOKE_RULE_PANIC)
			continue;
		if (rule->of_kernel && lane->stream != SMOKE_CONSOLE)
			continue;
		if (!find(judge, lane, rule, unfinished, &end) || (first && end >= *ret_end))
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
}

/* The rules of one kind that are to be met in their order, as far as they are before limit. */
static void meet(struct smoke_judge *judge, struct smoke_lane *lane, enum smoke_rule_kind kind,
		 bool unfinished, size_t limit, int64_t now_ns)
{
	const struct smoke_rule *rule;
	size_t end;

	while ((rule = smoke_rules_get(judge->opts.rules, kind, judge->met[kind])) != NULL) {
		if (!find(judge, lane, rule, unfinished, &end) || end >= limit)
			return;
		lane->from[kind] = end;
		judge->met[kind]++;
		judge->opts.sink->met(judge->opts.sink, rule, now_ns);
		if (kind == SMOKE_RULE_EXPECT && judge->finding == SMOKE_FOUND_NOTHING &&
		    judge->met[kind] == judge->opts.rules->nr_of[kind])
			decide(judge, SMOKE_FOUND_ALL_EXPECTED, rule);
	}
}

/* An oops may be followed by the panic that it causes; nothing follows a panic. */
static void take_trouble(struct smoke_judge *judge, struct smoke_lane *lane,
			 const struct smoke_rule *rule, size_t end)
{
	const bool panic = rule->kind == SMOKE_RULE_PANIC;

	lane->from[SMOKE_RULE_REJECT] = lane->from[SMOKE_RULE_PANIC] = end;
	lane->marked = true;
	if (judge->finding == SMOKE_FOUND_PANIC || (judge->finding == SMOKE_FOUND_REJECT && !panic))
		return;
	decide(judge, panic ? SMOKE_FOUND_PANIC : SMOKE_FOUND_REJECT, rule);
}

/*
 * Holds the line against the rules. What ends first in it came first, so that the same bytes give the
 * same finding however they were split.
 */
static void scan(struct smoke_judge *judge, struct smoke_lane *lane, bool unfinished,
		 int64_t now_ns)
{
	const struct smoke_rule *trouble;
	size_t limit = SIZE_MAX;

	lane->scanned = lane->len;
	if (lane->stream == SMOKE_INIT_LOG)
		return;
	do {
		if (is_decided(judge))
			return;
		trouble = find_trouble(judge, lane, unfinished, &limit);
		if (!trouble)
			limit = SIZE_MAX;
		meet(judge, lane, SMOKE_RULE_INIT, unfinished, limit, now_ns);
		meet(judge, lane, SMOKE_RULE_PHASE, unfinished, limit, now_ns);
		meet(judge, lane, SMOKE_RULE_EXPECT, unfinished, limit, now_ns);
		if (trouble && !is_decided(judge))
			take_trouble(judge, lane, trouble, limit);
	} while (trouble);
}

/* Tells the sink of the line's first n bytes. */
static void tell_line(struct smoke_judge *judge, struct smoke_lane *lane, size_t n)
{
	const struct smoke_line line = {
		.text = lane->line,
		.len = n,
		.stream = lane->stream,
		.at_ns = lane->at_ns,
		.marked = lane->marked,
		.continued = lane->continued,
	};

	judge->opts.sink->line(judge->opts.sink, &line);
	lane->marked = false;
}

static void end_line(struct smoke_judge *judge, struct smoke_lane *lane, int64_t now_ns)
{
	scan(judge, lane, false, now_ns);
	tell_line(judge, lane, lane->len);
	lane->continued = false;
	lane->len = lane->scanned = 0;
	memset(lane->from, 0, sizeof(lane->from));
}

/* No room: all but the overlap becomes a line of its own. A character stays whole. */
static void cut_line(struct smoke_judge *judge, struct smoke_lane *lane, int64_t now_ns)
{
	size_t cut = SMOKE_LINE_MAX - SMOKE_LINE_OVERLAP;

	scan(judge, lane, true, now_ns);
	while ((lane->line[cut] & 0xc0) == 0x80)
		cut--;
	tell_line(judge, lane, cut);
	lane->len -= cut;
	memmove(lane->line, lane->line + cut, lane->len);
	lane->scanned = lane->len;
	lane->continued = true;
	lane->at_ns = now_ns;
	for (unsigned i = 0; i < SMOKE_RULE_KINDS; i++)
		lane->from[i] = lane->from[i] > cut ? lane->from[i] - cut : 0;
}

static void put(struct smoke_judge *judge, struct smoke_lane *lane, const char *text, size_t n,
		int64_t now_ns)
{
	if (n == 1 && *text == '\n') {
		if (lane->len == 0 && !lane->continued)
			lane->at_ns = now_ns;
		end_line(judge, lane, now_ns);
		return;
	}
	if (lane->len + n > SMOKE_LINE_MAX)
		cut_line(judge, lane, now_ns);
	if (lane->len == 0)
		lane->at_ns = now_ns;
	memcpy(lane->line + lane->len, text, n);
	lane->len += n;
}

/*
 * One byte may make a replacement for what came before and a newline, which are put one by one: a
 * newline is always the last.
 */
static void put_text(struct smoke_judge *judge, struct smoke_lane *lane, const char *text, size_t n,
		     int64_t now_ns)
{
	if (n > 1 && text[n - 1] == '\n') {
		put(judge, lane, text, n - 1, now_ns);
		put(judge, lane, text + n - 1, 1, now_ns);
	} else if (n > 0) {
		put(judge, lane, text, n, now_ns);
	}
}

void smoke_judge_feed(struct smoke_judge *judge, enum smoke_stream stream, const uint8_t *buf,
		      size_t n, int64_t now_ns)
{
	struct smoke_lane *lane = &judge->lane[stream];
	char text[SMOKE_TEXT_OUT_MAX];

	for (size_t i = 0; i < n; i++)
		put_text(judge, lane, text, smoke_text_feed(&lane->text, buf[i], text), now_ns);
	if (lane->scanned != lane->len)
		scan(judge, lane, true, now_ns);
}

bool smoke_judge_waits(const struct smoke_judge *judge)
{
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		if (judge->lane[i].len > 0)
			return true;
	return false;
}

void smoke_judge_quiet(struct smoke_judge *judge, int64_t now_ns)
{
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		if (judge->lane[i].len > 0)
			scan(judge, &judge->lane[i], false, now_ns);
}

void smoke_judge_finish(struct smoke_judge *judge, int64_t now_ns)
{
	char text[SMOKE_TEXT_OUT_MAX];

	for (unsigned i = 0; i < SMOKE_STREAMS; i++) {
		struct smoke_lane *lane = &judge->lane[i];

		put_text(judge, lane, text, smoke_text_finish(&lane->text, text), now_ns);
		if (lane->len > 0)
			end_line(judge, lane, now_ns);
	}
}
