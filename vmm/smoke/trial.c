#include "smoke/trial.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io_full.h"
#include "base/macros.h"
#include "smoke/trial/internal.h"

enum { READ_BYTES = 1 << 16, PIPE_BYTES_MAX = 1 << 20 };

static struct smoke_trial *trial_of(struct smoke_judge_sink *sink)
{
	return container_of(sink, struct smoke_trial, judge_sink);
}

/* Our own /init runs (guest/init/main.c); the kernel's line about it may have been kept quiet. */
static void note_init(struct smoke_trial *trial, const struct smoke_line *line)
{
	static const char started[] = "started";

	if (trial->result->times.init_ns == 0 && line->len == sizeof(started) - 1 &&
	    memcmp(line->text, started, line->len) == 0)
		trial->result->times.init_ns = line->at_ns;
}

static void trial_hear_line(struct smoke_judge_sink *sink, const struct smoke_line *line)
{
	struct smoke_trial *trial = trial_of(sink);

	if (line->stream == SMOKE_INIT_LOG)
		note_init(trial, line);
	else if (!trial->judge.is_muted) /* its last words are before what it was asked */
		smoke_tail_add(&trial->result->tail, line);
	if (line->marked && trial->decided_by != trial->judge.decided_by) {
		trial->decided_by = trial->judge.decided_by;
		snprintf(trial->decided_text, sizeof(trial->decided_text), "%.*s", (int)line->len,
			 line->text);
	}
	if (trial->sink)
		trial->sink->line(trial->sink, line);
}

static void hear_met(struct smoke_judge_sink *sink, const struct smoke_rule *rule, int64_t at_ns)
{
	struct smoke_trial *trial = trial_of(sink);

	trial->result->met_ns[rule - trial->spec->rules.rule] = at_ns;
	if (rule->kind == SMOKE_RULE_PHASE)
		trial->phase_since_ns = at_ns;
	if (rule->kind == SMOKE_RULE_INIT && trial->result->times.init_ns == 0)
		trial->result->times.init_ns = at_ns;
}

void smoke_trial_look_at_finding(struct smoke_trial *trial)
{
	if (!trial_is_running(trial))
		return;
	switch (trial->judge.finding) {
	case SMOKE_FOUND_NOTHING: return;
	case SMOKE_FOUND_ALL_EXPECTED:
		if (!trial->judge.opts.expects_decide)
			return;
		trial->result->times.decided_ns = trial->last_byte_ns;
		smoke_trial_stop_vm(trial);
		return;
	case SMOKE_FOUND_REJECT:
		if (trial->spec->keep_going) {
			if (trial->result->times.decided_ns == 0)
				trial->result->times.decided_ns = trial->last_byte_ns;
			return;
		}
		/* fall through */
	case SMOKE_FOUND_PANIC:
		trial->result->times.decided_ns = trial->last_byte_ns;
		smoke_trial_enter(trial, SMOKE_TRIAL_GRACE);
	}
}

void smoke_trial_look_at_room(struct smoke_trial *trial)
{
	const bool has_room = !trial->sink || trial->sink->has_room(trial->sink);

	trial->held_ns = has_room ? 0 : clock_monotonic_ns();
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		event_loop_want(trial->loop, &trial->stream[i], has_room ? EPOLLIN : 0);
}

/* A piece of a stream: how many bytes; 0 when there are none now, or never more. */
static size_t read_stream(struct smoke_trial *trial, enum smoke_stream i)
{
	static uint8_t buf[READ_BYTES]; /* one thread; too large for a boot to have its own */
	struct event_source *src = &trial->stream[i];
	const ssize_t n = io_read_some(src->fd, buf, sizeof(buf));
	const int64_t now = clock_monotonic_ns();

	if (n == 0)
		event_loop_remove(trial->loop, src);
	if (n <= 0)
		return 0;
	if (i == SMOKE_CONSOLE && trial->result->times.first_byte_ns == 0)
		trial->result->times.first_byte_ns = now;
	trial->last_byte_ns = now;
	trial->was_quiet = false;
	trial->result->bytes[i] += (uint64_t)n;
	smoke_judge_feed(&trial->judge, i, buf, (size_t)n, now);
	smoke_trial_look_at_finding(trial);
	smoke_trial_look_at_room(trial);
	smoke_trial_arm(trial);
	return (size_t)n;
}

/* event_source's ready has no argument to distinguish streams, so each has its own. */
static void console_ready(struct event_source *src, uint32_t epoll_events)
{
	(void)epoll_events;
	read_stream(container_of(src, struct smoke_trial, stream[SMOKE_CONSOLE]), SMOKE_CONSOLE);
}

static void command_out_ready(struct event_source *src, uint32_t epoll_events)
{
	(void)epoll_events;
	read_stream(container_of(src, struct smoke_trial, stream[SMOKE_COMMAND_OUT]),
		    SMOKE_COMMAND_OUT);
}

