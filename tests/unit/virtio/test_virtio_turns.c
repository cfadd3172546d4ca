/*
 * A turn of a virtio device has an end: a driver that offers more whenever it can, or more than it may, is
 * serviced up to a bound, and then the device rings for itself, so that other events come in between. Nothing
 * is left, and kicks are asked for again in the end. Queues are longer than any turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/virtio_balloon.h>

#include "base/macros.h"
#include "blk_rig.h"
#include "net_rig.h"
#include "virtio_rig.h"

enum {
	TOTAL = 5000, /* chains that the driver offers in all */
	LOOKS_MAX = 512,
	QUEUE_SIZE = 4096,
	QUEUE_GPA = 0x20000,
	DATA_GPA = 0x80000,
	TYPED_BYTES = 1 << 14,
};

/* A queue of a device, and what a driver puts there; all chains are alike. */
struct turns {
	const char *name;
	void (*start)(const struct turns *t);
	void (*stop)(void);
	unsigned queue;
	unsigned most; /* chains of one turn */
	struct virtq_buf buf[2];
	unsigned nr_bufs;
};

static struct virtio_rig rig;
static struct net_rig net;
static struct char_backend chr;

static struct {
	struct virtio_device *vd;
	unsigned queue;
	struct virtq_driver drv;
	unsigned nr_bufs, offered, rings;
	bool running;
	bool hostile; /* offers more before it is shown that there is room */
	bool wavers;  /* sets its index forward when the device asks for kicks, and back then */
	unsigned looks;
} guest;

static void guest_ring(struct doorbell *bell, unsigned queue)
{
	(void)bell;
	if (queue == guest.queue)
		guest.rings++;
}

static bool guest_owns(const struct virtq *vq)
{
	return guest.running && vq == &guest.vd->queue[guest.queue];
}

static void guest_offer(void)
{
	const unsigned chains = guest.drv.size / guest.nr_bufs;

	if (guest.offered == TOTAL)
		return;
	virtq_driver_offer(&guest.drv, (uint16_t)(guest.offered % chains * guest.nr_bufs));
	guest.offered++;
}

/* As much as an honest driver may. */
static void guest_refill(void)
{
	const unsigned chains = guest.drv.size / guest.nr_bufs;

	while (guest.offered < TOTAL &&
	       (uint16_t)(guest.drv.avail_idx - guest.drv.used->idx) < chains)
		guest_offer();
}

void __real_virtq_push(struct virtq *vq, uint16_t head, uint32_t written_bytes);
void __wrap_virtq_push(struct virtq *vq, uint16_t head, uint32_t written_bytes);
void __wrap_virtq_push(struct virtq *vq, uint16_t head, uint32_t written_bytes)
{
	__real_virtq_push(vq, head, written_bytes);
	if (guest_owns(vq) && guest.hostile)
		guest_offer();
}

bool __real_virtq_publish(struct virtq *vq);
bool __wrap_virtq_publish(struct virtq *vq);
bool __wrap_virtq_publish(struct virtq *vq)
{
	const bool wanted = __real_virtq_publish(vq);

	if (guest_owns(vq) && !guest.hostile)
		guest_refill();
	return wanted;
}

bool __real_virtq_kicks_allow(struct virtq *vq);
bool __wrap_virtq_kicks_allow(struct virtq *vq);
bool __wrap_virtq_kicks_allow(struct virtq *vq)
{
	const bool more = __real_virtq_kicks_allow(vq);

	return more || (guest_owns(vq) && guest.wavers && ++guest.looks < TOTAL);
}

/*
 * The devices.
 */

static void rig_start(const struct turns *t, const struct virtio_class *cls, const void *conf,
		      uint64_t features)
{
	struct virtq_driver drv;

	assert_int_equal(virtio_rig_prepare(&rig, cls, conf), 0);
	rig.f.env.chr = &chr;
	assert_int_equal(virtio_rig_create(&rig), 0);
	virtq_driver_init(&drv, &rig.mem, VIRTIO_RIG_QUEUE_GPA, rig.vd->queue_size[t->queue]);
	assert_true(virtio_rig_negotiate(&rig, features));
	assert_true(virtio_rig_queue(&rig, t->queue, &drv));
	virtio_rig_driver_ok(&rig);
	rig.bell.ring = guest_ring;
	guest.vd = rig.vd;
}

