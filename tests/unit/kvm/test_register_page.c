/*
 * Unit tests of kvm/register_page.c, with a real 16550A and a KVM that is not there: when the slot
 * comes and goes, what the page holds, in which order the guest gets to see things, and that input
 * finds its way past a page that hides the guest's polling.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include "base/macros.h"
#include "devices/classes.h"
#include "fake_env.h"
#include "kvm/register_page.h"
#include "random.h"

#define GPA UINT64_C(0xd0000000)
#define US  INT64_C(1000)

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, SCR = 7, REGISTERS = 8 };
enum { IER_ERBFI = 1, IER_ETBEI = 2, LCR_DLAB = 0x80, MCR_OUT2 = 8, LSR_DR = 1, LSR_IDLE = 0x60 };
enum { PORTS = 1, MEMORY = 0, SLOT = 7, LATE = 8, POLLS_MIN = 64, POLLS_OF_A_RECEIVER = 8 };
enum { VM_FD = 77 };

struct rig {
	struct fake_env f;
	struct kvm kvm;
	struct register_page rp;
	struct device *uart, *dev; /* dev: what the bus has, the page */
	struct irq_line irq;
	int64_t poll_ns; /* that an exit takes */
};

/* The page that the guest finds at GPA, by way of the KVM below. */
static struct {
	struct rig *rig;
	const uint8_t *page;
	unsigned calls;
	bool cap; /* of read-only slots */
	int fail; /* errno for the next calls */
	int64_t cost_ns;
} host;

int __wrap_ioctl(int fd, unsigned long request, ...);

/* KVM_SET_USER_MEMORY_REGION of the one read-only slot. */
static int slot_set(const struct kvm_userspace_memory_region *region)
{
	assert_int_equal(region->slot, SLOT);
	assert_int_equal(region->guest_phys_addr, GPA);
	assert_int_equal(region->flags, KVM_MEM_READONLY);
	assert_true(region->memory_size == 0 || region->memory_size == 4096);
	assert_true((region->memory_size == 0) == (host.page != NULL)); /* never twice the same */
	fake_pass_ns(&host.rig->f, host.cost_ns);
	host.calls++;
	if (host.fail) {
		errno = host.fail;
		return -1;
	}
	host.page = region->memory_size ? (const uint8_t *)(uintptr_t)region->userspace_addr : NULL;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	int r;

	assert_int_equal(fd, VM_FD);
	va_start(ap, request);
	if (request == KVM_CHECK_EXTENSION) {
		assert_int_equal(va_arg(ap, int), KVM_CAP_READONLY_MEM);
		r = host.cap;
	} else {
		assert_int_equal(request, KVM_SET_USER_MEMORY_REGION);
		r = slot_set(va_arg(ap, const struct kvm_userspace_memory_region *));
	}
	va_end(ap);
	return r;
}

/* The handler that this makes run must not find the page from before. */
static void irq_set(struct irq_line *irq, bool level)
{
	struct rig *rig = container_of(irq, struct rig, irq);

	for (unsigned i = 0; level && host.page && i < REGISTERS; i++)
		assert_int_equal(host.page[i], 0xff); /* its registers are elsewhere */
	rig->f.irq.set(&rig->f.irq, level);
}

static int setup_host(void **state)
{
	struct rig *rig = test_calloc(1, sizeof(*rig));

	memset(&host, 0, sizeof(host));
	host.rig = rig;
	rig->kvm.vm_fd = VM_FD;
	host.cap = 1;
	host.cost_ns = 20 * US;
	fake_env_init(&rig->f);
	rig->irq.set = irq_set;
	rig->poll_ns = 1 * US;
	*state = rig;
	return 0;
}

static int setup(void **state)
{
	struct device_env env;
	struct rig *rig;

	setup_host(state);
	rig = *state;
	env = rig->f.env;
	env.irq = &rig->irq;
	if (register_page_init(&rig->rp, &rig->kvm, SLOT, GPA) < 0)
		return -1;
	register_page_env(&rig->rp, &env);
	if (device_create(&serial_16550_class, &env, &rig->uart) < 0)
		return -1;
	rig->dev = register_page_attach(&rig->rp, rig->uart, MEMORY, REGISTERS, LATE);
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	register_page_fini(&rig->rp);
	device_destroy(rig->uart);
	test_free(rig);
	return 0;
}

