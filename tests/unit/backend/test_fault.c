/* Unit tests of the rules of faults on purpose: how often they fire, and that a seed gives the same ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "backend/fault.h"

enum { ASKED = 10000 };

static struct fault_rules rules;

static void begin(const struct fault_rule *rule)
{
	rules = (struct fault_rules){.rule = {*rule, *rule}, .nr = 2};
	fault_rules_begin(&rules);
}

static void test_every_nth(void **state)
{
	(void)state;
	begin(&(struct fault_rule){.every = 3});
	for (unsigned i = 1; i <= 12; i++)
		assert_int_equal(fault_fires(&rules.rule[0]), i % 3 == 0);
	begin(&(struct fault_rule){.every = 2, .times = 2});
	for (unsigned i = 1; i <= 12; i++)
		assert_int_equal(fault_fires(&rules.rule[0]), i == 2 || i == 4);
	begin(&(struct fault_rule){.times = 1});
	assert_true(fault_fires(&rules.rule[0]));
	assert_false(fault_fires(&rules.rule[0]));
}

static void fire(struct fault_rule *rule, bool ret[ASKED])
{
	for (unsigned i = 0; i < ASKED; i++)
		ret[i] = fault_fires(rule);
}

static void test_a_seed_repeats(void **state)
{
	static bool first[ASKED], again[ASKED], second_rule[ASKED], other[ASKED];
	const struct fault_rule rule = {.chance = FAULT_CERTAIN / 4, .seed = 7};

	(void)state;
	begin(&rule);
	fire(&rules.rule[0], first);
	fire(&rules.rule[1], second_rule);
	begin(&rule);
	fire(&rules.rule[0], again);
	assert_memory_equal(first, again, sizeof(first));
	assert_memory_not_equal(first, second_rule, sizeof(first));
	begin(&(struct fault_rule){.chance = FAULT_CERTAIN / 4, .seed = 8});
	fire(&rules.rule[0], other);
	assert_memory_not_equal(first, other, sizeof(first));
	/* The number of them is certain, as the generator is: close to a quarter. */
	assert_true(rules.rule[0].fired > ASKED / 4 - 200);
	assert_true(rules.rule[0].fired < ASKED / 4 + 200);
}

/* These numbers are a promise: a seed in a report of a fault gives the same faults with a later version. */
static void test_numbers_stay(void **state)
{
	(void)state;
	begin(&(struct fault_rule){.seed = 1});
	assert_int_equal(fault_random(&rules.rule[0]), UINT64_C(0x62ed93a550629eea));
	assert_int_equal(fault_random(&rules.rule[1]), UINT64_C(0x6cdc70c999f63552));
}

static void test_chance_of_one_and_of_almost_nothing(void **state)
{
	(void)state;
	begin(&(struct fault_rule){.chance = FAULT_CERTAIN});
	for (unsigned i = 0; i < ASKED; i++)
		assert_true(fault_fires(&rules.rule[0]));
	begin(&(struct fault_rule){.chance = 1});
	for (unsigned i = 0; i < ASKED; i++)
		assert_false(fault_fires(&rules.rule[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_nth),
		cmocka_unit_test(test_a_seed_repeats),
		cmocka_unit_test(test_numbers_stay),
		cmocka_unit_test(test_chance_of_one_and_of_almost_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
