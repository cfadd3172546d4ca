/* splat.c - the extent of a splat, and the list of those of a boot. */
#include "smoke/judge/splat.h"

#include <stdlib.h>
#include <string.h>

#include "smoke/judge/text.h"

enum {
	RULER_BYTES_MIN = 20, /* of "=====", which ends a report of KASAN and others */
	FIRST_LINES = 6,      /* of a splat, which may name it twice */
};

void smoke_splats_fini(struct smoke_splats *splats)
{
	for (unsigned i = 0; i < splats->nr; i++)
		free(splats->splat[i].text);
	free(splats->splat);
	*splats = (struct smoke_splats){0};
}

static struct smoke_splat *splats_find(const struct smoke_splats *splats,
				       const struct smoke_splat *splat)
{
	for (unsigned i = 0; i < splats->nr; i++)
		if (splats->splat[i].class == splat->class &&
		    strcmp(splats->splat[i].title, splat->title) == 0)
			return &splats->splat[i];
	return NULL;
}

/* Takes the splat's text. One that fails the boot takes the place of one that does not. */
static void splats_add(struct smoke_splats *splats, struct smoke_splat *splat)
{
	struct smoke_splat *same = splats_find(splats, splat);

	if (!same && !splats->splat)
		splats->splat = calloc(SMOKE_SPLATS_MAX, sizeof(*splats->splat));
	if (same) {
		same->times++;
		same->rejected |= splat->rejected;
		same->allowed |= splat->allowed;
		free(splat->text);
	} else if (splats->splat && splats->nr < SMOKE_SPLATS_MAX) {
		splats->splat[splats->nr++] = *splat;
	} else {
		splats->left_out++;
		free(splat->text);
	}
	*splat = (struct smoke_splat){0};
}

void smoke_splat_end(struct smoke_splat_reader *reader)
{
	if (!reader->is_open)
		return;
	reader->is_open = reader->is_over = false;
	/* A cut may have left half a character. */
	smoke_text_clean(reader->start.title, reader->splat.title, sizeof(reader->splat.title));
	splats_add(reader->splats, &reader->splat);
}

bool smoke_splat_is_vague(const struct smoke_splat_reader *reader)
{
	return reader->is_open && !reader->is_over && reader->start.where != SMOKE_WHERE_HERE;
}

static bool is_of_fault(enum smoke_splat_class class)
{
	return class == SMOKE_SPLAT_OOPS || class == SMOKE_SPLAT_BUG || class == SMOKE_SPLAT_LIST ||
	       class == SMOKE_SPLAT_STACK;
}

/* Whether what begins here is another name of the splat that is open: "Oops: " after "BUG: unable to handle". */
static bool is_same_splat(const struct smoke_splat_reader *reader,
			  const struct smoke_splat_start *start)
{
	const enum smoke_splat_class open = reader->start.class;

	if (open == SMOKE_SPLAT_OOM)
		return start->class == SMOKE_SPLAT_OOM && reader->splat.lines > 1;
	if (reader->splat.lines > FIRST_LINES)
		return false;
	if (start->class == SMOKE_SPLAT_OOPS ||
	    (start->class == SMOKE_SPLAT_BUG && open == SMOKE_SPLAT_LIST))
		return is_of_fault(open);
	return start->class == SMOKE_SPLAT_WARNING &&
	       (open == SMOKE_SPLAT_REFCOUNT || open == SMOKE_SPLAT_LIST ||
		open == SMOKE_SPLAT_LOCKDEP ||
		(open == SMOKE_SPLAT_WARNING && reader->start.where == SMOKE_WHERE_FRAME));
}

static bool begins_with(const char *words, const char *what)
{
	return strncmp(words, what, strlen(what)) == 0;
}

/* A line of a call trace, of registers or of code, or a blank one. */
static bool is_of_trace(const char *words)
{
	static const char *const words_of_trace[] = {
		"Call Trace", "Call trace", "RIP",  "RSP",      "RAX", "RDX", "RBP",
		"R10",        "R13",        "Code", "ORIG_RAX", "FS:", "CS:", "CR2"};

	if (*words == ' ' || *words == '\0' || begins_with(words, "[<") || strstr(words, "+0x"))
		return true;
	for (size_t i = 0; i < sizeof(words_of_trace) / sizeof(words_of_trace[0]); i++)
		if (begins_with(words, words_of_trace[i]))
			return true;
	return false;
}

