/*
 * classes.c - which splat begins in a line. The words are those of Linux 4.4 to 6.18: kernel/panic.c,
 * mm/kasan/report.c, kernel/locking/lockdep.c, kernel/rcu/tree_stall.h, kernel/watchdog.c, mm/oom_kill.c, …
 */
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "smoke/judge/splat_title.h"

const char *smoke_splat_class_name(enum smoke_splat_class class)
{
	static const char *const names[SMOKE_SPLAT_CLASSES] = {
		[SMOKE_SPLAT_NONE] = "none",
		[SMOKE_SPLAT_PANIC] = "panic",
		[SMOKE_SPLAT_OOPS] = "oops",
		[SMOKE_SPLAT_BUG] = "BUG",
		[SMOKE_SPLAT_WARNING] = "WARNING",
		[SMOKE_SPLAT_KASAN] = "KASAN",
		[SMOKE_SPLAT_KMSAN] = "KMSAN",
		[SMOKE_SPLAT_KCSAN] = "KCSAN",
		[SMOKE_SPLAT_KFENCE] = "KFENCE",
		[SMOKE_SPLAT_UBSAN] = "UBSAN",
		[SMOKE_SPLAT_LOCKDEP] = "lockdep",
		[SMOKE_SPLAT_RCU_STALL] = "RCU stall",
		[SMOKE_SPLAT_SOFT_LOCKUP] = "soft lockup",
		[SMOKE_SPLAT_HARD_LOCKUP] = "hard lockup",
		[SMOKE_SPLAT_HUNG_TASK] = "hung task",
		[SMOKE_SPLAT_KMEMLEAK] = "kmemleak",
		[SMOKE_SPLAT_REFCOUNT] = "refcount",
		[SMOKE_SPLAT_LIST] = "list corruption",
		[SMOKE_SPLAT_ATOMIC] = "scheduling while atomic",
		[SMOKE_SPLAT_STACK] = "stack corruption",
		[SMOKE_SPLAT_OOM] = "out of memory",
	};

	return names[class];
}

/*
 * How the title is made of the line: its words from the phrase on, without what differs; the phrase alone; or the
 * function that a warning names.
 */
enum title_form { FORM_REST, FORM_PHRASE, FORM_WARNING };

/* Where in the line the phrase is: where the words begin, after one of the tags below, or anywhere near the start. */
enum title_place { PLACE_START, PLACE_TAGGED, PLACE_NEAR };

