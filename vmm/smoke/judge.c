#include "smoke/judge.h"

#include <stdio.h>
#include <string.h>

void smoke_judge_init(struct smoke_judge *judge, const struct smoke_judge_opts *opts)
{
	memset(judge, 0, sizeof(*judge));
	judge->opts = *opts;
	judge->reader.splats = opts->splats;
	judge->ktap[SMOKE_CONSOLE].tests = judge->ktap[SMOKE_COMMAND_OUT].tests = opts->tests;
	judge->ktap[SMOKE_COMMAND_OUT].plan_begins = true;
	judge->kvm_unit.tests = opts->tests;
	for (enum smoke_stream i = 0; i < SMOKE_STREAMS; i++)
		judge->lane[i].stream = i;
}

static bool is_decided(const struct smoke_judge *judge)
{
	return judge->finding == SMOKE_FOUND_ALL_EXPECTED && judge->opts.expects_decide;
}

/* How a line is looked at: as it grows, whole, or before it is cut. */
enum view { VIEW_GROWING, VIEW_WHOLE, VIEW_CUT };

/* The match that ends first in a line, as far as that is certain. */
struct first {
	const struct smoke_rule *rule; /* NULL: nothing */
	size_t end;
	size_t open; /* something that begins here may yet end before anything else */
};

static bool is_trouble(const struct smoke_rule *rule)
{
	return rule->kind == SMOKE_RULE_REJECT || rule->kind == SMOKE_RULE_PANIC;
}

/* Whether --allow may forgive what the rule rejects. */
static bool is_forgivable(const struct smoke_judge *judge, const struct smoke_rule *rule)
{
	return rule->kind == SMOKE_RULE_REJECT && rule->of_kernel &&
	       judge->opts.rules->nr_of[SMOKE_RULE_ALLOW] > 0;
}

/* Whether a rule counts in this line: of those to be met in order, the next. */
static bool applies(const struct smoke_judge *judge, const struct smoke_lane *lane,
		    const struct smoke_rule *rule)
{
	if (rule->kind == SMOKE_RULE_ALLOW)
		return false;
	if (!is_trouble(rule))
		return smoke_rules_get(judge->opts.rules, rule->kind, judge->met[rule->kind]) ==
		       rule;
	return !lane->in_trouble[rule->kind] && (!rule->of_kernel || lane->stream == SMOKE_CONSOLE);
}

static void look_for(struct smoke_judge *judge, const struct smoke_lane *lane,
		     const struct smoke_rule *rule, enum view view, struct first *first)
{
	const struct smoke_subject subject = {
		.text = lane->line,
		.len = lane->len,
		.from = lane->from[rule->kind],
		.unfinished = view == VIEW_GROWING,
		.continued = lane->continued,
		.continues = view == VIEW_CUT,
	};
	size_t at;

	switch (smoke_rule_match(judge->opts.rules, rule, &subject, &at)) {
	case SMOKE_MATCH_YES:
		if (view == VIEW_GROWING && is_forgivable(judge, rule)) {
			/* Nothing that ends with it, or later, counts before the line is whole. */
			if (at <= first->open)
				first->open = at - 1;
			break;
		}
		/* Of two that end at one byte, trouble counts. */
		if (!first->rule || at < first->end ||
		    (at == first->end && is_trouble(rule) && !is_trouble(first->rule)))
			*first = (struct first){.rule = rule, .end = at, .open = first->open};
		break;
	case SMOKE_MATCH_PARTIAL:
		if (at < first->open)
			first->open = at;
		break;
	case SMOKE_MATCH_TOO_DEAR: judge->too_dear++; break;
	case SMOKE_MATCH_NO: break;
	}
}

/* The rule that matches next in the line; NULL when none does, or when later bytes must decide. */
static const struct smoke_rule *find_first(struct smoke_judge *judge, const struct smoke_lane *lane,
					   enum view view, size_t *ret_end)
{
	const struct smoke_rules *rules = judge->opts.rules;
	struct first first = {.open = SIZE_MAX};

	for (unsigned i = 0; i < rules->nr; i++)
		if (applies(judge, lane, &rules->rule[i]))
			look_for(judge, lane, &rules->rule[i], view, &first);
	*ret_end = first.end;
	return first.end <= first.open ? first.rule : NULL;
}

