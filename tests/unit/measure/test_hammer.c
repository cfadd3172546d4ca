/* Unit tests of hammer_check(): a result whose counts do not agree is never passed on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "diag_rig.h"
#include "measure/hammer.h"

static const struct hammer_result agreeing = {
	.guest_count = 60,
	.dispatched = 30,
	.bare = 20,
	.hits = 10,
	.end = {.kind = VM_END_EXIT_CODE, .by = "exit port"},
};

static void counts_that_agree_are_taken(void **state)
{
	struct diag diag = {0};

	(void)state;
	assert_int_equal(hammer_check(&agreeing, &diag), 0);
	assert_int_equal(diag.err, 0);
}

static void one_access_too_few_or_too_many_is_an_error_with_all_counts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		for (uint64_t off = 0; off <= 2; off += 2) {
			uint64_t count[] = {30, 20, 10, 60};
			struct hammer_result res = agreeing;
			struct diag diag = {0};

			count[i] += off - 1;
			res.dispatched = count[0];
			res.bare = count[1];
			res.hits = count[2];
			res.guest_count = count[3];
			assert_int_equal(hammer_check(&res, &diag), -EPROTO);
			assert_diag(&diag, -EINVAL, "hammer-count");
		}
	}
}

static void an_end_that_was_not_the_kernels_own_is_an_error_that_names_it(void **state)
{
	struct hammer_result res = agreeing;
	struct diag diag = {0};

	(void)state;
	res.end = (struct vm_end){.kind = VM_END_EXIT_CODE, .code = 64, .by = "exit port"};
	assert_int_equal(hammer_check(&res, NULL), -EPROTO);
	res.end = (struct vm_end){.kind = VM_END_TRIPLE_FAULT, .by = "KVM_EXIT_SHUTDOWN"};
	assert_int_equal(hammer_check(&res, &diag), -EPROTO);
	assert_diag(&diag, -EINVAL, "hammer-kernel-end triple fault (KVM_EXIT_SHUTDOWN)");
}

static void a_killed_hammer_is_told_from_a_broken_one(void **state)
{
	struct hammer_result res = agreeing;
	struct diag diag = {0};

	(void)state;
	res.guest_count = 0; /* the guest did not get to write it */
	res.end = (struct vm_end){.kind = VM_END_KILLED, .by = "SIGINT"};
	assert_int_equal(hammer_check(&res, &diag), -EINTR);
	assert_diag(&diag, -EINVAL, "hammer-ended SIGINT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_that_agree_are_taken),
		cmocka_unit_test(one_access_too_few_or_too_many_is_an_error_with_all_counts),
		cmocka_unit_test(an_end_that_was_not_the_kernels_own_is_an_error_that_names_it),
		cmocka_unit_test(a_killed_hammer_is_told_from_a_broken_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