static uint8_t rd(struct rig *rig, uint64_t off)
{
	fake_pass_ns(&rig->f, rig->poll_ns);
	return (uint8_t)fake_read(rig->dev, MEMORY, off, 1);
}

static void wr(struct rig *rig, uint64_t off, uint8_t val)
{
	fake_write(rig->dev, MEMORY, off, 1, val);
}

/* The byte that the guest reads: an exit only where there is no page. */
static uint8_t guest_reads(struct rig *rig, uint64_t off)
{
	return host.page ? host.page[off] : rd(rig, off);
}

static void poll_lsr(struct rig *rig, unsigned n)
{
	while (n-- > 0)
		rd(rig, LSR);
}

/* Which it has been for long. */
static void withdraw(struct rig *rig)
{
	fake_pass_ns(&rig->f, 20 * NS_PER_MS);
	wr(rig, LCR, LCR_DLAB);
	assert_null(host.page);
	wr(rig, LCR, 3);
	assert_null(host.page);
}

/* Offers input as the event thread does. */
static size_t offer(struct rig *rig, const char *s)
{
	const struct char_ops *chr = rig->dev->cls->chr;
	size_t n;

	device_lock(rig->dev);
	n = chr->rx_room(rig->dev);
	if (n > strlen(s))
		n = strlen(s);
	if (n > 0)
		chr->rx(rig->dev, (const uint8_t *)s, n);
	device_unlock(rig->dev);
	return n;
}

static void expire(struct rig *rig)
{
	assert_true(rig->f.deadline_ns != INT64_MAX);
	if (rig->f.monotonic_ns < rig->f.deadline_ns)
		fake_pass_ns(&rig->f, rig->f.deadline_ns - rig->f.monotonic_ns);
	rig->f.deadline_ns = INT64_MAX;
	device_lock(rig->dev);
	rig->dev->cls->expire(rig->dev);
	device_unlock(rig->dev);
}

static void a_host_without_read_only_slots_has_no_page(void **state)
{
	struct rig *rig = *state;

	host.cap = 0;
	assert_int_equal(register_page_init(&rig->rp, &rig->kvm, SLOT, GPA), -ENOTSUP);
	assert_null(rig->rp.page);
	host.cap = 1;
	host.fail = ENOMEM;
	assert_int_equal(register_page_init(&rig->rp, &rig->kvm, SLOT, GPA), -ENOMEM);
	assert_null(rig->rp.page);
}

static void until_a_device_is_attached_nothing_is_there(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(register_page_init(&rig->rp, &rig->kvm, SLOT, GPA), 0);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(host.page[i], 0xff);
}

static void it_holds_the_registers_and_nothing_beyond(void **state)
{
	static const uint8_t want[REGISTERS] = {0, 0, 0x01, 0, 0, LSR_IDLE, 0xb0, 0};

	(void)state;
	assert_int_equal(host.calls, 1);
	assert_memory_equal(host.page, want, REGISTERS);
	for (unsigned i = REGISTERS; i < 4096; i++)
		assert_int_equal(host.page[i], 0xff);
}

static void output_and_writes_that_change_no_mode_leave_it(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < 40; i++)
		wr(rig, THR, 'x');
	wr(rig, IER, 0);
	wr(rig, SCR, 0x5a);
	wr(rig, LCR, 0x1b);
	wr(rig, MCR, 0x03);
	assert_int_equal(host.calls, 1);
	assert_int_equal(rig->f.out_len, 40);
	assert_int_equal(host.page[SCR], 0x5a);
	assert_int_equal(host.page[LCR], 0x1b);
	assert_int_equal(host.page[MCR], 0x03);
}

static void a_mode_withdraws_it_until_64_polls_after_its_end(void **state)
{
	struct rig *rig = *state;

	withdraw(rig);
	poll_lsr(rig, POLLS_MIN - 1);
	assert_null(host.page);
	wr(rig, IER, IER_ERBFI); /* not as good as memory: what was polled before does not count */
	wr(rig, IER, 0);
	poll_lsr(rig, POLLS_MIN - 1);
	assert_null(host.page);
	wr(rig, THR, 'x');
	poll_lsr(rig, 1);
	assert_non_null(host.page);
	assert_int_equal(register_page_counts(&rig->rp).unmaps, 1);
	assert_int_equal(register_page_counts(&rig->rp).maps, 1);
}

