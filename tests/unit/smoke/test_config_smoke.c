/* From a command line and a matrix file to boots: names, words, and what is refused where. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "device.h"
#include "diag_rig.h"
#include "smoke/options.h"
#include "temp_dir.h"

enum { ARGS_MAX = 24 };

struct rig {
	struct smoke_suite suite;
	struct diag diag;
	char path[64]; /* of the matrix file */
	char *argv[ARGS_MAX];
	int argc;
};

static int setup(void **state)
{
	static struct rig rig;

	rig = (struct rig){.argc = 1};
	rig.argv[0] = strdup("smoke");
	*state = &rig;
	if (temp_dir_make() < 0)
		return -1;
	snprintf(rig.path, sizeof(rig.path), "%s", temp_dir_at("matrix"));
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	config_smoke_fini(&rig->suite);
	for (int i = 0; i < rig->argc; i++)
		free(rig->argv[i]);
	temp_dir_remove();
	return 0;
}

static void arg(struct rig *rig, const char *word)
{
	assert_true(rig->argc < ARGS_MAX - 1);
	rig->argv[rig->argc++] = strdup(word);
}

static void file(const char *text)
{
	temp_dir_put("matrix", text, strlen(text));
}

static int parse(struct rig *rig)
{
	config_smoke_fini(&rig->suite);
	rig->diag = (struct diag){0};
	return config_parse_smoke(&rig->suite, rig->argc, rig->argv, &rig->diag);
}

static void assert_names(struct rig *rig, const char *const *names, unsigned nr)
{
	if (parse(rig) < 0)
		fail_msg("%s", rig->diag.what);
	assert_int_equal(rig->suite.nr, nr);
	for (unsigned i = 0; i < nr; i++)
		assert_string_equal(rig->suite.spec[i]->name, names[i]);
}

/* With that error, of a line of the file when that is not 0. */
static void assert_refused(struct rig *rig, const char *text, unsigned line, const char *error)
{
	char place[96] = "";

	file(text);
	assert_int_equal(parse(rig), -EINVAL);
	assert_int_equal(rig->suite.nr, 0);
	assert_diag(&rig->diag, -EINVAL, error);
	if (line)
		snprintf(place, sizeof(place), ":%u: ", line);
	assert_memory_equal(rig->diag.what, rig->path, strlen(rig->path));
	assert_memory_equal(rig->diag.what + strlen(rig->path), place, strlen(place));
}

static void test_kernels_have_names(void **state)
{
	static const char *const none[] = {"self-test"};
	static const char *const two[] = {"a", "b"};
	static const char *const three[] = {"x/a", "b", "y/a"};
	static const char *const twice[] = {"x/a", "b/repeat=1", "y/a", "b/repeat=2"};
	struct rig *rig = *state;

	assert_names(rig, none, 1);
	arg(rig, "x/a");
	arg(rig, "b");
	assert_names(rig, two, 2);
	arg(rig, "y/a");
	assert_names(rig, three, 3);
	arg(rig, "b");
	assert_names(rig, twice, 4);
	assert_string_equal(rig->suite.spec[3]->base, "b");
	assert_string_equal(rig->suite.spec[3]->config.kernel, "b");
}

static void test_boots_are_repeated(void **state)
{
	static const char *const names[] = {"a", "b/repeat=1", "b/repeat=2", "c"};
	static const char *const twice[] = {"k/repeat=1", "k/repeat=2", "k/repeat=3", "k/repeat=4"};
	struct rig *rig = *state;

	file("boots:\n"
	     "  - {name: a, kernel: k, append: x}\n"
	     "  - {name: b, kernel: k, repeat: 2}\n"
	     "  - {name: c, kernel: k, repeat: 1}\n");
	arg(rig, "--config");
	arg(rig, rig->path);
	assert_names(rig, names, ARRAY_SIZE(names));
	assert_string_equal(rig->suite.spec[2]->base, "b");
	teardown(state);
	setup(state);
	arg(rig, "--repeat=2");
	arg(rig, "k");
	arg(rig, "k");
	assert_names(rig, twice, 4);
}

