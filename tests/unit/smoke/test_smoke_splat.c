/*
 * Splats of each class: found, ended where they end, and called the same in every run. The logs have the form of
 * those in the kernel's documentation (dev-tools/kasan.rst, kcsan.rst, kfence.rst, kmemleak.rst, RCU/stallwarn.rst,
 * locking/lockdep-design.rst, …) and of reports on its mailing list, with names of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "smoke/judge.h"

/* In a log: ^ is what printk() puts before a line, @ an address, ~ an offset, % a number of a few digits. */
static const struct {
	enum smoke_splat_class class;
	const char *title;
	bool by_default; /* the boot fails for it */
	unsigned lines;  /* of the splat, of those in the log */
	const char *log;
} logs[] = {
	{SMOKE_SPLAT_PANIC, "Kernel panic: Attempted to kill init! exitcode=ADDR", true, 3,
	 "^Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n"
	 "^CPU: % PID: 1 Comm: init Not tainted 6.1.0 #1\n"
	 "^---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100 ]---\n"
	 "^more\n"},
	{SMOKE_SPLAT_OOPS, "NULL pointer dereference in demo_open", true, 8,
	 "^BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
	 "^#PF: supervisor read access in kernel mode\n"
	 "^Oops: 0000 [#1] PREEMPT SMP NOPTI\n"
	 "^CPU: % PID: % Comm: cat Not tainted 6.1.0 #1\n"
	 "^RIP: 0010:demo_open~ [demo]\n"
	 "^Call Trace:\n^ do_sys_open~\n"
	 "^---[ end trace @ ]---\n^more\n"},
	{SMOKE_SPLAT_OOPS, "general protection fault in demo_poll", true, 3,
	 "^Oops: general protection fault, probably for non-canonical address 0xdead@: 0000 [#%] "
	 "SMP\n"
	 "^RIP: 0010:demo_poll~\n^---[ end trace @ ]---\n"},
	{SMOKE_SPLAT_OOPS, "divide error in demo_scale", true, 3,
	 "^divide error: 0000 [#1] PREEMPT SMP\n^RIP: 0010:demo_scale~\n^---[ end trace @ ]---\n"},
	{SMOKE_SPLAT_BUG, "kernel BUG at mm/demo.c in demo_free", true, 4,
	 "^kernel BUG at mm/demo.c:%!\n^invalid opcode: 0000 [#1] SMP\n^RIP: "
	 "0010:demo_free.part.0~\n"
	 "^---[ end trace @ ]---\n"},
	{SMOKE_SPLAT_BUG, "BUG: Dentry ADDR{i=N,n=file} still in use", true, 1,
	 "^BUG: Dentry @{i=%,n=file} still in use\n"},
	{SMOKE_SPLAT_WARNING, "WARNING in demo_probe at drivers/demo/core.c", false, 4,
	 "^WARNING: CPU: % PID: % at drivers/demo/core.c:% demo_probe~ [demo]\n"
	 "^RIP: 0010:demo_probe~\n^Call Trace:\n^---[ end trace @ ]---\n"},
	{SMOKE_SPLAT_WARNING, "WARNING in demo_probe at drivers/demo/core.c", false, 2,
	 "^WARNING: drivers/demo/core.c:% at demo_probe~, CPU#%: modprobe/%\n^---[ end trace @ "
	 "]---\n"},
	{SMOKE_SPLAT_KASAN, "KASAN: slab-out-of-bounds in demo_write", true, 4,
	 "^BUG: KASAN: slab-out-of-bounds in demo_write~\n^Write of size 1 at addr @ by task "
	 "cat/%\n"
	 "^Call Trace:\n^==================================================================\n"},
	{SMOKE_SPLAT_KMSAN, "KMSAN: uninit-value in demo_hash", true, 3,
	 "^BUG: KMSAN: uninit-value in demo_hash~ [demo]\n^ demo_hash~\n"
	 "^=====================================================\n"},
	{SMOKE_SPLAT_KCSAN, "KCSAN: data-race in demo_read / demo_tick", true, 3,
	 "^BUG: KCSAN: data-race in demo_read / demo_tick\n^write to 0x@ of 8 bytes by task % on "
	 "cpu %:\n"
	 "^==================================================================\n"},
	{SMOKE_SPLAT_KFENCE, "KFENCE: use-after-free read in demo_get", true, 3,
	 "^BUG: KFENCE: use-after-free read in demo_get~\n^Use-after-free read at 0x@ (in "
	 "kfence-#%):\n"
	 "^==================================================================\n"},
	{SMOKE_SPLAT_UBSAN, "UBSAN: shift-out-of-bounds in drivers/demo/core.c", true, 4,
	 "^UBSAN: shift-out-of-bounds in drivers/demo/core.c:%:%\n^shift exponent % is too large\n"
	 "^Call Trace:\n^ </TASK>\n^more\n"},
	{SMOKE_SPLAT_LOCKDEP, "possible circular locking dependency detected in demo_a", true, 6,
	 "^WARNING: possible circular locking dependency detected\n^6.1.0 #1 Not tainted\n"
	 "^cat/% is trying to acquire lock:\n^@ (&a->lock){+.+.}-{3:3}, at: demo_a~\n"
	 "^Call Trace:\n^ demo_b~\n^more\n"},
	{SMOKE_SPLAT_LOCKDEP, "possible recursive locking detected in demo_a", true, 3,
	 "^[ INFO: possible recursive locking detected ]\n^ (&a->lock){+.+.}, at: [<@>] demo_a~\n"
	 "^---[ end trace @ ]---\n"},
	{SMOKE_SPLAT_LOCKDEP, "inconsistent lock state in demo_irq", true, 2,
	 "^WARNING: inconsistent lock state\n^@ (&a->lock){?.+.}-{2:2}, at: demo_irq~\n"},
	{SMOKE_SPLAT_LOCKDEP, "possible irq lock inversion dependency detected", true, 1,
	 "^WARNING: possible irq lock inversion dependency detected\n"},
	{SMOKE_SPLAT_LOCKDEP, "unsafe lock order detected in demo_irq", true, 2,
	 "^WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected\n"
	 "^@ (&a->lock){+.+.}-{2:2}, at: demo_irq~\n"},
	{SMOKE_SPLAT_LOCKDEP, "suspicious RCU usage in demo_walk", true, 5,
	 "^WARNING: suspicious RCU usage\n^net/demo.c:% suspicious rcu_dereference_check() usage!\n"
	 "^Call Trace:\n^ lockdep_rcu_suspicious~\n^ demo_walk~\n"},
	{SMOKE_SPLAT_LOCKDEP, "bad unlock balance detected in demo_unlock", true, 3,
	 "^WARNING: bad unlock balance detected!\n^Call Trace:\n^ demo_unlock~\n"},
	{SMOKE_SPLAT_LOCKDEP, "held lock freed in demo_free", true, 3,
	 "^WARNING: held lock freed!\n^Call Trace:\n^ demo_free~\n"},
	{SMOKE_SPLAT_LOCKDEP, "Invalid wait context in demo_irq", true, 2,
	 "^[ BUG: Invalid wait context ]\n^@ (&a->lock){....}-{3:3}, at: demo_irq~\n"},
	{SMOKE_SPLAT_LOCKDEP, "still has locks held in demo_a", true, 2,
	 "^WARNING: cat/% still has locks held!\n^ #0: @ (&a->lock){+.+.}-{3:3}, at: demo_a~\n"},
	{SMOKE_SPLAT_LOCKDEP, "lock held when returning to user space in demo_a", true, 2,
	 "^WARNING: lock held when returning to user space!\n"
	 "^ #0: @ (&a->lock){+.+.}-{3:3}, at: demo_a~\n"},
	{SMOKE_SPLAT_LOCKDEP, "trying to register non-static key in demo_init", true, 4,
	 "^INFO: trying to register non-static key.\n^Call Trace:\n^ register_lock_class~\n^ "
	 "demo_init~\n"},
	{SMOKE_SPLAT_RCU_STALL, "RCU stall", true, 3,
	 "^rcu: INFO: rcu_preempt self-detected stall on CPU\n^rcu: \t%-....: (% ticks this GP)\n"
	 "^RIP: 0010:demo_loop~\n"},
	{SMOKE_SPLAT_RCU_STALL, "RCU stall", true, 1,
	 "^INFO: rcu_sched detected stalls on CPUs/tasks: { % } (detected by %, t=% jiffies)\n"},
	{SMOKE_SPLAT_SOFT_LOCKUP, "soft lockup", true, 2,
	 "^watchdog: BUG: soft lockup - CPU#% stuck for %s! [cat:%]\n^RIP: 0010:demo_loop~\n"},
	{SMOKE_SPLAT_HARD_LOCKUP, "hard lockup", true, 2,
	 "^watchdog: Watchdog detected hard LOCKUP on cpu %\n^RIP: 0010:demo_loop~\n"},
	{SMOKE_SPLAT_HUNG_TASK, "task cat:N blocked in demo_wait", true, 5,
	 "^INFO: task cat:% blocked for more than % seconds.\n^      Not tainted 6.1.0 #1\n"
	 "^Call Trace:\n^ __schedule~\n^ demo_wait~\n^Showing all locks held in the system:\n"},
	{SMOKE_SPLAT_KMEMLEAK, "kmemleak: N new suspected memory leaks", true, 1,
	 "^kmemleak: % new suspected memory leaks (see /sys/kernel/debug/kmemleak)\n"},
	{SMOKE_SPLAT_KMEMLEAK, "memory leak in demo_alloc", true, 5,
	 "unreferenced object 0x@ (size %):\n  comm \"cat\", pid %, jiffies % (age %s)\n  "
	 "backtrace:\n"
	 "    [<@>] kmem_cache_alloc~\n    [<@>] demo_alloc~\n"},
	{SMOKE_SPLAT_REFCOUNT, "refcount_t: underflow; use-after-free in demo_put", true, 7,
	 "^refcount_t: underflow; use-after-free.\n"
	 "^WARNING: CPU: % PID: % at lib/refcount.c:% refcount_warn_saturate~\n"
	 "^RIP: 0010:refcount_warn_saturate~\n^Call Trace:\n^ <TASK>\n^ demo_put~\n^---[ end trace "
	 "@ ]---\n"},
	{SMOKE_SPLAT_LIST, "list_del corruption in demo_remove", true, 5,
	 "^list_del corruption, @->next is LIST_POISON1 (dead@)\n^kernel BUG at "
	 "lib/list_debug.c:%!\n"
	 "^Call Trace:\n^ demo_remove~\n^---[ end trace @ ]---\n"},
	{SMOKE_SPLAT_LIST, "list_add corruption in demo_insert", true, 4,
	 "^list_add corruption. prev->next should be next (@), but was @. (prev=@).\n"
	 "^WARNING: CPU: % PID: % at lib/list_debug.c:% __list_add_valid~\n^ demo_insert~\n"
	 "^---[ end trace @ ]---\n"},
	{SMOKE_SPLAT_ATOMIC, "scheduling while atomic in demo_sleep", true, 5,
	 "^BUG: scheduling while atomic: cat/%/0x00000002\n^Modules linked in:\n^Call Trace:\n"
	 "^ __schedule_bug~\n^ demo_sleep~\n"},
	{SMOKE_SPLAT_ATOMIC,
	 "sleeping function called from invalid context at kernel/locking/mutex.c in demo_sleep",
	 true, 3,
	 "^BUG: sleeping function called from invalid context at kernel/locking/mutex.c:%\n"
	 "^Call Trace:\n^ demo_sleep~\n"},
	{SMOKE_SPLAT_STACK, "stack-protector: Kernel stack is corrupted in: demo_copy", true, 1,
	 "^Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: "
	 "demo_copy~\n"},
	{SMOKE_SPLAT_STACK, "stack guard page was hit in demo_deep", true, 2,
	 "^BUG: TASK stack guard page was hit at @ (stack is @..@)\n^RIP: 0010:demo_deep~\n"},
	{SMOKE_SPLAT_OOM, "oom-killer invoked", false, 3,
	 "^cat invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER), order=0, oom_score_adj=0\n"
	 "^Mem-Info:\n^Out of memory: Killed process % (cat) total-vm:%kB, anon-rss:%kB\n^more\n"},
};

