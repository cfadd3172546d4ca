/* Unit tests of the notes of exits: equal ones are counted, others are lost only when there is no room, none twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>

#include "vcpu/profile.h"

static struct kvm_run run;
static struct vcpu_profile *profile;

/* An exit as the vCPU's loop has it, at pc in long mode. False: it was not noted. */
static bool make_exit(uint64_t pc, uint16_t port)
{
	const bool wanted = vcpu_profile_wants(profile);

	if (wanted)
		vcpu_profile_begin(profile, &run);
	assert_int_equal(run.kvm_valid_regs != 0, wanted);
	run.exit_reason = KVM_EXIT_IO;
	run.io.port = port;
	run.io.direction = KVM_EXIT_IO_OUT;
	run.s.regs.regs.rip = pc;
	run.s.regs.sregs.cs.l = 1;
	if (wanted)
		vcpu_profile_end(profile, -1, &run, 0);
	assert_int_equal(run.kvm_valid_regs, 0);
	return wanted;
}

static uint64_t counted(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < VCPU_PROFILE_ROOM; i++)
		sum += profile->note[i].count;
	return sum;
}

static void one_in_so_many_is_noted(void **state)
{
	uint64_t noted = 0;

	(void)state;
	for (unsigned i = 0; i < 64000; i++)
		noted += make_exit(0x1000, 0x600);
	assert_int_equal(profile->noted, noted);
	assert_true(noted >= 950 && noted <= 1050);
	assert_int_equal(counted(), noted);
	for (size_t i = 0; i < VCPU_PROFILE_ROOM; i++)
		assert_true(profile->note[i].count == 0 || profile->note[i].count == noted);
}

/* A driver's exits come in a rhythm, which may be a divisor of ours. */
static void a_rhythm_hides_nothing(void **state)
{
	uint64_t seen[4] = {0};

	(void)state;
	for (unsigned i = 0; i < 256000; i++)
		seen[i % 4] += make_exit(0x1000 + i % 4, 0x600);
	for (unsigned i = 0; i < 4; i++)
		assert_true(seen[i] >= 900 && seen[i] <= 1100);
}

static void what_has_no_room_is_counted(void **state)
{
	uint64_t noted = 0;

	(void)state;
	for (unsigned i = 0; noted < UINT64_C(3) * VCPU_PROFILE_ROOM; i++)
		noted += make_exit(i, (uint16_t)i);
	assert_true(profile->no_room > 0);
	assert_int_equal(counted() + profile->no_room, noted);
}

static void an_interruption_is_not_noted(void **state)
{
	(void)state;
	profile->left = 1;
	assert_true(vcpu_profile_wants(profile));
	vcpu_profile_begin(profile, &run);
	vcpu_profile_end(profile, -1, &run, -EINTR);
	assert_int_equal(profile->noted, 0);
	assert_true(vcpu_profile_wants(profile)); /* but the exit after it */
}

static int setup(void **state)
{
	(void)state;
	run = (struct kvm_run){0};
	profile = vcpu_profile_create(true);
	return profile ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(profile);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_in_so_many_is_noted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rhythm_hides_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_no_room_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(an_interruption_is_not_noted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
