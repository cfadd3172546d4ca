/*
 * Fuzz target: the judge of smoke boots, with a console in pieces.
 *
 * Input: one byte for the size of the pieces, one that says whether bytes are what is printed or choose
 * it from what the patterns are made of, then what two streams print: a byte with the stream and how much,
 * and the bytes. Invariants, besides not crashing:
 * - a line that is reported is clean text (text.h) and no longer than SMOKE_LINE_MAX;
 * - the same bytes of each stream make the same lines and findings, however they were split.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "fuzz.h"

#include "smoke/judge.h"

enum { PIECE_MAX = 256 };

/* All that was reported, as a number that any difference changes. */
struct ear {
	struct smoke_judge_sink sink;
	struct smoke_splats splats;
	struct smoke_tests tests;
	uint64_t sum;
};

static void hear(struct ear *ear, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		ear->sum = (ear->sum ^ p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

/* No byte of it is a control character but a tab; all of it is well-formed UTF-8. */
static void check_clean(const char *text, size_t len)
{
	struct smoke_text state = {0};
	char out[SMOKE_TEXT_OUT_MAX];

	for (size_t i = 0; i < len; i++) {
		const uint8_t byte = (uint8_t)text[i];
		const size_t n = smoke_text_feed(&state, byte, out);

		assert((byte >= ' ' && byte != 0x7f) || byte == '\t');
		/* Cleaned once more it is the same: each byte comes out with the last of its character. */
		assert(n <= i + 1 && memcmp(out, text + i + 1 - n, n) == 0);
	}
	assert(smoke_text_finish(&state, out) == 0);
}

static void hear_line(struct smoke_judge_sink *sink, const struct smoke_line *line)
{
	struct ear *ear = (struct ear *)(void *)sink;
	const uint8_t about[] = {(uint8_t)line->stream, line->marked, line->continued};

	assert(line->len <= SMOKE_LINE_MAX);
	check_clean(line->text, line->len);
	hear(ear, about, sizeof(about));
	hear(ear, line->text, line->len);
}

static void hear_met(struct smoke_judge_sink *sink, const struct smoke_rule *rule, int64_t at_ns)
{
	struct ear *ear = (struct ear *)(void *)sink;

	(void)at_ns;
	hear(ear, rule->pattern, strlen(rule->pattern));
}

/* Compiled once: rules are only read. */
static const struct smoke_rules *rules(void)
{
	static struct smoke_rules all;
	static const struct {
		enum smoke_rule_kind kind;
		const char *pattern;
	} more[] = {
		{SMOKE_RULE_EXPECT, "a"},           {SMOKE_RULE_EXPECT, "b.*c|\\bd\\b"},
		{SMOKE_RULE_PHASE, "[e-k]+l"},      {SMOKE_RULE_INIT, "^m"},
		{SMOKE_RULE_REJECT, "n(?=o)|p{2}"}, {SMOKE_RULE_PANIC, "q$"},
		{SMOKE_RULE_ALLOW, "in a$|WARN"},
	};

	if (all.nr)
		return &all;
	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		const struct smoke_rule_opts opts = {
			.kind = more[i].kind, .pattern = more[i].pattern, .option = ""};
		const int r = smoke_rules_add(&all, &opts, NULL);

		assert(r == 0);
	}
	smoke_rules_add_defaults(&all, true, NULL);
	return &all;
}

static struct smoke_judge *judge_create(struct ear *ear, bool expects_decide)
{
	const struct smoke_judge_opts opts = {
		.rules = rules(),
		.sink = &ear->sink,
		.splats = &ear->splats,
		.tests = &ear->tests,
		.expects_decide = expects_decide,
	};
	struct smoke_judge *judge = malloc(sizeof(*judge));

	assert(judge);
	*ear = (struct ear){.sink = {.line = hear_line, .met = hear_met}};
	smoke_judge_init(judge, &opts);
	return judge;
}

static void feed(struct smoke_judge *judge, enum smoke_stream stream, const uint8_t *buf, size_t n,
		 size_t piece)
{
	for (size_t i = 0; i < n; i += piece)
		smoke_judge_feed(judge, stream, buf + i, n - i < piece ? n - i : piece, 1);
}

/* Pieces of splats. */
static const char *const words[] = {
	"BUG: ",
	"KASAN: x in ",
	"a+0x1/0x2",
	"\n",
	"[    1.234567] ",
	"Oops: 0000 [#1]",
	"RIP: 0010:",
	"Call Trace:\n",
	" </TASK>",
	"WARNING: CPU: 1 PID: 2 at a.c:1 ",
	"refcount_t: x",
	"INFO: task a:1 blocked for more than 9 seconds",
	"possible recursive locking detected",
	", at: ",
	"unable to handle ",
	"---[ end trace 0 ]---",
	"list_del corruption",
	"a",
	" ",
	"KTAP version 1\n",
	"1..2\n",
	"    ",
	"ok ",
	"not ok 3 a",
	" # SKIP",
	"# Subtest: ",
	"# ",
	"---\n",
	"...\n",
	"Bail out!",
	"====================",
	"Kernel panic - not syncing: ",
};

static size_t choose_words(const uint8_t *data, size_t n, uint8_t *buf)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		const char *word = words[data[i] % ARRAY_SIZE(words)];

		if (strlen(word) > PIECE_MAX - len)
			break;
		/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): input of given length, which is not a string */
		memcpy(buf + len, word, strlen(word));
		len += strlen(word);
	}
	return len;
}

