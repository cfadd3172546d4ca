/*
 * Unit tests of disk_file.c on file systems that lack something: locks, files without a name, files at all.
 * A filter of system calls gives their answers, in a process of each case's own.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/macros.h"
#include "child_exit.h"
#include "diag_rig.h"
#include "disk_rig.h"

/* err for calls of that number whose argument has any of these bits, or is equal to them. */
struct lack {
	uint32_t nr, arg, bits;
	bool equal;
	uint32_t err;
};

static const struct lack no_locks = {SYS_fcntl, 1, F_OFD_SETLK, true, ENOLCK};
static const struct lack no_nameless = {SYS_openat, 2, O_TMPFILE & ~O_DIRECTORY, false, EOPNOTSUPP};
static const struct lack no_new_files = {SYS_openat, 2, O_EXCL, false, EROFS};

static void forbid(const struct lack *lack)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, lack->nr, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (uint32_t)offsetof(struct seccomp_data, args) + lack->arg * 8),
		BPF_JUMP((uint16_t)(BPF_JMP | (lack->equal ? BPF_JEQ : BPF_JSET) | BPF_K),
			 lack->bits, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | lack->err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(50);
}

/* The expected result of opening a disk. */
struct want {
	bool read_only, cow;
	int r;
	const char *warning, *error; /* diag_rig.h; NULL: there is none */
	const char *remedy;          /* a part of it; NULL: there is none */
};

static bool is(const struct diag *diag, const char *error)
{
	return error ? diag_is(diag, error) : !diag->what[0];
}

/* The number of the first thing that is not as wanted, or 0. */
static int try_disk(const char *path, const struct want *want)
{
	struct diag diag = {0}, warning = {0};
	const struct disk_opts opts = {
		.path = path, .read_only = want->read_only, .cow = want->cow, .warning = &warning};
	struct disk_rig rig = {0};
	uint8_t buf[4096] = {1, 2, 3}, back[4096];

	if (event_loop_init(&rig.loop, NULL, NULL) < 0)
		return 1;
	if (disk_open(&opts, &rig.loop, disk_rig_batch_done, &rig, &rig.disk, &diag) != want->r)
		return 2;
	if (!is(&warning, want->warning))
		return 3;
	if (!is(&diag, want->error) ||
	    (want->remedy ? !strstr(diag.remedy, want->remedy) : diag.remedy[0]))
		return 4;
	if (want->r < 0)
		return 0;
	if (want->cow && disk_rig_do(&rig, DISK_WRITE, 0, buf, 4096) != 0)
		return 5;
	if (disk_rig_do(&rig, DISK_READ, 0, back, 4096) != 0)
		return 6;
	if (want->cow && memcmp(buf, back, 4096) != 0)
		return 7;
	disk_rig_close(&rig);
	return 0;
}

static void check(const struct lack *const lacks[], const struct want *want)
{
	struct disk_rig rig = {0};
	int status = 0;
	pid_t pid;

	disk_rig_image(&rig, 1 << 20);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (; *lacks; lacks++)
			forbid(*lacks);
		child_exit(try_disk(rig.path, want));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	disk_rig_remove(&rig);
}

static void without_locks_what_is_only_read_is_used_with_a_warning(void **state)
{
	static const struct lack *const lacks[] = {&no_locks, NULL};
	static const char warning[] = "disk-unlocked";

	(void)state;
	check(lacks, &(struct want){.read_only = true, .warning = warning});
	check(lacks, &(struct want){.cow = true, .warning = warning});
	check(lacks, &(struct want){.r = -ENOLCK, .error = "disk-lock", .remedy = ",ro"});
}

static void a_cow_disk_does_without_nameless_files(void **state)
{
	static const struct lack *const lacks[] = {&no_nameless, NULL};

	(void)state;
	check(lacks, &(struct want){.cow = true});
	setenv("TMPDIR", "/proc/self", 1); /* which takes no files: /var/tmp does */
	check(lacks, &(struct want){.cow = true});
	unsetenv("TMPDIR");
}

static void without_any_file_it_keeps_writes_in_memory_and_says_so(void **state)
{
	static const struct lack *const lacks[] = {&no_nameless, &no_new_files, NULL};

	(void)state;
	check(lacks, &(struct want){.cow = true, .warning = "cow-in-memory as /var/tmp takes"});
	setenv("TMPDIR", "/nonexistent", 1);
	check(lacks, &(struct want){.cow = true,
				    .warning = "cow-in-memory as /nonexistent and /var/tmp takes"});
	unsetenv("TMPDIR");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_locks_what_is_only_read_is_used_with_a_warning),
		cmocka_unit_test(a_cow_disk_does_without_nameless_files),
		cmocka_unit_test(without_any_file_it_keeps_writes_in_memory_and_says_so),
	};

	unsetenv("TMPDIR");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