static void test_boots_are_selected(void **state)
{
	static const struct {
		const char *words[3];
		const char
			*names; /* what is left, each before a blank; or "!" and the error's id */
	} rows[] = {
		{{"--only=a"}, "a "},
		{{"--only=bb/*"}, "bb/cpus=1 bb/cpus=2 "},
		{{"--only=*=2", "--only=a"}, "a bb/cpus=2 c/repeat=2 "},
		{{"--only=c"}, "c/repeat=1 c/repeat=2 "},
		{{"--only=c/repeat=2"}, "c/repeat=2 "},
		{{"--only=b"}, "!only-nothing"},
		{{"--shard=1/2"}, "a bb/cpus=2 c/repeat=2 "},
		{{"--shard=2/2"}, "bb/cpus=1 c/repeat=1 "},
		{{"--only=c", "--shard=2/2"}, "c/repeat=2 "},
		{{"--only=a", "--shard=2/2"}, ""},
		{{"--shard=0/2"}, "!shard-form"},
		{{"--shard=3/2"}, "!shard-form"},
		{{"--shard=1"}, "!shard-form"},
	};
	struct rig *rig = *state;

	file("boots:\n"
	     "  - {name: a, kernel: k}\n"
	     "  - {name: bb, kernel: k, matrix: {cpus: [1, 2]}}\n"
	     "  - {name: c, kernel: k, repeat: 2}\n");
	arg(rig, "--config");
	arg(rig, rig->path);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char names[1024] = "";
		size_t n = 0, len = 0;
		int r;

		for (; n < ARRAY_SIZE(rows[i].words) && rows[i].words[n]; n++)
			arg(rig, rows[i].words[n]);
		r = parse(rig);
		for (unsigned k = 0; k < rig->suite.nr; k++) {
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s ",
						rig->suite.spec[k]->name);
			assert_true(len < sizeof(names));
		}
		if (r < 0)
			snprintf(names, sizeof(names), "!%s", rig->diag.id);
		assert_string_equal(names, rows[i].names);
		while (n-- > 0)
			free(rig->argv[--rig->argc]);
	}
}

static void test_words_make_the_boot(void **state)
{
	static const char *const words[] = {
		"-e",   "one", "--timeout=1.5", "--phase-timeout", "p=a=b:c:2", "-m1G", "--run",
		"true", "k",
	};
	struct rig *rig = *state;
	const struct smoke_spec *spec;
	const struct smoke_rule *phase;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		arg(rig, words[i]);
	assert_int_equal(parse(rig), 0);
	spec = rig->suite.spec[0];
	assert_int_equal(spec->timeout_ns, 3 * NS_PER_S / 2);
	assert_int_equal(spec->stall_ns, 0); /* a command may be silent */
	assert_true(spec->wants_status);
	assert_int_equal(spec->config.vm.machine.mem_bytes, 1 << 30);
	assert_string_equal(smoke_rules_get(&spec->rules, SMOKE_RULE_EXPECT, 0)->pattern, "one");
	phase = smoke_rules_get(&spec->rules, SMOKE_RULE_PHASE, 0);
	assert_string_equal(phase->name, "p");
	assert_string_equal(phase->pattern, "a=b:c");
	assert_int_equal(phase->limit_ns, 2 * NS_PER_S);
	assert_non_null(smoke_rules_get(&spec->rules, SMOKE_RULE_PANIC, 0));
}