static void decide(struct smoke_judge *judge, enum smoke_finding finding,
		   const struct smoke_rule *rule)
{
	judge->finding = finding;
	judge->decided_by = rule;
}

static bool has_all(const struct smoke_judge *judge, enum smoke_rule_kind kind)
{
	return judge->met[kind] == judge->opts.rules->nr_of[kind];
}

static bool is_allowed(struct smoke_judge *judge, const char *text, size_t len)
{
	const struct smoke_subject subject = {.text = text, .len = len};
	const struct smoke_rules *rules = judge->opts.rules;
	enum smoke_match match = SMOKE_MATCH_NO;
	size_t at;

	for (unsigned i = 0; i < rules->nr && match != SMOKE_MATCH_YES; i++) {
		if (rules->rule[i].kind != SMOKE_RULE_ALLOW)
			continue;
		match = smoke_rule_match(rules, &rules->rule[i], &subject, &at);
		judge->too_dear += match == SMOKE_MATCH_TOO_DEAR;
	}
	return match == SMOKE_MATCH_YES;
}

static bool title_is_allowed(struct smoke_judge *judge, const char *title)
{
	return is_allowed(judge, title, strlen(title));
}

/* A panic outweighs what came before it; else the first one counts. */
static void find_trouble(struct smoke_judge *judge, const struct smoke_rule *rule)
{
	const bool panic = rule->kind == SMOKE_RULE_PANIC;

	if (judge->finding == SMOKE_FOUND_PANIC || (judge->finding == SMOKE_FOUND_REJECT && !panic))
		return;
	judge->decided_text[0] = '\0';
	decide(judge, panic ? SMOKE_FOUND_PANIC : SMOKE_FOUND_REJECT, rule);
}

/* The title of the splat that is pending is as it is going to be. */
static void settle_pending(struct smoke_judge *judge)
{
	const bool begins = judge->line_is == SMOKE_SPLAT_LINE_BEGINS;
	const struct smoke_rule *rule = judge->pending;
	const enum smoke_finding before = judge->finding;
	bool allowed;

	if (!rule)
		return;
	judge->pending = NULL;
	allowed = title_is_allowed(judge,
				   begins ? judge->line_start.title : judge->reader.start.title);
	*(begins ? &judge->line_allowed : &judge->reader.splat.allowed) |= allowed;
	*(begins ? &judge->line_rejected : &judge->reader.splat.rejected) |= !allowed;
	if (allowed || is_decided(judge))
		return;
	find_trouble(judge, rule);
	if (judge->finding != before)
		memcpy(judge->decided_text, judge->pending_text, sizeof(judge->decided_text));
}

/* An EXPECT, PHASE or INIT rule, in its order. A phase is required as much as what is expected. */
static void meet(struct smoke_judge *judge, const struct smoke_rule *rule, int64_t now_ns)
{
	const enum smoke_rule_kind kind = rule->kind;

	judge->met[kind]++;
	judge->opts.sink->met(judge->opts.sink, rule, now_ns);
	if (kind != SMOKE_RULE_INIT && has_all(judge, SMOKE_RULE_EXPECT) &&
	    has_all(judge, SMOKE_RULE_PHASE))
		settle_pending(judge); /* what came before it */
	if (judge->finding == SMOKE_FOUND_NOTHING && kind != SMOKE_RULE_INIT &&
	    has_all(judge, SMOKE_RULE_EXPECT) && has_all(judge, SMOKE_RULE_PHASE) &&
	    judge->opts.rules->nr_of[SMOKE_RULE_EXPECT] > 0)
		decide(judge, SMOKE_FOUND_ALL_EXPECTED, rule);
}

/* Whether a default pattern in a whole line is allowed, as the splat's first line or title, or may be yet. */
static bool is_forgiven(struct smoke_judge *judge, struct smoke_lane *lane,
			const struct smoke_rule *rule)
{
	const bool begins = judge->line_is == SMOKE_SPLAT_LINE_BEGINS;

	if (judge->line_is == SMOKE_SPLAT_LINE_WITHIN &&
	    (judge->pending || judge->reader.splat.allowed))
		return true;
	lane->allowed = is_allowed(judge, lane->line, lane->len) ||
			(begins && title_is_allowed(judge, judge->line_start.title));
	if (lane->allowed || !begins || judge->line_start.where == SMOKE_WHERE_HERE)
		return lane->allowed;
	judge->pending = rule;
	snprintf(judge->pending_text, sizeof(judge->pending_text), "%.*s", (int)lane->len,
		 lane->line);
	return true;
}

