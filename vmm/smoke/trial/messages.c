/*
 * messages.c - what a boot's process reports to its supervisor (wire.h): when the guest starts, how it ended, and a
 * report. None of it is trusted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io_full.h"
#include "base/macros.h"
#include "smoke/trial/internal.h"

/* A message's time, clamped to the boot's life: else it would reach other boots' reports, and overflow. */
static int64_t message_at_ns(const struct smoke_trial *trial)
{
	const int64_t first = trial->result->times.start_ns, last = clock_monotonic_ns();

	if (trial->msg.at_ns < first)
		return first;
	return trial_earlier(trial->msg.at_ns, last);
}

static void take_end(struct smoke_trial *trial)
{
	struct smoke_result *result = trial->result;
	struct smoke_msg *msg = &trial->msg;

	if (msg->ended.kind == VM_END_NONE || msg->ended.kind > VM_END_UNCLAIMED)
		return;
	result->facts.end = (enum vm_end_kind)msg->ended.kind;
	result->facts.code = msg->ended.code;
	result->times.end_ns = message_at_ns(trial);
	result->cpu_ns = msg->ended.cpu_ns;
	result->guest_cpu_ns = msg->ended.guest_ns;
	result->has_exits = true;
	if (trial->spec->core)
		trial->core_since_ns = clock_monotonic_ns();
	memcpy(result->exits, msg->ended.exits, sizeof(result->exits));
	msg->ended.by[sizeof(msg->ended.by) - 1] = '\0';
	smoke_text_clean(msg->ended.by, result->end_by, sizeof(result->end_by));
}

static void take_failure(struct smoke_trial *trial)
{
	struct diag *diag = &trial->result->diag, *failed = &trial->msg.failed;

	failed->what[sizeof(failed->what) - 1] = '\0';
	failed->remedy[sizeof(failed->remedy) - 1] = '\0';
	failed->id[sizeof(failed->id) - 1] = '\0';
	diag_take_id(diag, failed->id);
	smoke_text_clean(failed->what, diag->what, sizeof(diag->what));
	smoke_text_clean(failed->remedy, diag->remedy, sizeof(diag->remedy));
	trial->result->facts.setup_failed = true;
}

static void take_start(struct smoke_trial *trial)
{
	if (trial_has_guest(trial))
		return; /* it began once */
	trial->result->times.guest_ns = message_at_ns(trial);
	trial->result->entered_by =
		boot_protocol_name((enum boot_protocol)trial->msg.started.entered_by);
	trial->is_linux = trial->msg.started.is_linux != 0;
	trial->last_byte_ns = trial->phase_since_ns = clock_monotonic_ns();
	if (trial->sink)
		trial->sink->guest(trial->sink, trial->msg.started.emulates_linux != 0);
	smoke_trial_arm(trial);
}

static void take_message(struct smoke_trial *trial)
{
	switch (trial->msg.type) {
	case SMOKE_MSG_STARTED: take_start(trial); break;
	case SMOKE_MSG_FAILED: take_failure(trial); break;
	case SMOKE_MSG_ENDED: take_end(trial); break;
	default: break;
	}
}

/* Messages up to the one that says how it ended; the report after it, as much as there is room for. */
static void take_report(struct smoke_trial *trial, const char *buf, size_t n)
{
	while (n > 0 && !trial->result->has_exits) {
		const size_t want = sizeof(trial->msg) - trial->msg_len;
		const size_t part = n < want ? n : want;

		memcpy((char *)&trial->msg + trial->msg_len, buf, part);
		trial->msg_len += part;
		buf += part;
		n -= part;
		if (trial->msg_len == sizeof(trial->msg)) {
			trial->msg_len = 0;
			take_message(trial);
		}
	}
	if (n > SMOKE_WIRE_REPORT_MAX - trial->report_len)
		n = SMOKE_WIRE_REPORT_MAX - trial->report_len;
	memcpy(trial->report_text + trial->report_len, buf, n);
	trial->report_len += n;
}

size_t smoke_trial_read_report(struct smoke_trial *trial)
{
	char buf[sizeof(struct smoke_msg)];
	const ssize_t n = io_read_some(trial->report.fd, buf, sizeof(buf));

	if (n == 0)
		event_loop_remove(trial->loop, &trial->report);
	if (n <= 0)
		return 0;
	take_report(trial, buf, (size_t)n);
	return (size_t)n;
}

void smoke_trial_report_ready(struct event_source *src, uint32_t epoll_events)
{
	struct smoke_trial *trial = container_of(src, struct smoke_trial, report);

	(void)epoll_events;
	smoke_trial_read_report(trial);
}

char *smoke_trial_clean_report(const struct smoke_trial *trial)
{
	struct smoke_text text = {0};
	char *clean = trial->report_len ? malloc(trial->report_len * SMOKE_TEXT_OUT_MAX + 1) : NULL;
	size_t n = 0;

	if (!clean)
		return NULL;
	for (size_t i = 0; i < trial->report_len; i++)
		n += smoke_text_feed(&text, (uint8_t)trial->report_text[i], clean + n);
	clean[n] = '\0';
	return clean;
}
