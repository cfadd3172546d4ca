/* A listening socket's name: there only while somebody listens, and never taken from who does. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/unix_socket.h"
#include "temp_dir.h"

static char path[64];

static struct {
	bool name_at_listen; /* whether path was there already */
	bool rival;          /* somebody else takes the place before the next exchange */
	int rival_fd;
} seam;

/* By the linker in the place of listen() and renameat2(). */
int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog);
int __real_renameat2(int old_dir, const char *old, int new_dir, const char *new, unsigned flags);
int __wrap_renameat2(int old_dir, const char *old, int new_dir, const char *new, unsigned flags);

int __wrap_listen(int fd, int backlog)
{
	seam.name_at_listen = access(path, F_OK) == 0;
	return __real_listen(fd, backlog);
}

static int open_rival(const char *at)
{
	struct sockaddr_un addr;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(unix_address(at, &addr), 0);
	unlink(at);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(__real_listen(fd, 1), 0);
	return fd;
}

int __wrap_renameat2(int old_dir, const char *old, int new_dir, const char *new, unsigned flags)
{
	if (seam.rival && (flags & RENAME_EXCHANGE)) {
		seam.rival = false;
		seam.rival_fd = open_rival(new);
	}
	return __real_renameat2(old_dir, old, new_dir, new, flags);
}

static bool connects(void)
{
	struct sockaddr_un addr;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), r;

	assert_int_equal(unix_address(path, &addr), 0);
	r = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	close(fd);
	return r == 0;
}

static void leave_stale(void)
{
	close(open_rival(path));
	assert_int_equal(access(path, F_OK), 0);
	assert_false(connects());
}

static int set_up(void **state)
{
	(void)state;
	seam.rival_fd = -1;
	snprintf(path, sizeof(path), "%s", temp_dir_make() < 0 ? "" : temp_dir_at("s"));
	return path[0] ? 0 : -1;
}

/* Nothing else is left there. */
static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(rmdir(temp_dir), 0);
	return 0;
}

static void it_has_its_name_once_it_listens(void **state)
{
	struct unix_listener l;
	struct stat st;

	(void)state;
	assert_int_equal(unix_listener_open(&l, path, 1), 0);
	assert_false(seam.name_at_listen);
	assert_true(connects());
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	unix_listener_close(&l);
}

static void a_dead_one_is_replaced(void **state)
{
	struct unix_listener l;

	(void)state;
	leave_stale();
	assert_int_equal(unix_listener_open(&l, path, 1), 0);
	assert_true(connects());
	unix_listener_close(&l);
}

static void a_live_one_is_left_alone(void **state)
{
	struct unix_listener l;
	const int fd = open_rival(path);

	(void)state;
	assert_int_equal(unix_listener_open(&l, path, 1), -EADDRINUSE);
	unix_listener_close(&l);
	assert_true(connects());
	close(fd);
	unlink(path);
}

static void one_that_comes_to_life_in_between_gets_its_name_back(void **state)
{
	struct unix_listener l;

	(void)state;
	leave_stale();
	seam.rival = true;
	assert_int_equal(unix_listener_open(&l, path, 1), -EADDRINUSE);
	assert_int_not_equal(seam.rival_fd, -1);
	unix_listener_close(&l);
	assert_true(connects());
	close(seam.rival_fd);
	unlink(path);
}

static void a_file_is_left_alone(void **state)
{
	struct unix_listener l;
	const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	close(fd);
	assert_int_equal(unix_listener_open(&l, path, 1), -EEXIST);
	unix_listener_close(&l);
	assert_int_equal(unlink(path), 0);
}

/* Its temporary name would not fit into an address. */
static void the_longest_path_is_taken(void **state)
{
	struct unix_listener l;
	char longest[UNIX_PATH_BYTES_MAX + 1] = "";
	const int len = snprintf(longest, sizeof(longest), "%s/", temp_dir);

	(void)state;
	memset(longest + len, 'x', sizeof(longest) - 1 - (size_t)len);
	assert_int_equal(unix_listener_open(&l, longest, 1), 0);
	assert_int_equal(access(longest, F_OK), 0);
	unix_listener_close(&l);
	assert_int_equal(access(longest, F_OK), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_has_its_name_once_it_listens, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_dead_one_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_live_one_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_that_comes_to_life_in_between_gets_its_name_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_longest_path_is_taken, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