/* An oops may be followed by the panic that it causes; nothing follows a panic. */
static void take_trouble(struct smoke_judge *judge, struct smoke_lane *lane,
			 const struct smoke_rule *rule)
{
	lane->in_trouble[rule->kind] = true;
	if (is_forgivable(judge, rule) && is_forgiven(judge, lane, rule))
		return;
	lane->marked = true;
	find_trouble(judge, rule);
}

/*
 * Holds the line against the rules. The match that ends first came first, so that the same bytes give the
 * same finding however they were split.
 */
static void scan(struct smoke_judge *judge, struct smoke_lane *lane, enum view view, int64_t now_ns)
{
	const struct smoke_rule *rule;
	size_t end;

	lane->scanned = lane->len;
	if (lane->stream == SMOKE_INIT_LOG || judge->is_muted)
		return;
	while (!is_decided(judge) && (rule = find_first(judge, lane, view, &end)) != NULL) {
		lane->from[rule->kind] = end;
		if (is_trouble(rule))
			take_trouble(judge, lane, rule);
		else
			meet(judge, rule, now_ns);
	}
}

/* The splat before the line that is looked at, or with it. */
static void end_splat(struct smoke_judge *judge)
{
	const enum smoke_splat_line line_is = judge->line_is;

	judge->line_is = SMOKE_SPLAT_LINE_OTHER; /* its title is reader's */
	settle_pending(judge);
	judge->line_is = line_is;
	smoke_splat_end(&judge->reader);
}

/* Passes the line's first n bytes to the sink. */
static void report_line(struct smoke_judge *judge, struct smoke_lane *lane, size_t n)
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
	memset(lane->in_trouble, 0, sizeof(lane->in_trouble));
}

/* A line of the console, whole: which splat it is of, before the rules are held against it. */
static void look_at_splat(struct smoke_judge *judge, const struct smoke_lane *lane)
{
	judge->line_is = SMOKE_SPLAT_LINE_OTHER;
	judge->line_allowed = judge->line_rejected = false;
	if (lane->stream == SMOKE_CONSOLE && !lane->continued && !judge->is_muted)
		judge->line_is =
			smoke_splat_peek(&judge->reader, lane->line, lane->len, &judge->line_start);
}

/* Applies the rules' verdict on the line to its splat. */
static void judge_splat(struct smoke_judge *judge, const struct smoke_lane *lane)
{
	const enum smoke_splat_line line_is = judge->line_is;
	struct smoke_splat *splat = &judge->reader.splat;

	if (lane->continued || judge->is_muted)
		return;
	judge->line_is = SMOKE_SPLAT_LINE_OTHER;
	smoke_splat_read(&judge->reader, lane->line, lane->len, lane->at_ns);
	if (line_is == SMOKE_SPLAT_LINE_OTHER)
		return;
	splat->allowed |= lane->allowed || judge->line_allowed;
	splat->rejected |=
		judge->line_rejected || (lane->marked && !judge->pending && !splat->allowed);
	if (!smoke_splat_is_vague(&judge->reader))
		settle_pending(judge);
	if (judge->reader.is_over)
		end_splat(judge);
}

static void read_test(struct smoke_judge *judge, const struct smoke_lane *lane)
{
	char buf[SMOKE_SPLAT_LOOK_MAX];

	if (lane->stream > SMOKE_COMMAND_OUT || !judge->opts.tests || lane->continued ||
	    judge->is_muted)
		return;
	if (lane->stream == SMOKE_CONSOLE && judge->opts.kvm_unit_tests)
		smoke_kvm_unit_line(&judge->kvm_unit, smoke_splat_words(lane->line, lane->len, buf),
				    lane->at_ns);
	else
		smoke_ktap_line(&judge->ktap[lane->stream],
				smoke_splat_words(lane->line, lane->len, buf), lane->at_ns);
}

