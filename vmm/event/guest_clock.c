#include "event/guest_clock.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/macros.h"

static int64_t host_realtime_ns(const struct clock_src *clk)
{
	(void)clk;
	return clock_ns(CLOCK_REALTIME);
}

static int64_t host_monotonic_ns(const struct clock_src *clk)
{
	(void)clk;
	return clock_monotonic_ns();
}

const struct clock_src guest_clock_host = {
	.realtime_ns = host_realtime_ns,
	.monotonic_ns = host_monotonic_ns,
};

static const struct guest_clock *clock_of(const struct clock_src *src)
{
	/* container_of() would drop the const */
	return (const void *)((const char *)src - offsetof(struct guest_clock, src));
}

/* How long it has stood still by a reading of the host's clock. */
static int64_t stood_by(const struct guest_clock *clock, int64_t host_ns)
{
	const int64_t stood_ns = atomic_load_explicit(&clock->stood_ns, memory_order_relaxed);
	const int64_t since_ns = atomic_load_explicit(&clock->since_ns, memory_order_relaxed);

	return since_ns ? stood_ns + host_ns - since_ns : stood_ns;
}

static int64_t guest_monotonic_ns(const struct clock_src *src)
{
	const struct guest_clock *clock = clock_of(src);
	const int64_t host_ns = clock->host->monotonic_ns(clock->host);

	return host_ns - stood_by(clock, host_ns);
}

/* Late, compared with the host's time of day, by as long as it has stood still. */
static int64_t guest_realtime_ns(const struct clock_src *src)
{
	const struct guest_clock *clock = clock_of(src);
	const int64_t host_ns = clock->host->monotonic_ns(clock->host);

	return clock->host->realtime_ns(clock->host) - stood_by(clock, host_ns);
}

void guest_clock_init(struct guest_clock *clock, const struct clock_src *host)
{
	*clock = (struct guest_clock){
		.src = {.realtime_ns = guest_realtime_ns, .monotonic_ns = guest_monotonic_ns},
		.host = host,
	};
}

void guest_clock_stop(struct guest_clock *clock)
{
	if (!atomic_load(&clock->since_ns))
		atomic_store(&clock->since_ns, clock->host->monotonic_ns(clock->host));
}

void guest_clock_start(struct guest_clock *clock)
{
	const int64_t host_ns = clock->host->monotonic_ns(clock->host);

	atomic_store(&clock->stood_ns, stood_by(clock, host_ns));
	atomic_store(&clock->since_ns, 0);
}

int64_t guest_clock_to_host(const struct guest_clock *clock, int64_t deadline_ns)
{
	const int64_t stood_ns = atomic_load_explicit(&clock->stood_ns, memory_order_relaxed);

	if (atomic_load_explicit(&clock->since_ns, memory_order_relaxed) ||
	    deadline_ns > INT64_MAX - stood_ns)
		return INT64_MAX;
	return deadline_ns + stood_ns;
}

/* To what its clock makes of the deadline now. */
static void guest_timer_set(const struct guest_timer *timer, int64_t deadline_ns)
{
	if (deadline_ns != INT64_MAX)
		deadline_ns = guest_clock_to_host(timer->clock, deadline_ns);
	event_timer_arm(&timer->timer, deadline_ns);
}

static void guest_timer_arm(struct timer_line *line, int64_t deadline_ns)
{
	struct guest_timer *timer = container_of(line, struct guest_timer, line);

	atomic_store(&timer->deadline_ns, deadline_ns);
	guest_timer_set(timer, deadline_ns);
}

static void guest_timer_expired(void *arg)
{
	struct guest_timer *timer = arg;
	int_fast64_t deadline_ns = atomic_load(&timer->deadline_ns);

	/* A later deadline is one that another thread is about to arm. */
	if (deadline_ns <= timer->clock->src.monotonic_ns(&timer->clock->src))
		atomic_compare_exchange_strong(&timer->deadline_ns, &deadline_ns, INT64_MAX);
	timer->expired(timer->arg);
}

int guest_timer_init(struct guest_timer *timer, struct event_loop *loop,
		     const struct guest_clock *clock, void (*expired)(void *arg), void *arg)
{
	*timer = (struct guest_timer){
		.line.arm = guest_timer_arm,
		.clock = clock,
		.deadline_ns = INT64_MAX,
		.expired = expired,
		.arg = arg,
	};
	return event_timer_init(&timer->timer, loop, guest_timer_expired, timer);
}

void guest_timer_fini(struct guest_timer *timer)
{
	event_timer_fini(&timer->timer);
}

void guest_timer_follow(struct guest_timer *timer)
{
	if (timer->timer.loop)
		guest_timer_set(timer, atomic_load(&timer->deadline_ns));
}