static void test_the_end_is_of_the_boot(void **state)
{
	struct rig *rig = *state;

	file("boots:\n"
	     "  - {name: a, kernel: k, expect-end: code=0x10, exit-code: qemu, keep-going: true}\n"
	     "  - {name: b, kernel: k, expect-end: triple-fault}\n"
	     "fail-fast: true\n");
	arg(rig, "--config");
	arg(rig, rig->path);
	assert_int_equal(parse(rig), 0);
	assert_true(rig->suite.run.fail_fast);
	assert_int_equal(rig->suite.spec[0]->wanted.kind, VM_END_EXIT_CODE);
	assert_int_equal(rig->suite.spec[0]->wanted.code, 16);
	assert_true(rig->suite.spec[0]->qemu_codes);
	assert_true(rig->suite.spec[0]->keep_going);
	assert_int_equal(rig->suite.spec[1]->wanted.kind, VM_END_TRIPLE_FAULT);
	assert_false(rig->suite.spec[1]->qemu_codes);
	arg(rig, "--expect-end=timeout");
	arg(rig, "--timeout=0");
	assert_int_equal(parse(rig), -EINVAL);
	assert_diag(&rig->diag, -EINVAL, "expect-end-never");
}

static void test_known_splats_come_from_a_file_too(void **state)
{
	struct rig *rig = *state;
	char word[128];

	file("# known\n\nKASAN: x  \r\n^BUG: y$\n");
	snprintf(word, sizeof(word), "--allow-file=%s", rig->path);
	arg(rig, "--allow=z");
	arg(rig, word);
	assert_int_equal(parse(rig), 0);
	assert_int_equal(rig->suite.spec[0]->rules.nr_of[SMOKE_RULE_ALLOW], 3);
	assert_string_equal(
		smoke_rules_get(&rig->suite.spec[0]->rules, SMOKE_RULE_ALLOW, 1)->pattern,
		"KASAN: x");
	file("ok\n(\n");
	assert_int_equal(parse(rig), -EINVAL);
	snprintf(word, sizeof(word), "pattern-not-regex %s:2: '('", rig->path);
	assert_diag(&rig->diag, -EINVAL, word);
	arg(rig, "--allow-file=/nonexistent");
	file("ok\n");
	assert_int_equal(parse(rig), -ENOENT);
	assert_diag(&rig->diag, -ENOENT, "allow-open '/nonexistent'");
}

static void test_bad_words_are_refused(void **state)
{
	static const struct {
		const char *word, *error;
	} bad[] = {
		{"--timeout=x", "option-seconds --timeout 'x'"},
		{"--stall=-1", "option-seconds --stall '-1'"},
		{"--phase-timeout=x:1", "phase-form 'x:1'"},
		{"--phase-timeout=a=x:0", "phase-seconds 'a=x:0' ~ '0'"},
		{"--expect=(", "pattern-not-regex --expect '(' ~ 1"},
		{"--reject=x*", "pattern-matches-all --reject 'x*'"},
		{"--repeat=0", "option-number --repeat '0' ~ 1 to 1000"},
		{"--expect-end=code", "option-choice --expect-end 'code'"},
		{"--expect-end=code=", "option-number --expect-end code '' ~ 0 to 4294967295"},
		{"--exit-code=x", "option-choice --exit-code 'x'"},
		{"--property=x", "property-form 'x'"},
		{"--property==x", "property-form '=x'"},
		{"--jobs=0", "option-number --jobs '0' ~ 1 to 1000"},
		{"--log-limit=x", "option-size --log-limit 'x'"},
		{"--initrd=x", "kernel-missing --initrd"},
		{"--net=user,pcap=x.pcap", "net-capture-smoke x.pcap"},
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		arg(rig, bad[i].word);
		assert_int_equal(parse(rig), -EINVAL);
		assert_diag(&rig->diag, -EINVAL, bad[i].error);
		free(rig->argv[--rig->argc]);
	}
}

