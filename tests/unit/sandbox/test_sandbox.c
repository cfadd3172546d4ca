/*
 * Each role of thread tries what its filter forbids, in a process of its own, and that process dies of it: with the
 * status and the line that users see. A call that a role may make returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/thread.h"
#include "sandbox.h"
#include "temp_dir.h"
#include "vm_end.h"

enum { TRIED = 77 }; /* the call returned */

static pid_t tester; /* the process of the test, whose children try */

#define ROLE(name) (1U << THREAD_##name)
#define NOBODY     0U

static long try_open(void)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static long try_create(void)
{
	return open("/dev/null", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long try_execve(void)
{
	char *argv[] = {(char[]){"true"}, NULL};

	return execv("/bin/true", argv);
}

static long try_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL,
		       NULL); /* fork() blocks signals meanwhile */
}

static long try_clone_namespaces(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNS);
}

static long try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long try_ptrace(void)
{
	return ptrace(PTRACE_SEIZE, INT_MAX, NULL, NULL); /* no process has this number */
}

static long try_read_other_process(void)
{
	return syscall(SYS_process_vm_readv, tester, NULL, 0, NULL, 0, 0);
}

static long try_kill_parent(void)
{
	return kill(tester, SIGTERM);
}

static long try_signal_thread_elsewhere(void)
{
	return syscall(SYS_tgkill, 1, 1, 0);
}

static long try_map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? -1
		       : 0;
}

static long try_make_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long try_type_on_terminal(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static long try_new_vm(void)
{
	return ioctl(STDIN_FILENO, 0xae01 /* KVM_CREATE_VM */, 0);
}

static long try_new_ring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long try_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0);
}

static long try_become_root(void)
{
	return setuid(0);
}

static long try_number_of_none(void)
{
	return syscall(4000);
}

static long try_work(void)
{
	void *memory = malloc(1 << 20);
	const char text[] = "";

	free(memory);
	return write(STDERR_FILENO, text, 0);
}

/* A call, its name in the report, and the roles that may make it. */
struct attempt {
	const char *call;
	long (*make)(void);
	unsigned may;
};

#define OF_FILES (ROLE(IO_FS) | ROLE(FS_WORKER) | ROLE(FILE_WRITER) | ROLE(EVENT))

static const struct attempt attempts[] = {
	{"openat", try_open, OF_FILES},
	{"openat", try_create, OF_FILES},
	{"execve", try_execve, NOBODY},
	{"clone", try_fork, NOBODY},
	{"unshare", try_clone_namespaces, NOBODY},
	{"socket", try_socket, NOBODY},
	{"ptrace", try_ptrace, NOBODY},
	{"process_vm_readv", try_read_other_process, NOBODY},
	{"kill", try_kill_parent, NOBODY},
	{"tgkill", try_signal_thread_elsewhere, NOBODY},
	{"mmap", try_map_code, NOBODY},
	{"mprotect", try_make_code, NOBODY},
	{"ioctl", try_type_on_terminal, NOBODY},
	{"ioctl", try_new_vm, NOBODY},
	{"io_uring_setup", try_new_ring, NOBODY},
	{"bpf", try_bpf, NOBODY},
	{"setuid", try_become_root, NOBODY},
	{"unknown", try_number_of_none, NOBODY},
	{"write", try_work, ~0U},
};

static void *thread_try(void *arg)
{
	const struct attempt *attempt = arg;

	attempt->make();
	_exit(TRIED);
}

/* The event thread is the one that main() runs on, as in the VMM. */
static void child_try(enum thread_role role, const struct sandbox_opts *opts,
		      const struct attempt *attempt)
{
	pthread_t thread;

	if (sandbox_begin(opts, NULL) < 0)
		_exit(1);
	if (role == THREAD_EVENT) {
		sandbox_open();
		if (sandbox_close() < 0)
			_exit(2);
		thread_try((void *)(uintptr_t)attempt);
	}
	if (thread_start(&thread, role, "tried", thread_try, (void *)(uintptr_t)attempt) < 0)
		_exit(3);
	pthread_join(thread, NULL);
	_exit(4);
}

/* The status of a process whose thread tries that; what it prints on stderr is in line. */
static int try_in_child(enum thread_role role, const struct sandbox_opts *opts,
			const struct attempt *attempt, char *line, size_t cap)
{
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[1]);
		child_try(role, opts, attempt);
	}
	close(ends[1]);
	n = read(ends[0], line, cap - 1);
	line[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void expect_death(enum thread_role role, const struct attempt *attempt)
{
	const struct sandbox_opts opts = {.sockets = false};
	char line[256], wanted[64];
	const int status = try_in_child(role, &opts, attempt, line, sizeof(line));

	snprintf(wanted, sizeof(wanted), "made the system call %s", attempt->call);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SANDBOX || !strstr(line, wanted))
		fail_msg("role %d, %s: status %#x, said '%s'", (int)role, attempt->call,
			 (unsigned)status, line);
	assert_non_null(
		strstr(line, role == THREAD_EVENT ? "thread 'test_sandbox'" : "thread 'tried'"));
	assert_non_null(strstr(line, "exit status 109 [sandbox-call]\n"));
}

static void expect_return(enum thread_role role, const struct sandbox_opts *opts,
			  const struct attempt *attempt)
{
	char line[256];
	const int status = try_in_child(role, opts, attempt, line, sizeof(line));

	if (!WIFEXITED(status) || WEXITSTATUS(status) != TRIED)
		fail_msg("role %d, %s: status %#x, said '%s'", (int)role, attempt->call,
			 (unsigned)status, line);
}