/* The first row that applies counts. */
static const struct splat_row {
	enum smoke_splat_class class;
	enum title_place place;
	const char *phrase;
	enum title_form form;
	enum smoke_splat_where where;
	bool ends_with_trace;
	const char *title; /* instead of the phrase; NULL: the phrase */
	const char *until; /* the title ends before these words */
	const char *also;  /* the line must have these, too */
} rows[] = {
#define ROW(class_, place_, ...)                                                                   \
	{                                                                                          \
		.class = SMOKE_SPLAT_##class_, .place = PLACE_##place_, .phrase = __VA_ARGS__      \
	}
	ROW(STACK, START,
	    "Kernel panic - not syncing: stack-protector: ", .title = "stack-protector: "),
	ROW(STACK, START, "Kernel panic - not syncing: corrupted stack end ",
	    .title = "corrupted stack end "),
	ROW(STACK, START, "Kernel panic - not syncing: kernel stack overflow", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_RIP, .title = "kernel stack overflow"),
	ROW(PANIC, START, "Kernel panic - not syncing: ", .title = "Kernel panic: "),
	ROW(PANIC, START, "Kernel panic - not syncing", .form = FORM_PHRASE,
	    .title = "Kernel panic"),
	ROW(KASAN, START, "BUG: KASAN: ", .title = "KASAN: ", .until = " at addr"),
	ROW(KMSAN, START, "BUG: KMSAN: ", .title = "KMSAN: "),
	ROW(KCSAN, START, "BUG: KCSAN: ", .title = "KCSAN: "),
	ROW(KFENCE, START, "BUG: KFENCE: ", .title = "KFENCE: "),
	ROW(UBSAN, START, "UBSAN: ", .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "possible circular locking dependency detected", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_LOCK, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "possible recursive locking detected", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_LOCK, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "possible irq lock inversion dependency detected", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_LOCK, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "inconsistent lock state", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_LOCK, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "suspicious RCU usage", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_FRAME, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "suspicious rcu_dereference_check() usage", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_FRAME, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "bad unlock balance detected", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_FRAME, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "bad contention detected", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_FRAME, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "held lock freed", .form = FORM_PHRASE, .where = SMOKE_WHERE_FRAME,
	    .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "lock held when returning to user space", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_LOCK, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "Invalid wait context", .form = FORM_PHRASE, .where = SMOKE_WHERE_LOCK,
	    .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "trying to register non-static key", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_FRAME, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "Nested lock was not taken", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_LOCK, .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "MAX_LOCK", .ends_with_trace = true),
	ROW(LOCKDEP, TAGGED, "MAX_STACK_TRACE_ENTRIES too low", .form = FORM_PHRASE,
	    .ends_with_trace = true),
	ROW(LOCKDEP, NEAR, "-unsafe lock order detected", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_LOCK, .ends_with_trace = true,
	    .title = "unsafe lock order detected"),
	ROW(LOCKDEP, NEAR, "still has locks held!", .form = FORM_PHRASE, .where = SMOKE_WHERE_LOCK,
	    .ends_with_trace = true, .title = "still has locks held"),
	ROW(LOCKDEP, START, "DEBUG_LOCKS_WARN_ON(", .where = SMOKE_WHERE_RIP),
	ROW(RCU_STALL, NEAR, "self-detected stall", .form = FORM_PHRASE, .title = "RCU stall",
	    .also = "rcu"),
	ROW(RCU_STALL, NEAR, "detected stalls on ", .form = FORM_PHRASE, .title = "RCU stall",
	    .also = "rcu"),
	ROW(RCU_STALL, NEAR, "detected expedited stalls", .form = FORM_PHRASE, .title = "RCU stall",
	    .also = "rcu"),
	ROW(SOFT_LOCKUP, NEAR, "soft lockup - CPU#", .form = FORM_PHRASE, .title = "soft lockup"),
	ROW(HARD_LOCKUP, NEAR, "etected hard LOCKUP on cpu", .form = FORM_PHRASE,
	    .title = "hard lockup"),
	ROW(HUNG_TASK, START, "INFO: task ", .where = SMOKE_WHERE_FRAME, .ends_with_trace = true,
	    .title = "task ", .until = " for more than ", .also = " for more than "),
	ROW(KMEMLEAK, START, "kmemleak: ", .until = " (see ", .also = "new suspected memory leak"),
	ROW(KMEMLEAK, START, "unreferenced object 0x", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_FRAME, .title = "memory leak"),
	ROW(REFCOUNT, START, "refcount_t: ", .where = SMOKE_WHERE_FRAME),
	ROW(LIST, START, "list_add corruption", .form = FORM_PHRASE, .where = SMOKE_WHERE_FRAME),
	ROW(LIST, START, "list_add double add", .form = FORM_PHRASE, .where = SMOKE_WHERE_FRAME),
	ROW(LIST, START, "list_del corruption", .form = FORM_PHRASE, .where = SMOKE_WHERE_FRAME),
	ROW(ATOMIC, START, "BUG: scheduling while atomic", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_FRAME, .ends_with_trace = true,
	    .title = "scheduling while atomic"),
	ROW(ATOMIC, START, "BUG: sleeping function called from invalid context",
	    .where = SMOKE_WHERE_FRAME, .ends_with_trace = true,
	    .title = "sleeping function called from invalid context"),
	ROW(ATOMIC, START, "BUG: using ", .where = SMOKE_WHERE_FRAME, .ends_with_trace = true,
	    .title = "using ", .until = " [", .also = " in preemptible"),
	ROW(ATOMIC, START, "BUG: workqueue leaked lock or atomic", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_FRAME, .ends_with_trace = true,
	    .title = "workqueue leaked lock or atomic"),
	ROW(STACK, NEAR, "stack guard page was hit", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "stack guard page was hit"),
	ROW(STACK, START, "Thread overran stack, or stack corrupted", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_RIP),
	ROW(STACK, START, "kernel stack overflow", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP),
	ROW(STACK, START, "Insufficient stack space to handle exception", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_RIP),
	ROW(OOPS, START, "BUG: unable to handle kernel NULL pointer dereference",
	    .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP, .title = "NULL pointer dereference"),
	ROW(OOPS, START, "BUG: kernel NULL pointer dereference", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_RIP, .title = "NULL pointer dereference"),
	ROW(OOPS, START, "Unable to handle kernel NULL pointer dereference", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_RIP, .title = "NULL pointer dereference"),
	ROW(OOPS, START, "BUG: unable to handle ", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "page fault"),
	ROW(OOPS, START, "Unable to handle kernel ", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "page fault"),
	ROW(OOPS, START, "Oops: general protection fault", .form = FORM_PHRASE,
	    .where = SMOKE_WHERE_RIP, .title = "general protection fault"),
	ROW(OOPS, START, "Oops: divide error", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "divide error"),
	ROW(OOPS, START, "Oops: invalid opcode", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "invalid opcode"),
	ROW(OOPS, START, "Oops: stack segment", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "stack segment"),
	ROW(OOPS, START, "Oops: int3", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "int3"),
	ROW(OOPS, START, "Oops: ", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP, .title = "Oops"),
	ROW(OOPS, START, "Internal error: ", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "Internal error"),
	ROW(OOPS, START, "general protection fault", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP),
	ROW(OOPS, START, "divide error: ", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "divide error"),
	ROW(OOPS, START, "divide_error: ", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "divide error"),
	ROW(OOPS, START, "invalid opcode: ", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "invalid opcode"),
	ROW(OOPS, START, "stack segment: ", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "stack segment"),
	ROW(OOPS, START, "int3: ", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP, .title = "int3"),
	ROW(OOPS, START, "PANIC: double fault", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "double fault"),
	ROW(OOPS, START, "double fault: ", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP,
	    .title = "double fault"),
	ROW(OOPS, START, "Unhandled fault", .form = FORM_PHRASE, .where = SMOKE_WHERE_RIP),
	ROW(BUG, START, "kernel BUG at ", .where = SMOKE_WHERE_RIP),
	ROW(BUG, START, "BUG: Bad page state", .form = FORM_PHRASE, .where = SMOKE_WHERE_FRAME,
	    .ends_with_trace = true, .title = "Bad page state"),
	ROW(BUG, START, "BUG: Bad page map", .form = FORM_PHRASE, .where = SMOKE_WHERE_FRAME,
	    .ends_with_trace = true, .title = "Bad page map"),
	ROW(BUG, START, "BUG: Bad rss-counter state", .form = FORM_PHRASE,
	    .title = "Bad rss-counter state"),
	ROW(BUG, START, "BUG: workqueue lockup", .form = FORM_PHRASE, .title = "workqueue lockup"),
	ROW(BUG, START, "BUG: rwlock ", .where = SMOKE_WHERE_FRAME, .ends_with_trace = true,
	    .title = "rwlock ", .until = " on CPU"),
	ROW(BUG, START, "BUG: spinlock ", .where = SMOKE_WHERE_FRAME, .ends_with_trace = true,
	    .title = "spinlock ", .until = " on CPU"),
	ROW(BUG, START, "BUG: ", .title = "BUG: "),
	ROW(BUG, START, "BUG ",
	    .also = "): "), /* SLUB's: "BUG kmalloc-64 (Not tainted): Redzone overwritten" */
	ROW(WARNING, START, "ODEBUG: ", .where = SMOKE_WHERE_FRAME, .until = " object: "),
	ROW(WARNING, START, "WARNING: CPU: ", .form = FORM_WARNING),
	ROW(WARNING, START, "WARNING: at ", .form = FORM_WARNING),
	ROW(WARNING, START, "WARNING: ", .form = FORM_WARNING, .also = ":"),
	ROW(OOM, NEAR, " invoked oom-killer", .form = FORM_PHRASE, .title = "oom-killer invoked"),
	ROW(OOM, START, "Out of memory: ", .form = FORM_PHRASE, .title = "oom-killer invoked"),
	ROW(OOM, START, "Memory cgroup out of memory: ", .form = FORM_PHRASE,
	    .title = "oom-killer invoked"),
#undef ROW
};

