/* Unit tests of virtio/net.c and net_ctrl.c: features, configuration, control commands, link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_rig.h"

#define BIT(n) (UINT64_C(1) << (n))
#define BASE                                                                                       \
	(BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_MRG_RXBUF) |          \
	 BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT(VIRTIO_F_IN_ORDER))
#define GUEST_ALL                                                                                  \
	(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |                             \
	 BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(54) | BIT(55))
#define HOST_ALL                                                                                   \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |      \
	 BIT(VIRTIO_NET_F_HOST_ECN) | BIT(56))

enum {
	ALL_OFFLOADS = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 |
		       NET_OFFLOAD_TSO_ECN | NET_OFFLOAD_USO,
	NO_ANSWER = -1,
};

static struct net_rig rig;
static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};

static int teardown(void **state)
{
	(void)state;
	net_rig_fini(&rig);
	return 0;
}

static struct virtio_net_config config(void)
{
	struct virtio_net_config c = {0};

	memcpy(&c, rig.vd->config, rig.vd->config_len);
	return c;
}

static void a_simple_back_end_has_few_features(void **state)
{
	(void)state;
	net_rig_init(&rig, 1, 0, 0, mac);
	assert_int_equal(rig.vd->features, BASE);
	assert_int_equal(rig.vd->nr_queues, 3);
	assert_int_equal(rig.vd->config_len, 12);
	assert_memory_equal(config().mac, mac, 6);
	assert_int_equal(le16toh(config().status), VIRTIO_NET_S_LINK_UP);
}

static void a_tap_has_them_all(void **state)
{
	(void)state;
	net_rig_init(&rig, 4, ALL_OFFLOADS, 9000, mac);
	assert_int_equal(rig.vd->features, BASE | HOST_ALL | GUEST_ALL |
						   BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |
						   BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_MTU));
	assert_int_equal(rig.vd->nr_queues, 9);
	assert_int_equal(le16toh(config().max_virtqueue_pairs), 4);
	assert_int_equal(le16toh(config().mtu), 9000);
}

static void a_mac_address_is_derived_and_stable(void **state)
{
	static const uint8_t zero[6];
	uint8_t first[6];

	(void)state;
	net_rig_init(&rig, 1, 0, 0, NULL);
	memcpy(first, config().mac, 6);
	assert_memory_not_equal(first, zero, 6);
	assert_int_equal(first[0] & 3, 2); /* local, of one station */
	net_rig_fini(&rig);
	net_rig_init(&rig, 1, 0, 0, NULL);
	assert_memory_equal(config().mac, first, 6);
}

/* A command of n bytes, class and all; the driver's room for the answer is ack_bytes. */
static int command_with(const void *bytes, uint32_t n, uint32_t ack_bytes)
{
	const unsigned queue = rig.vd->acked & BIT(VIRTIO_NET_F_MQ) ? rig.vd->nr_queues - 1 : 2;
	struct virtq_buf buf[] = {{.len = n}, {.len = ack_bytes, .write = true}};
	uint32_t id, len;
	uint8_t *out, *in;

	buf[0].gpa = net_rig_alloc(&rig, n, &out);
	buf[1].gpa = net_rig_alloc(&rig, 16, &in);
	memcpy(out, bytes, n);
	memset(in, 0xee, 16);
	virtq_driver_add(&rig.drv[queue], buf, ack_bytes ? 2 : 1);
	net_rig_kick(&rig, queue);
	if (!virtq_driver_used(&rig.drv[queue], &id, &len))
		return NO_ANSWER;
	assert_int_equal(len, ack_bytes ? 1 : 0);
	assert_int_equal(in[1], 0xee);
	return in[0];
}

static int command(const void *bytes, uint32_t n)
{
	return command_with(bytes, n, 1);
}

static int set_offloads(uint64_t offloads)
{
	uint8_t bytes[10] = {VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET};

	offloads = htole64(offloads);
	memcpy(bytes + 2, &offloads, 8);
	return command(bytes, sizeof(bytes));
}

static int set_pairs(unsigned pairs)
{
	const uint8_t bytes[] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				 (uint8_t)pairs, (uint8_t)(pairs >> 8)};

	return command(bytes, sizeof(bytes));
}

