#include "smoke/child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io_full.h"
#include "base/macros.h"
#include "base/parse.h"
#include "config/make_vm.h"
#include "smoke/core_file.h"
#include "smoke/options.h"
#include "smoke/wire.h"
#include "vm/inspect.h"
#include "vm/report.h"
#include "vm/stats.h"

/* Descriptors of the child: all that it has at first. */
enum {
	CHILD_REPORT_FD = STDERR_FILENO + 1,
	CHILD_OUT_FD,
	CHILD_ERR_FD,
	CHILD_LOG_FD,
	CHILD_ARGS_FD,
	CHILD_ASK_FD,
	CHILD_FDS,
};

static const int stream_fd[SMOKE_STREAMS] = {
	[SMOKE_CONSOLE] = STDOUT_FILENO,
	[SMOKE_COMMAND_OUT] = CHILD_OUT_FD,
	[SMOKE_COMMAND_ERR] = CHILD_ERR_FD,
	[SMOKE_INIT_LOG] = CHILD_LOG_FD,
};

void smoke_child_connect(struct config *config)
{
	static const struct vm_output output[] = {
		{.device = MACHINE_COMMAND_OUT, .fd = CHILD_OUT_FD},
		{.device = MACHINE_COMMAND_ERR, .fd = CHILD_ERR_FD},
		{.device = MACHINE_INIT_LOG, .fd = CHILD_LOG_FD},
	};

	memcpy(config->vm.output, output, sizeof(output));
	config->vm.nr_outputs = ARRAY_SIZE(output);
	config->vm.machine.sysrq = true;
}

/* Errors are ignored: once the supervisor is gone, nobody needs the bytes. */
static void send_bytes(const void *bytes, size_t len)
{
	io_write_full(CHILD_REPORT_FD, bytes, len, NULL);
}

static void send_failure(const struct diag *diag)
{
	const struct smoke_msg msg = {
		.type = SMOKE_MSG_FAILED, .at_ns = clock_monotonic_ns(), .failed = *diag};

	send_bytes(&msg, sizeof(msg));
}

/* Time that this process's vCPUs were in the guest: field 43 of proc(5)'s stat, in clock ticks. */
static int64_t guest_ns(void)
{
	enum { FIELD_GUEST_TIME = 43, FIELD_AFTER_NAME = 3 };
	FILE *f = fopen("/proc/self/stat", "re");
	char line[1024] = "";
	char *p;
	uint64_t ticks = 0;

	if (!f)
		return 0;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	p = strrchr(line, ')'); /* the name before it may hold anything */
	for (int field = FIELD_AFTER_NAME; p && field <= FIELD_GUEST_TIME; field++)
		p = strchr(p + 1, ' ');
	if (p)
		ticks = strtoull(p, NULL, 10);
	return (int64_t)ticks * (NS_PER_S / sysconf(_SC_CLK_TCK));
}

static void send_end(const struct vm *vm, const struct vm_end *end)
{
	struct smoke_msg msg = {
		.type = SMOKE_MSG_ENDED,
		.at_ns = clock_monotonic_ns(),
		.ended = {.kind = (uint32_t)end->kind,
			  .code = end->code,
			  .cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
			  .guest_ns = guest_ns()},
	};
	struct stats_exits exits;

	stats_exits_sum(vm, &exits);
	memcpy(msg.ended.exits, exits.by_reason, sizeof(msg.ended.exits));
	snprintf(msg.ended.by, sizeof(msg.ended.by), "%s", end->by ? end->by : "");
	send_bytes(&msg, sizeof(msg));
}

/* Arguments of a boot's process besides those of its VM. */
struct child_core {
	const char *path; /* NULL: none */
	enum vm_end_kind wanted;
};

static void put_warning(FILE *f, const struct diag *warning)
{
	fputs("warning: ", f);
	diag_print(warning, f);
	fputc('\n', f);
}

