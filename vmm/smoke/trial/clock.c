/*
 * clock.c - the limits of one boot's time, and how it is stopped.
 */
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "smoke/core_file.h"
#include "smoke/trial/internal.h"

/*
 * QUIET: a line that nothing follows for so long is taken for a prompt. SILENCE: after a panic's last
 * line, and after an answer's. ANSWER: how long each may take. KILL: a VM that was asked to end and has not is ended by
 * force. ROOM: how soon a sink that had no room is asked again.
 */
#define QUIET_NS   (100 * NS_PER_MS)
#define SILENCE_NS (300 * NS_PER_MS)
#define ANSWER_NS  (2 * NS_PER_S)
#define KILL_NS    (5 * NS_PER_S)
#define ROOM_NS    (10 * NS_PER_MS)

void smoke_trial_enter(struct smoke_trial *trial, enum smoke_trial_state state)
{
	trial->state = state;
	trial->state_since_ns = clock_monotonic_ns();
}

static void trial_kill_vm(struct smoke_trial *trial)
{
	smoke_trial_enter(trial, SMOKE_TRIAL_KILLED);
	kill(trial->child.pid, SIGKILL);
}

void smoke_trial_stop_vm(struct smoke_trial *trial)
{
	if (!trial_has_guest(trial)) {
		trial_kill_vm(trial);
		return;
	}
	trial->result->facts.finding = trial->judge.finding;
	smoke_trial_enter(trial, SMOKE_TRIAL_STOPPING);
	kill(trial->child.pid,
	     smoke_core_is_due(trial->spec, &trial->result->facts) ? SMOKE_CORE_SIGNAL : SIGTERM);
}

/*
 * SysRq keys for reports of Linux (Documentation/admin-guide/sysrq.rst): its CPUs, blocked tasks, all tasks. Before
 * them, 9 lets all of it onto the console, where a quiet kernel would print the headings alone.
 */
static const char ask_keys[] = "9lwt";

static bool has_answered(const struct smoke_trial *trial)
{
	return trial->last_byte_ns > trial->state_since_ns;
}

