#include "smoke/trial.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * QUIET: a line that nothing follows for so long is taken for a prompt. SILENCE: after a panic's last
 * line. KILL: a VM that was told to end and has not is ended by force. ROOM: how soon a sink that had no room is asked
 * again.
 */
#define QUIET_NS   (100 * NS_PER_MS)
#define SILENCE_NS (300 * NS_PER_MS)
#define KILL_NS    (5 * NS_PER_S)
#define ROOM_NS    (10 * NS_PER_MS)

enum { READ_BYTES = 1 << 16, PIPE_BYTES_MAX = 1 << 20 };

static bool is_running(const struct smoke_boot *boot)
{
	return boot->state == SMOKE_BOOT_RUNNING;
}

static void trial_enter(struct smoke_boot *boot, enum smoke_boot_state state)
{
	boot->state = state;
	boot->state_since_ns = clock_monotonic_ns();
}

/* Whether the VM is set up: silence and phases count from the guest's first instruction on. */
static bool has_guest(const struct smoke_boot *boot)
{
	return boot->result->times.guest_ns != 0;
}

static void kill_vm(struct smoke_boot *boot)
{
	trial_enter(boot, SMOKE_BOOT_KILLED);
	kill(boot->child.pid, SIGKILL);
}

/* A process that is gone already is no error. One that still sets up has nothing to tell. */
static void stop_vm(struct smoke_boot *boot)
{
	if (!has_guest(boot)) {
		kill_vm(boot);
		return;
	}
	trial_enter(boot, SMOKE_BOOT_STOPPING);
	kill(boot->child.pid, SIGTERM);
}

static void stop_for(struct smoke_boot *boot, enum smoke_stop why)
{
	boot->result->facts.stop = why;
	if (boot->result->times.decided_ns == 0)
		boot->result->times.decided_ns = clock_monotonic_ns();
	stop_vm(boot);
}

static struct smoke_boot *trial_of(struct smoke_judge_sink *sink)
{
	return container_of(sink, struct smoke_boot, judge_sink);
}

/* Our own /init runs (guest/init/main.c); the kernel's line about it may have been kept quiet. */
static void note_init(struct smoke_boot *boot, const struct smoke_line *line)
{
	static const char started[] = "started";

	if (boot->result->times.init_ns == 0 && line->len == sizeof(started) - 1 &&
	    memcmp(line->text, started, line->len) == 0)
		boot->result->times.init_ns = line->at_ns;
}

static void trial_hear_line(struct smoke_judge_sink *sink, const struct smoke_line *line)
{
	struct smoke_boot *boot = trial_of(sink);

	if (line->stream == SMOKE_INIT_LOG)
		note_init(boot, line);
	else
		smoke_tail_add(&boot->result->tail, line);
	if (line->marked && boot->decided_by != boot->judge.decided_by) {
		boot->decided_by = boot->judge.decided_by;
		snprintf(boot->decided_text, sizeof(boot->decided_text), "%.*s", (int)line->len,
			 line->text);
	}
	if (boot->sink)
		boot->sink->line(boot->sink, line);
}

static void hear_met(struct smoke_judge_sink *sink, const struct smoke_rule *rule, int64_t at_ns)
{
	struct smoke_boot *boot = trial_of(sink);

	boot->result->met_ns[rule - boot->spec->rules.rule] = at_ns;
	if (rule->kind == SMOKE_RULE_PHASE)
		boot->phase_since_ns = at_ns;
	if (rule->kind == SMOKE_RULE_INIT && boot->result->times.init_ns == 0)
		boot->result->times.init_ns = at_ns;
}

/*
 * What the judge has found: enough to stop at once, or to wait for the rest of a panic. The last byte
 * decided, though a prompt is known for one only when nothing has followed for a while.
 */
