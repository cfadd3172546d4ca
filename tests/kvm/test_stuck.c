/*
 * `tollgate run` and `tollgate hammer` with a disk whose host does not answer: the VM ends all the same. The
 * command names the device that does not, writes its statistics, and has the exit status of other runs.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>
#include <json.h>

#include "cmd/cmds.h"
#include "vm_end.h"
#include "vm_rig.h"

enum { SECTORS = 8192, LINE = 16, SECTOR = 512 };

int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int nr, off_t off);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
struct io_uring;
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);

static char dir[32], disk[64];

static const char *path_of(const char *name)
{
	static char path[4][64];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

/* The call that does not return. */
static atomic_bool write_hangs, sync_hangs, close_hangs;

/* Hangs; the signal is the one of a user who sees that nothing goes on any more. */
static void hang(void)
{
	kill(getpid(), SIGTERM);
	for (;;)
		pause();
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int nr, off_t off)
{
	if (atomic_load(&write_hangs))
		hang();
	return __real_pwritev64(fd, iov, nr, off);
}

int __wrap_fdatasync(int fd)
{
	if (atomic_load(&sync_hangs))
		hang();
	return __real_fdatasync(fd);
}

static bool is_disk(int fd)
{
	char link[40], target[64] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, target, sizeof(target) - 1) > 0 && strcmp(target, disk) == 0;
}

/* A file system that writes back first, when the VM is over. */
int __wrap_close(int fd)
{
	while (atomic_load(&close_hangs) && is_disk(fd))
		pause();
	return __real_close(fd);
}

/* Calls that hang in the kernel are not ours to make there. */
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	(void)entries;
	(void)ring;
	(void)flags;
	return -ENOSYS;
}

/* As guest/kernels/blk wants it. */
static void make_image(void)
{
	FILE *f = fopen(disk, "w");

	assert_non_null(f);
	for (unsigned i = 0; i < SECTORS * SECTOR / LINE; i++)
		fprintf(f, "%015u\n", i);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_stuck.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(disk, sizeof(disk), "%s/disk", dir);
	make_image();
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"disk", "err", "stats"};

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	return rmdir(dir);
}

/* A command, with its stderr in the file err: its exit status. */
static int run_command(int (*cmd)(int argc, char **argv), int argc, char **argv)
{
	const int err = open(path_of("err"), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	const int own_err = dup(STDERR_FILENO);
	int status;

	assert_true(err >= 0 && own_err >= 0 && dup2(err, STDERR_FILENO) >= 0);
	status = cmd(argc, argv);
	dup2(own_err, STDERR_FILENO);
	close(own_err);
	close(err);
	return status;
}

static int run(void)
{
	char stats[80], param[32], kernel[4096];
	/* Unconfined: several VMs run in this process, one after the other, and the wrappers send signals. */
	char *argv[] = {"run", "--no-sandbox", "--disk", disk, stats, "-p", param, kernel, NULL};

	snprintf(stats, sizeof(stats), "--stats=json:%s", path_of("stats"));
	snprintf(param, sizeof(param), "sectors=%d", SECTORS);
	snprintf(kernel, sizeof(kernel), "%s/guest-blk", getenv("GUESTS"));
	return run_command(cmd_run, (int)(sizeof(argv) / sizeof(argv[0])) - 1, argv);
}

static void assert_reported(const char *what, const char *end)
{
	char text[4096] = "", device[96];
	const char *at;
	FILE *f = fopen(path_of("err"), "r");

	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	snprintf(device, sizeof(device), "tollgate: disk0 ('%s') ", disk);
	at = strstr(text, device);
	at = at ? strstr(at, what) : NULL;
	if (!at || !strstr(at, " [device-stuck]\n"))
		fail_msg("missing: %s...%s [device-stuck]\nbut: %s", device, what, text);
	assert_non_null(strstr(text, end));
}

static void assert_stats_say_so(void)
{
	struct json_object *root = json_object_from_file(path_of("stats")), *devices, *stuck;

	assert_non_null(root);
	assert_true(json_object_object_get_ex(root, "virtio", &devices));
	assert_int_equal(json_object_array_length(devices), 1);
	assert_true(
		json_object_object_get_ex(json_object_array_get_idx(devices, 0), "stuck", &stuck));
	assert_true(json_object_get_boolean(stuck));
	json_object_put(root);
}

static void a_write_that_does_not_return_keeps_nobody(void **state)
{
	(void)state;
	atomic_store(&write_hangs, true);
	assert_int_equal(run(), EXIT_KILLED);
	atomic_store(&write_hangs, false);
	assert_reported("the host in a system call", "tollgate: killed (SIGTERM), exit status 116");
	assert_stats_say_so();
}

static void nor_does_a_flush_that_a_worker_makes(void **state)
{
	(void)state;
	atomic_store(&sync_hangs, true);
	assert_int_equal(run(), EXIT_KILLED);
	atomic_store(&sync_hangs, false);
	assert_reported("what it asked the host for",
			"tollgate: killed (SIGTERM), exit status 116");
	assert_stats_say_so();
}

static void nor_does_a_file_that_does_not_close(void **state)
{
	(void)state;
	atomic_store(&close_hangs, true);
	assert_int_equal(run(), EXIT_OK);
	atomic_store(&close_hangs, false);
	assert_reported("what it asked the host for",
			"tollgate: exit code 0 (exit port), exit status 0");
	assert_stats_say_so();
}

/* Memory that the thread uses stays: under a sanitizer this fails when the thread finds its disk's options freed. */
static void the_hammer_ends_too(void **state)
{
	char *argv[] = {"hammer", "--count", "2000", "--disk", disk, NULL};

	(void)state;
	atomic_store(&close_hangs, true);
	assert_int_equal(run_command(cmd_hammer, 5, argv), EXIT_OK);
	atomic_store(&close_hangs, false);
	assert_reported("what it asked the host for", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_write_that_does_not_return_keeps_nobody, setup,
						teardown),
		cmocka_unit_test_setup_teardown(nor_does_a_flush_that_a_worker_makes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(nor_does_a_file_that_does_not_close, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_hammer_ends_too, setup, teardown),
	};

	if (!vm_rig_has_kvm())
		return VM_RIG_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