static void a_page_that_goes_soon_takes_twice_the_polls_to_come_again(void **state)
{
	struct rig *rig = *state;

	withdraw(rig);
	for (unsigned polls = POLLS_MIN; polls <= 1 << 16; polls *= 2) {
		poll_lsr(rig, polls - 1);
		assert_null(host.page);
		poll_lsr(rig, 1);
		assert_non_null(host.page);
		fake_pass_ns(&rig->f, 9 * NS_PER_MS);
		wr(rig, IER, IER_ERBFI);
		wr(rig, IER, 0);
	}
	poll_lsr(rig, 1 << 16); /* and no more than that */
	assert_non_null(host.page);
	withdraw(rig);
	poll_lsr(rig, POLLS_MIN);
	assert_non_null(host.page);
}

static void a_slot_that_costs_more_takes_more_polls(void **state)
{
	struct rig *rig = *state;

	host.cost_ns = 4000 * US;
	withdraw(rig);
	poll_lsr(rig, 3990); /* a poll takes 1 us; what mapping costs is not known yet */
	assert_null(host.page);
	poll_lsr(rig, 20);
	assert_non_null(host.page);
	withdraw(rig);
	poll_lsr(rig, 7990);
	assert_null(host.page);
	poll_lsr(rig, 20);
	assert_non_null(host.page);
}

static void polls_between_other_work_count_for_nothing(void **state)
{
	struct rig *rig = *state;

	withdraw(rig);
	for (unsigned i = 0; i < 1000; i++) {
		fake_pass_ns(&rig->f, 2 * NS_PER_MS);
		rd(rig, LSR);
	}
	assert_null(host.page);
}

static void a_host_that_refuses_once_is_not_asked_again(void **state)
{
	struct rig *rig = *state;

	withdraw(rig);
	host.fail = ENOMEM;
	poll_lsr(rig, POLLS_MIN);
	host.fail = 0;
	poll_lsr(rig, 10 * POLLS_MIN);
	assert_null(host.page);
	assert_int_equal(host.calls, 3);
	assert_int_equal(rig->f.ends, 0);
}

/* The guest would see stale registers forever. */
static void a_slot_that_cannot_be_withdrawn_ends_the_vm(void **state)
{
	struct rig *rig = *state;

	host.fail = ENOMEM;
	wr(rig, IER, IER_ERBFI);
	assert_int_equal(rig->f.ends, 1);
	assert_int_equal(rig->f.end.kind, VM_END_KVM_ERROR);
}

static void an_interrupt_finds_the_page_gone(void **state)
{
	struct rig *rig = *state;

	wr(rig, MCR, MCR_OUT2);
	assert_non_null(host.page);
	wr(rig, IER, IER_ETBEI); /* THRE at once; irq_set() above looks */
	assert_int_equal(rig->f.irq_level, 1);
	assert_int_equal(guest_reads(rig, IIR) & 0x0f, 0x02);
	assert_int_equal(rig->f.irq_level, 0);
}

static void a_back_end_without_room_withdraws_it_in_time(void **state)
{
	struct rig *rig = *state;

	rig->f.room = LATE + 2;
	wr(rig, THR, 'a');
	wr(rig, THR, 'b');
	assert_non_null(host.page);
	wr(rig, THR, 'c');
	assert_null(host.page);
	for (unsigned i = 1; i < LATE; i++) /* on their way when it went */
		wr(rig, THR, 'd');
	assert_int_equal(rig->f.out_len, 2 + LATE);
	assert_int_equal(guest_reads(rig, LSR), LSR_IDLE);
	wr(rig, THR, 'e');
	assert_int_equal(guest_reads(rig, LSR), 0);
}

static void a_guest_that_uses_the_ports_finds_nothing_in_the_page(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(fake_read(rig->dev, PORTS, LSR, 1), LSR_IDLE);
	for (unsigned i = 0; i < REGISTERS; i++)
		assert_int_equal(host.page[i], 0xff);
	fake_write(rig->dev, PORTS, IER, 1, IER_ERBFI);
	assert_int_equal(host.calls, 1);
	fake_write(rig->dev, PORTS, MCR, 1, MCR_OUT2);
	fake_write(rig->dev, PORTS, IER, 1, IER_ETBEI);
	assert_int_equal(rig->f.irq_level, 1);
	assert_int_equal(host.calls, 1);
}