static void guest_offloads_can_be_switched(void **state)
{
	const uint64_t csum = BIT(VIRTIO_NET_F_GUEST_CSUM), tso4 = BIT(VIRTIO_NET_F_GUEST_TSO4);

	(void)state;
	net_rig_init(&rig, 1, ALL_OFFLOADS, 0, mac);
	net_rig_start(&rig, rig.vd->features, 256);
	assert_int_equal(rig.rx_offloads, ALL_OFFLOADS);
	assert_int_equal(set_offloads(0), VIRTIO_NET_OK);
	assert_int_equal(rig.rx_offloads, 0);
	assert_int_equal(set_offloads(csum), VIRTIO_NET_OK);
	assert_int_equal(rig.rx_offloads, NET_OFFLOAD_CSUM);
	assert_int_equal(set_offloads(csum | tso4), VIRTIO_NET_OK);
	assert_int_equal(rig.rx_offloads, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4);
	/* Offloads that make no sense alone are not switched on: the host's kernel would refuse them all. */
	assert_int_equal(set_offloads(tso4), VIRTIO_NET_OK);
	assert_int_equal(rig.rx_offloads, 0);
	assert_int_equal(set_offloads(csum | BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(54)), VIRTIO_NET_OK);
	assert_int_equal(rig.rx_offloads, NET_OFFLOAD_CSUM);
	assert_int_equal(set_offloads(GUEST_ALL), VIRTIO_NET_OK);
	assert_int_equal(rig.rx_offloads, ALL_OFFLOADS);
	assert_int_equal(set_offloads(csum | BIT(VIRTIO_NET_F_GUEST_UFO)), VIRTIO_NET_ERR);
	assert_int_equal(set_offloads(csum | BIT(VIRTIO_NET_F_MAC)), VIRTIO_NET_ERR);
	assert_int_equal(rig.rx_offloads, ALL_OFFLOADS);
}

static void what_was_not_negotiated_is_refused(void **state)
{
	static const uint8_t set_mac[] = {
		VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 2, 3, 4, 5, 6};

	(void)state;
	net_rig_init(&rig, 1, ALL_OFFLOADS, 0, mac);
	net_rig_start(&rig, BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_GUEST_CSUM), 256);
	assert_int_equal(set_offloads(0), VIRTIO_NET_ERR);
	assert_int_equal(rig.rx_offloads, NET_OFFLOAD_CSUM);
	assert_int_equal(set_pairs(1), VIRTIO_NET_ERR);
	assert_int_equal(command(set_mac, sizeof(set_mac)), VIRTIO_NET_ERR);
	assert_memory_equal(config().mac, mac, 6);
	net_rig_stop(&rig);
	net_rig_start(&rig, BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS), 256);
	assert_int_equal(set_offloads(BIT(VIRTIO_NET_F_GUEST_CSUM)), VIRTIO_NET_ERR);
	net_rig_stop(&rig);
	net_rig_start(&rig, 0, 256);
	assert_int_equal(set_offloads(0), NO_ANSWER);
}

static void pairs_are_switched(void **state)
{
	(void)state;
	net_rig_init(&rig, 4, 0, 0, mac);
	net_rig_start(&rig, rig.vd->features, 256);
	for (unsigned i = 0; i < 4; i++)
		net_rig_buffer(&rig, 2 * i, 2048);
	for (unsigned i = 0; i < 4; i++)
		net_rig_kick(&rig, 2 * i);
	assert_true(rig.rx_want[0]);
	assert_false(rig.rx_want[1] || rig.rx_want[2] || rig.rx_want[3]);
	assert_int_equal(set_pairs(3), VIRTIO_NET_OK);
	assert_int_equal(rig.pairs, 3);
	assert_true(rig.rx_want[0] && rig.rx_want[1] && rig.rx_want[2]);
	assert_false(rig.rx_want[3]);
	assert_int_equal(set_pairs(0), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(5), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(0x8000), VIRTIO_NET_ERR);
	assert_int_equal(rig.pairs, 3);
	assert_int_equal(set_pairs(1), VIRTIO_NET_OK);
	assert_false(rig.rx_want[1] || rig.rx_want[2]);
	assert_int_equal(set_pairs(4), VIRTIO_NET_OK);
	assert_true(rig.rx_want[3]);
	net_rig_stop(&rig);
	assert_int_equal(rig.pairs, 1);
	assert_false(rig.rx_want[0] || rig.rx_want[3]);
}

static void pairs_without_queues_are_refused(void **state)
{
	(void)state;
	net_rig_init(&rig, 4, 0, 0, mac);
	net_rig_start(&rig, rig.vd->features, 256);
	virtq_reset(&rig.vd->queue[5]);
	assert_int_equal(set_pairs(2), VIRTIO_NET_OK);
	assert_int_equal(set_pairs(3), VIRTIO_NET_ERR);
	assert_int_equal(rig.pairs, 2);
}

