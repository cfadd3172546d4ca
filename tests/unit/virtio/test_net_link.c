/* Unit tests of the network device's link: the interface's and the cable's, and what becomes of frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_rig.h"
#include "virtio_counter.h"

enum {
	RX,
	TX,
	FRAME_BYTES = 60,
};
#define MERGE (UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF)

static struct net_rig rig;

static int setup(void **state)
{
	(void)state;
	net_rig_init(&rig, 2, 0, 0, NULL);
	net_rig_start(&rig, rig.vd->features, 256);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_rig_fini(&rig);
	return 0;
}

static unsigned status(void)
{
	struct virtio_net_config config = {0};

	memcpy(&config, rig.vd->config, rig.vd->config_len);
	return le16toh(config.status);
}

static void set_interface(bool up)
{
	rig.be.link_up = up;
	rig.be.client->link_changed(rig.be.client);
}

static void send_frame(void)
{
	struct virtq_buf buf = {.len = NET_HDR_BYTES + FRAME_BYTES};
	uint8_t *p;

	buf.gpa = net_rig_alloc(&rig, buf.len, &p);
	memset(p, 0, buf.len);
	virtq_driver_add(&rig.drv[TX], &buf, 1);
	net_rig_kick(&rig, TX);
}

static bool came_back(unsigned queue)
{
	uint32_t id, len;

	return virtq_driver_used(&rig.drv[queue], &id, &len);
}

static uint64_t counted(const char *name)
{
	return virtio_counter(rig.vd, name);
}

static void the_driver_sees_the_cable(void **state)
{
	(void)state;
	virtio_net_plug(rig.vd, false);
	assert_int_equal(rig.controls, 1);
	assert_int_equal(status(), VIRTIO_NET_S_LINK_UP); /* the I/O thread is to do it */
	assert_false(virtio_net_link(rig.vd).plugged);
	virtio_net_class.control(rig.vd);
	assert_int_equal(status(), 0);
	assert_int_equal(rig.config_changes, 1);
	net_rig_plug(&rig, false); /* as it is */
	assert_int_equal(rig.config_changes, 1);
	net_rig_plug(&rig, true);
	assert_int_equal(status(), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(rig.config_changes, 2);
	assert_true(virtio_net_link(rig.vd).plugged);
}

static void cable_and_interface_are_both_needed(void **state)
{
	(void)state;
	net_rig_plug(&rig, false);
	set_interface(false);
	assert_false(virtio_net_link(rig.vd).interface_up);
	set_interface(true);
	assert_true(virtio_net_link(rig.vd).interface_up);
	assert_int_equal(status(), 0);
	assert_int_equal(rig.config_changes, 1);
	set_interface(false);
	net_rig_plug(&rig, true);
	assert_int_equal(status(), 0);
	assert_int_equal(rig.config_changes, 1);
	set_interface(true);
	assert_int_equal(status(), VIRTIO_NET_S_LINK_UP);
}

static void frames_are_lost_while_the_cable_is_out(void **state)
{
	(void)state;
	net_rig_buffer(&rig, RX, 2048);
	net_rig_kick(&rig, RX);
	net_rig_plug(&rig, false);
	for (unsigned i = 0; i < 200; i++)
		net_rig_arrive(&rig, NULL, FRAME_BYTES);
	net_rig_rx_ready(&rig, 0);
	assert_int_equal(rig.first_arrived, 200);
	assert_false(came_back(RX));
	assert_int_equal(counted("rx_unplugged"), 200);
	for (unsigned i = 0; i < 200; i++) {
		send_frame();
		assert_true(came_back(TX));
	}
	assert_int_equal(rig.nr_sent, 0);
	assert_int_equal(counted("tx_unplugged"), 200);
	assert_int_equal(counted("tx_failed") + counted("tx_malformed"), 0);
	net_rig_plug(&rig, true);
	net_rig_arrive(&rig, NULL, FRAME_BYTES);
	net_rig_rx_ready(&rig, 0);
	assert_true(came_back(RX)); /* the buffer of before */
	send_frame();
	assert_true(came_back(TX));
	assert_int_equal(rig.nr_sent, 1);
	assert_int_equal(counted("rx_unplugged") + counted("tx_unplugged"), 400);
}