/* Two runs, which differ in all that may; the third has no times, the fourth a prompt before the first line. */
enum { RUNS = 4 };

static size_t expand(const char *log, unsigned run, char *buf, size_t cap)
{
	static const char *const stamp[RUNS] = {"[    1.234567] ", "<4>[  987.000001][  T234] ", "",
						"[    1.234567] "};
	static const char *const addr[RUNS] = {"ffff888003a1b2c0", "ffffc90000d3eda7",
					       "ffff8880deadbeef", "00000000a1b2c3d4"};
	static const char *const offset[RUNS] = {"+0x12/0x340", "+0xfe1/0x2000", "+0x0/0x10",
						 "+0x12/0x340"};
	static const char *const number[RUNS] = {"1", "23456", "0", "77"};
	size_t len = run == 3 ? (size_t)snprintf(buf, cap, "login: ") : 0;

	for (; *log; log++) {
		const char *what = *log == '^'   ? stamp[run]
				   : *log == '@' ? addr[run]
				   : *log == '~' ? offset[run]
				   : *log == '%' ? number[run]
						 : NULL;

		len += (size_t)snprintf(buf + len, cap - len, what ? "%s" : "%.1s",
					what ? what : log);
		assert_true(len < cap);
	}
	return len;
}

static void hear_line(struct smoke_judge_sink *sink, const struct smoke_line *line)
{
	(void)sink;
	(void)line;
}