static void input_with_its_interrupt_on_is_taken_at_once(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(offer(rig, "x"), 0);
	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ERBFI);
	assert_int_equal(rig->f.input_wanted, 1);
	assert_int_equal(offer(rig, "x"), 1);
	assert_int_equal(rig->f.irq_level, 1);
	assert_int_equal(guest_reads(rig, RBR), 'x');
}

/* The guest polls the page, silently; after a while the device is made to see it. */
static void a_silent_guest_is_looked_at_when_input_waits(void **state)
{
	struct rig *rig = *state;

	wr(rig, SCR, 1);
	assert_int_equal(rig->f.arms, 0);
	assert_int_equal(offer(rig, "x"), 0);
	assert_int_equal(offer(rig, "x"), 0);
	assert_int_equal(rig->f.arms, 1);
	assert_true(rig->f.deadline_ns - rig->f.monotonic_ns <= 250 * NS_PER_MS);
	expire(rig);
	assert_null(host.page);
	poll_lsr(rig, POLLS_OF_A_RECEIVER);
	assert_int_equal(rig->f.input_wanted, 1);
	assert_int_equal(offer(rig, "x"), 1);
	assert_int_equal(guest_reads(rig, LSR), LSR_IDLE | LSR_DR);
	assert_int_equal(guest_reads(rig, RBR), 'x');
	/* From now on it is known, so the page does not keep input waiting. */
	poll_lsr(rig, POLLS_MIN);
	assert_non_null(host.page);
	assert_int_equal(offer(rig, "y"), 1);
	assert_null(host.page);
	assert_int_equal(guest_reads(rig, RBR), 'y');
	assert_int_equal(rig->f.arms, 1);
}

static void a_guest_that_prints_is_left_alone_for_two_seconds(void **state)
{
	struct rig *rig = *state;
	int64_t begin_ns = rig->f.monotonic_ns;

	rig->f.room = 1000;
	assert_int_equal(offer(rig, "x"), 0);
	while (host.page) {
		assert_true(rig->f.monotonic_ns - begin_ns < 2 * NS_PER_S);
		wr(rig, THR, '.');
		expire(rig);
	}
	assert_true(rig->f.monotonic_ns - begin_ns >= 2 * NS_PER_S);
	/* It goes on printing, which shows that it does not poll, and gets its page back. */
	while (!host.page) {
		wr(rig, THR, '.');
		rd(rig, LSR);
	}
	assert_int_equal(offer(rig, "x"), 0);
	assert_true(rig->f.deadline_ns != INT64_MAX);
}

static void no_timer_runs_while_nothing_waits_or_no_page_is_mapped(void **state)
{
	struct rig *rig = *state;

	offer(rig, "x");
	expire(rig); /* withdrawn */
	assert_int_equal(rig->f.deadline_ns, INT64_MAX);
	assert_int_equal(offer(rig, "x"), 0);
	assert_int_equal(rig->f.deadline_ns, INT64_MAX);
	assert_int_equal(rig->f.arms, 1);
}

static void a_timer_that_comes_too_late_does_nothing(void **state)
{
	struct rig *rig = *state;

	rig->f.room = 1000;
	withdraw(rig);
	assert_int_equal(offer(rig, "x"), 0);
	assert_int_equal(rig->f.arms, 0); /* no page is mapped */
	poll_lsr(rig, POLLS_OF_A_RECEIVER);
	assert_int_equal(offer(rig, "x"), 1);
	rd(rig, RBR);
	rd(rig, SCR); /* polls no more */
	poll_lsr(rig, 2);
	wr(rig, THR, '.');
	while (!host.page) {
		wr(rig, THR, '.');
		rd(rig, LSR);
	}
	assert_int_equal(offer(rig, "y"), 0);
	assert_int_equal(rig->f.arms, 1);
	withdraw(rig);
	expire(rig);
	assert_int_equal(rig->f.arms, 1);

	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ERBFI);
	assert_int_equal(offer(rig, "y"), 1);
	rd(rig, RBR);
	wr(rig, IER, 0);
	poll_lsr(rig, POLLS_MIN);
	assert_non_null(host.page);
	device_lock(rig->dev);
	rig->dev->cls->expire(rig->dev);
	device_unlock(rig->dev);
	assert_non_null(host.page);
	assert_int_equal(rig->f.arms, 1);
}

