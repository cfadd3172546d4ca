/* Unit tests of config/fault.c: which rules fault= of --disk and --net makes, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "backend/disk.h"
#include "base/macros.h"
#include "config.h"
#include "config/fault.h"
#include "diag_rig.h"

static struct config config;
static struct fault_rules rules;
static struct diag diag;

static int setup(void **state)
{
	(void)state;
	config_init(&config);
	rules = (struct fault_rules){0};
	diag = (struct diag){0};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	config_fini(&config);
	return 0;
}

static const struct fault_rule *disk_rule(const char *spec)
{
	rules.nr = 0;
	if (config_fault_add("--disk", spec, &config_fault_disk, &rules, &diag) < 0)
		fail_msg("fault=%s: %s", spec, diag.what);
	assert_int_equal(rules.nr, 1);
	return &rules.rule[0];
}

static void test_a_kind_alone_is_always(void **state)
{
	const struct fault_rule *rule = disk_rule("fail");

	(void)state;
	assert_int_equal(rule->kind, FAULT_FAIL);
	assert_int_equal(rule->which, 1 << DISK_READ | 1 << DISK_WRITE | 1 << DISK_FLUSH |
					      1 << DISK_DISCARD | 1 << DISK_ZERO);
	assert_true(rule->first == 0 && rule->last == UINT64_MAX);
	assert_true(rule->chance == 0 && rule->every == 0 && rule->times == 0);
	assert_int_equal(rule->seed, 1);
	assert_int_equal(disk_rule("tear")->which, 1 << DISK_WRITE);
	assert_int_equal(disk_rule("lose")->which, 1 << DISK_WRITE);
}

static void test_keys(void **state)
{
	const struct fault_rule *rule =
		disk_rule("lose:op=write+flush:sectors=0x10-31:p=0.25:times=3:seed=0");

	(void)state;
	assert_int_equal(rule->kind, FAULT_LOSE);
	assert_int_equal(rule->which, 1 << DISK_WRITE | 1 << DISK_FLUSH);
	assert_true(rule->first == 16 && rule->last == 31);
	assert_int_equal(rule->chance, FAULT_CERTAIN / 4);
	assert_true(rule->times == 3 && rule->seed == 0);
	rule = disk_rule("delay:ms=20:every=5:sectors=7");
	assert_true(rule->delay_ns == 20000000 && rule->every == 5);
	assert_true(rule->first == 7 && rule->last == 7);
	assert_int_equal(disk_rule("fail:p=1")->chance, FAULT_CERTAIN);
	assert_int_equal(disk_rule("fail:p=0.000000001")->chance, 1);
}

static void test_networks_have_directions(void **state)
{
	(void)state;
	assert_int_equal(
		config_fault_add("--net", "corrupt:dir=rx", &config_fault_net, &rules, &diag), 0);
	assert_int_equal(
		config_fault_add("--net", "reorder:every=3", &config_fault_net, &rules, &diag), 0);
	assert_int_equal(rules.nr, 2);
	assert_int_equal(rules.rule[0].kind, FAULT_CORRUPT);
	assert_int_equal(rules.rule[0].which, NET_FAULT_RX);
	assert_int_equal(rules.rule[1].which, NET_FAULT_RX | NET_FAULT_TX);
}

static void test_refusals(void **state)
{
	static const struct {
		const struct config_fault_device *device;
		const char *spec, *error;
	} bad[] = {
		{&config_fault_disk, "", "fault-kind ''"},
		{&config_fault_disk, "corrupt", "fault-kind 'corrupt'"},
		{&config_fault_net, "tear", "fault-kind 'tear'"},
		{&config_fault_disk, "fail:", "fault-key ''"},
		{&config_fault_disk, "fail:dir=rx", "fault-key 'dir=rx'"},
		{&config_fault_net, "lose:op=read", "fault-key 'op=read'"},
		{&config_fault_net, "lose:sectors=1", "fault-key 'sectors=1'"},
		{&config_fault_disk, "fail:a-very-long-key-without-end=1", "fault-key"},
		{&config_fault_disk, "fail:op=reed", "option-choice"},
		{&config_fault_disk, "fail:op=", "option-choice"},
		{&config_fault_disk, "lose:op=read", "fault-op lose and op=read"},
		{&config_fault_disk, "tear:op=write+flush", "fault-op tear and op=flush"},
		{&config_fault_disk, "fail:sectors=", "fault-sectors"},
		{&config_fault_disk, "fail:sectors=5-4", "fault-sectors '5-4'"},
		{&config_fault_disk, "fail:sectors=5-", "fault-sectors '5-'"},
		{&config_fault_disk, "fail:p=0", "fault-chance '0'"},
		{&config_fault_disk, "fail:p=1.000000001", "fault-chance"},
		{&config_fault_disk, "fail:p=-1", "fault-chance"},
		{&config_fault_disk, "fail:p=1%", "fault-chance"},
		{&config_fault_disk, "fail:every=0", "option-number"},
		{&config_fault_disk, "fail:times=x", "option-number"},
		{&config_fault_disk, "fail:seed=18446744073709551616", "option-number"},
		{&config_fault_disk, "delay:ms=60001", "option-number"},
		{&config_fault_disk, "delay", "fault-delay a delay has no ms="},
		{&config_fault_disk, "fail:ms=5", "fault-delay"},
		{&config_fault_disk, "fail:p=0.5:every=2", "fault-chance-every"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		diag = (struct diag){0};
		assert_int_equal(config_fault_add("--x", bad[i].spec, bad[i].device, &rules, &diag),
				 -EINVAL);
		assert_diag(&diag, -EINVAL, bad[i].error);
		assert_int_equal(rules.nr, 0);
	}
}

static void test_a_disk_and_a_network_take_several(void **state)
{
	(void)state;
	assert_int_equal(config_disk_add(&config, "d,fault=fail:p=0.5,fault=delay:ms=1,ro", &diag),
			 0);
	assert_int_equal(config.disk[0]->faults.nr, 2);
	assert_ptr_equal(config.disk[0]->conf.disk.faults, &config.disk[0]->faults);
	assert_int_equal(config_disk_add(&config, "d,ro", &diag), 0);
	assert_null(config.disk[1]->conf.disk.faults);
	assert_int_equal(config_net_option(&config, "user,fault=lose:p=0.5", &diag), 0);
	assert_ptr_equal(config.net[0]->device.open, net_fault_open);
	assert_ptr_equal(config.net[0]->device.opts, &config.net[0]->fault);
	assert_ptr_equal(config.net[0]->fault.open, net_slirp_open);
	assert_ptr_equal(config.net[0]->fault.opts, &config.net[0]->backend);
	assert_int_equal(config_net_option(&config, "tap,ifname=t0,fault=lose", &diag), 0);
	assert_ptr_equal(config.net[1]->fault.open, net_tap_open);
	assert_int_equal(config_net_option(&config, "tap,ifname=t0", &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "net-tap-twice");
}

static void test_more_rules_than_there_is_room_for(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FAULT_RULES_MAX; i++)
		assert_int_equal(
			config_fault_add("--disk", "fail", &config_fault_disk, &rules, &diag), 0);
	assert_int_equal(config_fault_add("--disk", "fail", &config_fault_disk, &rules, &diag),
			 -EINVAL);
	assert_diag(&diag, -EINVAL, "fault-count 16");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_kind_alone_is_always, setup),
		cmocka_unit_test_setup(test_keys, setup),
		cmocka_unit_test_setup(test_networks_have_directions, setup),
		cmocka_unit_test_setup(test_refusals, setup),
		cmocka_unit_test_setup_teardown(test_a_disk_and_a_network_take_several, setup,
						teardown),
		cmocka_unit_test_setup(test_more_rules_than_there_is_room_for, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