/* Tags that may come before the words that name the problem. "[ " is of lockdep before Linux 4.13. */
static const char *const tags[] = {"[ ", "INFO: ", "WARNING: ", "BUG: "};
/* The same before every row's phrase. */
static const char *const sources[] = {
	"rcu: ", "watchdog: ", "NMI watchdog: ", "traps: ", "cgroup: "};

enum { NEAR_BYTES = 100 };

/* The words after the tag that s begins with; s: it begins with none of them. */
static const char *splat_skip_tag(const char *s, const char *const *words, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const size_t len = strlen(words[i]);

		if (strncmp(s, words[i], len) == 0)
			return s + len;
	}
	return s;
}

/* Where the row's phrase begins in the words; NULL: it is not there. */
static const char *find_phrase(const struct splat_row *row, const char *words, const char *tagged)
{
	const char *at;

	switch (row->place) {
	case PLACE_START:
		return strncmp(words, row->phrase, strlen(row->phrase)) == 0 ? words : NULL;
	case PLACE_TAGGED:
		return tagged != words && strncmp(tagged, row->phrase, strlen(row->phrase)) == 0
			       ? tagged
			       : NULL;
	case PLACE_NEAR: break;
	}
	at = strstr(words, row->phrase);
	return at && at - words <= NEAR_BYTES ? at : NULL;
}

