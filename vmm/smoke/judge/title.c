/*
 * title.c - of a line of a Linux kernel, a title without all that differs from run to run.
 */
#include <ctype.h>
#include <string.h>

#include "base/macros.h"
#include "smoke/judge/splat_title.h"

enum { STAMP_WITHIN_BYTES = 100, STAMP_DECIMALS = 6 };

/* After "[    1.234567] ", "[    T12] " or "<4>", with at most one blank. */
static const char *skip_stamp(const char *s)
{
	const char *end;

	if (*s == '<' && isdigit((unsigned char)s[1]) && (end = strchr(s, '>')) && end - s <= 3)
		return end + 1;
	if (*s != '[')
		return s;
	end = s + 1 + strspn(s + 1, " .0123456789TC");
	if (*end != ']' || end == s + 1 || !isdigit((unsigned char)end[-1]))
		return s;
	end++;
	return *end == ' ' ? end + 1 : end;
}

/*
 * To a "[    1.234567] " within the line: after a prompt, or after words that another CPU had begun. Else s.
 */
static const char *skip_to_stamp(const char *s)
{
	const char *at = s;

	while ((at = strchr(at, '[')) != NULL && at - s < STAMP_WITHIN_BYTES) {
		const char *digits = at + 1 + strspn(at + 1, " 0123456789");

		if (*digits == '.' && strspn(digits + 1, "0123456789") == STAMP_DECIMALS &&
		    digits[1 + STAMP_DECIMALS] == ']')
			return at;
		at++;
	}
	return s;
}

const char *smoke_splat_words(const char *text, size_t len, char buf[SMOKE_SPLAT_LOOK_MAX])
{
	const size_t n = len < SMOKE_SPLAT_LOOK_MAX ? len : SMOKE_SPLAT_LOOK_MAX - 1;
	const char *s, *next;

	memcpy(buf, text, n);
	buf[n] = '\0';
	s = skip_to_stamp(buf);
	for (int i = 0; i < 3 && (next = skip_stamp(s)) != s; i++)
		s = next;
	return s;
}

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

void splat_title_put(struct splat_title *title, const char *s, size_t n)
{
	if (n >= SMOKE_SPLAT_TITLE_MAX - title->len)
		n = 0; /* rather none of a word than half a character */
	memcpy(title->buf + title->len, s, n);
	title->len += n;
	title->buf[title->len] = '\0';
}

/* Hexadecimal digits and their number. */
static size_t hex_len(const char *s)
{
	return strspn(s, "0123456789abcdefABCDEF");
}

/* "+0x12/0x345", as after a function; 0: there is none. */
static size_t offset_len(const char *s)
{
	size_t n = 3;

	if (strncmp(s, "+0x", n) != 0)
		return 0;
	n += hex_len(s + n);
	if (strncmp(s + n, "/0x", 3) == 0)
		n += 3 + hex_len(s + n + 3);
	return n;
}

/* Length of the suffix that compilers give to a copied function: ".isra.0", ".cold"; 0: none. */
static size_t copy_suffix_len(const char *s)
{
	static const char *const suffix[] = {".isra", ".constprop", ".part", ".cold", ".llvm"};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(suffix) && n == 0; i++)
		if (strncmp(s, suffix[i], strlen(suffix[i])) == 0)
			n = strlen(suffix[i]);
	if (n && s[n] == '.')
		n += 1 + strspn(s + n + 1, "0123456789");
	return n;
}

/* ":123" or ":123:4" after a source file's name; 0: it is another thing. */
static size_t source_line_len(const char *line, const char *s)
{
	size_t n = 0;

	if (s - line < 2 || *s != ':' ||
	    !((s[-2] == '.' && strchr("chS", s[-1])) || (s[-2] == 'r' && s[-1] == 's')))
		return 0;
	while (s[n] == ':' && isdigit((unsigned char)s[n + 1]))
		n += 1 + strspn(s + n + 1, "0123456789");
	return n;
}

/* An address or another number that differs from run to run, at the beginning of a word; 0: it is none. */
static size_t number_len(const char *s, const char **ret_instead)
{
	size_t n;

	*ret_instead = "ADDR";
	if (s[0] == '0' && s[1] == 'x' && hex_len(s + 2) > 0)
		return 2 + hex_len(s + 2);
	n = hex_len(s);
	if (n >= 8 && !is_word_char(s[n]))
		return n;
	*ret_instead = "N";
	return strspn(s, "0123456789");
}

/* " [module]" at the end of a line. */
static bool is_module(const char *s)
{
	const char *end = strncmp(s, " [", 2) == 0 ? strchr(s, ']') : NULL;

	return end && (end[1] == '\0' || (end[1] == ' ' && end[2] == '\0'));
}

/* Words of a line, without what differs from run to run. */
void splat_title_put_normal(struct splat_title *title, const char *line)
{
	for (const char *s = line; *s && !is_module(s);) {
		const bool in_word = s > line && (is_word_char(s[-1]) || s[-1] == '-');
		const char *instead = "";
		size_t n = in_word ? offset_len(s) : 0;

		if (n == 0 && in_word)
			n = copy_suffix_len(s);
		if (n == 0)
			n = source_line_len(line, s);
		if (n == 0 && !in_word)
			n = number_len(s, &instead);
		if (n == 0) {
			if (*s != ' ' || s[1] != ' ')
				splat_title_put(title, s, 1);
			s++;
			continue;
		}
		splat_title_put(title, instead, strlen(instead));
		s += n;
	}
	while (title->len > 0 && strchr(" !.:,]", title->buf[title->len - 1]))
		title->buf[--title->len] = '\0';
}