static void hear_met(struct smoke_judge_sink *sink, const struct smoke_rule *rule, int64_t at_ns)
{
	(void)sink;
	(void)rule;
	(void)at_ns;
}

/* A judge with its rules, and the splats that it has found. */
struct rig {
	struct smoke_judge_sink sink;
	struct smoke_rules rules;
	struct smoke_splats splats;
	struct smoke_judge judge;
};

static int setup(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	rig.sink = (struct smoke_judge_sink){.line = hear_line, .met = hear_met};
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	smoke_rules_fini(&rig->rules);
	smoke_splats_fini(&rig->splats);
	return 0;
}

static void add_rule(struct rig *rig, enum smoke_rule_kind kind, const char *pattern)
{
	const struct smoke_rule_opts opts = {.kind = kind, .pattern = pattern, .option = "--x"};
	struct diag diag = {0};

	if (smoke_rules_add(&rig->rules, &opts, &diag) < 0)
		fail_msg("%s", diag.what);
}

static void add_defaults(struct rig *rig, bool warnings)
{
	assert_int_equal(smoke_rules_add_defaults(&rig->rules, warnings, NULL), 0);
}

static void begin(struct rig *rig)
{
	const struct smoke_judge_opts opts = {
		.rules = &rig->rules,
		.sink = &rig->sink,
		.splats = &rig->splats,
		.expects_decide = true,
	};

	smoke_splats_fini(&rig->splats);
	smoke_judge_init(&rig->judge, &opts);
}