static void send_report(struct vm *vm, const struct config *config, const struct child_core *core,
			const struct vm_end *end)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	for (unsigned i = 0; i < config->nr_disks; i++)
		if (config->disk[i]->warning.what[0])
			put_warning(f, &config->disk[i]->warning);
	if (core->path)
		smoke_core_write(vm, core->path, core->wanted, end, f);
	report_stuck(f, vm);
	report_print(f, vm);
	stats_print(f, vm);
	if (fclose(f) == 0)
		send_bytes(text, len < SMOKE_WIRE_REPORT_MAX ? len : SMOKE_WIRE_REPORT_MAX);
	free(text);
}

/* The supervisor's end of its socket, on the VM's event loop. */
struct keys {
	struct event_source source;
	struct vm *vm;
};

/* A guest that takes no input has no answer, which is what its supervisor then finds. */
static void keys_ready(struct event_source *src, uint32_t epoll_events)
{
	struct keys *keys = container_of(src, struct keys, source);
	struct diag diag = {0};
	uint8_t key;

	(void)epoll_events;
	if (io_read_some(src->fd, &key, 1) == 1)
		vm_send_sysrq(keys->vm, key, &diag);
	else
		event_loop_want(&keys->vm->loop, src, 0);
}

/* False: a thread that the host does not let go may use config until this process has ended. */
static bool child_run(struct config *config, const struct child_core *core)
{
	AUTO_FREE struct vm *vm = calloc(1, sizeof(*vm));
	struct smoke_msg msg = {.type = SMOKE_MSG_STARTED};
	struct keys keys = {.source = {.fd = CHILD_ASK_FD, .events = EPOLLIN, .ready = keys_ready},
			    .vm = vm};
	struct diag diag = {0};
	struct vm_end end = {0};
	int r;

	if (!vm) {
		diag_set(&diag, -ENOMEM, "smoke-memory", "start");
		send_failure(&diag);
		return true;
	}
	r = config_confine(config, &diag);
	if (r == 0)
		r = config_make_vm(config, vm, &diag);
	if (r == 0) {
		msg.at_ns = clock_monotonic_ns();
		msg.started.entered_by = vm->kernel.protocol;
		msg.started.emulates_linux = vm->emulates_linux;
		msg.started.is_linux = vm->kernel.is_linux;
		send_bytes(&msg, sizeof(msg));
		event_loop_add(&vm->loop, &keys.source);
		r = vm_run(vm, &end, &diag);
		event_loop_remove(&vm->loop, &keys.source);
	}
	if (r < 0) {
		send_failure(&diag);
	} else {
		vm_console_close(vm);
		send_end(vm, &end);
		send_report(vm, config, core, &end);
	}
	if (vm_fini(vm))
		return true;
	(void)STEAL_PTR(vm); /* nor may this go */
	return false;
}

/* Both ends of each pipe. */
struct pipes {
	int stream[SMOKE_STREAMS], report, ask;
};

static const struct pipes no_pipes = {.stream = {-1, -1, -1, -1}, .report = -1, .ask = -1};

static void close_pipes(struct pipes *ends)
{
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		if (ends->stream[i] >= 0)
			close(ends->stream[i]);
	if (ends->report >= 0)
		close(ends->report);
	if (ends->ask >= 0)
		close(ends->ask);
	*ends = no_pipes;
}

/*
 * Whether the supervisor made this process, and lives. The death signal does not survive exec when the
 * program has capabilities of its own, so that it is asked for here; the supervisor may have ended before.
 */
static int check_parent(const char *arg, struct diag *diag)
{
	uint64_t parent = 0;
	struct stat st;

	if (parse_u64(arg, &parent) < 0 || fstat(CHILD_REPORT_FD, &st) < 0 ||
	    !S_ISFIFO(st.st_mode) || fstat(CHILD_ARGS_FD, &st) < 0 || !S_ISREG(st.st_mode)) {
		diag_set(diag, -EINVAL, "smoke-boot-alone",
			 "smoke-boot is a part of `tollgate smoke`");
		diag_remedy(diag, "`tollgate smoke --help` lists the options of a boot");
		return -EINVAL;
	}
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || (uint64_t)getppid() != parent)
		return diag_set(diag, -ESRCH, "smoke-boot-parent", "process %s of `tollgate smoke`",
				arg);
	return 0;
}