static void test_a_matrix_is_multiplied(void **state)
{
	static const char *const names[] = {
		"disk/a/cpus=1/quiet", "disk/a/cpus=1/loud",  "disk/a/cpus=2/quiet",
		"disk/a/cpus=2/loud",  "disk/b/cpus=1/quiet", "disk/b/cpus=1/loud",
		"disk/b/cpus=2/quiet", "disk/b/cpus=2/loud",  "vmlinuz",
	};
	struct rig *rig = *state;
	const struct smoke_spec *spec;

	file("timeout: 10\n"
	     "expect: first\n"
	     "append: panic=5\n"
	     "jobs: 3\n"
	     "boots:\n"
	     "  - name: disk\n"
	     "    mem: 1G\n"
	     "    expect: [second, third]\n"
	     "    matrix:\n"
	     "      kernel: [x/a, b]\n"
	     "      cpus: [1, 2]\n"
	     "      case:\n"
	     "        - {name: quiet, append: quiet}\n"
	     "        - {name: loud, append: debug, expect: fourth, reject-warnings: true}\n"
	     "  - kernel: y/vmlinuz\n"
	     "    reject-warnings: false\n");
	arg(rig, "--config");
	arg(rig, rig->path);
	arg(rig, "--timeout=20");
	assert_names(rig, names, ARRAY_SIZE(names));
	assert_int_equal(rig->suite.run.jobs, 3);
	spec = rig->suite.spec[7];
	assert_string_equal(spec->config.kernel, "b");
	assert_int_equal(spec->config.vm.machine.cpus, 2);
	assert_int_equal(spec->config.vm.machine.mem_bytes, 1 << 30);
	assert_string_equal(spec->config.vm.machine.cmdline, "panic=5 debug");
	assert_int_equal(spec->timeout_ns, 20 * NS_PER_S); /* the command line's word */
	assert_int_equal(spec->rules.nr_of[SMOKE_RULE_EXPECT], 4);
	assert_string_equal(smoke_rules_get(&spec->rules, SMOKE_RULE_EXPECT, 3)->pattern, "fourth");
	assert_int_equal(spec->rules.nr_of[SMOKE_RULE_REJECT],
			 rig->suite.spec[8]->rules.nr_of[SMOKE_RULE_REJECT] + 2);
	arg(rig, "--jobs=5");
	assert_int_equal(parse(rig), 0);
	assert_int_equal(rig->suite.run.jobs, 5);
}

static void test_kernels_of_the_command_line_are_for_boots_without(void **state)
{
	static const char *const names[] = {"mine/k1", "mine/k2", "k1/cpus=1", "k2/cpus=1", "own"};
	struct rig *rig = *state;

	file("boots:\n"
	     "  - name: mine\n"
	     "  - matrix: {cpus: [1]}\n"
	     "  - kernel: own\n");
	arg(rig, "--config");
	arg(rig, rig->path);
	arg(rig, "d/k1");
	arg(rig, "d/k2");
	assert_names(rig, names, ARRAY_SIZE(names));
	assert_string_equal(rig->suite.spec[2]->config.kernel, "d/k1");
}

static void test_a_boot_is_quick_only_when_asked(void **state)
{
	static const char *const names[] = {"k", "slow"};
	struct rig *rig = *state;

	file("boots:\n"
	     "  - {kernel: k, quick: true}\n"
	     "  - {name: slow, kernel: k}\n");
	arg(rig, "--config");
	arg(rig, rig->path);
	assert_names(rig, names, ARRAY_SIZE(names));
	assert_true(rig->suite.spec[0]->config.vm.machine.quick);
	assert_false(rig->suite.spec[1]->config.vm.machine.quick);
}

