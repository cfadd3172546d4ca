/*
 * Differential test of the bus against a model that looks at every byte and every range, one after
 * the other: random tables, random accesses of 1 to 8 bytes, mostly about the edges of ranges. The
 * seed is fixed. A second test lets readers check what they get while writers change the table.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "device.h"
#include "iobus.h"
#include "iobus/internal.h"
#include "random.h"

enum {
	DEVICES = 40,
	RANGES_MAX = 128,
	READERS = 3,
	ROUNDS = 320,            /* each a change of the table or several, and then */
	ACCESSES = 4000,         /* of each round: 1,280,000 in all */
	OPS_MAX = 8,             /* of one access: 8 bytes, one by one */
	CELLS = 96,              /* of the concurrent test */
	READS_A_THREAD = 100000, /* there */
};

struct op {
	const struct device *dev;
	uint64_t off, val;
	unsigned size, region;
	enum iobus_dir dir;
};

struct ops {
	struct op op[OPS_MAX];
	unsigned nr;
};

static _Thread_local struct ops seen; /* by the devices, during the access of this thread */

static void seen_add(const struct op *op)
{
	if (seen.nr < OPS_MAX)
		seen.op[seen.nr] = *op;
	seen.nr++;
}

/* The answer of op nr of an access: all 64 bits are used, so that masking shows. */
static uint64_t answer(uint64_t off, unsigned size, unsigned nr)
{
	uint64_t state = off * 64 + (uint64_t)size * 8 + nr + 1;

	return random_next(&state);
}

static uint64_t below(uint64_t val, unsigned size)
{
	return size == 8 ? val : val & ((UINT64_C(1) << 8 * size) - 1);
}

static uint64_t logging_read(struct device *dev, struct io_at at)
{
	uint64_t val = answer(at.off, at.size, seen.nr);

	seen_add(&(struct op){dev, at.off, below(val, at.size), at.size, at.range, IOBUS_READ});
	return val;
}

static void logging_write(struct device *dev, struct io_at at, uint64_t val)
{
	seen_add(&(struct op){dev, at.off, val, at.size, at.range, IOBUS_WRITE});
}

#define LOGGING(bytes, locked)                                                                     \
	{                                                                                          \
		.name = "logging", .max_access = (bytes), .self_locked = (locked),                 \
		.read = logging_read, .write = logging_write                                       \
	}

static const struct device_class logging_class[] = {
	LOGGING(0, false), LOGGING(1, true),  LOGGING(2, false), LOGGING(4, true),
	LOGGING(8, false), LOGGING(4, false), LOGGING(1, false), LOGGING(8, true),
};

/* The model. Ranges are in no order; each is looked at for each byte. */
struct model_range {
	uint64_t first, last;
	struct device *dev;
	unsigned region;
	uint64_t accesses[2];
};

struct model {
	uint64_t top; /* of the space */
	struct model_range range[RANGES_MAX];
	unsigned nr;
	uint64_t accesses[2], unclaimed[2], split;
	uint64_t random;
};

/* Not sanitized, for speed: it looks at the model alone, which one thread has. */
__attribute__((no_sanitize("thread", "address", "undefined"))) static struct model_range *
model_owner(struct model *m, uint64_t addr)
{
	struct model_range *end = m->range + m->nr;

	for (struct model_range *range = m->range; range < end; range++)
		if (range->first <= addr && addr <= range->last)
			return range;
	return NULL;
}

/* The greedy cut of n bytes of one range: as the header of iobus.h says it. */
static void model_part(const struct model_range *range, uint64_t off, unsigned n,
		       enum iobus_dir dir, uint8_t *data, struct ops *ops)
{
	unsigned max = range->dev->cls->max_access ? range->dev->cls->max_access : 8;