/* As long as the device is off the bus. */
static void a_page_that_is_withheld_does_not_come(void **state)
{
	struct rig *rig = *state;

	assert_non_null(host.page);
	register_page_withhold(&rig->rp, true);
	assert_null(host.page);
	for (unsigned i = 0; i < 4 * POLLS_MIN; i++)
		rd(rig, LSR);
	assert_null(host.page);
	assert_int_equal(rd(rig, LSR), LSR_IDLE); /* ops go on */
	register_page_withhold(&rig->rp, true);   /* nothing left to take back */
	register_page_withhold(&rig->rp, false);
	for (unsigned i = 0; i < 4 * POLLS_MIN; i++)
		rd(rig, LSR);
	assert_non_null(host.page);
}

/* Whatever happens: what is mapped is true, and mapping never costs more than what it was to save. */
static void the_page_is_true_whatever_happens(void **state)
{
	struct rig *rig = *state;
	uint64_t random = 0x5eed5badca9e0001;
	int64_t polled_ns = 0, changed_ns = 0;
	unsigned mapped = 0;

	for (unsigned i = 0; i < 400000; i++) {
		uint8_t bytes[REGISTERS], val;
		unsigned calls = host.calls, what;

		what = random_below(&random, 4096);
		val = (uint8_t)random_below(&random, 256);
		host.cost_ns = (int64_t)random_below(&random, 256) * US;
		if (what < 4) {
			wr(rig, what + 1, val);
		} else if (what < 16) {
			wr(rig, LCR, 3);
			wr(rig, IER, 0);
			wr(rig, MCR, 0);
			rd(rig, 6);
		} else if (what < 20) {
			offer(rig, "input");
		} else if (what < 22 && rig->f.deadline_ns != INT64_MAX) {
			expire(rig);
		} else if (what < 1000) {
			rig->f.room = 1000;
			wr(rig, THR, val);
		} else if (!host.page) {
			rd(rig, what % 8 ? LSR : RBR);
			polled_ns += rig->poll_ns;
		} else {
			fake_pass_ns(&rig->f, 100 * US);
		}
		if (host.calls > calls)
			changed_ns += host.cost_ns * (host.calls - calls);
		assert_true(rig->rp.mapped == (host.page != NULL));
		if (!host.page)
			continue;
		mapped++;
		assert_true(rig->uart->cls->register_page(rig->uart, MEMORY, LATE, bytes));
		assert_memory_equal(host.page, bytes, REGISTERS);
	}
	assert_true(mapped > 40000);
	assert_true(host.calls > 200);
	/* One cost is paid before the next is known, and costs here vary as they like. */
	assert_true(changed_ns < 3 * polled_ns);
	assert_int_equal(rig->f.ends, 0);
}

int main(void)
{
#define HOST_TEST(name) cmocka_unit_test_setup_teardown(name, setup_host, teardown)
#define TEST(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		HOST_TEST(a_host_without_read_only_slots_has_no_page),
		HOST_TEST(until_a_device_is_attached_nothing_is_there),
		TEST(it_holds_the_registers_and_nothing_beyond),
		TEST(output_and_writes_that_change_no_mode_leave_it),
		TEST(a_mode_withdraws_it_until_64_polls_after_its_end),
		TEST(a_page_that_goes_soon_takes_twice_the_polls_to_come_again),
		TEST(a_slot_that_costs_more_takes_more_polls),
		TEST(polls_between_other_work_count_for_nothing),
		TEST(a_host_that_refuses_once_is_not_asked_again),
		TEST(a_slot_that_cannot_be_withdrawn_ends_the_vm),
		TEST(an_interrupt_finds_the_page_gone),
		TEST(a_page_that_is_withheld_does_not_come),
		TEST(a_back_end_without_room_withdraws_it_in_time),
		TEST(a_guest_that_uses_the_ports_finds_nothing_in_the_page),
		TEST(input_with_its_interrupt_on_is_taken_at_once),
		TEST(a_silent_guest_is_looked_at_when_input_waits),
		TEST(a_guest_that_prints_is_left_alone_for_two_seconds),
		TEST(no_timer_runs_while_nothing_waits_or_no_page_is_mapped),
		TEST(a_timer_that_comes_too_late_does_nothing),
		TEST(the_page_is_true_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