static void test_bad_files_are_refused_by_line(void **state)
{
	struct rig *rig = *state;

	arg(rig, "--config");
	arg(rig, rig->path);
	assert_refused(rig, "", 1, "matrix-mapping-wanted");
	assert_refused(rig, "a: [", 2, "matrix-not-yaml");
	assert_refused(rig, "- a\n", 1, "matrix-mapping-wanted");
	assert_refused(rig, "cpus: 1\n", 1, "matrix-boots-missing");
	assert_refused(rig, "boots: []\n", 1, "matrix-boots-missing");
	assert_refused(rig, "boots:\n  - x\n", 2, "matrix-mapping-wanted");
	assert_refused(rig, "boots:\n  - kernel: k\n    cpuss: 1\n", 3,
		       "matrix-option-unknown 'cpuss'");
	assert_refused(rig, "boots:\n  - kernel: k\n    help: 1\n", 3,
		       "matrix-option-unknown 'help'");
	assert_refused(rig, "config: x\nboots:\n  - kernel: k\n", 1,
		       "matrix-option-unknown 'config'");
	assert_refused(rig, "boots:\n  - kernel: k\n    jobs: 1\n", 3,
		       "matrix-option-of-run 'jobs'");
	assert_refused(rig, "boots:\n  - kernel: k\n    rng: 3\n", 3,
		       "matrix-boolean-wanted 'rng'");
	assert_refused(rig, "boots:\n  - kernel: k\n    cpus: 1\n    cpus: 2\n", 4,
		       "matrix-key-twice 'cpus'");
	assert_refused(rig, "mem: 1G\nboots:\n  - kernel: k\nmem: 2G\n", 4,
		       "matrix-key-twice 'mem'");
	assert_refused(rig, "boots:\n  - kernel: k\nboots:\n  - kernel: l\n", 3,
		       "matrix-key-twice 'boots'");
	assert_refused(rig, "boots:\n  - kernel: [k]\n", 2, "matrix-text-wanted 'kernel'");
	assert_refused(rig, "boots:\n  - kernel: k\n    mem: {a: b}\n", 3,
		       "matrix-text-wanted 'mem'");
	assert_refused(rig, "boots:\n  - kernel: \"k\\0k\"\n", 2, "matrix-text-wanted 'kernel'");
	assert_refused(rig, "boots:\n  - matrix: {cpus: 1}\n    kernel: k\n", 2,
		       "matrix-list-wanted 'cpus'");
	assert_refused(rig, "boots:\n  - kernel: k\n    matrix: {a: [{cpus: 1}]}\n", 3,
		       "matrix-name-wanted");
	assert_refused(rig, "boots:\n  - name: n\n", 2, "matrix-kernel-missing");
	assert_refused(rig, "boots:\n  - kernel: k\n  - kernel: k\n", 0, "boot-name-twice 'k'");
	assert_refused(rig, "boots:\n  - kernel: k\n    cpus: 0\n", 0,
		       "option-number boot 'k' ~ --cpus '0'");
	assert_refused(rig, "x: &x [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]\nboots: []\n", 1,
		       "matrix-option-unknown 'x'");
	assert_refused(
		rig,
		"boots:\n  - kernel: k\n    matrix:\n"
		"      cpus: &x [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23]\n"
		"      mem: *x\n      a: *x\n      b: *x\n",
		2, "matrix-boot-count");
}

static void test_the_name_that_was_meant_is_told(void **state)
{
	static const struct {
		const char *text, *meant; /* NULL: none is near */
	} files[] = {
		{"boots:\n  - kernle: k\n", "'kernel'"},
		{"boost:\n  - kernel: k\n", "'boots'"},
		{"boots:\n  - kernel: k\n    matirx: {}\n", "'matrix'"},
		{"boots:\n  - kernel: k\n    timeuot: 5\n", "'timeout'"},
		{"boots:\n  - kernel: k\n    cpuss: 5\n", "'cpus'"},
		{"boots:\n  - kernel: k\n    halp: 5\n", NULL}, /* help is not a key of a file */
		{"boots:\n  - kernel: k\n    banana: 5\n", NULL},
	};
	struct rig *rig = *state;

	arg(rig, "--config");
	arg(rig, rig->path);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		file(files[i].text);
		assert_int_equal(parse(rig), -EINVAL);
		assert_remedy(&rig->diag, files[i].meant);
	}
}