	while (n > 0) {
		struct op *op = &ops->op[ops->nr];
		unsigned size = 8;

		while (size > max || size > n)
			size /= 2;
		*op = (struct op){range->dev, off, 0, size, range->region, dir};
		if (dir == IOBUS_READ) {
			op->val = below(answer(off, size, ops->nr), size);
			for (unsigned i = 0; i < size; i++)
				data[i] = (uint8_t)(op->val >> 8 * i);
		} else {
			for (unsigned i = 0; i < size; i++)
				op->val |= (uint64_t)data[i] << 8 * i;
		}
		ops->nr++;
		off += size;
		data += size;
		n -= size;
	}
}

static void model_access(struct model *m, uint64_t addr, unsigned size, enum iobus_dir dir,
			 uint8_t *data, struct ops *ops)
{
	struct model_range *owner[8];
	bool unclaimed = false;

	for (unsigned i = 0; i < size; i++) {
		owner[i] = i > UINT64_MAX - addr ? NULL : model_owner(m, addr + i);
		unclaimed |= !owner[i];
		if (!owner[i] && dir == IOBUS_READ)
			data[i] = 0xff;
	}
	ops->nr = 0;
	for (unsigned i = 0, n; i < size; i += n) {
		for (n = 1; i + n < size && owner[i + n] == owner[i];)
			n++;
		if (!owner[i])
			continue;
		owner[i]->accesses[dir]++;
		model_part(owner[i], addr + i - owner[i]->first, n, dir, data + i, ops);
	}
	m->accesses[dir]++;
	m->unclaimed[dir] += unclaimed;
	m->split += ops->nr > 1 || (ops->nr == 1 && unclaimed);
}

static int model_check(const struct model *m, const struct iobus_range *r)
{
	if (r->len == 0 || r->first > m->top || r->len - 1 > m->top - r->first)
		return -EINVAL;
	return 0;
}

static bool overlap(uint64_t a_first, uint64_t a_last, uint64_t b_first, uint64_t b_last)
{
	return a_first <= b_last && b_first <= a_last;
}

/* The result that iobus_add_many() must have for these; adds them when that is 0. */
static int model_add(struct model *m, const struct iobus_range *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (model_check(m, &r[i]) < 0)
			return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		uint64_t last = r[i].first + (r[i].len - 1);

		for (unsigned k = 0; k < m->nr; k++)
			if (overlap(r[i].first, last, m->range[k].first, m->range[k].last))
				return -EEXIST;
		for (unsigned k = 0; k < i; k++)
			if (overlap(r[i].first, last, r[k].first, r[k].first + (r[k].len - 1)))
				return -EEXIST;
	}
	for (unsigned i = 0; i < n; i++)
		m->range[m->nr++] = (struct model_range){.first = r[i].first,
							 .last = r[i].first + (r[i].len - 1),
							 .dev = r[i].dev,
							 .region = r[i].region};
	return 0;
}

static int model_remove(struct model *m, uint64_t first)
{
	for (unsigned i = 0; i < m->nr; i++) {
		if (m->range[i].first == first) {
			m->range[i] = m->range[--m->nr];
			return 0;
		}
	}
	return -ENOENT;
}

/* An address worth trying: near an edge of a range or of the space, or anywhere. */
static uint64_t random_addr(struct model *m)
{
	uint64_t r = random_below(&m->random, 16), near = random_below(&m->random, 16);

	if (r < 12 && m->nr > 0) {
		const struct model_range *range = &m->range[random_below(&m->random, m->nr)];

		return (r % 2 ? range->first : range->last) + near - 8;
	}
	if (r < 13)
		return m->top - near + 4;
	if (r < 14)
		return near;
	return random_next(&m->random) & (r == 14 ? m->top : m->top & 0xfff);
}

/* Mostly one that can be added: short, and next to another or a little beyond it. */
static struct iobus_range random_range(struct model *m, struct device *devices)
{
	uint64_t dev = random_below(&m->random, DEVICES), odd = random_below(&m->random, 64);
	struct iobus_range r = {
		.first = random_next(&m->random) & m->top & 0xffff,
		.len = random_below(&m->random, 16) + 1,
		.dev = &devices[dev],
		.owner = "model",
		.region = (uint8_t)random_below(&m->random, 256),
	};