/* The caller frees *ret, whose strings are NUL-terminated. */
static int read_args(char **ret, size_t *ret_len, struct diag *diag)
{
	AUTO_FREE char *args = NULL;
	struct stat st;
	int r;

	if (fstat(CHILD_ARGS_FD, &st) < 0)
		return diag_set(diag, -errno, "smoke-options-read", "options of a boot");
	args = calloc(1, (size_t)st.st_size + 1);
	if (!args)
		return diag_set(diag, -ENOMEM, "smoke-options-memory", "options of a boot");
	r = io_pread_full(CHILD_ARGS_FD, args, (size_t)st.st_size, 0);
	if (r < 0)
		return diag_set(diag, r, "smoke-options-read", "options of a boot");
	close(CHILD_ARGS_FD);
	*ret = STEAL_PTR(args);
	*ret_len = (size_t)st.st_size;
	return 0;
}

/* "END PATH", NUL-terminated, before the arguments: how long it is. */
static size_t take_core(const char *args, size_t len, struct child_core *ret)
{
	const size_t head = strnlen(args, len);
	const char *blank = memchr(args, ' ', head);

	if (!blank || head == len)
		return 0;
	ret->wanted = (enum vm_end_kind)strtoul(args, NULL, 10);
	ret->path = blank[1] ? blank + 1 : NULL;
	return head + 1;
}

int smoke_child_main(int argc, char **argv, struct diag *diag)
{
	AUTO_FREE struct config *config = calloc(1, sizeof(*config));
	AUTO_FREE char *args = NULL;
	struct child_core core = {0};
	size_t len = 0, head = 0;
	int r = check_parent(argc == 3 ? argv[2] : "", diag);

	if (r < 0)
		return r;
	if (!config)
		return diag_set(diag, -ENOMEM, "smoke-memory", "start");
	signal(SIGTERM,
	       SIG_DFL); /* how our supervisor ends us, though it may have been started deaf to it */
	signal(SMOKE_CORE_SIGNAL, SIG_DFL);
	r = read_args(&args, &len, diag);
	if (r == 0 && args) {
		head = take_core(args, len, &core);
		r = config_smoke_unpack(args + head, len - head, config, diag);
	}
	if (r < 0) {
		send_failure(diag);
	} else {
		smoke_child_connect(config);
		if (!child_run(config, &core)) {
			(void)STEAL_PTR(config);
			(void)STEAL_PTR(args);
			return 0;
		}
	}
	config_fini(config);
	return 0;
}

/* Both ends past the descriptors that dup2() makes in the child. */
static int make_pipe(int *ret_read, int *ret_write)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	*ret_read = fcntl(ends[0], F_DUPFD_CLOEXEC, CHILD_FDS);
	*ret_write = fcntl(ends[1], F_DUPFD_CLOEXEC, CHILD_FDS);
	close(ends[0]);
	close(ends[1]);
	if (*ret_read < 0 || *ret_write < 0 || fcntl(*ret_write, F_SETFL, 0) < 0)
		return -errno;
	return 0;
}

static int make_ask(int *ret_ours, int *ret_childs)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	*ret_ours = fcntl(ends[0], F_DUPFD_CLOEXEC, CHILD_FDS);
	*ret_childs = fcntl(ends[1], F_DUPFD_CLOEXEC, CHILD_FDS);
	close(ends[0]);
	close(ends[1]);
	return *ret_ours < 0 || *ret_childs < 0 ? -errno : 0;
}