/* A matrix file with one boot of n values; which distinguishes the words of two such boots. */
static size_t put_boot(char *to, size_t room, const char *which, unsigned n)
{
	size_t len =
		(size_t)snprintf(to, room, "  - kernel: %s\n    matrix:\n      append: [", which);

	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(to + len, room - len, "%s%u", i ? "," : "", i);
	return len + (size_t)snprintf(to + len, room - len, "]\n");
}

static void test_a_run_has_a_thousand_boots_at_most(void **state)
{
	static char text[16384];
	const size_t head = (size_t)snprintf(text, sizeof(text), "boots:\n");
	struct rig *rig = *state;
	size_t len;

	arg(rig, "--config");
	arg(rig, rig->path);
	arg(rig, "--no-default-rejects");
	put_boot(text + head, sizeof(text) - head, "k", 1000);
	file(text);
	assert_int_equal(parse(rig), 0);
	assert_int_equal(rig->suite.nr, 1000);
	arg(rig, "--repeat=2");
	assert_int_equal(parse(rig), -EINVAL);
	assert_diag(&rig->diag, -EINVAL, "boots-count 1000");
	free(rig->argv[--rig->argc]);
	put_boot(text + head, sizeof(text) - head, "k", 1001);
	assert_refused(rig, text, 2, "matrix-boot-count");
	len = head + put_boot(text + head, sizeof(text) - head, "k", 501);
	put_boot(text + len, sizeof(text) - len, "l", 500);
	assert_refused(rig, text, 2, "matrix-boot-count");
}

static void test_a_matrix_has_eight_words_at_most(void **state)
{
	static const char eight[] = "boots:\n  - matrix:\n      {a: [{name: a}], b: [{name: b}], "
				    "c: [{name: c}], d: [{name: d}], e: [{name: e}], "
				    "f: [{name: f}], g: [{name: g}], h: [{name: h}]}\n";
	static const char *const names[] = {"a/b/c/d/e/f/g/h"};
	struct rig *rig = *state;
	char text[sizeof(eight) + 64];

	arg(rig, "--config");
	arg(rig, rig->path);
	snprintf(text, sizeof(text), "%s    kernel: k\n", eight);
	file(text);
	assert_names(rig, names, 1);
	snprintf(text, sizeof(text), "%.*s, i: [{name: i}]}\n", (int)sizeof(eight) - 3, eight);
	assert_refused(rig, text, 3, "matrix-key-count");
	arg(rig, "k"); /* kernels of the command line are one more */
	assert_refused(rig, eight, 2, "matrix-key-count");
}

static void test_a_name_has_an_end(void **state)
{
	enum { FITS = 511 - (sizeof("/append=x") - 1) };
	struct rig *rig = *state;
	char name[FITS + 2], text[640];

	arg(rig, "--config");
	arg(rig, rig->path);
	for (size_t len = FITS; len <= FITS + 1; len++) {
		memset(name, 'n', len);
		name[len] = '\0';
		snprintf(text, sizeof(text),
			 "boots:\n  - kernel: k\n    name: %s\n    matrix: {append: [x]}\n", name);
		file(text);
		assert_int_equal(parse(rig), len == FITS ? 0 : -EINVAL);
	}
	assert_diag(&rig->diag, -EINVAL, "matrix-name-length 'nnn");
}