static void end_line(struct smoke_judge *judge, struct smoke_lane *lane, int64_t now_ns)
{
	look_at_splat(judge, lane);
	if (lane->stream == SMOKE_CONSOLE && judge->line_is != SMOKE_SPLAT_LINE_WITHIN)
		end_splat(judge);
	scan(judge, lane, VIEW_WHOLE, now_ns);
	if (lane->stream == SMOKE_CONSOLE)
		judge_splat(judge, lane);
	read_test(judge, lane);
	report_line(judge, lane, lane->len);
	lane->allowed = false;
	lane->continued = false;
	lane->len = lane->scanned = 0;
	memset(lane->from, 0, sizeof(lane->from));
}

/* No room: all but the overlap becomes a line of its own. A character stays whole. */
static void cut_line(struct smoke_judge *judge, struct smoke_lane *lane, int64_t now_ns)
{
	size_t cut = SMOKE_LINE_MAX - SMOKE_LINE_OVERLAP;

	scan(judge, lane, VIEW_CUT, now_ns);
	while ((lane->line[cut] & 0xc0) == 0x80)
		cut--;
	report_line(judge, lane, cut);
	lane->len -= cut;
	memmove(lane->line, lane->line + cut, lane->len);
	lane->scanned = lane->len;
	lane->continued = true;
	lane->at_ns = now_ns;
	for (unsigned i = 0; i < SMOKE_RULE_KINDS; i++)
		lane->from[i] = lane->from[i] > cut ? lane->from[i] - cut : 0;
}

static void lane_put(struct smoke_judge *judge, struct smoke_lane *lane, const char *text, size_t n,
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
static void lane_put_text(struct smoke_judge *judge, struct smoke_lane *lane, const char *text,
			  size_t n, int64_t now_ns)
{
	if (n > 1 && text[n - 1] == '\n') {
		lane_put(judge, lane, text, n - 1, now_ns);
		lane_put(judge, lane, text + n - 1, 1, now_ns);
	} else if (n > 0) {
		lane_put(judge, lane, text, n, now_ns);
	}
}

void smoke_judge_feed(struct smoke_judge *judge, enum smoke_stream stream, const uint8_t *buf,
		      size_t n, int64_t now_ns)
{
	struct smoke_lane *lane = &judge->lane[stream];
	char text[SMOKE_TEXT_OUT_MAX];

	for (size_t i = 0; i < n; i++)
		lane_put_text(judge, lane, text, smoke_text_feed(&lane->text, buf[i], text),
			      now_ns);
	if (lane->scanned != lane->len)
		scan(judge, lane, VIEW_GROWING, now_ns);
}

bool smoke_judge_waits(const struct smoke_judge *judge)
{
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		if (judge->lane[i].len > 0)
			return true;
	return judge->pending != NULL;
}

void smoke_judge_quiet(struct smoke_judge *judge, int64_t now_ns)
{
	settle_pending(judge);
	for (unsigned i = 0; i < SMOKE_STREAMS; i++) {
		if (judge->lane[i].len == 0)
			continue;
		look_at_splat(judge, &judge->lane[i]);
		judge->line_start.where =
			SMOKE_WHERE_HERE; /* what would complete it did not come */
		scan(judge, &judge->lane[i], VIEW_WHOLE, now_ns);
	}
	judge->line_is = SMOKE_SPLAT_LINE_OTHER;
}

void smoke_judge_mute(struct smoke_judge *judge)
{
	if (!judge->is_muted)
		end_splat(judge);
	judge->is_muted = true;
}

void smoke_judge_finish(struct smoke_judge *judge, int64_t now_ns)
{
	for (unsigned i = 0; i < SMOKE_STREAMS; i++) {
		struct smoke_lane *lane = &judge->lane[i];
		char text[SMOKE_TEXT_OUT_MAX] = "";
		const size_t n = smoke_text_finish(&lane->text, text);

		lane_put_text(judge, lane, text, n, now_ns);
		if (lane->len > 0)
			end_line(judge, lane, now_ns);
	}
	end_splat(judge);
}

void smoke_judge_finish_tests(struct smoke_judge *judge, enum smoke_ktap_end how, int64_t now_ns)
{
	for (unsigned i = 0; judge->opts.tests && i <= SMOKE_COMMAND_OUT; i++)
		smoke_ktap_finish(&judge->ktap[i], how, now_ns);
}
