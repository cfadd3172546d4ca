/*
 * judge.h - holds what a guest prints against the rules, as its bytes come: cleans it (text.h), cuts it
 * into lines, and says what was found and in which line. Pure, and of constant size whatever the guest
 * prints.
 *
 * The console and the output of a command are streams of their own, whose lines do not mix.
 *
 * How the bytes were split does not matter: on a line that has no end yet, only what its continuation
 * cannot change is a match. A prompt stays such a line; smoke_judge_quiet() reports that nothing has
 * followed for a while.
 *
 * Whether --allow forgives what a default pattern rejects is known when the line is whole. Where the splat's title is
 * what is allowed, and later lines complete it, it is known with them, or when nothing has followed for a while.
 *
 * A line of more than SMOKE_LINE_MAX bytes is cut. The cut hides nothing that is SMOKE_LINE_OVERLAP
 * bytes long or shorter.
 */
#ifndef VMM_SMOKE_JUDGE_H
#define VMM_SMOKE_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smoke/judge/ktap.h"
#include "smoke/judge/kvm_unit.h"
#include "smoke/judge/outcome.h"
#include "smoke/judge/rules.h"
#include "smoke/judge/splat.h"
#include "smoke/judge/text.h"

enum { SMOKE_LINE_MAX = 4096, SMOKE_LINE_OVERLAP = 1024 };

enum smoke_stream {
	SMOKE_CONSOLE,
	SMOKE_COMMAND_OUT,
	SMOKE_COMMAND_ERR,
	SMOKE_INIT_LOG, /* our own /init says how far it is: no rule is for this */
	SMOKE_STREAMS,
};

/* A line as the sink gets it; text is borrowed, clean, and not NUL-terminated. */
struct smoke_line {
	const char *text;
	size_t len;
	enum smoke_stream stream;
	int64_t at_ns;  /* when its first byte came */
	bool marked;    /* a panic or a rejected pattern is in it */
	bool continued; /* the part of a cut line that is not the first */
};

/* Hears what the judge sees. The functions must not call back. */
struct smoke_judge_sink {
	void (*line)(struct smoke_judge_sink *sink, const struct smoke_line *line);
	/* An EXPECT, PHASE or INIT rule was met, at the time of the bytes that met it. */
	void (*met)(struct smoke_judge_sink *sink, const struct smoke_rule *rule, int64_t at_ns);
};

struct smoke_judge_opts {
	const struct smoke_rules *rules; /* borrowed */
	struct smoke_judge_sink *sink;   /* borrowed */
	struct smoke_splats *splats; /* borrowed; where the console's splats go. NULL: nowhere */
	struct smoke_tests
		*tests;      /* borrowed; where results of tests go. NULL: they are not read */
	bool kvm_unit_tests; /* the console has their results, and not those of KTAP */
	bool expects_decide; /* all expected and all phases seen is the end of it: nothing counts later */
};

/* The line that a stream is at. */
struct smoke_lane {
	enum smoke_stream stream;
	struct smoke_text text;
	int64_t at_ns; /* when its first byte came */
	bool marked, continued, allowed;
	bool in_trouble[SMOKE_RULE_KINDS]; /* a REJECT, a PANIC was met: one a line will do */
	size_t from[SMOKE_RULE_KINDS];     /* how far into the line each kind is done with */
	size_t scanned;                    /* bytes that have been looked at while unfinished */
	size_t len;
	char line[SMOKE_LINE_MAX];
};

struct smoke_judge {
	struct smoke_judge_opts opts;
	enum smoke_finding finding;
	const struct smoke_rule *decided_by; /* the rule of the finding */
	unsigned met[SMOKE_RULE_KINDS];      /* EXPECT, PHASE, INIT: how many, in their order */
	/* The first line of a splat that decided when its title was known; else empty: a marked line did. */
	char decided_text[SMOKE_SPLAT_LOOK_MAX];
	bool is_muted;     /* lines go to the sink, and are held against nothing */
	uint64_t too_dear; /* matches given up */
	struct smoke_splat_reader reader;
	/* The console's whole line that is held against the rules, before reader has it. */
	enum smoke_splat_line line_is;
	struct smoke_splat_start line_start;
	bool line_allowed, line_rejected; /* what settled the splat that begins with it */
	const struct smoke_rule
		*pending; /* it rejects the open splat, unless its title is allowed */
	char pending_text[SMOKE_SPLAT_LOOK_MAX];
	struct smoke_ktap
		ktap[SMOKE_COMMAND_OUT + 1]; /* of the console, and of a command's output */
	struct smoke_kvm_unit kvm_unit;      /* of the console */
	struct smoke_lane lane[SMOKE_STREAMS];
};

void smoke_judge_init(struct smoke_judge *judge, const struct smoke_judge_opts *opts);

/* Takes n bytes of a stream that came at now_ns. */
void smoke_judge_feed(struct smoke_judge *judge, enum smoke_stream stream, const uint8_t *buf,
		      size_t n, int64_t now_ns);

/* Whether a line without an end, or a splat that may be allowed, waits for smoke_judge_quiet(). */
bool smoke_judge_waits(const struct smoke_judge *judge);

/* Takes lines as far as they have come for whole ones, for matching; they may go on all the same. */
void smoke_judge_quiet(struct smoke_judge *judge, int64_t now_ns);

/* Output from now on is not the guest's own doing: it goes to the sink and is held against no rule. */
void smoke_judge_mute(struct smoke_judge *judge);

/* All streams have ended. The memory of an open splat belongs to splats afterwards. */
void smoke_judge_finish(struct smoke_judge *judge, int64_t now_ns);

/* After that: what becomes of tests that have not ended. */
void smoke_judge_finish_tests(struct smoke_judge *judge, enum smoke_ktap_end how, int64_t now_ns);

#endif