static void test_defaults_may_be_left_out(void **state)
{
	struct rig *rig = *state;
	const struct smoke_spec *spec;

	arg(rig, "k");
	assert_int_equal(parse(rig), 0);
	spec = rig->suite.spec[0];
	assert_int_equal(spec->timeout_ns, 300 * NS_PER_S);
	assert_int_equal(spec->grace_ns, 2 * NS_PER_S);
	assert_true(spec->rules.nr_of[SMOKE_RULE_REJECT] > 0);
	arg(rig, "--no-default-rejects");
	assert_int_equal(parse(rig), 0);
	spec = rig->suite.spec[0];
	assert_int_equal(spec->rules.nr_of[SMOKE_RULE_REJECT], 0);
	assert_int_equal(spec->rules.nr_of[SMOKE_RULE_PANIC], 0);
	arg(rig, "--reject-warnings");
	assert_int_equal(parse(rig), -EINVAL);
	assert_diag(&rig->diag, -EINVAL, "reject-warnings-alone");
}

/* An option that may have a value has none with "true". */
static void test_a_value_may_be_left_out(void **state)
{
	struct rig *rig = *state;

	arg(rig, "--config");
	arg(rig, rig->path);
	file("boots:\n  - {name: a, kernel: k, run: x, busybox: true}\n"
	     "  - {name: b, kernel: k, run: x, busybox: /b}\n");
	assert_int_equal(parse(rig), 0);
	assert_null(rig->suite.spec[0]->config.initramfs.busybox_file);
	assert_string_equal(rig->suite.spec[1]->config.initramfs.busybox_file, "/b");
}

static void test_a_file_that_is_not_there(void **state)
{
	struct rig *rig = *state;

	arg(rig, "--config=/nonexistent");
	assert_int_equal(parse(rig), -ENOENT);
	assert_diag(&rig->diag, -ENOENT, "matrix-open '/nonexistent'");
}

/* The arguments of a boot's process make the VM that the supervisor knows. */
static void test_words_reach_the_boots_process(void **state)
{
	static const char *const words[] = {
		"-e",     "one",       "--timeout=1", "-m1G", "-c", "2",      "--append=a b",
		"-p",     "",          "--rng",       "-p=c", "-i", "x=y\nz", "--busybox=none",
		"--run=", "--stall=2", "-k",
	};
	struct rig *rig = *state;
	struct config *config = calloc(1, sizeof(*config));
	const struct smoke_spec *spec;
	size_t i;

	for (i = 0; i + 1 < ARRAY_SIZE(words); i++)
		arg(rig, words[i]);
	arg(rig, "--");
	arg(rig, words[i]);
	assert_int_equal(parse(rig), 0);
	spec = rig->suite.spec[0];
	assert_int_equal(config_smoke_unpack(spec->args, spec->args_len, config, &rig->diag), 0);
	assert_string_equal(config->kernel, "-k");
	assert_int_equal(config->vm.machine.mem_bytes, 1 << 30);
	assert_int_equal(config->vm.machine.cpus, 2);
	assert_string_equal(config->vm.machine.cmdline, spec->config.vm.machine.cmdline);
	assert_int_equal(config->nr_virtio, 1);
	assert_int_equal(config->nr_initrds, 1);
	assert_string_equal(config->initrd[0], "x=y\nz");
	assert_string_equal(config->initramfs.run, "");
	assert_int_equal(config->initramfs.busybox, INITRAMFS_BUSYBOX_NONE);
	config_fini(config);
	free(config);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(kernels_have_names),
		TEST(boots_are_repeated),
		TEST(boots_are_selected),
		TEST(words_make_the_boot),
		TEST(words_reach_the_boots_process),
		TEST(the_end_is_of_the_boot),
		TEST(known_splats_come_from_a_file_too),
		TEST(bad_words_are_refused),
		TEST(a_matrix_is_multiplied),
		TEST(kernels_of_the_command_line_are_for_boots_without),
		TEST(a_boot_is_quick_only_when_asked),
		TEST(bad_files_are_refused_by_line),
		TEST(the_name_that_was_meant_is_told),
		TEST(a_run_has_a_thousand_boots_at_most),
		TEST(a_matrix_has_eight_words_at_most),
		TEST(a_name_has_an_end),
		TEST(defaults_may_be_left_out),
		TEST(a_value_may_be_left_out),
		TEST(a_file_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
