/*
 * Unit tests of source lines. The process that finds them is this program started anew, and the file is this program,
 * too: it is built with DWARF, at fixed addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "random.h"
#include "symbols/dwarf.h"
#include "symbols/lines.h"

enum { ASK_FD = 3, WAIT_MS = 60000 };

static char text[SYMBOL_LINE_MAX];

/* How the process behaves: an environment variable, which it inherits. */
static const char how[] = "TEST_LINES_PROCESS";

/* Which of the lines between the two the first instruction is of, the compiler chooses. */
enum { MARKED_FIRST = __LINE__ };
static int __attribute__((noinline)) marked(int a)
{
	return a ^ 0x5a5a;
}
enum { MARKED_LAST = __LINE__ };

static struct symbols_lines *open_lines(const char *path, int wait_ms)
{
	struct symbols_lines *lines = NULL;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(symbols_lines_open(fd, wait_ms, &lines), 0);
	close(fd);
	return lines;
}

static uint64_t marked_at(void)
{
	return (uint64_t)(uintptr_t)&marked;
}

static void need_libdw(void)
{
	struct dwarf_file *file;
	const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	file = dwarf_file_open(fd);
	close(fd);
	if (!file)
		skip(); /* left out of this build, or of this host */
	dwarf_file_close(file);
}

static void test_finds_the_line(void **state)
{
	struct symbols_lines *lines;
	const char *file;
	long line;

	(void)state;
	need_libdw();
	lines = open_lines("/proc/self/exe", WAIT_MS);
	symbols_lines_find(lines, marked_at(), text);
	file = strstr(text, "test_symbols_lines.c:");
	assert_non_null(file);
	line = strtol(strchr(file, ':') + 1, NULL, 10);
	assert_true(line > MARKED_FIRST && line < MARKED_LAST);
	assert_string_equal(symbols_lines_find(lines, 16, text), "");
	assert_string_equal(symbols_lines_find(lines, UINT64_MAX, text), "");
	symbols_lines_close(lines);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left */
	assert_int_equal(errno, ECHILD);
}

static void test_a_table_adds_the_line_to_a_name(void **state)
{
	static const char map[] = "0000000000001000 T a\n0000000000002000 T b\n";
	char with_line[SYMBOL_TEXT_MAX];
	struct symbols *symbols = NULL;

	(void)state;
	setenv(how, "answers", 1);
	assert_int_equal(symbols_parse("map", (const uint8_t *)map, strlen(map), &symbols, NULL),
			 0);
	assert_string_equal(symbols_line(symbols, 0x1010, text), "");
	assert_string_equal(symbols_line(NULL, 0x1010, text), "");
	symbols_set_lines(symbols, open_lines("/proc/self/exe", WAIT_MS));
	assert_string_equal(symbols_format(symbols, 0x1010, with_line), "a+0x10/0x1000 f.c:4112");
	/* Asked for are addresses as linked, wherever the kernel is. */
	symbols_move(symbols, 0x200000);
	symbols_move(symbols, 0x1000);
	assert_string_equal(symbols_format(symbols, 0x202010, with_line), "a+0x10/0x1000 f.c:4112");
	assert_string_equal(symbols_format(symbols, 0x1010, with_line), "");
	symbols_free(symbols);
}

/* Its answers are checked, because the file may have taken the process over. */
static void test_survives_a_hostile_process(void **state)
{
	static const struct {
		const char *how, *line;
	} cases[] = {
		{"answers", "f.c:16"}, {"escapes", "?[2J?x"}, {"too long", ""},
		{"empty", ""},         {"dies", ""},          {"is silent", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bool is_silent = strcmp(cases[i].how, "is silent") == 0;
		struct symbols_lines *lines;

		setenv(how, cases[i].how, 1);
		lines = open_lines("/proc/self/exe", is_silent ? 50 : WAIT_MS);
		assert_string_equal(symbols_lines_find(lines, 16, text), cases[i].line);
		assert_string_equal(symbols_lines_find(lines, 16, text), cases[i].line);
		symbols_lines_close(lines);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	symbols_lines_close(NULL);
}

/* A copy of this program in a file without a name; path is its. */
static uint8_t *copy_program(size_t *ret_len, char path[32])
{
	const int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fd = memfd_create("exe", 0);
	struct stat st;
	uint8_t *bytes;

	assert_int_equal(fstat(from, &st), 0);
	*ret_len = (size_t)st.st_size;
	assert_int_equal(ftruncate(fd, st.st_size), 0);
	bytes = mmap(NULL, *ret_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(bytes != MAP_FAILED);
	assert_int_equal(pread(from, bytes, *ret_len, 0), st.st_size);
	close(from);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return bytes;
}

/* DWARF is at the end of the file. Each change is one that a guest's author could make. */
static void test_survives_hostile_files(void **state)
{
	enum { FILES = 24, CHANGES = 400 };
	uint64_t random = 20261130;
	char path[32];
	size_t len;
	uint8_t *bytes = copy_program(&len, path);

	(void)state;
	unsetenv(how);
	for (unsigned i = 0; i < FILES; i++) {
		struct symbols_lines *lines;

		for (unsigned k = 0; k < CHANGES; k++) {
			const size_t at = len / 2 + random_below(&random, (uint32_t)(len / 2));

			bytes[at] = (uint8_t)random_next(&random);
		}
		lines = open_lines(path, WAIT_MS);
		for (unsigned k = 0; k < 16; k++) {
			symbols_lines_find(lines, marked_at() + k * UINT64_C(0x100), text);
			assert_true(strlen(text) < SYMBOL_LINE_MAX);
			for (const char *c = text; *c; c++)
				assert_true(*c > ' ' && *c <= '~');
		}
		symbols_lines_close(lines);
	}
	munmap(bytes, len);
}

static void test_a_file_that_has_changed_has_no_lines(void **state)
{
	char path[32];
	size_t len;
	uint8_t *bytes = copy_program(&len, path);
	struct symbols_lines *lines;
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	(void)state;
	need_libdw();
	unsetenv(how);
	lines = open_lines(path, WAIT_MS);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_string_equal(symbols_lines_find(lines, marked_at(), text), "");
	symbols_lines_close(lines);
	munmap(bytes, len);
}

/* In the process, in place of symbols_lines_main(). */
static int misbehave(const char *as)
{
	char answer[SYMBOL_LINE_MAX + 64];
	uint64_t addr;

	while (recv(ASK_FD, &addr, sizeof(addr), 0) == sizeof(addr)) {
		if (strcmp(as, "dies") == 0)
			return 1;
		if (strcmp(as, "is silent") == 0)
			continue;
		memset(answer, '+', sizeof(answer));
		if (strcmp(as, "answers") == 0)
			snprintf(answer, sizeof(answer), "+f.c:%u", (unsigned)addr);
		else if (strcmp(as, "escapes") == 0)
			snprintf(answer, sizeof(answer), "+\033[2J\nx");
		else
			answer[strcmp(as, "empty") == 0 ? 0 : sizeof(answer) - 1] = '\0';
		send(ASK_FD, answer, strlen(answer), MSG_NOSIGNAL);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_the_line),
		cmocka_unit_test(test_a_table_adds_the_line_to_a_name),
		cmocka_unit_test(test_survives_a_hostile_process),
		cmocka_unit_test(test_survives_hostile_files),
		cmocka_unit_test(test_a_file_that_has_changed_has_no_lines),
	};

	const char *as = getenv(how);

	if (argc == 2 && strcmp(argv[1], SYMBOLS_LINES_COMMAND) == 0)
		return as ? misbehave(as) : symbols_lines_main();
	if (marked(argc) == argc)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