static void feed(struct rig *rig, const char *text, size_t len)
{
	smoke_judge_feed(&rig->judge, SMOKE_CONSOLE, (const uint8_t *)text, len, 1);
}

static void say(struct rig *rig, const char *text)
{
	feed(rig, text, strlen(text));
}

static void each_class_has_a_stable_title(void **state)
{
	struct rig *rig = *state;
	char buf[4096];

	add_defaults(rig, false);
	for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
		for (unsigned run = 0; run < RUNS; run++) {
			const size_t len = expand(logs[i].log, run, buf, sizeof(buf));

			if (run == 3 && buf[7] != '[')
				continue; /* a prompt is known for one by the time after it alone */
			begin(rig);
			feed(rig, buf, len);
			smoke_judge_finish(&rig->judge, 2);
			if (rig->splats.nr != 1)
				fail_msg("%u splats in %s", rig->splats.nr, buf);
			assert_string_equal(rig->splats.splat[0].title, logs[i].title);
			assert_int_equal(rig->splats.splat[0].class, logs[i].class);
			if (rig->splats.splat[0].rejected != logs[i].by_default)
				fail_msg("rejected: %d: %s", rig->splats.splat[0].rejected, buf);
			assert_int_equal(rig->splats.splat[0].lines, logs[i].lines);
			assert_int_equal(rig->judge.finding,
					 !logs[i].by_default           ? SMOKE_FOUND_NOTHING
					 : strstr(buf, "Kernel panic") ? SMOKE_FOUND_PANIC
								       : SMOKE_FOUND_REJECT);
		}
	}
}

static void every_class_is_in_a_log(void **state)
{
	(void)state;
	for (enum smoke_splat_class class = SMOKE_SPLAT_NONE + 1; class < SMOKE_SPLAT_CLASSES;
	     class ++) {
		size_t i = 0;

		while (i < ARRAY_SIZE(logs) && logs[i].class != class)
			i++;
		if (i == ARRAY_SIZE(logs))
			fail_msg("no log of %s", smoke_splat_class_name(class));
		for (enum smoke_splat_class other = SMOKE_SPLAT_NONE; other < class; other++)
			assert_string_not_equal(smoke_splat_class_name(class),
						smoke_splat_class_name(other));
	}
}