	if (m->nr > 0 && random_below(&m->random, 4))
		r.first = m->range[random_below(&m->random, m->nr)].last + 1 +
			  (random_below(&m->random, 2) ? 0 : random_below(&m->random, 5));
	if (odd < 6) /* as like as not refused */
		r.first = random_addr(m);
	if (odd < 2)
		r.len = random_below(&m->random, 3000);
	return r;
}

static void model_grow(struct model *m, struct iobus *bus, struct device *devices)
{
	struct iobus_range r[6];
	unsigned n = 1;

	if (random_below(&m->random, 4) == 0)
		n = (unsigned)random_below(&m->random, ARRAY_SIZE(r) + 1);
	if (m->nr + n > RANGES_MAX)
		return;
	for (unsigned i = 0; i < n; i++)
		r[i] = random_range(m, devices);
	assert_int_equal(iobus_add_many(bus, r, n, NULL), model_add(m, r, n));
}

static void model_shrink(struct model *m, struct iobus *bus)
{
	uint64_t first = random_addr(m);

	if (m->nr > 0 && random_below(&m->random, 8))
		first = m->range[random_below(&m->random, m->nr)].first;
	assert_int_equal(iobus_remove(bus, first, NULL), model_remove(m, first));
}

/* Some changes, towards a table of a random size. */
static void change_table(struct model *m, struct iobus *bus, struct device *devices)
{
	uint64_t size = random_below(&m->random, RANGES_MAX);

	if (random_below(&m->random, 16) == 0)
		size = random_below(&m->random, 3);
	for (unsigned i = 0; i < 200; i++) {
		if (random_below(&m->random, 8) < (m->nr < size ? 7U : 1U))
			model_grow(m, bus, devices);
		else
			model_shrink(m, bus);
	}
}

static void compare_access(struct model *m, struct iobus_reader *reader)
{
	uint64_t addr = random_addr(m), val = random_next(&m->random);
	unsigned size = (unsigned)random_below(&m->random, 8) + 1;
	enum iobus_dir dir = random_below(&m->random, 2) ? IOBUS_WRITE : IOBUS_READ;
	uint8_t got[8], want[8];
	struct ops ops;

	memcpy(got, &val, sizeof(got));
	memcpy(want, &val, sizeof(want));
	model_access(m, addr, size, dir, want, &ops);
	seen.nr = 0;
	if (dir == IOBUS_READ)
		iobus_read(reader, addr, size, got);
	else
		iobus_write(reader, addr, size, got);
	assert_memory_equal(got, want, sizeof(got));
	assert_int_equal(seen.nr, ops.nr);
	for (unsigned i = 0; i < ops.nr; i++) {
		assert_ptr_equal(seen.op[i].dev, ops.op[i].dev);
		assert_int_equal(seen.op[i].off, ops.op[i].off);
		assert_int_equal(seen.op[i].val, ops.op[i].val);
		assert_int_equal(seen.op[i].size, ops.op[i].size);
		assert_int_equal(seen.op[i].region, ops.op[i].region);
		assert_int_equal(seen.op[i].dir, dir);
	}
}

static void compare_counts(struct model *m, struct iobus *bus)
{
	struct iobus_count c[RANGES_MAX];
	struct iobus_totals t;

	assert_int_equal(iobus_counts(bus, c, RANGES_MAX, &t), m->nr);
	for (unsigned i = 0; i < m->nr; i++) {
		const struct model_range *range = model_owner(m, c[i].first);

		assert_true(i == 0 || c[i].first > c[i - 1].first);
		assert_non_null(range);
		assert_int_equal(c[i].first, range->first);
		assert_int_equal(c[i].len - 1, range->last - range->first);
		assert_int_equal(c[i].reads, range->accesses[IOBUS_READ]);
		assert_int_equal(c[i].writes, range->accesses[IOBUS_WRITE]);
	}
	assert_int_equal(t.reads, m->accesses[IOBUS_READ]);
	assert_int_equal(t.writes, m->accesses[IOBUS_WRITE]);
	assert_int_equal(t.unclaimed_reads, m->unclaimed[IOBUS_READ]);
	assert_int_equal(t.unclaimed_writes, m->unclaimed[IOBUS_WRITE]);
	assert_int_equal(t.split, m->split);
}

