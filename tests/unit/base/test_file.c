/* Unit tests of base/file.c: input files that others change while they are mapped. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "diag_rig.h"
#include "temp_dir.h"

enum { LEN = 5 * 4096 + 100 };

static char path[64];

static void make_file(void)
{
	FILE *f;

	snprintf(path, sizeof(path), "%s/k", temp_dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < LEN; i++)
		fputc('a' + i % 26, f);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	(void)state;
	return temp_dir_make();
}

static int teardown(void **state)
{
	(void)state;
	temp_dir_shell("rm -f k");
	return rmdir(temp_dir);
}

static unsigned sum_of(const struct file_map *map)
{
	const volatile uint8_t *bytes = map->data;
	unsigned sum = 0;

	for (size_t i = 0; i < map->len; i++)
		sum += bytes[i];
	return sum;
}

static void assert_changed(const struct file_map *map)
{
	struct diag diag = {0};

	assert_int_equal(file_map_check(map, "kernel", path, &diag), -EBUSY);
	assert_diag(&diag, -EBUSY, "file-changed kernel");
	assert_remedy(&diag, "");
}

static void a_file_that_stays_is_whole(void **state)
{
	struct file_map map = {0};

	(void)state;
	make_file();
	assert_int_equal(file_map_open(&map, "kernel", path, NULL), 0);
	assert_true(sum_of(&map) > LEN * 'a');
	assert_int_equal(file_map_check(&map, "kernel", path, NULL), 0);
	file_map_close(&map);
	assert_null(map.data);
	file_map_close(&map);
}

/* Its pages are gone from the mapping: reading them was SIGBUS, the end of the VMM. */
static void a_file_cut_while_mapped_is_an_error_and_no_signal(void **state)
{
	static const off_t lens[] = {0, 4096, 4097, 20480};

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct file_map map = {0}, other = {0};

		make_file();
		assert_int_equal(file_map_open(&map, "kernel", path, NULL), 0);
		assert_int_equal(file_map_open(&other, "initrd", path, NULL), 0);
		assert_int_equal(truncate(path, lens[i]), 0);
		assert_true(sum_of(&map) <= LEN * 'z');
		assert_changed(&map);
		assert_true(sum_of(&other) <= LEN * 'z');
		assert_changed(&other);
		file_map_close(&other);
		file_map_close(&map);
	}
}

/* Also when it has its length again, and nobody had looked in between. */
static void a_file_written_to_while_mapped_is_an_error(void **state)
{
	const struct timespec later[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct file_map map = {0};

	(void)state;
	make_file();
	assert_int_equal(file_map_open(&map, "kernel", path, NULL), 0);
	make_file();
	/* The clock of file systems is too coarse to tell two writes within a tick apart. */
	assert_int_equal(utimensat(AT_FDCWD, path, later, 0), 0);
	assert_changed(&map);
	file_map_close(&map);
}

/* Whose mapping has lost its pages too, but is not ours: what SIGBUS does is left as it was. */
static void any_other_bus_error_ends_the_process(void **state)
{
	int status = 0;
	pid_t pid;

	(void)state;
	make_file();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct file_map map = {0};
		FILE *f = fopen(path, "r");
		const volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(f), 0);

		signal(SIGBUS, SIG_DFL); /* not cmocka's */
		if (p == MAP_FAILED || file_map_open(&map, "kernel", path, NULL) < 0 ||
		    truncate(path, 0) < 0)
			_exit(1);
		_exit(p[0]);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void the_handler_goes_with_the_last_file(void **state)
{
	struct file_map map[FILE_MAPS_MAX] = {0}, more = {0};
	struct sigaction before, action;

	(void)state;
	make_file();
	assert_int_equal(sigaction(SIGBUS, NULL, &before), 0);
	for (unsigned i = 0; i < FILE_MAPS_MAX; i++)
		assert_int_equal(file_map_open(&map[i], "initrd", path, NULL), 0);
	assert_int_equal(file_map_open(&more, "initrd", path, NULL), -EMFILE);
	for (unsigned i = 0; i < FILE_MAPS_MAX; i++) {
		assert_int_equal(sigaction(SIGBUS, NULL, &action), 0);
		assert_true(action.sa_handler != before.sa_handler);
		file_map_close(&map[i]);
	}
	assert_int_equal(sigaction(SIGBUS, NULL, &action), 0);
	assert_true(action.sa_handler == before.sa_handler);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_stays_is_whole),
		cmocka_unit_test(a_file_cut_while_mapped_is_an_error_and_no_signal),
		cmocka_unit_test(a_file_written_to_while_mapped_is_an_error),
		cmocka_unit_test(any_other_bus_error_ends_the_process),
		cmocka_unit_test(the_handler_goes_with_the_last_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