/* All logs one after the other are all splats; equal titles are one, seen several times. */
static void all_are_reported(void **state)
{
	struct rig *rig = *state;
	char buf[4096];
	unsigned times = 0;

	add_defaults(rig, true);
	begin(rig);
	for (size_t i = 0; i < ARRAY_SIZE(logs); i++)
		feed(rig, buf, expand(logs[i].log, 0, buf, sizeof(buf)));
	smoke_judge_finish(&rig->judge, 2);
	for (unsigned i = 0; i < rig->splats.nr; i++)
		times += rig->splats.splat[i].times;
	assert_int_equal(times + rig->splats.left_out, ARRAY_SIZE(logs));
	assert_int_equal(rig->splats.nr, SMOKE_SPLATS_MAX);
	for (unsigned i = 0; i < rig->splats.nr; i++)
		assert_true(rig->splats.splat[i].rejected);
}

static void what_is_no_splat_makes_none(void **state)
{
	static const char *const lines[] = {
		"all is well",
		"my test: BUG: none",
		"WARNING: /etc/x does not exist",
		"BUG in a program",
		"list_del is fine",
		"INFO: task manager begins",
		"using a BUG: x",
		"[    1.0] rcu: Hierarchical RCU",
		"kmemleak: Kernel memory leak detector initialized",
		"watchdog: Delayed init of the lockup detector",
		"[    0.1] ubsan: on",
		"refcount is 1",
		"=====",
		"[[[[[[[[",
		"[",
		"<",
		"[ 1.2]",
		"+0x",
		"",
		" ",
	};
	struct rig *rig = *state;

	begin(rig);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		say(rig, lines[i]);
		say(rig, "\n");
	}
	smoke_judge_finish(&rig->judge, 2);
	for (unsigned i = 0; i < rig->splats.nr; i++)
		fail_msg("'%s'", rig->splats.splat[i].title);
}

/* A hostile guest: without end, of ever new titles, of long lines. */
static void a_guest_costs_no_more(void **state)
{
	struct rig *rig = *state;
	char line[6000];

	begin(rig);
	for (unsigned i = 0; i < 3000; i++) {
		const int n = snprintf(line, sizeof(line), "BUG: KASAN: x in f%u_\n ", i);

		memset(line + n, 'y', sizeof(line) - (size_t)n);
		line[sizeof(line) - 1] = '\n';
		feed(rig, line, sizeof(line));
	}
	for (unsigned i = 0; i < 100000; i++)
		say(rig, " z\n");
	smoke_judge_finish(&rig->judge, 2);
	assert_int_equal(rig->splats.nr, SMOKE_SPLATS_MAX);
	assert_int_equal(rig->splats.left_out, 3000 - SMOKE_SPLATS_MAX);
	for (unsigned i = 0; i < rig->splats.nr; i++) {
		assert_true(rig->splats.splat[i].len <= SMOKE_SPLAT_TEXT_MAX);
		assert_true(rig->splats.splat[i].lines <= SMOKE_SPLAT_LINES_MAX);
	}
}

/* The same in whichever two pieces it comes. */
static void assert_allowed(struct rig *rig, const char *log, enum smoke_finding finding,
			   bool allowed, const char *decided)
{
	char buf[4096];
	const size_t len = expand(log, 0, buf, sizeof(buf));

	for (size_t at = 0; at <= len; at++) {
		begin(rig);
		feed(rig, buf, at);
		feed(rig, buf + at, len - at);
		smoke_judge_finish(&rig->judge, 2);
		assert_int_equal(rig->judge.finding, finding);
		assert_int_equal(rig->splats.splat[0].allowed, allowed);
		assert_int_equal(rig->splats.splat[0].rejected, !allowed);
		assert_string_equal(rig->judge.decided_text, decided);
	}
}

static const char oops[] = "BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
			   "Oops: 0000 [#1] SMP\n"
			   "RIP: 0010:demo_open~\n"
			   "---[ end trace @ ]---\n";