static void look_at_finding(struct smoke_boot *boot)
{
	if (!is_running(boot))
		return;
	switch (boot->judge.finding) {
	case SMOKE_FOUND_NOTHING: return;
	case SMOKE_FOUND_ALL_EXPECTED:
		if (!boot->judge.opts.expects_decide)
			return;
		boot->result->times.decided_ns = boot->last_byte_ns;
		stop_vm(boot);
		return;
	case SMOKE_FOUND_REJECT:
	case SMOKE_FOUND_PANIC:
		boot->result->times.decided_ns = boot->last_byte_ns;
		trial_enter(boot, SMOKE_BOOT_GRACE);
	}
}

/* The phase that is to come and has a limit; NULL when none is. */
static const struct smoke_rule *phase_awaited(const struct smoke_boot *boot)
{
	return smoke_rules_get(&boot->spec->rules, SMOKE_RULE_PHASE,
			       boot->judge.met[SMOKE_RULE_PHASE]);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When a limit is reached; the three that only hold while nothing is decided. */
static int64_t timeout_at(const struct smoke_boot *boot)
{
	return boot->spec->timeout_ns ? boot->result->times.start_ns + boot->spec->timeout_ns
				      : INT64_MAX;
}

static int64_t stall_at(const struct smoke_boot *boot)
{
	return boot->spec->stall_ns && has_guest(boot) ? boot->last_byte_ns + boot->spec->stall_ns
						       : INT64_MAX;
}

static int64_t phase_at(const struct smoke_boot *boot)
{
	const struct smoke_rule *phase = phase_awaited(boot);

	return phase && has_guest(boot) ? boot->phase_since_ns + phase->limit_ns : INT64_MAX;
}

static int64_t grace_at(const struct smoke_boot *boot)
{
	return earlier(boot->last_byte_ns + SILENCE_NS,
		       boot->state_since_ns + boot->spec->grace_ns);
}

static int64_t quiet_at(const struct smoke_boot *boot)
{
	return smoke_judge_waits(&boot->judge) && !boot->was_quiet ? boot->last_byte_ns + QUIET_NS
								   : INT64_MAX;
}

static int64_t room_at(const struct smoke_boot *boot)
{
	return boot->held_ns ? boot->held_ns + ROOM_NS : INT64_MAX;
}

static int64_t decision_at(const struct smoke_boot *boot)
{
	switch (boot->state) {
	case SMOKE_BOOT_RUNNING:
		return earlier(earlier(timeout_at(boot), stall_at(boot)),
			       earlier(phase_at(boot), quiet_at(boot)));
	case SMOKE_BOOT_GRACE: return grace_at(boot);
	case SMOKE_BOOT_STOPPING: return boot->state_since_ns + KILL_NS;
	case SMOKE_BOOT_KILLED: break;
	}
	return INT64_MAX;
}

static int64_t deadline(const struct smoke_boot *boot)
{
	return earlier(decision_at(boot), room_at(boot));
}

/* Only ever earlier: a timer that fires too early looks again. */
static void arm(struct smoke_boot *boot)
{
	const int64_t at_ns = deadline(boot);
	const struct itimerspec spec = {.it_value = clock_timespec(at_ns)};

	if (at_ns >= boot->armed_ns)
		return;
	boot->armed_ns = at_ns;
	timerfd_settime(boot->timer.fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void smoke_boot_stop(struct smoke_boot *boot)
{
	if (boot->state < SMOKE_BOOT_STOPPING)
		stop_for(boot, SMOKE_STOP_SIGNAL);
	else
		kill_vm(boot);
	arm(boot);
}

static void look_at_limits(struct smoke_boot *boot, int64_t now)
{
	if (now >= quiet_at(boot)) {
		boot->was_quiet = true;
		smoke_judge_quiet(&boot->judge, now);
		look_at_finding(boot);
		if (!is_running(boot))
			return;
	}
	if (now >= timeout_at(boot))
		stop_for(boot, SMOKE_STOP_TIMEOUT);
	else if (now >= phase_at(boot))
		stop_for(boot, SMOKE_STOP_PHASE);
	else if (now >= stall_at(boot))
		stop_for(boot, SMOKE_STOP_STALL);
}

/* While nobody has room for more of the guest's output, it waits in its pipes; limits of time are kept. */
static void look_at_room(struct smoke_boot *boot)
{
	const bool has_room = !boot->sink || boot->sink->has_room(boot->sink);

	boot->held_ns = has_room ? 0 : clock_monotonic_ns();
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		event_loop_want(boot->loop, &boot->stream[i], has_room ? EPOLLIN : 0);
}

static void trial_timer_ready(struct event_source *src, uint32_t epoll_events)
{
	struct smoke_boot *boot = container_of(src, struct smoke_boot, timer);
	const int64_t now = clock_monotonic_ns();
	uint64_t n;

	(void)epoll_events;
	if (read(src->fd, &n, sizeof(n)) != sizeof(n))
		return;
	boot->armed_ns = INT64_MAX;
	if (boot->held_ns)
		look_at_room(boot);
	switch (boot->state) {
	case SMOKE_BOOT_RUNNING: look_at_limits(boot, now); break;
	case SMOKE_BOOT_GRACE:
		if (now >= grace_at(boot))
			stop_vm(boot);
		break;
	case SMOKE_BOOT_STOPPING:
		if (now >= boot->state_since_ns + KILL_NS)
			kill_vm(boot);
		break;
	case SMOKE_BOOT_KILLED: break;
	}
	arm(boot);
}

/* Non-blocking; -1 with errno. */
static ssize_t read_some(int fd, void *buf, size_t cap)
{
	ssize_t n;

	do
		n = read(fd, buf, cap);
	while (n < 0 && errno == EINTR);
	return n;
}

/* A piece of a stream: how many bytes; 0 when there are none now, or never more. */
static size_t read_stream(struct smoke_boot *boot, enum smoke_stream i)
{
	static uint8_t buf[READ_BYTES]; /* one thread; too large for a boot to have its own */
	struct event_source *src = &boot->stream[i];
	const ssize_t n = read_some(src->fd, buf, sizeof(buf));
	const int64_t now = clock_monotonic_ns();

	if (n == 0)
		event_loop_remove(boot->loop, src);
	if (n <= 0)
		return 0;
	if (i == SMOKE_CONSOLE && boot->result->times.first_byte_ns == 0)
		boot->result->times.first_byte_ns = now;
	boot->last_byte_ns = now;
	boot->was_quiet = false;
	boot->result->bytes[i] += (uint64_t)n;
	smoke_judge_feed(&boot->judge, i, buf, (size_t)n, now);
	look_at_finding(boot);
	look_at_room(boot);
	arm(boot);
	return (size_t)n;
}

/* event_source's ready has no argument to tell streams apart, so each has its own. */
static void console_ready(struct event_source *src, uint32_t epoll_events)
{
	(void)epoll_events;
	read_stream(container_of(src, struct smoke_boot, stream[SMOKE_CONSOLE]), SMOKE_CONSOLE);
}

static void command_out_ready(struct event_source *src, uint32_t epoll_events)
{
	(void)epoll_events;
	read_stream(container_of(src, struct smoke_boot, stream[SMOKE_COMMAND_OUT]),
		    SMOKE_COMMAND_OUT);
}

static void command_err_ready(struct event_source *src, uint32_t epoll_events)
{
	(void)epoll_events;
	read_stream(container_of(src, struct smoke_boot, stream[SMOKE_COMMAND_ERR]),
		    SMOKE_COMMAND_ERR);
}

static void init_log_ready(struct event_source *src, uint32_t epoll_events)
{
	(void)epoll_events;
	read_stream(container_of(src, struct smoke_boot, stream[SMOKE_INIT_LOG]), SMOKE_INIT_LOG);
}

static void (*const stream_ready[SMOKE_STREAMS])(struct event_source *src, uint32_t events) = {
	[SMOKE_CONSOLE] = console_ready,
	[SMOKE_COMMAND_OUT] = command_out_ready,
	[SMOKE_COMMAND_ERR] = command_err_ready,
	[SMOKE_INIT_LOG] = init_log_ready,
};

/* What is said of a time outside the boot's life would reach other boots' reports, and overflow. */
static int64_t message_at_ns(const struct smoke_boot *boot)
{
	const int64_t first = boot->result->times.start_ns, last = clock_monotonic_ns();

	if (boot->msg.at_ns < first)
		return first;
	return earlier(boot->msg.at_ns, last);
}

static void take_end(struct smoke_boot *boot)
{
	struct smoke_result *result = boot->result;
	struct smoke_msg *msg = &boot->msg;

	if (msg->ended.kind == VM_END_NONE || msg->ended.kind > VM_END_HALTED)
		return;
	result->facts.end = (enum vm_end_kind)msg->ended.kind;
	result->facts.code = msg->ended.code;
	result->times.end_ns = message_at_ns(boot);
	result->cpu_ns = msg->ended.cpu_ns;
	result->guest_cpu_ns = msg->ended.guest_ns;
	result->has_exits = true;
	memcpy(result->exits, msg->ended.exits, sizeof(result->exits));
	msg->ended.by[sizeof(msg->ended.by) - 1] = '\0';
	smoke_text_clean(msg->ended.by, result->end_by, sizeof(result->end_by));
}

static void take_failure(struct smoke_boot *boot)
{
	struct diag *diag = &boot->result->diag, *failed = &boot->msg.failed;

	failed->what[sizeof(failed->what) - 1] = '\0';
	failed->remedy[sizeof(failed->remedy) - 1] = '\0';
	smoke_text_clean(failed->what, diag->what, sizeof(diag->what));
	smoke_text_clean(failed->remedy, diag->remedy, sizeof(diag->remedy));
	boot->result->facts.setup_failed = true;
}

static void take_start(struct smoke_boot *boot)
{
	if (has_guest(boot))
		return; /* it began once */
	boot->result->times.guest_ns = message_at_ns(boot);
	boot->result->entered_by =
		boot_protocol_name((enum boot_protocol)boot->msg.started.entered_by);
	boot->last_byte_ns = boot->phase_since_ns = clock_monotonic_ns();
	if (boot->sink)
		boot->sink->guest(boot->sink, boot->msg.started.emulates_linux != 0);
	arm(boot);
}

static void take_message(struct smoke_boot *boot)
{
	switch (boot->msg.type) {
	case SMOKE_MSG_STARTED: take_start(boot); break;
	case SMOKE_MSG_FAILED: take_failure(boot); break;
	case SMOKE_MSG_ENDED: take_end(boot); break;
	default: break;
	}
}

/* Messages up to the one that says how it ended; the report behind it, as much as there is room for. */
static void take_report(struct smoke_boot *boot, const char *buf, size_t n)
{
	while (n > 0 && !boot->result->has_exits) {
		const size_t want = sizeof(boot->msg) - boot->msg_len;
		const size_t part = n < want ? n : want;

		memcpy((char *)&boot->msg + boot->msg_len, buf, part);
		boot->msg_len += part;
		buf += part;
		n -= part;
		if (boot->msg_len == sizeof(boot->msg)) {
			boot->msg_len = 0;
			take_message(boot);
		}
	}
	if (n > SMOKE_WIRE_REPORT_MAX - boot->report_len)
		n = SMOKE_WIRE_REPORT_MAX - boot->report_len;
	memcpy(boot->report_text + boot->report_len, buf, n);
	boot->report_len += n;
}

static size_t read_report(struct smoke_boot *boot)
{
	char buf[sizeof(struct smoke_msg)];
	const ssize_t n = read_some(boot->report.fd, buf, sizeof(buf));

	if (n == 0)
		event_loop_remove(boot->loop, &boot->report);
	if (n <= 0)
		return 0;
	take_report(boot, buf, (size_t)n);
	return (size_t)n;
}

static void report_ready(struct event_source *src, uint32_t epoll_events)
{
	struct smoke_boot *boot = container_of(src, struct smoke_boot, report);

	(void)epoll_events;
	read_report(boot);
}

/* Only what is safe to print: the process may not be what it was (wire.h). */
static char *clean_report(const struct smoke_boot *boot)
{
	struct smoke_text text = {0};
	char *clean = boot->report_len ? malloc(boot->report_len * SMOKE_TEXT_OUT_MAX + 1) : NULL;
	size_t n = 0;

	if (!clean)
		return NULL;
	for (size_t i = 0; i < boot->report_len; i++)
		n += smoke_text_feed(&text, (uint8_t)boot->report_text[i], clean + n);
	clean[n] = '\0';
	return clean;
}

/* A process that ended without a word: who or what ended it. */
static void note_death(struct smoke_boot *boot, int wait_status)
{
	struct smoke_result *result = boot->result;

	if (result->facts.end != VM_END_NONE || result->facts.setup_failed)
		return;
	result->facts.vmm_died = true;
	if (WIFSIGNALED(wait_status))
		snprintf(result->end_by, sizeof(result->end_by), "signal %d, %s",
			 WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
	else
		snprintf(result->end_by, sizeof(result->end_by), "exit status %d",
			 WEXITSTATUS(wait_status));
}

/*
 * When it was over. What was printed just before the end may have been read after it. A limit that was
 * reached, or a signal that came, when the VM had ended by itself decided nothing.
 */
static void conclude_times(struct smoke_boot *boot)
{
	struct smoke_times *times = &boot->result->times;
	struct smoke_facts *facts = &boot->result->facts;

	if (times->end_ns == 0)
		times->end_ns = clock_monotonic_ns();
	if (times->end_ns < boot->last_byte_ns)
		times->end_ns = boot->last_byte_ns;
	if (facts->stop != SMOKE_STOP_NONE && times->end_ns < times->decided_ns) {
		facts->stop = SMOKE_STOP_NONE;
		times->decided_ns = 0;
	}
}

static void conclude(struct smoke_boot *boot, int wait_status)
{
	struct smoke_result *result = boot->result;

	smoke_judge_finish(&boot->judge, clock_monotonic_ns());
	note_death(boot, wait_status);
	conclude_times(boot);
	result->facts.finding = boot->judge.finding;
	result->facts.phase_missed = phase_awaited(boot) != NULL;
	result->too_dear = boot->judge.too_dear;
	result->report = clean_report(boot);
	smoke_result_conclude(result, boot->judge.decided_by, boot->decided_text);
}

static void remove_source(struct smoke_boot *boot, struct event_source *src, int *fd)
{
	event_loop_remove(boot->loop, src);
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* All but what events of the loop's current turn may still point to. */
static void trial_release(struct smoke_boot *boot)
{
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		remove_source(boot, &boot->stream[i], &boot->child.stream_fd[i]);
	remove_source(boot, &boot->report, &boot->child.report_fd);
	remove_source(boot, &boot->process, &boot->child.pid_fd);
	remove_source(boot, &boot->timer, &boot->timer.fd);
	free(boot->report_text);
	boot->report_text = NULL;
}

/*
 * What the process left in a pipe. A child of its own may have outlived it and write on without end, so
 * what is read is counted: as much as the pipe holds now, and at most what an unprivileged process may
 * make a pipe hold (pipe(7), pipe-max-size).
 */
static size_t left_in_pipe(const struct event_source *src)
{
	int n = 0;

	if (ioctl(src->fd, FIONREAD, &n) < 0 || n < 0)
		return 0;
	return n < PIPE_BYTES_MAX ? (size_t)n : PIPE_BYTES_MAX;
}

static void drain_pipes(struct smoke_boot *boot)
{
	size_t left, n = 1;

	for (enum smoke_stream i = 0; i < SMOKE_STREAMS; i++)
		for (left = left_in_pipe(&boot->stream[i]); left > 0 && n > 0;
		     left -= n < left ? n : left)
			n = read_stream(boot, i);
	n = 1;
	for (left = left_in_pipe(&boot->report); left > 0 && n > 0; left -= n < left ? n : left)
		n = read_report(boot);
}

/* The process is gone: what it left in the pipes is all there will be. */
static void process_ready(struct event_source *src, uint32_t epoll_events)
{
	struct smoke_boot *boot = container_of(src, struct smoke_boot, process);
	int wait_status = 0;

	(void)epoll_events;
	event_loop_remove(boot->loop, src);
	drain_pipes(boot);
	waitpid(boot->child.pid, &wait_status, 0);
	boot->child.pid = 0;
	conclude(boot, wait_status);
	trial_release(boot);
	boot->done(boot, boot->done_arg);
}

static int add_source(struct smoke_boot *boot, struct event_source *src, int fd,
		      void (*ready)(struct event_source *src, uint32_t epoll_events))
{
	*src = (struct event_source){.fd = fd, .events = EPOLLIN, .ready = ready};
	return fd < 0 ? -errno : event_loop_add(boot->loop, src);
}

static int add_sources(struct smoke_boot *boot)
{
	int r = add_source(boot, &boot->report, boot->child.report_fd, report_ready);

	for (unsigned i = 0; r == 0 && i < SMOKE_STREAMS; i++)
		r = add_source(boot, &boot->stream[i], boot->child.stream_fd[i], stream_ready[i]);
	if (r == 0)
		r = add_source(boot, &boot->process, boot->child.pid_fd, process_ready);
	if (r == 0)
		r = add_source(boot, &boot->timer,
			       timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
			       trial_timer_ready);
	return r;
}

static struct smoke_boot *boot_alloc(const struct smoke_boot_opts *opts)
{
	struct smoke_boot *boot = calloc(1, sizeof(*boot));
	struct smoke_judge_opts judge = {.rules = &opts->spec->rules};

	if (!boot)
		return NULL;
	boot->spec = opts->spec;
	boot->result = opts->result;
	boot->result->spec = opts->spec;
	boot->loop = opts->loop;
	boot->sink = opts->sink;
	boot->done = opts->done;
	boot->done_arg = opts->done_arg;
	boot->armed_ns = INT64_MAX;
	boot->timer.fd = boot->child.report_fd = boot->child.pid_fd = -1;
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		boot->child.stream_fd[i] = -1;
	boot->report_text = malloc(SMOKE_WIRE_REPORT_MAX);
	boot->judge_sink = (struct smoke_judge_sink){.line = trial_hear_line, .met = hear_met};
	judge.sink = &boot->judge_sink;
	judge.expects_decide = !opts->spec->wants_status;
	smoke_judge_init(&boot->judge, &judge);
	return boot->report_text ? boot : smoke_boot_destroy(boot);
}

int smoke_boot_create(const struct smoke_boot_opts *opts, struct smoke_boot **ret,
		      struct diag *diag)
{
	struct smoke_boot *boot = boot_alloc(opts);
	struct smoke_facts *facts = &opts->result->facts;
	int r;

	if (!boot)
		return diag_set(diag, -ENOMEM, "boot '%s'", opts->spec->name);
	facts->expects = opts->spec->rules.nr_of[SMOKE_RULE_EXPECT] > 0;
	facts->wants_status = opts->spec->wants_status;
	boot->result->was_started = true;
	boot->result->times.start_ns = boot->last_byte_ns = boot->phase_since_ns =
		clock_monotonic_ns();
	r = smoke_child_start(opts->spec, &boot->child, diag);
	if (r == 0) {
		r = add_sources(boot);
		if (r < 0)
			diag_set(diag, r, "watch boot '%s'", opts->spec->name);
	}
	if (r < 0) {
		opts->result->times.end_ns = clock_monotonic_ns();
		smoke_boot_destroy(boot);
		return r;
	}
	arm(boot);
	*ret = boot;
	return 0;
}

struct smoke_boot *smoke_boot_destroy(struct smoke_boot *boot)
{
	if (!boot)
		return NULL;
	if (boot->child.pid > 0) {
		kill(boot->child.pid, SIGKILL);
		waitpid(boot->child.pid, NULL, 0);
	}
	trial_release(boot);
	free(boot);
	return NULL;
}