static void a_thread_dies_of_each_call_that_its_role_does_not_make(void **state)
{
	const struct sandbox_opts opts = {.sockets = false};

	(void)state;
	for (unsigned role = 0; role < THREAD_ROLES; role++) {
		for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
			if (attempts[i].may & 1U << role)
				expect_return((enum thread_role)role, &opts, &attempts[i]);
			else
				expect_death((enum thread_role)role, &attempts[i]);
		}
	}
}

static void sockets_of_the_internet_are_there_for_a_user_network_alone(void **state)
{
	static const struct attempt attempt = {"socket", try_socket, NOBODY};
	const struct sandbox_opts opts = {.sockets = true};
	char line[256];
	int status;

	(void)state;
	expect_return(THREAD_IO_NET, &opts, &attempt);
	expect_return(THREAD_EVENT, &opts, &attempt);
	status = try_in_child(THREAD_VCPU, &opts, &attempt, line, sizeof(line));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SANDBOX);
	status = try_in_child(THREAD_IO_DISK, &opts, &attempt, line, sizeof(line));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SANDBOX);
}

static void *thread_of_worker(void *arg)
{
	return thread_try(arg);
}

static const struct attempt *of_worker;

static void *loop_starts_worker(void *arg)
{
	pthread_t thread;

	(void)arg;
	if (thread_start(&thread, THREAD_DISK_WORKER, "worker", thread_of_worker,
			 (void *)(uintptr_t)of_worker) < 0)
		_exit(5);
	pthread_join(thread, NULL);
	_exit(6);
}

static long try_start_worker(void)
{
	loop_starts_worker(NULL);
	return 0;
}

/* A loop may start threads; its worker may not. */
static void a_worker_that_starts_late_is_confined_further(void **state)
{
	static const struct attempt start = {"clone", try_start_worker, NOBODY},
				    work = {"write", try_work, ~0U},
				    opens = {"openat", try_open, NOBODY};
	const struct sandbox_opts opts = {.sockets = false};
	char line[256];
	int status;

	(void)state;
	of_worker = &work;
	expect_return(THREAD_IO_DISK, &opts, &start);
	of_worker = &start;
	status = try_in_child(THREAD_IO_DISK, &opts, &start, line, sizeof(line));
	/* pthread_create() blocks all signals meanwhile, and a blocked SIGSYS kills without its handler. */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	of_worker = &opens;
	status = try_in_child(THREAD_IO_DISK, &opts, &start, line, sizeof(line));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SANDBOX);
}

static int open_there(const char *name, int flags)
{
	return openat(AT_FDCWD, temp_dir_at(name), flags | O_CLOEXEC, 0600);
}

static int remove_there(const char *name)
{
	return unlinkat(AT_FDCWD, temp_dir_at(name), 0);
}

static bool is_denied(int result)
{
	return result == -1 && errno == EACCES;
}

/* Of a child, whose status is the number of the call that went wrong. */
static long try_shares(void)
{
	const int fd = open_there("rw/new", O_CREAT | O_RDWR), dir = open_there("rw", O_RDONLY),
		  elsewhere = open_there("elsewhere", O_PATH);
	char again[64];

	snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	if (fd < 0 || dir < 0 || elsewhere < 0 || openat(AT_FDCWD, again, O_RDWR) < 0)
		_exit(10);
	if (ftruncate(fd, 1) < 0 || renameat2(dir, "new", dir, "sub/moved", 0) < 0 ||
	    linkat(dir, "sub/moved", dir, "linked", 0) < 0 || remove_there("rw/linked") < 0)
		_exit(11);
	if (open_there("ro/file", O_RDONLY) < 0)
		_exit(12);
	if (!is_denied(open_there("ro/file", O_WRONLY)) ||
	    !is_denied(open_there("ro/new", O_CREAT | O_WRONLY)) ||
	    !is_denied(remove_there("ro/file")))
		_exit(13);
	if (!is_denied(open_there("elsewhere/file", O_RDONLY)) ||
	    !is_denied(openat(elsewhere, "file", O_RDONLY | O_CLOEXEC)) ||
	    !is_denied(open_there("elsewhere/new", O_CREAT | O_WRONLY)) ||
	    !is_denied(remove_there("elsewhere/file")))
		_exit(14);
	return 0;
}

static void threads_of_shares_open_files_of_shares_alone(void **state)
{
	static const struct attempt attempt = {"openat", try_shares, NOBODY};
	const struct sandbox_dir dirs[] = {{temp_dir_at("rw"), false},
					   {temp_dir_at("ro"), true},
					   {temp_dir_at("none"), false}};
	const struct sandbox_opts opts = {.dir = dirs, .nr_dirs = ARRAY_SIZE(dirs)};
	struct sandbox_host host;

	(void)state;
	sandbox_examine_host(&host);
	if (host.landlock_abi < 2) {
		puts("SKIP: this host's Linux has no Landlock, or ABI 1");
		return;
	}
	temp_dir_shell("mkdir -p rw/sub ro elsewhere; touch ro/file elsewhere/file");
	expect_return(THREAD_IO_FS, &opts, &attempt);
	expect_return(THREAD_FS_WORKER, &opts, &attempt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_dies_of_each_call_that_its_role_does_not_make),
		cmocka_unit_test(sockets_of_the_internet_are_there_for_a_user_network_alone),
		cmocka_unit_test(a_worker_that_starts_late_is_confined_further),
		cmocka_unit_test(threads_of_shares_open_files_of_shares_alone),
	};
	int failed;

	tester = getpid();
	if (temp_dir_make() < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	temp_dir_remove();
	return failed;
}
