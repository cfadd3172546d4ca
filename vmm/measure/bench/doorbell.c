/*
 * A doorbell: an ioeventfd that the guest rings, and a thread that waits for it. It does so by poll(2) and read(2), as
 * the I/O thread of a device does. It answers through guest memory or through an irqfd.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "measure/bench/internal.h"

enum { RING_BYTES = 2 };
#define SURELY_WAITS_NS INT64_C(100000) /* after a ring, until the guest polls or has halted */
#define YIELDS_AFTER_NS INT64_C(50000)

static uint32_t interrupts_of(const struct bench_doorbell *bell)
{
	return __atomic_load_n(&bell->ctl->interrupts, __ATOMIC_ACQUIRE);
}

/*
 * From the signal to the guest's handler, by this thread's clock. It polls: a sleep would need another wake-up. After a
 * while it yields, as the vCPU's thread may want the same CPU.
 */
static void answer_later(struct bench_doorbell *bell)
{
	const uint32_t before = interrupts_of(bell);
	const int64_t ring_ns = clock_monotonic_ns();
	const unsigned n = atomic_load(&bell->nr_timed);
	int64_t start_ns, ns;

	while (clock_monotonic_ns() - ring_ns < SURELY_WAITS_NS)
		continue;
	start_ns = clock_monotonic_ns();
	bell->irq.by_ioctl.line.pulse(&bell->irq.by_ioctl.line);
	while (interrupts_of(bell) == before) {
		if (atomic_load(&bell->over))
			return;
		if (clock_monotonic_ns() - start_ns > YIELDS_AFTER_NS)
			sched_yield();
	}
	ns = clock_monotonic_ns() - start_ns;
	if (n < HAMMER_BLOCK)
		bell->timed_ns[n] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
	atomic_store(&bell->nr_timed, n + 1);
}

static void answer_ring(struct bench_doorbell *bell)
{
	switch ((enum bench_answer)atomic_load(&bell->answer)) {
	case BENCH_ANSWER_NONE: break;
	case BENCH_ANSWER_MEMORY:
		__atomic_store_n(&bell->ctl->answer, bell->ctl->answer + 1, __ATOMIC_RELEASE);
		break;
	case BENCH_ANSWER_INTERRUPT: bell->irq.by_ioctl.line.pulse(&bell->irq.by_ioctl.line); break;
	case BENCH_ANSWER_LATER: answer_later(bell); break;
	}
}

static void *doorbell_thread(void *arg)
{
	struct bench_doorbell *bell = arg;
	struct pollfd fds[] = {
		{.fd = bell->ring.fd, .events = POLLIN},
		{.fd = bell->quit, .events = POLLIN},
	};

	if (bell->pin)
		bench_pin_thread(bell->cpu);
	while (!atomic_load(&bell->over)) {
		uint64_t rings;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		rings = ioeventfd_read(&bell->ring);
		bell->hits += rings;
		if (rings)
			answer_ring(bell);
	}
	return NULL;
}

static int doorbell_make(struct bench_lane *lane, struct diag *diag)
{
	struct bench_doorbell *bell = &lane->doorbell;
	const struct kvm *kvm = &lane->bare.kvm;
	int r;

	bell->ring = (struct ioeventfd){
		.space = IOBUS_PIO, .addr = BENCH_DOORBELL, .len = RING_BYTES, .fd = -1};
	bell->ctl = lane->ctl;
	bell->quit = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bell->quit < 0)
		return diag_set(diag, -errno, "doorbell-eventfd", "eventfd of a doorbell");
	bell->made = true;
	r = ioeventfd_init(&bell->ring, diag);
	if (r == 0)
		r = ioeventfd_register(&bell->ring, kvm, diag);
	return r < 0 ? r : irq_eventfd_init(&bell->irq, kvm, HAMMER_GSI, diag);
}

int bench_doorbell_start(struct bench_lane *lane, bool pin, unsigned cpu, struct diag *diag)
{
	struct bench_doorbell *bell = &lane->doorbell;
	int r = doorbell_make(lane, diag);

	if (r < 0)
		return r;
	bell->pin = pin;
	bell->cpu = cpu;
	r = thread_start(&bell->thread, THREAD_MEASURE, "doorbell", doorbell_thread, bell);
	if (r < 0)
		return diag_set(diag, r, "doorbell-thread", "thread of a doorbell");
	bell->has_thread = true;
	return 0;
}

void bench_doorbell_stop(struct bench_lane *lane)
{
	struct bench_doorbell *bell = &lane->doorbell;
	const uint64_t one = 1;

	if (!bell->made)
		return;
	atomic_store(&bell->over, true);
	if (bell->has_thread && write(bell->quit, &one, sizeof(one)) == sizeof(one))
		pthread_join(bell->thread, NULL);
	if (bell->ring.fd >= 0)
		bell->hits += ioeventfd_read(&bell->ring);
	irq_eventfd_fini(&bell->irq);
	ioeventfd_fini(&bell->ring, &lane->bare.kvm);
	close(bell->quit);
	bell->made = false;
}

bool bench_doorbell_wait(struct bench_doorbell *bell, unsigned n, const atomic_bool *stop)
{
	while (atomic_load(&bell->nr_timed) < n)
		if (atomic_load(stop))
			return false;
	return true;
}