/* 5.1.2: without MQ the control queue is the third, whatever the device could do. */
static void without_multi_queue_the_control_queue_is_the_third(void **state)
{
	(void)state;
	net_rig_init(&rig, 4, ALL_OFFLOADS, 0, mac);
	net_rig_start(&rig, rig.vd->features & ~BIT(VIRTIO_NET_F_MQ), 256);
	assert_int_equal(set_offloads(0), VIRTIO_NET_OK);
	net_rig_buffer(&rig, 4, 2048);
	net_rig_kick(&rig, 4);
	assert_false(rig.rx_want[2]);
	assert_null(rig.reset_why);
}

static void the_mac_address_is_the_drivers_until_reset(void **state)
{
	static const uint8_t set[] = {
		VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 2, 2, 3, 4, 5, 6};
	static const uint8_t multicast[] = {
		VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 3, 2, 3, 4, 5, 6};

	(void)state;
	net_rig_init(&rig, 1, 0, 0, mac);
	net_rig_start(&rig, rig.vd->features, 256);
	assert_int_equal(command(set, sizeof(set)), VIRTIO_NET_OK);
	assert_memory_equal(config().mac, set + 2, 6);
	assert_int_equal(command(multicast, sizeof(multicast)), VIRTIO_NET_ERR);
	assert_int_equal(command(set, sizeof(set) - 1), VIRTIO_NET_ERR);
	assert_memory_equal(config().mac, set + 2, 6);
	net_rig_stop(&rig);
	assert_memory_equal(config().mac, mac, 6);
}

static void broken_commands_are_answered_with_an_error(void **state)
{
	uint8_t bytes[64] = {VIRTIO_NET_CTRL_GUEST_OFFLOADS};

	(void)state;
	net_rig_init(&rig, 1, ALL_OFFLOADS, 0, mac);
	net_rig_start(&rig, rig.vd->features, 256);
	assert_int_equal(command(bytes, 1), VIRTIO_NET_ERR);
	assert_int_equal(command(bytes, 2), VIRTIO_NET_ERR);
	assert_int_equal(command(bytes, 9), VIRTIO_NET_ERR);
	assert_int_equal(command(bytes, 11), VIRTIO_NET_ERR);
	assert_int_equal(rig.rx_offloads, ALL_OFFLOADS);
	for (unsigned class = 0; class < 256; class ++) {
		bytes[0] = (uint8_t) class;
		bytes[1] = 0xff;
		assert_int_equal(command(bytes, 10), VIRTIO_NET_ERR);
		rig.next_gpa = NET_RIG_DATA_GPA;
	}
	assert_null(rig.reset_why);
}

static void a_command_needs_no_room_for_its_answer(void **state)
{
	static const uint8_t bytes[10] = {VIRTIO_NET_CTRL_GUEST_OFFLOADS};

	(void)state;
	net_rig_init(&rig, 1, ALL_OFFLOADS, 0, mac);
	net_rig_start(&rig, rig.vd->features, 256);
	assert_int_equal(command_with(bytes, sizeof(bytes), 0), 0xee);
	assert_int_equal(rig.rx_offloads, 0);
	assert_int_equal(command_with(bytes, sizeof(bytes), 1), VIRTIO_NET_OK);
}

static void the_link_goes_down_and_up(void **state)
{
	(void)state;
	net_rig_init(&rig, 1, 0, 0, mac);
	net_rig_start(&rig, rig.vd->features, 256);
	rig.be.link_up = false;
	rig.be.client->link_changed(rig.be.client);
	assert_int_equal(le16toh(config().status), 0);
	assert_int_equal(rig.config_changes, 1);
	rig.be.link_up = true;
	rig.be.client->link_changed(rig.be.client);
	assert_int_equal(le16toh(config().status), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(rig.config_changes, 2);
	assert_memory_equal(config().mac, mac, 6);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_simple_back_end_has_few_features),
		TEST(a_tap_has_them_all),
		TEST(a_mac_address_is_derived_and_stable),
		TEST(guest_offloads_can_be_switched),
		TEST(what_was_not_negotiated_is_refused),
		TEST(pairs_are_switched),
		TEST(pairs_without_queues_are_refused),
		TEST(without_multi_queue_the_control_queue_is_the_third),
		TEST(the_mac_address_is_the_drivers_until_reset),
		TEST(broken_commands_are_answered_with_an_error),
		TEST(a_command_needs_no_room_for_its_answer),
		TEST(the_link_goes_down_and_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