static void rig_stop(void)
{
	virtio_rig_fini(&rig);
}

static void rng_start(const struct turns *t)
{
	rig_start(t, &virtio_rng_class, NULL, 0);
}

static size_t host_write(struct char_backend *be, const uint8_t *buf, size_t n)
{
	(void)be;
	(void)buf;
	return n;
}

static void host_input_wanted(struct char_backend *be)
{
	(void)be;
}

static bool host_size(const struct char_backend *be, uint16_t *ret_cols, uint16_t *ret_rows)
{
	(void)be;
	(void)ret_cols;
	(void)ret_rows;
	return false;
}

static void console_start(const struct turns *t)
{
	static const uint8_t typed[TYPED_BYTES];

	chr = (struct char_backend){
		.write = host_write, .input_wanted = host_input_wanted, .size = host_size};
	rig_start(t, &virtio_console_class, NULL, 0);
	virtio_console_class.chr->rx(rig.dev, typed, sizeof(typed));
}

static void balloon_start(const struct turns *t)
{
	static const struct virtio_balloon_conf conf = {.target_bytes = 0};

	rig_start(t, &virtio_balloon_class, &conf, UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING);
}

static void vsock_start(const struct turns *t)
{
	static const struct virtio_vsock_conf conf = {.path = "/tmp/tollgate-turns.vsock",
						      .cid = 3};

	rig_start(t, &virtio_vsock_class, &conf, 0);
}

static void blk_start(const struct turns *t)
{
	blk_rig.conf.queues = 1;
	blk_rig_init();
	blk_rig_start(UINT64_MAX);
	blk_rig_header(0, t->buf[1].len > 512 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_GET_ID, 0);
	blk_rig.bell.ring = guest_ring;
	guest.vd = blk_rig.vd;
}

static void blk_stop(void)
{
	blk_rig_fini();
}

static void net_start(const struct turns *t)
{
	(void)t;
	net_rig_init(&net, 1, 0, 0, NULL);
	net_rig_start(&net, net.vd->features, 256);
	net.bell.ring = guest_ring;
	net.send_error = -EPROTONOSUPPORT; /* nothing is kept */
	guest.vd = net.vd;
}

static void net_stop(void)
{
	net_rig_fini(&net);
}

static const struct turns all[] = {
	{"rng", rng_start, rig_stop, 0, 64, {{DATA_GPA, 16, true}}, 1},
	{"console input", console_start, rig_stop, 0, 64, {{DATA_GPA, 1, true}}, 1},
	{"console output", console_start, rig_stop, 1, 64, {{DATA_GPA, 1, false}}, 1},
	{"balloon, inflate", balloon_start, rig_stop, 0, 128, {{DATA_GPA, 4, false}}, 1},
	{"balloon, deflate", balloon_start, rig_stop, 1, 128, {{DATA_GPA, 4, false}}, 1},
	{"balloon, report", balloon_start, rig_stop, 2, 128, {{DATA_GPA, 4096, true}}, 1},
	{"socket, transmit", vsock_start, rig_stop, 1, 64, {{DATA_GPA, 44, false}}, 1},
	{"block, at once",
	 blk_start,
	 blk_stop,
	 0,
	 512,
	 {{BLK_RIG_HEADER_GPA, 16, false}, {BLK_RIG_DATA_GPA, 21, true}},
	 2},
	{"block, long buffers",
	 blk_start,
	 blk_stop,
	 0,
	 32,
	 {{BLK_RIG_HEADER_GPA, 16, false}, {BLK_RIG_DATA_GPA, 2 << 20, true}},
	 2},
	{"block, read",
	 blk_start,
	 blk_stop,
	 0,
	 512,
	 {{BLK_RIG_HEADER_GPA, 16, false}, {BLK_RIG_DATA_GPA, 513, true}},
	 2},
	{"net, transmit", net_start, net_stop, 1, 64, {{NET_RIG_DATA_GPA, 26, false}}, 1},
	{"net, control",
	 net_start,
	 net_stop,
	 2,
	 8,
	 {{NET_RIG_DATA_GPA, 2, false}, {NET_RIG_DATA_GPA + 16, 1, true}},
	 2},
};