/* Also those that come when the driver has no buffer: they do not wait for the cable. */
static void frames_do_not_wait_for_the_cable(void **state)
{
	(void)state;
	net_rig_stop(&rig);
	net_rig_start(&rig, MERGE, 256);
	assert_false(rig.rx_want[0]);
	net_rig_arrive(&rig, NULL, FRAME_BYTES);
	net_rig_plug(&rig, false);
	assert_int_equal(rig.first_arrived, 1);
	assert_true(rig.rx_want[0]);
	net_rig_plug(&rig, true);
	assert_false(rig.rx_want[0]); /* there still is no buffer */
	net_rig_buffer(&rig, RX, 2048);
	net_rig_kick(&rig, RX);
	assert_false(came_back(RX));
	net_rig_arrive(&rig, NULL, FRAME_BYTES);
	net_rig_rx_ready(&rig, 0);
	assert_true(came_back(RX));
}

/* One of which a part is in the driver's buffers already. */
static void a_frame_that_waits_for_buffers_is_lost_too(void **state)
{
	(void)state;
	net_rig_stop(&rig);
	net_rig_start(&rig, MERGE, 256);
	net_rig_buffer(&rig, RX, 512);
	net_rig_kick(&rig, RX);
	net_rig_arrive(&rig, NULL, 1000);
	net_rig_rx_ready(&rig, 0);
	assert_false(came_back(RX));
	net_rig_plug(&rig, false);
	assert_int_equal(counted("rx_unplugged"), 1);
	net_rig_plug(&rig, true);
	net_rig_buffer(&rig, RX, 1024);
	net_rig_kick(&rig, RX);
	assert_false(came_back(RX));
	net_rig_arrive(&rig, NULL, FRAME_BYTES);
	net_rig_rx_ready(&rig, 0);
	assert_true(came_back(RX));
}

static void a_frame_that_waits_for_room_is_lost_too(void **state)
{
	(void)state;
	rig.send_room = 0;
	send_frame();
	assert_false(came_back(TX));
	net_rig_plug(&rig, false);
	assert_true(came_back(TX));
	assert_int_equal(counted("tx_unplugged"), 1);
	net_rig_plug(&rig, true);
	rig.send_room = 1;
	rig.be.client->tx_ready(rig.be.client, 0);
	assert_int_equal(rig.nr_sent, 0);
	send_frame();
	assert_int_equal(rig.nr_sent, 1);
}

static void the_cable_stays_out_over_a_reset(void **state)
{
	(void)state;
	net_rig_stop(&rig);
	net_rig_plug(&rig, false); /* without a driver */
	assert_int_equal(status(), 0);
	net_rig_arrive(&rig, NULL, FRAME_BYTES);
	net_rig_start(&rig, 0, 256); /* one that does not look at the link */
	net_rig_buffer(&rig, RX, 2048);
	net_rig_kick(&rig, RX);
	send_frame();
	assert_true(came_back(TX));
	assert_false(came_back(RX));
	assert_int_equal(rig.nr_sent, 0);
	assert_int_equal(rig.first_arrived, 1);
	assert_null(rig.reset_why);
}

int main(void)
{
#define LINK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		LINK_TEST(the_driver_sees_the_cable),
		LINK_TEST(cable_and_interface_are_both_needed),
		LINK_TEST(frames_are_lost_while_the_cable_is_out),
		LINK_TEST(frames_do_not_wait_for_the_cable),
		LINK_TEST(a_frame_that_waits_for_buffers_is_lost_too),
		LINK_TEST(a_frame_that_waits_for_room_is_lost_too),
		LINK_TEST(the_cable_stays_out_over_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