static void a_known_splat_is_a_note(void **state)
{
	struct rig *rig = *state;

	add_defaults(rig, true);
	add_rule(rig, SMOKE_RULE_ALLOW, "^KASAN: .* in demo_write$");
	add_rule(rig, SMOKE_RULE_ALLOW, "WARNING: .*demo_probe");
	add_rule(rig, SMOKE_RULE_ALLOW, "dereference in demo_open$");
	assert_allowed(rig, "BUG: KASAN: x in demo_write~\n", SMOKE_FOUND_NOTHING, true, "");
	assert_allowed(rig, "BUG: KASAN: x in demo_read~\n", SMOKE_FOUND_REJECT, false, "");
	assert_allowed(rig, "WARNING: CPU: 1 PID: 2 at a.c:1 demo_probe~\n", SMOKE_FOUND_NOTHING,
		       true, "");
	assert_allowed(rig, oops, SMOKE_FOUND_NOTHING, true, "");
}

/* Not allowed by its title: it is known when the title is, and called by its first line. */
static void an_unknown_splat_decides(void **state)
{
	struct rig *rig = *state;

	add_defaults(rig, false);
	add_rule(rig, SMOKE_RULE_ALLOW, "dereference in another$");
	assert_allowed(rig, oops, SMOKE_FOUND_REJECT, false,
		       "BUG: kernel NULL pointer dereference, address: 0000000000000008");
	assert_allowed(rig, "BUG: kernel NULL pointer dereference\n", SMOKE_FOUND_REJECT, false,
		       "BUG: kernel NULL pointer dereference");
	/* A second one after the one that is allowed. */
	add_rule(rig, SMOKE_RULE_ALLOW, "^KASAN");
	assert_allowed(rig, "BUG: KASAN: x in a~\nfine\nBUG: y\n", SMOKE_FOUND_REJECT, true, "");
}

/* The splat that came first counts, also when its title is known after an expectation was met. */
static void a_splat_before_an_expectation_decides(void **state)
{
	struct rig *rig = *state;

	add_defaults(rig, false);
	add_rule(rig, SMOKE_RULE_ALLOW, "dereference in another$");
	add_rule(rig, SMOKE_RULE_EXPECT, "ready");
	assert_allowed(rig, "BUG: kernel NULL pointer dereference\nready\nmore\n",
		       SMOKE_FOUND_REJECT, false, "BUG: kernel NULL pointer dereference");
	assert_allowed(rig, "BUG: kernel NULL pointer dereference, ready\nmore\n",
		       SMOKE_FOUND_REJECT, false, "BUG: kernel NULL pointer dereference, ready");
}

static void what_is_pending_is_settled_by_silence(void **state)
{
	struct rig *rig = *state;

	add_defaults(rig, false);
	add_rule(rig, SMOKE_RULE_ALLOW, "dereference in another$");
	begin(rig);
	say(rig, "BUG: kernel NULL pointer dereference\n");
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_NOTHING);
	assert_true(smoke_judge_waits(&rig->judge));
	smoke_judge_quiet(&rig->judge, 2);
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_REJECT);
	assert_false(smoke_judge_waits(&rig->judge));
	smoke_judge_finish(&rig->judge, 3);
}

static void a_panic_is_never_allowed(void **state)
{
	struct rig *rig = *state;

	add_defaults(rig, false);
	add_rule(rig, SMOKE_RULE_ALLOW, "panic|BUG");
	begin(rig);
	say(rig, "BUG: x\nKernel panic - not syncing: y\n");
	smoke_judge_finish(&rig->judge, 2);
	assert_int_equal(rig->judge.finding, SMOKE_FOUND_PANIC);
	assert_int_equal(rig->splats.nr, 2);
	assert_true(rig->splats.splat[0].allowed);
	assert_true(rig->splats.splat[1].rejected);
}

/* A command's output is not the kernel's. */
static void only_the_console_has_splats(void **state)
{
	static const char text[] = "BUG: KASAN: x in f+0x1/0x2\n";
	struct rig *rig = *state;

	add_defaults(rig, true);
	begin(rig);
	smoke_judge_feed(&rig->judge, SMOKE_COMMAND_OUT, (const uint8_t *)text, sizeof(text) - 1,
			 1);
	smoke_judge_finish(&rig->judge, 2);
	assert_int_equal(rig->splats.nr, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_class_has_a_stable_title),
		TEST(every_class_is_in_a_log),
		TEST(all_are_reported),
		TEST(what_is_no_splat_makes_none),
		TEST(a_guest_costs_no_more),
		TEST(a_known_splat_is_a_note),
		TEST(an_unknown_splat_decides),
		TEST(a_splat_before_an_expectation_decides),
		TEST(what_is_pending_is_settled_by_silence),
		TEST(a_panic_is_never_allowed),
		TEST(only_the_console_has_splats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