static int make_pipes(struct pipes *ret_read, struct pipes *ret_write)
{
	int r = make_pipe(&ret_read->report, &ret_write->report);

	for (unsigned i = 0; r == 0 && i < SMOKE_STREAMS; i++)
		r = make_pipe(&ret_read->stream[i], &ret_write->stream[i]);
	return r < 0 ? r : make_ask(&ret_read->ask, &ret_write->ask);
}

/* A file without a name that holds spec's arguments. */
static int make_args(const struct smoke_spec *spec)
{
	const int made = memfd_create("boot", MFD_CLOEXEC);
	const int fd = made < 0 ? -1 : fcntl(made, F_DUPFD_CLOEXEC, CHILD_FDS);
	int r = fd < 0 ? -errno : 0;

	if (made >= 0)
		close(made);
	if (r == 0 &&
	    dprintf(fd, "%d %s%c", (int)spec->wanted.kind, spec->core ? spec->core : "", '\0') < 0)
		r = -errno;
	if (r == 0)
		r = io_write_full(fd, spec->args, spec->args_len, NULL);
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

/*
 * The child's own descriptors, and nothing else of the supervisor's, whose boots wait for ends of files.
 * Positive error numbers, as posix_spawn's.
 */
static int add_actions(posix_spawn_file_actions_t *actions, const struct pipes *ends, int args_fd)
{
	int r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	for (unsigned i = 0; r == 0 && i < SMOKE_STREAMS; i++)
		r = posix_spawn_file_actions_adddup2(actions, ends->stream[i], stream_fd[i]);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, ends->report, CHILD_REPORT_FD);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, ends->ask, CHILD_ASK_FD);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, args_fd, CHILD_ARGS_FD);
	return r ? r : posix_spawn_file_actions_addclosefrom_np(actions, CHILD_FDS);
}

static int spawn(const struct smoke_spec *spec, const struct pipes *ends, int args_fd, pid_t *ret)
{
	char parent[16];
	char *argv[] = {(char[]){"tollgate"}, (char[]){SMOKE_CHILD_COMMAND}, spec->name, parent,
			NULL};
	posix_spawn_file_actions_t actions;
	int r = posix_spawn_file_actions_init(&actions);

	if (r != 0)
		return -r;
	snprintf(parent, sizeof(parent), "%ld", (long)getpid());
	r = add_actions(&actions, ends, args_fd);
	if (r == 0)
		r = posix_spawn(ret, "/proc/self/exe", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int make_process(const struct smoke_spec *spec, const struct pipes *ends,
			struct smoke_child *ret, struct diag *diag)
{
	const int args_fd = make_args(spec);
	int r = args_fd < 0 ? args_fd : spawn(spec, ends, args_fd, &ret->pid);

	if (args_fd >= 0)
		close(args_fd);
	if (r < 0) {
		ret->pid = 0;
		diag_set(diag, r, "smoke-process-start", "start a process for boot '%s'",
			 spec->name);
		if (r == -ENOENT)
			diag_remedy(diag, "mount /proc, where this program finds itself");
		return r;
	}
	ret->pid_fd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	if (ret->pid_fd >= 0)
		return 0;
	r = diag_set(diag, -errno, "smoke-process-watch", "watch boot '%s'", spec->name);
	kill(ret->pid, SIGKILL);
	waitpid(ret->pid, NULL, 0);
	ret->pid = 0;
	return r;
}

int smoke_child_start(const struct smoke_spec *spec, struct smoke_child *ret, struct diag *diag)
{
	struct pipes ours = no_pipes, childs = no_pipes;
	int r = make_pipes(&ours, &childs);

	if (r < 0)
		diag_set(diag, r, "smoke-process-pipes", "pipes of boot '%s'", spec->name);
	else
		r = make_process(spec, &childs, ret, diag);
	close_pipes(&childs);
	if (r < 0) {
		close_pipes(&ours);
		return r;
	}
	memcpy(ret->stream_fd, ours.stream, sizeof(ret->stream_fd));
	ret->report_fd = ours.report;
	ret->ask_fd = ours.ask;
	return 0;
}