/* The first function with an offset in the words; its name's length, 0: there is none. */
static size_t find_function(const char *words, const char **ret)
{
	const char *plus = words;

	while ((plus = strstr(plus, "+0x")) != NULL) {
		const char *s = plus;

		while (s > words && (is_word_char(s[-1]) || s[-1] == '.' || s[-1] == '$'))
			s--;
		if (s < plus && !isdigit((unsigned char)*s)) {
			size_t n = 1;

			while (s + n < plus && copy_suffix_len(s + n) == 0)
				n++;
			*ret = s;
			return n;
		}
		plus++;
	}
	return 0;
}

/* "kernel/fork.c" of "kernel/fork.c:123"; its length, 0: there is none. */
static size_t find_source(const char *words, const char **ret)
{
	for (const char *s = words; *s; s++) {
		const char *from = s;

		if (source_line_len(words, s) == 0)
			continue;
		while (from > words && from[-1] != ' ')
			from--;
		*ret = from;
		return (size_t)(s - from);
	}
	return 0;
}

bool splat_title_put_warning(struct splat_title *title, const char *words)
{
	const char *function = NULL, *source = NULL;
	const size_t function_len = find_function(words, &function);
	const size_t source_len = find_source(words, &source);

	if (source_len == 0)
		return false;
	splat_title_put(title, "WARNING", 7);
	if (function_len) {
		splat_title_put(title, " in ", 4);
		splat_title_put(title, function, function_len);
	}
	splat_title_put(title, " at ", 4);
	splat_title_put(title, source, source_len);
	return true;
}

/* Functions that report, or wait for others, as a prefix of their names. */
static const char *const reporter[] = {
	"dump_",
	"__dump_",
	"show_",
	"__show_",
	"print_",
	"report_",
	"warn_",
	"__warn",
	"panic",
	"ubsan_",
	"__ubsan_",
	"kasan_",
	"__kasan_",
	"__asan_",
	"kmemleak_",
	"__kmalloc",
	"kmalloc",
	"kmem_cache_",
	"slab_",
	"__slab_",
	"___slab_",
	"krealloc",
	"kzalloc",
	"kmemdup",
	"kstrdup",
	"lockdep_",
	"lock_",
	"__lock_",
	"validate_chain",
	"check_",
	"__might_",
	"___might_",
	"schedule",
	"__schedule",
	"preempt_schedule",
	"refcount_",
	"__list_add",
	"__list_del",
	"debug_",
	"__this_cpu_",
	"__debug_",
	"bad_page",
	"free_page",
	"spin_",
	"__spin_",
	"do_raw_spin_",
	"_raw_",
	"__raw_",
	"mark_",
	"register_lock_class",
	"mutex_lock",
	"__mutex_lock",
	"rwsem_",
	"down_",
	"__down_",
	"wait_for_",
	"__wait_for_",
	"do_wait_for_",
	"io_schedule",
	"rcu_",
	"__rcu_",
	"synchronize_",
	"post_alloc_hook",
	"alloc_pages",
	"__alloc_pages",
	"get_page_from_freelist",
	"percpu_ref_",
	"refcount",
	"kobject_",
	"_printk",
	"unwind_backtrace",
	"stack_trace_",
	"save_stack",
	"__kernel_text_address",
	"arch_stack_walk",
	"asm_",
	"__sched_text",
	"bit_wait",
	"__wait_on_bit",
	"out_of_line_wait_on_bit",
	"__switch_to",
	"context_switch",
	"free_obj_work",
	"___ratelimit",
	"kref_",
	"trace_hardirqs_",
	"local_bh_",
	"__local_bh_",
};

static bool is_reporter(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(reporter); i++) {
		const size_t n = strlen(reporter[i]);

		if (n <= len && strncmp(name, reporter[i], n) == 0)
			return true;
	}
	return false;
}

/* The part of the words that where looks at; NULL: none. */
static const char *part_for(enum smoke_splat_where where, const char *words)
{
	static const char *const pointers[] = {"RIP: ", "EIP: ", "pc : ", "PC is at ", "epc : "};
	const char *at = NULL;

	switch (where) {
	case SMOKE_WHERE_HERE: return NULL;
	case SMOKE_WHERE_RIP:
		for (size_t i = 0; i < ARRAY_SIZE(pointers) && !at; i++)
			if (strncmp(words, pointers[i], strlen(pointers[i])) == 0)
				at = words + strlen(pointers[i]);
		return at;
	case SMOKE_WHERE_LOCK: at = strstr(words, " at: "); return at;
	case SMOKE_WHERE_FRAME: break;
	}
	while (*words == ' ')
		words++;
	if (strncmp(words, "[<", 2) == 0 && (at = strstr(words, ">]")) != NULL)
		words = at + 2;
	words += strspn(words, " ");
	return words;
}

bool smoke_splat_complete(enum smoke_splat_where where, const char *words,
			  char title[SMOKE_SPLAT_TITLE_MAX])
{
	struct splat_title to = {.buf = title, .len = strlen(title)};
	const char *part = part_for(where, words), *name = NULL;
	const size_t len = part ? find_function(part, &name) : 0;

	if (len == 0)
		return false;
	/* A frame is the function alone: no question mark before it, and none of the reporter's. */
	if (where == SMOKE_WHERE_FRAME && (name != part || is_reporter(name, len)))
		return false;
	splat_title_put(&to, " in ", 4);
	splat_title_put(&to, name, len);
	return true;
}
