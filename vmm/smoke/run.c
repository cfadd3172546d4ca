#include "smoke/run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/signals.h"
#include "event.h"
#include "smoke/child.h"
#include "smoke/limits.h"
#include "smoke/trial.h"

#define TICK_NS (200 * NS_PER_MS)

struct run;

/* One boot's place. */
struct slot {
	struct smoke_trial_sink sink;
	struct run *run;
	unsigned i;
	struct smoke_trial *trial; /* NULL before its turn */
	bool is_done;
};

struct run {
	const struct smoke_suite *suite;
	struct smoke_run_sink *sink;
	struct smoke_result *results;
	struct slot *slot;
	unsigned next, running;
	enum smoke_stop stopping; /* why no more boots begin */
	struct smoke_limits limits;
	struct smoke_load load;
	struct event_loop loop;
	struct event_source signals;
	struct event_timer tick;
	sigset_t old_mask;
};

static void run_hear_line(struct smoke_trial_sink *sink, const struct smoke_line *line)
{
	struct slot *slot = container_of(sink, struct slot, sink);

	slot->run->sink->line(slot->run->sink, slot->i, line);
}

static void run_hear_guest(struct smoke_trial_sink *sink, bool emulates_linux)
{
	struct slot *slot = container_of(sink, struct slot, sink);

	slot->run->sink->guest(slot->run->sink, slot->i, emulates_linux);
}

static bool run_has_room(struct smoke_trial_sink *sink)
{
	struct slot *slot = container_of(sink, struct slot, sink);

	return slot->run->sink->has_room(slot->run->sink, slot->i);
}

/* Ends the boots that run; those that have not begun are finished by start_more(). */
static void run_end_boots(struct run *run, enum smoke_stop why)
{
	if (run->stopping == SMOKE_STOP_NONE)
		run->stopping = why;
	for (unsigned i = 0; i < run->suite->nr; i++)
		if (run->slot[i].trial && !run->slot[i].is_done)
			smoke_trial_stop(run->slot[i].trial, why);
}

static void finish_slot(struct run *run, unsigned i)
{
	run->slot[i].is_done = true;
	run->sink->finished(run->sink, i);
	if (run->suite->run.fail_fast && run->stopping == SMOKE_STOP_NONE &&
	    run->results[i].outcome != SMOKE_PASS)
		run_end_boots(run, SMOKE_STOP_FAIL_FAST);
}

/* A boot that never ran: it could not be made, or a signal asked us to stop. */
static void finish_without(struct run *run, unsigned i)
{
	struct smoke_result *result = &run->results[i];

	result->spec = run->suite->spec[i];
	smoke_result_conclude(result, NULL, "");
	finish_slot(run, i);
}

static void start_more(struct run *run);

static void trial_done(struct smoke_trial *trial, void *arg)
{
	struct slot *slot = arg;
	struct run *run = slot->run;

	(void)trial;
	run->running--;
	smoke_load_remove(&run->load, run->suite->spec[slot->i]);
	finish_slot(run, slot->i);
	start_more(run);
}

static void start_one(struct run *run, unsigned i)
{
	struct slot *slot = &run->slot[i];
	struct smoke_result *result = &run->results[i];
	const struct smoke_trial_opts opts = {
		.spec = run->suite->spec[i],
		.result = result,
		.loop = &run->loop,
		.sink = &slot->sink,
		.done = trial_done,
		.done_arg = slot,
		.start = smoke_child_start,
	};

	run->sink->started(run->sink, i);
	if (smoke_trial_create(&opts, &slot->trial, &result->diag) < 0) {
		result->facts.setup_failed = result->host_failed = true;
		finish_without(run, i);
		return;
	}
	run->running++;
	smoke_load_add(&run->load, opts.spec);
}

static void start_more(struct run *run)
{
	while (run->next < run->suite->nr && !run->stopping &&
	       smoke_limits_admit(&run->limits, &run->load, run->suite->spec[run->next]))
		start_one(run, run->next++);
	while (run->next < run->suite->nr && run->stopping) {
		run->results[run->next].facts.stop = run->stopping;
		finish_without(run, run->next++);
	}
	if (run->running == 0)
		event_loop_stop(&run->loop);
}

static void run_signals_ready(struct event_source *src, uint32_t epoll_events)
{
	struct run *run = container_of(src, struct run, signals);
	struct signalfd_siginfo si;

	(void)epoll_events;
	if (read(src->fd, &si, sizeof(si)) != sizeof(si))
		return;
	run_end_boots(run, SMOKE_STOP_SIGNAL);
	start_more(run);
}

static void tick_expired(void *arg)
{
	struct run *run = arg;

	run->sink->tick(run->sink);
}

static int take_signals(struct run *run)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) /* one that was ignored at first stays so */
		if (!signal_is_ignored(ends[i]))
			sigaddset(&set, ends[i]);
	sigprocmask(SIG_BLOCK, &set, &run->old_mask);
	run->signals = (struct event_source){
		.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
		.events = EPOLLIN,
		.ready = run_signals_ready,
	};
	return run->signals.fd < 0 ? -errno : event_loop_add(&run->loop, &run->signals);
}

static int start_tick(struct run *run)
{
	int r;

	if (!run->sink->tick)
		return 0;
	r = event_timer_init(&run->tick, &run->loop, tick_expired, run);
	if (r == 0)
		event_timer_arm_every(&run->tick, TICK_NS);
	return r;
}

/* A boot takes up to twelve files here and more in its process: as many as we may have without asking. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run_init(struct run *run)
{
	int r;

	raise_file_limit();
	run->slot = calloc(run->suite->nr, sizeof(*run->slot));
	if (!run->slot)
		return -ENOMEM;
	for (unsigned i = 0; i < run->suite->nr; i++)
		run->slot[i] = (struct slot){
			.sink = {.line = run_hear_line,
				 .guest = run_hear_guest,
				 .has_room = run_has_room},
			.run = run,
			.i = i,
		};
	smoke_limits_read("", run->suite->run.jobs, &run->limits);
	r = event_loop_init(&run->loop, NULL, NULL);
	if (r == 0)
		r = take_signals(run);
	return r < 0 ? r : start_tick(run);
}

static void run_fini(struct run *run)
{
	for (unsigned i = 0; run->slot && i < run->suite->nr; i++)
		smoke_trial_destroy(run->slot[i].trial);
	free(run->slot);
	if (run->signals.fd > 0)
		close(run->signals.fd);
	event_timer_fini(&run->tick);
	event_loop_fini(&run->loop);
	sigprocmask(SIG_SETMASK, &run->old_mask, NULL);
}

int smoke_run(const struct smoke_suite *suite, struct smoke_run_sink *sink,
	      struct smoke_result *results, struct diag *diag)
{
	struct run run = {.suite = suite, .sink = sink, .results = results};
	int r;

	sigprocmask(SIG_BLOCK, NULL, &run.old_mask);
	r = run_init(&run);
	if (r == 0) {
		start_more(&run);
		event_loop_run(&run.loop);
	} else {
		diag_set(diag, r, "smoke-watch", "watch the boots");
	}
	run_fini(&run);
	return r;
}

int smoke_run_status(const struct smoke_suite *suite, const struct smoke_result *results)
{
	for (unsigned i = 0; i < suite->nr; i++)
		if (results[i].status != EXIT_OK && results[i].outcome != SMOKE_NOT_RUN)
			return results[i].status;
	return EXIT_OK;
}