static void compare(enum iobus_space space, bool fenced, uint64_t seed)
{
	struct model *m = calloc(1, sizeof(*m));
	struct iobus_reader *reader[READERS];
	struct device devices[DEVICES];
	struct iobus *bus;
	uint64_t ranges = 0;

	assert_non_null(m);
	m->random = seed;
	m->top = space == IOBUS_PIO ? UINT16_MAX : UINT64_MAX;
	for (unsigned i = 0; i < DEVICES; i++)
		devices[i] = (struct device){.cls = &logging_class[i % ARRAY_SIZE(logging_class)],
					     .lock = PTHREAD_MUTEX_INITIALIZER};
	assert_int_equal(fenced ? iobus_create_as(space, true, &bus) : iobus_create(space, &bus),
			 0);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(iobus_reader_create(bus, &reader[i]), 0);
	for (unsigned round = 0; round < ROUNDS / 4; round++) {
		struct iobus_reader **r = &reader[round % READERS];

		change_table(m, bus, devices);
		ranges += m->nr;
		iobus_reader_destroy(*r);
		assert_int_equal(iobus_reader_create(bus, r), 0);
		iobus_set_timing(bus, round % 8 == 7);
		for (unsigned i = 0; i < ACCESSES; i++)
			compare_access(m, reader[random_below(&m->random, READERS)]);
		compare_counts(m, bus);
	}
	for (unsigned i = 0; i < READERS; i++)
		iobus_reader_destroy(reader[i]);
	compare_counts(m, bus);
	/* That it was worth comparing: tables were large, and accesses of every kind many. */
	assert_true(ranges / (ROUNDS / 4) > RANGES_MAX / 4);
	assert_true(m->split > ROUNDS * ACCESSES / 4 / 8);
	assert_true(m->unclaimed[IOBUS_READ] > ROUNDS * ACCESSES / 4 / 16);
	assert_true(m->unclaimed[IOBUS_READ] < m->accesses[IOBUS_READ] / 4 * 3);
	iobus_destroy(bus);
	free(m);
}

static void the_port_bus_does_what_the_model_does(void **state)
{
	(void)state;
	compare(IOBUS_PIO, false, 1);
	compare(IOBUS_PIO, true, 2);
}

static void the_mmio_bus_does_what_the_model_does(void **state)
{
	(void)state;
	compare(IOBUS_MMIO, false, 3);
	compare(IOBUS_MMIO, true, 4);
}

/*
 * The concurrent test. Cell i is 32 bytes: a range that stays, 8 free bytes, a range that comes and
 * goes, 8 free bytes. A device's bytes depend on the address alone, so a reader can tell of each
 * byte what it may get without knowing how the access was cut.
 */
enum { CELL = 32, STAYS = 8, COMES = 16 };

struct cell_device {
	struct device dev;
	uint64_t first;
};

struct arena {
	struct iobus *bus;
	struct cell_device stays[CELLS], comes[CELLS];
	atomic_uint readers_left;
	atomic_uint errors;
};

struct cell_thread {
	struct arena *arena;
	unsigned nr;
	uint64_t random;
	uint64_t accesses[2], stays[CELLS][2]; /* counted by the reader itself */
};

static uint8_t byte_at(uint64_t addr)
{
	uint64_t state = addr + 1;

	return random_next(&state) >> 40 & 0x7f; /* never all ones */
}

static uint64_t bytes_at(uint64_t addr, unsigned size)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < size; i++)
		val |= (uint64_t)byte_at(addr + i) << 8 * i;
	return val;
}

