/*
 * `hammer --hit` measures the ioeventfd at the place that was asked for, in every pair: KVM walks those of
 * one address in the order in which they were registered. KVM shows nobody its list, so it is kept here
 * from what KVM was asked for.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include "measure/hammer.h"

enum { IOEVENTFDS = 5, PLACES_MAX = 64, SKIPPED = 77 };

static uint64_t list[IOEVENTFDS]; /* datamatches, in KVM's order */
static unsigned nr_list;

/* Where the one that is hit was whenever it was removed. */
static uint64_t hit;
static unsigned place[PLACES_MAX], nr_places;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

static void note(const struct kvm_ioeventfd *io)
{
	unsigned i = 0;

	if (!(io->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)) {
		assert_true(nr_list < IOEVENTFDS);
		list[nr_list++] = io->datamatch;
		return;
	}
	while (i < nr_list && list[i] != io->datamatch)
		i++;
	assert_true(i < nr_list);
	if (io->datamatch == hit && nr_places < PLACES_MAX)
		place[nr_places++] = i;
	nr_list--;
	memmove(&list[i], &list[i + 1], (nr_list - i) * sizeof(list[0]));
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	const int r = __real_ioctl(fd, request, arg);

	if (request == KVM_IOEVENTFD && r == 0)
		note(arg);
	return r;
}

static void hit_stays_at(enum hammer_hit which, unsigned at)
{
	struct hammer_opts opts = {
		.space = IOBUS_PIO,
		.addr = 0xa00,
		.width = 1,
		.ioeventfds = IOEVENTFDS,
		.ioeventfd_width = 1,
		.same_byte = true,
		.hit = which,
		.duration_ns = NS_PER_S / 10,
	};
	struct hammer_result result = {0};
	struct diag diag = {0};

	nr_list = nr_places = 0;
	hit = at + 1;
	config_init(&opts.config);
	opts.config.vm.machine.mem_bytes = 64 << 20;
	if (hammer_run(&opts, stderr, &result, &diag) < 0)
		fail_msg("%s", diag.what);
	assert_true(nr_places >= HAMMER_PAIRS);
	for (unsigned i = 0; i < HAMMER_PAIRS; i++)
		assert_int_equal(place[i], at);
}

static void test_the_first_stays_the_first(void **state)
{
	(void)state;
	hit_stays_at(HAMMER_HIT_FIRST, 0);
}

static void test_the_middle_stays_in_the_middle(void **state)
{
	(void)state;
	hit_stays_at(HAMMER_HIT_MIDDLE, IOEVENTFDS / 2);
}

static void test_the_last_stays_the_last(void **state)
{
	(void)state;
	hit_stays_at(HAMMER_HIT_LAST, IOEVENTFDS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_stays_the_first),
		cmocka_unit_test(test_the_middle_stays_in_the_middle),
		cmocka_unit_test(test_the_last_stays_the_last),
	};

	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