/* Of a device that runs. */
static void queue_lengthen(struct virtq *vq)
{
	virtq_stop(vq);
	vq->size_max = QUEUE_SIZE;
	assert_int_equal(virtq_driver_start(&guest.drv, vq, QUEUE_GPA, QUEUE_SIZE, 0), 0);
}

static void guest_start(const struct turns *t, bool hostile)
{
	memset(&guest, 0, sizeof(guest));
	guest.queue = t->queue;
	guest.nr_bufs = t->nr_bufs;
	t->start(t);
	queue_lengthen(&guest.vd->queue[t->queue]);
	for (unsigned i = 0; i < guest.drv.size / t->nr_bufs; i++)
		virtq_driver_chain(&guest.drv, t->buf, t->nr_bufs);
	guest.hostile = hostile;
	guest.running = true;
	guest_refill();
}

/* One turn; false when the device asks neither itself nor the driver for another. */
static bool turn(const struct turns *t)
{
	const struct virtq *vq = &guest.vd->queue[guest.queue];
	const uint64_t before = vq->chains;

	guest.rings = 0;
	guest.vd->cls->kick(guest.vd, guest.queue);
	if (vq->chains - before > t->most)
		fail_msg("%s: %u chains in a turn", t->name, (unsigned)(vq->chains - before));
	if (guest.vd->broken)
		return false;
	return guest.rings > 0 ||
	       (vq->chains < guest.offered && virtq_driver_kick_wanted(&guest.drv, 0));
}

static void a_driver_that_never_pauses_is_serviced_in_turns(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		const struct turns *t = &all[i];
		unsigned turns = 1;

		guest_start(t, false);
		while (turn(t))
			turns++;
		if (guest.vd->queue[t->queue].chains != TOTAL)
			fail_msg("%s: %u of %u chains", t->name,
				 (unsigned)guest.vd->queue[t->queue].chains, TOTAL);
		assert_false(guest.vd->broken);
		assert_true(turns >= TOTAL / t->most);
		if (!virtq_driver_kick_wanted(&guest.drv, 0))
			fail_msg("%s: no kick is asked for any more", t->name);
		guest.running = false;
		t->stop();
	}
}

static void a_driver_that_offers_more_than_it_may_is_serviced_in_turns(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		const struct turns *t = &all[i];

		guest_start(t, true);
		while (turn(t))
			;
		if (!guest.vd->broken && guest.vd->queue[t->queue].chains != TOTAL)
			fail_msg("%s: %u of %u chains", t->name,
				 (unsigned)guest.vd->queue[t->queue].chains, TOTAL);
		guest.running = false;
		t->stop();
	}
}

static void a_driver_whose_index_wavers_is_looked_at_in_turns(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		const struct turns *t = &all[i];

		guest_start(t, false);
		while (turn(t))
			;
		guest.wavers = true;
		guest.vd->cls->kick(guest.vd, guest.queue);
		if (guest.looks == 0 || guest.looks > LOOKS_MAX)
			fail_msg("%s: %u looks in a turn", t->name, guest.looks);
		assert_true(guest.rings > 0);
		guest.running = false;
		t->stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_driver_that_never_pauses_is_serviced_in_turns),
		cmocka_unit_test(a_driver_that_offers_more_than_it_may_is_serviced_in_turns),
		cmocka_unit_test(a_driver_whose_index_wavers_is_looked_at_in_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