static uint64_t cell_read(struct device *dev, struct io_at at)
{
	return bytes_at(container_of(dev, struct cell_device, dev)->first + at.off, at.size);
}

static _Thread_local unsigned wrong_writes;

static void cell_write(struct device *dev, struct io_at at, uint64_t val)
{
	wrong_writes += val != cell_read(dev, at);
}

static const struct device_class cell_class[] = {
	{.name = "cell",
	 .max_access = 4,
	 .self_locked = true,
	 .read = cell_read,
	 .write = cell_write},
	{.name = "cell", .max_access = 8, .read = cell_read, .write = cell_write},
	{.name = "cell",
	 .max_access = 1,
	 .self_locked = true,
	 .read = cell_read,
	 .write = cell_write},
};

static struct iobus_range cell_range(struct cell_device *d)
{
	return (struct iobus_range){.first = d->first, .len = 8, .dev = &d->dev, .owner = "cell"};
}

/* Of the bytes of one range that comes and goes, an access gets all or none. */
static bool cell_bytes_good(uint64_t addr, unsigned size, const uint8_t *data)
{
	int came = -1; /* not known yet */

	for (unsigned i = 0; i < size; i++) {
		uint64_t in_cell = (addr + i) % CELL;
		bool held = data[i] == byte_at(addr + i);

		if (!held && data[i] != 0xff)
			return false;
		if (in_cell == COMES)
			came = -1;
		if (in_cell < STAYS && !held)
			return false;
		if (in_cell >= STAYS && (in_cell < COMES || in_cell >= COMES + 8) && held)
			return false;
		if (in_cell >= COMES && in_cell < COMES + 8) {
			if (came >= 0 && came != held)
				return false;
			came = held;
		}
	}
	return true;
}

static void cell_count(struct cell_thread *t, uint64_t addr, unsigned size, enum iobus_dir dir)
{
	uint64_t counted = UINT64_MAX;

	t->accesses[dir]++;
	for (unsigned i = 0; i < size; i++) {
		uint64_t cell = (addr + i) / CELL;

		if ((addr + i) % CELL < STAYS && cell < CELLS && cell != counted) {
			t->stays[cell][dir]++;
			counted = cell;
		}
	}
}

static void *cell_reader(void *arg)
{
	struct cell_thread *t = arg;
	struct iobus_reader *reader = NULL;

	for (unsigned i = 0; i < READS_A_THREAD; i++) {
		uint64_t addr = random_below(&t->random, CELLS * CELL - 8);
		unsigned size = (unsigned)random_below(&t->random, 8) + 1;
		uint8_t data[8];

		if (i % 5000 == 0) {
			iobus_reader_destroy(reader);
			if (iobus_reader_create(t->arena->bus, &reader) < 0)
				break;
		}
		if (i % 4 == 0) {
			uint64_t val = bytes_at(addr, size);

			iobus_write(reader, addr, size, &val);
			cell_count(t, addr, size, IOBUS_WRITE);
		} else {
			iobus_read(reader, addr, size, data);
			cell_count(t, addr, size, IOBUS_READ);
			if (!cell_bytes_good(addr, size, data))
				atomic_fetch_add(&t->arena->errors, 1);
		}
	}
	iobus_reader_destroy(reader);
	atomic_fetch_add(&t->arena->errors, wrong_writes);
	atomic_fetch_sub(&t->arena->readers_left, 1);
	return NULL;
}