/* False: a warning that names no source file is none of WARN_ON()'s. */
static bool make_title(const struct splat_row *row, const char *words, const char *at, char *buf)
{
	struct splat_title title = {.buf = buf};
	const char *name = row->title ? row->title : row->phrase;
	char rest[SMOKE_SPLAT_LOOK_MAX];
	char *until;

	buf[0] = '\0';
	if (row->form == FORM_WARNING)
		return splat_title_put_warning(&title, words);
	splat_title_put(&title, name, strlen(name));
	if (row->form == FORM_PHRASE)
		return true;
	snprintf(rest, sizeof(rest), "%s", at + strlen(row->phrase));
	until = row->until ? strstr(rest, row->until) : NULL;
	if (until)
		*until = '\0';
	splat_title_put_normal(&title, rest);
	return true;
}

void smoke_splat_classify(const char *words, struct smoke_splat_start *ret)
{
	const char *tagged, *at;

	ret->class = SMOKE_SPLAT_NONE;
	words += *words == ' '; /* KCSAN's reports of some versions */
	words = splat_skip_tag(words, sources, ARRAY_SIZE(sources));
	tagged = splat_skip_tag(words, tags, 1);
	tagged = splat_skip_tag(tagged, tags, ARRAY_SIZE(tags));
	for (size_t i = 0; i < ARRAY_SIZE(rows) && ret->class == SMOKE_SPLAT_NONE; i++) {
		at = find_phrase(&rows[i], words, tagged);
		if (!at || (rows[i].also && !strstr(words, rows[i].also)))
			continue;
		if (!make_title(&rows[i], words, at, ret->title))
			continue;
		ret->class = rows[i].class;
		ret->where = rows[i].where;
		ret->ends_with_trace = rows[i].ends_with_trace;
	}
}