static void command_err_ready(struct event_source *src, uint32_t epoll_events)
{
	(void)epoll_events;
	read_stream(container_of(src, struct smoke_trial, stream[SMOKE_COMMAND_ERR]),
		    SMOKE_COMMAND_ERR);
}

static void init_log_ready(struct event_source *src, uint32_t epoll_events)
{
	(void)epoll_events;
	read_stream(container_of(src, struct smoke_trial, stream[SMOKE_INIT_LOG]), SMOKE_INIT_LOG);
}

static void (*const stream_ready[SMOKE_STREAMS])(struct event_source *src, uint32_t events) = {
	[SMOKE_CONSOLE] = console_ready,
	[SMOKE_COMMAND_OUT] = command_out_ready,
	[SMOKE_COMMAND_ERR] = command_err_ready,
	[SMOKE_INIT_LOG] = init_log_ready,
};

/* A process that ended without a report: the signal or status that ended it. */
static void note_death(struct smoke_trial *trial, int wait_status)
{
	struct smoke_result *result = trial->result;

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
 * When it was over. Output from just before the end may have been read after it. A limit that was
 * reached, or a signal that came, when the VM had ended by itself decided nothing.
 */
static void conclude_times(struct smoke_trial *trial)
{
	struct smoke_times *times = &trial->result->times;
	struct smoke_facts *facts = &trial->result->facts;

	if (times->end_ns == 0)
		times->end_ns = clock_monotonic_ns();
	if (times->end_ns < trial->last_byte_ns)
		times->end_ns = trial->last_byte_ns;
	if (facts->stop != SMOKE_STOP_NONE && times->end_ns < times->decided_ns) {
		facts->stop = SMOKE_STOP_NONE;
		times->decided_ns = 0;
	}
}

/* A test that runs when the guest ends, other than well, is the one that it ended in. */
static void conclude_tests(struct smoke_trial *trial)
{
	struct smoke_result *result = trial->result;
	const struct smoke_facts *facts = &result->facts;
	const bool by_itself = facts->end == VM_END_POWEROFF || facts->end == VM_END_EXIT_CODE;
	enum smoke_ktap_end how = SMOKE_KTAP_DIED;

	if (facts->finding == SMOKE_FOUND_ALL_EXPECTED && trial->judge.opts.expects_decide)
		how = SMOKE_KTAP_STOPPED;
	else if (by_itself && facts->finding < SMOKE_FOUND_REJECT)
		how = SMOKE_KTAP_ENDED;
	smoke_judge_finish_tests(&trial->judge, how, result->times.end_ns);
	result->facts.tests_failed = smoke_tests_failed(&result->tests) > 0;
}

static void conclude(struct smoke_trial *trial, int wait_status)
{
	struct smoke_result *result = trial->result;

	smoke_judge_finish(&trial->judge, clock_monotonic_ns());
	note_death(trial, wait_status);
	conclude_times(trial);
	result->facts.finding = trial->judge.finding;
	conclude_tests(trial);
	result->facts.expect_missed =
		trial->judge.met[SMOKE_RULE_EXPECT] < trial->spec->rules.nr_of[SMOKE_RULE_EXPECT];
	result->facts.phase_missed = smoke_trial_phase_awaited(trial) != NULL;
	result->too_dear = trial->judge.too_dear;
	result->report = smoke_trial_clean_report(trial);
	result->has_core = trial->spec->core && access(trial->spec->core, F_OK) == 0;
	smoke_result_conclude(result, trial->judge.decided_by,
			      trial->judge.decided_text[0] ? trial->judge.decided_text
							   : trial->decided_text);
}

static void remove_source(struct smoke_trial *trial, struct event_source *src, int *fd)
{
	event_loop_remove(trial->loop, src);
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* All but what events of the loop's current turn may still point to. */
static void trial_release(struct smoke_trial *trial)
{
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		remove_source(trial, &trial->stream[i], &trial->child.stream_fd[i]);
	remove_source(trial, &trial->report, &trial->child.report_fd);
	remove_source(trial, &trial->process, &trial->child.pid_fd);
	if (trial->child.ask_fd >= 0)
		close(trial->child.ask_fd);
	trial->child.ask_fd = -1;
	event_timer_fini(&trial->timer);
	free(trial->report_text);
	trial->report_text = NULL;
}

/*
 * Bytes that the process left in a pipe. A child of its own may have outlived it and write on without end, so
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

static void drain_pipes(struct smoke_trial *trial)
{
	size_t left, n = 1;

	for (enum smoke_stream i = 0; i < SMOKE_STREAMS; i++)
		for (left = left_in_pipe(&trial->stream[i]); left > 0 && n > 0;
		     left -= n < left ? n : left)
			n = read_stream(trial, i);
	n = 1;
	for (left = left_in_pipe(&trial->report); left > 0 && n > 0; left -= n < left ? n : left)
		n = smoke_trial_read_report(trial);
}

/* The process is gone: what it left in the pipes is all there will be. */
static void process_ready(struct event_source *src, uint32_t epoll_events)
{
	struct smoke_trial *trial = container_of(src, struct smoke_trial, process);
	int wait_status = 0;

	(void)epoll_events;
	event_loop_remove(trial->loop, src);
	drain_pipes(trial);
	waitpid(trial->child.pid, &wait_status, 0);
	trial->child.pid = 0;
	conclude(trial, wait_status);
	trial_release(trial);
	trial->done(trial, trial->done_arg);
}

static int add_source(struct smoke_trial *trial, struct event_source *src, int fd,
		      void (*ready)(struct event_source *src, uint32_t epoll_events))
{
	*src = (struct event_source){.fd = fd, .events = EPOLLIN, .ready = ready};
	return fd < 0 ? -errno : event_loop_add(trial->loop, src);
}

static int add_sources(struct smoke_trial *trial)
{
	int r = add_source(trial, &trial->report, trial->child.report_fd, smoke_trial_report_ready);

	for (unsigned i = 0; r == 0 && i < SMOKE_STREAMS; i++)
		r = add_source(trial, &trial->stream[i], trial->child.stream_fd[i],
			       stream_ready[i]);
	if (r == 0)
		r = add_source(trial, &trial->process, trial->child.pid_fd, process_ready);
	if (r == 0)
		r = event_timer_init(&trial->timer, trial->loop, smoke_trial_timer_expired, trial);
	return r;
}

static struct smoke_trial *trial_alloc(const struct smoke_trial_opts *opts)
{
	struct smoke_trial *trial = calloc(1, sizeof(*trial));
	struct smoke_judge_opts judge = {.rules = &opts->spec->rules};

	if (!trial)
		return NULL;
	trial->spec = opts->spec;
	trial->result = opts->result;
	trial->result->spec = opts->spec;
	trial->loop = opts->loop;
	trial->sink = opts->sink;
	trial->done = opts->done;
	trial->done_arg = opts->done_arg;
	trial->armed_ns = INT64_MAX;
	trial->child.report_fd = trial->child.pid_fd = trial->child.ask_fd = -1;
	for (unsigned i = 0; i < SMOKE_STREAMS; i++)
		trial->child.stream_fd[i] = -1;
	trial->report_text = malloc(SMOKE_WIRE_REPORT_MAX);
	trial->judge_sink = (struct smoke_judge_sink){.line = trial_hear_line, .met = hear_met};
	judge.sink = &trial->judge_sink;
	judge.splats = &opts->result->splats;
	judge.tests = opts->spec->no_tests ? NULL : &opts->result->tests;
	judge.kvm_unit_tests = opts->spec->kvm_unit_tests;
	judge.expects_decide = !opts->spec->wants_status && opts->spec->wanted.kind == VM_END_NONE;
	smoke_judge_init(&trial->judge, &judge);
	return trial->report_text ? trial : smoke_trial_destroy(trial);
}

int smoke_trial_create(const struct smoke_trial_opts *opts, struct smoke_trial **ret,
		       struct diag *diag)
{
	struct smoke_trial *trial = trial_alloc(opts);
	struct smoke_facts *facts = &opts->result->facts;
	int r;

	if (!trial)
		return diag_set(diag, -ENOMEM, "trial-memory", "boot '%s'", opts->spec->name);
	facts->expects = opts->spec->rules.nr_of[SMOKE_RULE_EXPECT] > 0;
	facts->wants_status = opts->spec->wants_status;
	facts->wanted = opts->spec->wanted;
	facts->qemu_codes = opts->spec->qemu_codes;
	facts->kvm_unit_tests = opts->spec->kvm_unit_tests;
	trial->result->was_started = true;
	trial->result->started_real_ns = clock_ns(CLOCK_REALTIME);
	trial->result->times.start_ns = trial->last_byte_ns = trial->phase_since_ns =
		clock_monotonic_ns();
	r = opts->start(opts->spec, &trial->child, diag);
	if (r == 0) {
		r = add_sources(trial);
		if (r < 0)
			diag_set(diag, r, "trial-watch", "watch boot '%s'", opts->spec->name);
	}
	if (r < 0) {
		opts->result->times.end_ns = clock_monotonic_ns();
		smoke_trial_destroy(trial);
		return r;
	}
	smoke_trial_arm(trial);
	*ret = trial;
	return 0;
}

struct smoke_trial *smoke_trial_destroy(struct smoke_trial *trial)
{
	if (!trial)
		return NULL;
	if (trial->child.pid > 0) {
		kill(trial->child.pid, SIGKILL);
		waitpid(trial->child.pid, NULL, 0);
	}
	smoke_splat_end(&trial->judge.reader);
	trial_release(trial);
	free(trial);
	return NULL;
}