/* Writer k has every other of the ranges that come and go, and so knows what each call returns. */
static void *cell_writer(void *arg)
{
	struct cell_thread *t = arg;
	bool here[CELLS] = {false};

	while (atomic_load(&t->arena->readers_left) > 0) {
		uint64_t cell = random_below(&t->random, CELLS / 2) * 2 + t->nr;
		struct cell_device *d = &t->arena->comes[cell];
		struct iobus_range r = cell_range(d);
		int want_add = here[cell] ? -EEXIST : 0, want_remove = here[cell] ? 0 : -ENOENT;
		bool adds = random_below(&t->random, 2);

		if (adds ? iobus_add(t->arena->bus, &r, NULL) != want_add
			 : iobus_remove(t->arena->bus, d->first, NULL) != want_remove)
			atomic_fetch_add(&t->arena->errors, 1);
		here[cell] = adds;
		if (random_below(&t->random, 64) == 0)
			iobus_set_timing(t->arena->bus, random_below(&t->random, 2));
	}
	return NULL;
}

static void arena_fill(struct arena *arena, bool fenced)
{
	struct iobus_range r[CELLS];

	assert_int_equal(fenced ? iobus_create_as(IOBUS_MMIO, true, &arena->bus)
				: iobus_create(IOBUS_MMIO, &arena->bus),
			 0);
	atomic_init(&arena->readers_left, READERS);
	for (unsigned i = 0; i < CELLS; i++) {
		const struct device cell = {.cls = &cell_class[i % ARRAY_SIZE(cell_class)],
					    .lock = PTHREAD_MUTEX_INITIALIZER};

		arena->stays[i] = (struct cell_device){cell, (uint64_t)i * CELL};
		arena->comes[i] = (struct cell_device){cell, (uint64_t)i * CELL + COMES};
		r[i] = cell_range(&arena->stays[i]);
	}
	assert_int_equal(iobus_add_many(arena->bus, r, CELLS, NULL), 0);
}

static void arena_counts(const struct arena *arena, const struct cell_thread *reader)
{
	struct iobus_count c[2 * CELLS];
	uint64_t accesses[2] = {0};
	struct iobus_totals t;
	size_t n = iobus_counts(arena->bus, c, ARRAY_SIZE(c), &t);

	for (unsigned k = 0; k < READERS; k++)
		for (int dir = IOBUS_READ; dir <= IOBUS_WRITE; dir++)
			accesses[dir] += reader[k].accesses[dir];
	assert_int_equal(t.reads, accesses[IOBUS_READ]);
	assert_int_equal(t.writes, accesses[IOBUS_WRITE]);
	for (size_t i = 0; i < n; i++) {
		uint64_t cell = c[i].first / CELL, reads = 0, writes = 0;

		for (unsigned k = 0; k < READERS; k++) {
			reads += reader[k].stays[cell][IOBUS_READ];
			writes += reader[k].stays[cell][IOBUS_WRITE];
		}
		if (c[i].first % CELL == 0) {
			assert_int_equal(c[i].reads, reads);
			assert_int_equal(c[i].writes, writes);
		}
	}
}

static void churn(bool fenced)
{
	enum { WRITERS = 2 };
	struct cell_thread *t = calloc(READERS + WRITERS, sizeof(*t));
	struct arena *arena = calloc(1, sizeof(*arena));
	pthread_t thread[READERS + WRITERS];

	assert_non_null(t);
	assert_non_null(arena);
	arena_fill(arena, fenced);
	for (unsigned i = 0; i < READERS + WRITERS; i++) {
		bool reads = i < READERS;

		t[i] = (struct cell_thread){
			.arena = arena, .nr = reads ? i : i - READERS, .random = 100 + i};
		assert_int_equal(
			pthread_create(&thread[i], NULL, reads ? cell_reader : cell_writer, &t[i]),
			0);
	}
	for (unsigned i = 0; i < READERS + WRITERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&arena->errors), 0);
	arena_counts(arena, t);
	iobus_destroy(arena->bus);
	free(arena);
	free(t);
}

static void readers_get_the_bytes_of_one_table_while_writers_change_it(void **state)
{
	(void)state;
	churn(false);
	churn(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_port_bus_does_what_the_model_does),
		cmocka_unit_test(the_mmio_bus_does_what_the_model_does),
		cmocka_unit_test(readers_get_the_bytes_of_one_table_while_writers_change_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