/* Asks for the next of these. False when there is none, or nobody who would answer. */
static bool trial_ask(struct smoke_trial *trial)
{
	const char key = ask_keys[trial->asked];

	if (!key || !trial->is_linux || trial->child.ask_fd < 0 ||
	    (trial->state == SMOKE_TRIAL_ASKING && !has_answered(trial)) ||
	    send(trial->child.ask_fd, &key, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		return false;
	trial->asked++;
	smoke_judge_mute(&trial->judge);
	smoke_trial_enter(trial, SMOKE_TRIAL_ASKING);
	return true;
}

/* A limit was reached: what the guest did then is in the log before it ends. */
static void trial_stop_at_limit(struct smoke_trial *trial, enum smoke_stop why)
{
	trial->result->facts.stop = why;
	if (trial->result->times.decided_ns == 0)
		trial->result->times.decided_ns = clock_monotonic_ns();
	if (!trial_ask(trial))
		smoke_trial_stop_vm(trial);
}

static void trial_stop_for(struct smoke_trial *trial, enum smoke_stop why)
{
	trial->result->facts.stop = why;
	if (trial->result->times.decided_ns == 0)
		trial->result->times.decided_ns = clock_monotonic_ns();
	smoke_trial_stop_vm(trial);
}

const struct smoke_rule *smoke_trial_phase_awaited(const struct smoke_trial *trial)
{
	return smoke_rules_get(&trial->spec->rules, SMOKE_RULE_PHASE,
			       trial->judge.met[SMOKE_RULE_PHASE]);
}

/* When a limit is reached; the three that only hold while nothing is decided. */
static int64_t timeout_at(const struct smoke_trial *trial)
{
	return trial->spec->timeout_ns ? trial->result->times.start_ns + trial->spec->timeout_ns
				       : INT64_MAX;
}

static int64_t stall_at(const struct smoke_trial *trial)
{
	return trial->spec->stall_ns && trial_has_guest(trial)
		       ? trial->last_byte_ns + trial->spec->stall_ns
		       : INT64_MAX;
}

static int64_t phase_at(const struct smoke_trial *trial)
{
	const struct smoke_rule *phase = smoke_trial_phase_awaited(trial);

	return phase && trial_has_guest(trial) ? trial->phase_since_ns + phase->limit_ns
					       : INT64_MAX;
}

static int64_t grace_at(const struct smoke_trial *trial)
{
	return trial_earlier(trial->last_byte_ns + SILENCE_NS,
			     trial->state_since_ns + trial->spec->grace_ns);
}

static int64_t answer_at(const struct smoke_trial *trial)
{
	const int64_t last_ns = trial->state_since_ns + ANSWER_NS;

	return has_answered(trial) ? trial_earlier(trial->last_byte_ns + SILENCE_NS, last_ns)
				   : last_ns;
}

static int64_t quiet_at(const struct smoke_trial *trial)
{
	return smoke_judge_waits(&trial->judge) && !trial->was_quiet
		       ? trial->last_byte_ns + QUIET_NS
		       : INT64_MAX;
}

static int64_t room_at(const struct smoke_trial *trial)
{
	return trial->held_ns ? trial->held_ns + ROOM_NS : INT64_MAX;
}

static int64_t decision_at(const struct smoke_trial *trial)
{
	/* The guest's outcome is decided, and only its process is to end. */
	if (trial->core_since_ns && trial->state != SMOKE_TRIAL_KILLED)
		return trial->core_since_ns + smoke_core_limit_ns(trial->spec);
	switch (trial->state) {
	case SMOKE_TRIAL_RUNNING:
		return trial_earlier(trial_earlier(timeout_at(trial), stall_at(trial)),
				     trial_earlier(phase_at(trial), quiet_at(trial)));
	case SMOKE_TRIAL_GRACE: return grace_at(trial);
	case SMOKE_TRIAL_ASKING: return answer_at(trial);
	case SMOKE_TRIAL_STOPPING: return trial->state_since_ns + KILL_NS;
	case SMOKE_TRIAL_KILLED: break;
	}
	return INT64_MAX;
}

static int64_t deadline(const struct smoke_trial *trial)
{
	return trial_earlier(decision_at(trial), room_at(trial));
}

void smoke_trial_arm(struct smoke_trial *trial)
{
	const int64_t at_ns = deadline(trial);

	if (at_ns >= trial->armed_ns)
		return;
	trial->armed_ns = at_ns;
	event_timer_arm(&trial->timer, at_ns);
}

void smoke_trial_stop(struct smoke_trial *trial, enum smoke_stop why)
{
	if (trial->state < SMOKE_TRIAL_ASKING)
		trial_stop_for(trial, why);
	else if (trial->state == SMOKE_TRIAL_ASKING)
		smoke_trial_stop_vm(trial);
	else
		trial_kill_vm(trial);
	smoke_trial_arm(trial);
}

static void trial_look_at_limits(struct smoke_trial *trial, int64_t now)
{
	if (now >= quiet_at(trial)) {
		trial->was_quiet = true;
		smoke_judge_quiet(&trial->judge, now);
		smoke_trial_look_at_finding(trial);
		if (!trial_is_running(trial))
			return;
	}
	if (now >= timeout_at(trial))
		trial_stop_at_limit(trial, SMOKE_STOP_TIMEOUT);
	else if (now >= phase_at(trial))
		trial_stop_at_limit(trial, SMOKE_STOP_PHASE);
	else if (now >= stall_at(trial))
		trial_stop_at_limit(trial, SMOKE_STOP_STALL);
}

void smoke_trial_timer_expired(void *arg)
{
	struct smoke_trial *trial = arg;
	const int64_t now = clock_monotonic_ns();

	trial->armed_ns = INT64_MAX;
	if (trial->held_ns)
		smoke_trial_look_at_room(trial);
	if (trial->core_since_ns) {
		if (now >= decision_at(trial))
			trial_kill_vm(trial);
		smoke_trial_arm(trial);
		return;
	}
	switch (trial->state) {
	case SMOKE_TRIAL_RUNNING: trial_look_at_limits(trial, now); break;
	case SMOKE_TRIAL_GRACE:
		if (now >= grace_at(trial))
			smoke_trial_stop_vm(trial);
		break;
	case SMOKE_TRIAL_ASKING:
		if (now >= answer_at(trial) && !trial_ask(trial))
			smoke_trial_stop_vm(trial);
		break;
	case SMOKE_TRIAL_STOPPING:
		if (now >= trial->state_since_ns + KILL_NS)
			trial_kill_vm(trial);
		break;
	case SMOKE_TRIAL_KILLED: break;
	}
	smoke_trial_arm(trial);
}