/* Whether the open splat was over before this line. */
static bool was_over(const struct smoke_splat_reader *reader, const char *words)
{
	return reader->is_over ||
	       (reader->start.ends_with_trace && reader->in_trace && !is_of_trace(words));
}

/* Whether the line is the last one of the open splat. */
static bool is_last(const struct smoke_splat_reader *reader, const char *words)
{
	if (reader->splat.lines >= SMOKE_SPLAT_LINES_MAX || strstr(words, "---[ end ") ||
	    strspn(words, "=") >= RULER_BYTES_MIN)
		return true;
	if (reader->start.class == SMOKE_SPLAT_PANIC && begins_with(words, "Rebooting in "))
		return true;
	if (reader->start.class == SMOKE_SPLAT_OOM && strstr(words, "ut of memory: "))
		return true;
	return reader->start.ends_with_trace && strstr(words, "</TASK>") != NULL;
}

/* As many whole characters as SMOKE_SPLAT_LOOK_MAX bytes hold. */
static void splat_add_line(struct smoke_splat *splat, const char *text, size_t len)
{
	if (len > SMOKE_SPLAT_LOOK_MAX) {
		len = SMOKE_SPLAT_LOOK_MAX;
		while (len > 0 && (text[len] & 0xc0) == 0x80)
			len--;
	}
	splat->lines++;
	if (!splat->text)
		splat->text = malloc(SMOKE_SPLAT_TEXT_MAX);
	if (!splat->text || len >= SMOKE_SPLAT_TEXT_MAX - splat->len)
		return;
	memcpy(splat->text + splat->len, text, len);
	splat->len += len;
	splat->text[splat->len++] = '\n';
}

static void splat_begin(struct smoke_splat_reader *reader, const struct smoke_splat_start *start,
			int64_t at_ns)
{
	reader->is_open = true;
	reader->is_over = reader->in_trace = false;
	reader->start = *start;
	reader->splat = (struct smoke_splat){.class = start->class, .at_ns = at_ns, .times = 1};
}

static enum smoke_splat_line splat_look_at(const struct smoke_splat_reader *reader,
					   const char *words, struct smoke_splat_start *ret)
{
	smoke_splat_classify(words, ret);
	if (ret->class != SMOKE_SPLAT_NONE &&
	    !(reader->is_open && !reader->is_over && is_same_splat(reader, ret)))
		return SMOKE_SPLAT_LINE_BEGINS;
	return reader->is_open && !was_over(reader, words) ? SMOKE_SPLAT_LINE_WITHIN
							   : SMOKE_SPLAT_LINE_OTHER;
}

enum smoke_splat_line smoke_splat_peek(const struct smoke_splat_reader *reader, const char *text,
				       size_t len, struct smoke_splat_start *ret_start)
{
	char buf[SMOKE_SPLAT_LOOK_MAX];

	return splat_look_at(reader, smoke_splat_words(text, len, buf), ret_start);
}

enum smoke_splat_line smoke_splat_read(struct smoke_splat_reader *reader, const char *text,
				       size_t len, int64_t at_ns)
{
	char buf[SMOKE_SPLAT_LOOK_MAX];
	const char *words = smoke_splat_words(text, len, buf);
	struct smoke_splat_start start;
	const enum smoke_splat_line line = splat_look_at(reader, words, &start);

	if (line != SMOKE_SPLAT_LINE_WITHIN)
		smoke_splat_end(reader);
	if (line == SMOKE_SPLAT_LINE_OTHER || !reader->splats)
		return line;
	if (line == SMOKE_SPLAT_LINE_BEGINS)
		splat_begin(reader, &start, at_ns);
	else if (begins_with(words, "Call Trace") || begins_with(words, "Call trace"))
		reader->in_trace = true;
	splat_add_line(&reader->splat, text, len);
	if (line == SMOKE_SPLAT_LINE_WITHIN &&
	    smoke_splat_complete(reader->start.where, words, reader->start.title))
		reader->start.where = SMOKE_WHERE_HERE;
	reader->is_over = is_last(reader, words);
	return line;
}