/* Both have the same splats, of bounded size. */
static void check_splats(const struct smoke_splats *a, const struct smoke_splats *b)
{
	assert(a->nr == b->nr && a->left_out == b->left_out && a->nr <= SMOKE_SPLATS_MAX);
	for (unsigned i = 0; i < a->nr; i++) {
		const struct smoke_splat *x = &a->splat[i], *y = &b->splat[i];

		assert(strcmp(x->title, y->title) == 0 && x->class == y->class);
		assert(x->times == y->times && x->rejected == y->rejected &&
		       x->allowed == y->allowed);
		assert(x->len == y->len && x->len <= SMOKE_SPLAT_TEXT_MAX);
		assert(x->len == 0 || memcmp(x->text, y->text, x->len) == 0);
		for (size_t k = 0, end; k < x->len; k = end + 1) {
			end = k;
			while (x->text[end] != '\n')
				end++;
			check_clean(x->text + k, end - k);
		}
		check_clean(x->title, strlen(x->title));
	}
}

static void check_tests(const struct smoke_tests *a, const struct smoke_tests *b)
{
	char path[SMOKE_TEST_PATH_MAX];

	assert(a->nr == b->nr && a->nr <= SMOKE_TESTS_MAX);
	for (unsigned i = 0; i < a->nr; i++) {
		assert(a->test[i].verdict == b->test[i].verdict);
		assert(strcmp(a->test[i].name, b->test[i].name) == 0);
		check_clean(a->test[i].name, strlen(a->test[i].name));
		smoke_tests_path(a, i, path);
	}
}

/* The bytes to print: of those given, or chosen by them. */
static void choose(const uint8_t *data, size_t n, bool few, uint8_t *buf)
{
	static const char some[] = "abcdefklmnopq  \n";

	for (size_t i = 0; i < n; i++)
		buf[i] = few ? (uint8_t)some[data[i] % (sizeof(some) - 1)] : data[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	struct ear at_once, in_pieces;
	uint8_t buf[PIECE_MAX];
	const size_t piece = fuzz_u8(&in) + 1U;
	const uint8_t how = fuzz_u8(&in);
	const bool few = how & 1, decide = how & 2, splats = how & 4;
	struct smoke_judge *a = judge_create(&at_once, decide);
	struct smoke_judge *b = judge_create(&in_pieces, decide);

	while (in.left > 0) {
		const uint8_t head = fuzz_u8(&in);
		const size_t want = 1 + (head >> 1), n = want < in.left ? want : in.left;
		/* A long line now and then, from few bytes of input. */
		const unsigned times = head == 0xff ? 64 : 1;

		size_t len = n;

		if (splats)
			len = choose_words(in.data, n, buf);
		else
			choose(in.data, n, few, buf);
		for (unsigned i = 0; i < times; i++) {
			feed(a, head & 1, buf, len, PIECE_MAX);
			feed(b, head & 1, buf, len, piece);
		}
		in.data += n;
		in.left -= n;
	}
	smoke_judge_finish(a, 1);
	smoke_judge_finish(b, 1);
	assert(a->finding == b->finding && a->decided_by == b->decided_by);
	assert(at_once.sum == in_pieces.sum);
	check_splats(&at_once.splats, &in_pieces.splats);
	smoke_judge_finish_tests(a, (enum smoke_ktap_end)(how % 3), 1);
	smoke_judge_finish_tests(b, (enum smoke_ktap_end)(how % 3), 1);
	check_tests(&at_once.tests, &in_pieces.tests);
	smoke_tests_fini(&at_once.tests);
	smoke_tests_fini(&in_pieces.tests);
	smoke_splats_fini(&at_once.splats);
	smoke_splats_fini(&in_pieces.splats);
	free(a);
	free(b);
	return 0;
}
