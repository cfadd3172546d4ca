/*
 * splat.h - what a Linux kernel in trouble prints, report by report: each splat has a class, a first line, an extent,
 * and a title that is the same in the next run.
 *
 * A title has no address, no offset, no process, no CPU, no time and no source line: of
 * "BUG: KASAN: use-after-free in foo+0x12/0x30" it is "KASAN: use-after-free in foo". A class whose first line does not
 * say where it was takes the function from the report: RIP, the lock's place, or the first frame that is not the
 * reporter's own.
 *
 * Memory is bounded, whatever is printed: so many splats of one boot, so many bytes of each. Equal titles are one splat
 * that was seen several times.
 */
#ifndef VMM_SMOKE_JUDGE_SPLAT_H
#define VMM_SMOKE_JUDGE_SPLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SMOKE_SPLATS_MAX = 32,       /* of one boot that are kept; more are counted */
	SMOKE_SPLAT_LINES_MAX = 128, /* of one splat; it ends there */
	SMOKE_SPLAT_TEXT_MAX = 8192, /* bytes of its lines that are kept */
	SMOKE_SPLAT_TITLE_MAX = 200,
	SMOKE_SPLAT_LOOK_MAX = 512, /* bytes of a line that are looked at */
};

enum smoke_splat_class {
	SMOKE_SPLAT_NONE,
	SMOKE_SPLAT_PANIC,
	SMOKE_SPLAT_OOPS,
	SMOKE_SPLAT_BUG,
	SMOKE_SPLAT_WARNING,
	SMOKE_SPLAT_KASAN,
	SMOKE_SPLAT_KMSAN,
	SMOKE_SPLAT_KCSAN,
	SMOKE_SPLAT_KFENCE,
	SMOKE_SPLAT_UBSAN,
	SMOKE_SPLAT_LOCKDEP,
	SMOKE_SPLAT_RCU_STALL,
	SMOKE_SPLAT_SOFT_LOCKUP,
	SMOKE_SPLAT_HARD_LOCKUP,
	SMOKE_SPLAT_HUNG_TASK,
	SMOKE_SPLAT_KMEMLEAK,
	SMOKE_SPLAT_REFCOUNT,
	SMOKE_SPLAT_LIST,
	SMOKE_SPLAT_ATOMIC,
	SMOKE_SPLAT_STACK,
	SMOKE_SPLAT_OOM,
	SMOKE_SPLAT_CLASSES,
};

/* "KASAN", "soft lockup", …: for reports; stable. A static string. */
const char *smoke_splat_class_name(enum smoke_splat_class class);

struct smoke_splat {
	enum smoke_splat_class class;
	char title[SMOKE_SPLAT_TITLE_MAX]; /* clean */
	int64_t at_ns;                     /* of its first line, the first time */
	unsigned times;                    /* it was seen */
	unsigned lines;                    /* the first time */
	bool rejected;                     /* the boot fails for it */
	bool allowed;                      /* it would, but for --allow */
	char *text; /* lines, each with its newline, the first time; NULL: no memory */
	size_t len;
};

/* All of one boot. Zeroed is empty; smoke_splats_fini() frees it. */
struct smoke_splats {
	struct smoke_splat *splat; /* nr of them */
	unsigned nr;
	uint64_t left_out; /* others, of titles that are not here */
};

void smoke_splats_fini(struct smoke_splats *splats);

/* How a splat's title is completed by a later line. */
enum smoke_splat_where {
	SMOKE_WHERE_HERE,  /* it is complete */
	SMOKE_WHERE_RIP,   /* by the instruction pointer */
	SMOKE_WHERE_LOCK,  /* by the place that takes the lock */
	SMOKE_WHERE_FRAME, /* by the first frame of the call trace that is not the reporter's */
};

/* The splat that begins in a line. */
struct smoke_splat_start {
	enum smoke_splat_class class; /* SMOKE_SPLAT_NONE: nothing */
	enum smoke_splat_where where;
	bool ends_with_trace; /* nothing of it follows its call trace */
	char title[SMOKE_SPLAT_TITLE_MAX];
};

/*
 * title.c and classes.c
 */

/* The words of a line after the time and the caller that printk() may print; NUL-terminated, as buf. */
const char *smoke_splat_words(const char *text, size_t len, char buf[SMOKE_SPLAT_LOOK_MAX]);

/* Whether a splat begins with these words. */
void smoke_splat_classify(const char *words, struct smoke_splat_start *ret);

/* Adds " in FUNCTION" to a title when the words have what where waits for. Whether they had. */
bool smoke_splat_complete(enum smoke_splat_where where, const char *words,
			  char title[SMOKE_SPLAT_TITLE_MAX]);

/*
 * splat.c
 */

/* The splat whose lines come; zeroed: none. Of constant size but for text. */
struct smoke_splat_reader {
	struct smoke_splats *splats; /* borrowed; where splats go when they end. NULL: nowhere */
	bool is_open, in_trace;
	bool is_over; /* that was its last line: it ends with the next one, or by smoke_splat_end() */
	struct smoke_splat_start start;
	struct smoke_splat splat; /* while it comes */
};

/* A line's relation to splats. */
enum smoke_splat_line {
	SMOKE_SPLAT_LINE_OTHER,  /* of no splat */
	SMOKE_SPLAT_LINE_BEGINS, /* the first one of the splat that is open now */
	SMOKE_SPLAT_LINE_WITHIN, /* of the splat that is open, or was up to this line */
};

/* The value that smoke_splat_read() would return; *ret_start: the splat that begins in the line, if one does. */
enum smoke_splat_line smoke_splat_peek(const struct smoke_splat_reader *reader, const char *text,
				       size_t len, struct smoke_splat_start *ret_start);

/* Takes a whole line of the console. A splat that was over before it is in splats afterwards. */
enum smoke_splat_line smoke_splat_read(struct smoke_splat_reader *reader, const char *text,
				       size_t len, int64_t at_ns);

/* Whether a splat is open that has no complete title yet. */
bool smoke_splat_is_vague(const struct smoke_splat_reader *reader);

/* The splat that is open ends here. */
void smoke_splat_end(struct smoke_splat_reader *reader);

#endif
