#include "smoke/child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "config_vm.h"
#include "report.h"
#include "smoke/wire.h"
#include "stats.h"

/* Descriptors of the child. */
enum { CHILD_REPORT_FD = STDERR_FILENO + 1, CHILD_OUT_FD, CHILD_ERR_FD, CHILD_LOG_FD, CHILD_FDS };

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

	memcpy(config->output, output, sizeof(output));
	config->nr_outputs = ARRAY_SIZE(output);
}

/* What is lost when the supervisor is gone is of no use to anybody. */
static void send_bytes(const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		const ssize_t n = write(CHILD_REPORT_FD, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		p += n;
		len -= (size_t)n;
	}
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
	enum { FIELD_GUEST_TIME = 43, FIELD_BEHIND_NAME = 3 };
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
	for (int field = FIELD_BEHIND_NAME; p && field <= FIELD_GUEST_TIME; field++)
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

static void send_report(struct vm *vm)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	report_stuck(f, vm);
	report_print(f, vm);
	stats_print(f, vm);
	if (fclose(f) == 0)
		send_bytes(text, len < SMOKE_WIRE_REPORT_MAX ? len : SMOKE_WIRE_REPORT_MAX);
	free(text);
}

static void run(const struct config *config)
{
	AUTO_FREE struct vm *vm = calloc(1, sizeof(*vm));
	struct smoke_msg msg = {.type = SMOKE_MSG_STARTED};
	struct diag diag = {0};
	struct vm_end end = {0};
	int r = vm ? config_make_vm(config, vm, &diag) : diag_set(&diag, -ENOMEM, "start");

	if (r == 0) {
		msg.at_ns = clock_monotonic_ns();
		send_bytes(&msg, sizeof(msg));
		r = vm_run(vm, &end, &diag);
	}
	if (r < 0) {
		send_failure(&diag);
	} else {
		vm_console_close(vm);
		send_end(vm, &end);
		send_report(vm);
	}
	if (vm && !vm_fini(vm))
		(void)STEAL_PTR(vm); /* a thread may use it until this process has ended */
}

/* Both ends of each pipe. */
struct pipes {
	int stream[SMOKE_STREAMS], report;
};

static const struct pipes no_pipes = {.stream = {-1, -1, -1, -1}, .report = -1};

static void close_pipes(struct pipes *ends)
{
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		if (ends->stream[i] >= 0)
			close(ends->stream[i]);
	if (ends->report >= 0)
		close(ends->report);
	*ends = no_pipes;
}

/* The child's own descriptors, and nothing else of the supervisor's, whose boots wait for ends of files. */
static int take_descriptors(const struct pipes *ends)
{
	const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0)
		return -errno;
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		if (dup2(ends->stream[i], stream_fd[i]) < 0)
			return -errno;
	return close_range(CHILD_FDS, ~0U, 0) < 0 ? -errno : 0;
}

static _Noreturn void child(const struct smoke_spec *spec, pid_t parent, const struct pipes *ends)
{
	struct diag diag = {0};
	int r;

	/* Tied to the parent's life; it may have ended before the kernel knew. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	    dup2(ends->report, CHILD_REPORT_FD) < 0)
		_exit(EXIT_KVM_ERROR);
	signal(SIGTERM,
	       SIG_DFL); /* how our supervisor ends us, though it may have been started deaf to it */
	r = take_descriptors(ends);
	if (r < 0) {
		diag_set(&diag, r, "descriptors of a boot");
		send_failure(&diag);
		_exit(EXIT_SETUP);
	}
	run(&spec->config);
	_exit(EXIT_OK);
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

static int make_pipes(struct pipes *ret_read, struct pipes *ret_write)
{
	int r = make_pipe(&ret_read->report, &ret_write->report);

	for (unsigned i = 0; r == 0 && i < SMOKE_STREAMS; i++)
		r = make_pipe(&ret_read->stream[i], &ret_write->stream[i]);
	return r;
}

static int fork_child(const struct smoke_spec *spec, const struct pipes *ends,
		      struct smoke_child *ret, struct diag *diag)
{
	const pid_t parent = getpid();
	int r;

	ret->pid = fork();
	if (ret->pid < 0)
		return diag_set(diag, -errno, "fork for boot '%s'", spec->name);
	if (ret->pid == 0)
		child(spec, parent, ends);
	ret->pid_fd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	if (ret->pid_fd >= 0)
		return 0;
	r = diag_set(diag, -errno, "watch boot '%s'", spec->name);
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
		diag_set(diag, r, "pipes of boot '%s'", spec->name);
	else
		r = fork_child(spec, &childs, ret, diag);
	close_pipes(&childs);
	if (r < 0) {
		close_pipes(&ours);
		return r;
	}
	memcpy(ret->stream_fd, ours.stream, sizeof(ret->stream_fd));
	ret->report_fd = ours.report;
	return 0;
}
