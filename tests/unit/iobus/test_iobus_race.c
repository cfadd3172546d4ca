/*
 * The promise of iobus_remove(): once it returned, the device may go. Readers access while writers
 * register a device, remove it and destroy it at once, over and over. AddressSanitizer shows an op
 * on freed memory, ThreadSanitizer one that nothing orders before the free; without either, a
 * device that has gone is known by its mark.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "child_exit.h"
#include "device.h"
#include "iobus.h"
#include "iobus/internal.h"

enum {
	READERS = 3,
	WRITERS = 2,
	PLACES = 4,          /* a writer; each 16 bytes, one after the other */
	CYCLES = 3000,       /* a writer: one device comes, one goes */
	CYCLES_WAITING = 50, /* the same where each step of them waits for 10 ms */
	PLACE = 16,
};
#define ALIVE UINT64_C(0x616c697665212121)

/* Plain members on purpose: nothing but the bus and the device's lock orders who touches them. */
struct mortal {
	struct device dev;
	uint64_t mark;
	uint64_t ops; /* under the device's lock; a self_locked one has no such counter */
};

static atomic_uint dead_ops; /* ops on a device that had gone */

static uint64_t mortal_read(struct device *dev, struct io_at at)
{
	struct mortal *m = container_of(dev, struct mortal, dev);

	(void)at;
	if (m->mark != ALIVE)
		atomic_fetch_add(&dead_ops, 1);
	if (!dev->cls->self_locked)
		m->ops++;
	return 0;
}

static void mortal_write(struct device *dev, struct io_at at, uint64_t val)
{
	(void)val;
	mortal_read(dev, at);
}

static int mortal_init(struct device *dev, const struct device_env *env)
{
	(void)env;
	container_of(dev, struct mortal, dev)->mark = ALIVE;
	return 0;
}

static void mortal_fini(struct device *dev)
{
	container_of(dev, struct mortal, dev)->mark = 0;
}

#define MORTAL(locked)                                                                             \
	{                                                                                          \
		.name = "mortal", .state_size = sizeof(struct mortal), .max_access = 4,            \
		.self_locked = (locked), .init = mortal_init, .fini = mortal_fini,                 \
		.read = mortal_read, .write = mortal_write                                         \
	}

static const struct device_class mortal_class[] = {MORTAL(false), MORTAL(true)};

struct race {
	struct iobus *bus;
	unsigned cycles;
	atomic_uint writers_left;
	atomic_uint errors;
	atomic_uint_fast64_t reads, writes; /* as the readers count them */
};

struct racer {
	struct race *race;
	unsigned nr;
};

static uint64_t place_addr(unsigned place)
{
	return 0x1000 + (uint64_t)place * PLACE;
}

/* Walks over all places, each access several times in a row so that the last hit serves it. */
static void *read_on(void *arg)
{
	struct racer *racer = arg;
	struct race *race = racer->race;
	struct iobus_reader *reader = NULL;
	uint64_t reads = 0, writes = 0, val = 0;

	for (unsigned i = racer->nr; atomic_load(&race->writers_left) > 0; i++) {
		uint64_t addr = place_addr(i / 16 % (PLACES * WRITERS)) + i / 128 % PLACE;
		unsigned size = 1U << i / 8 % 4;

		if (i % 4096 == racer->nr) {
			iobus_reader_destroy(reader);
			if (iobus_reader_create(race->bus, &reader) < 0) {
				atomic_fetch_add(&race->errors, 1);
				return NULL;
			}
		}
		if (i % 3) {
			iobus_read(reader, addr, size, &val);
			reads++;
		} else {
			iobus_write(reader, addr, size, &val);
			writes++;
		}
	}
	iobus_reader_destroy(reader);
	atomic_fetch_add(&race->reads, reads);
	atomic_fetch_add(&race->writes, writes);
	return NULL;
}

static int replace(struct race *race, struct device **dev, unsigned place, unsigned cycle)
{
	struct iobus_range r = {.first = place_addr(place), .len = PLACE, .owner = "mortal"};
	int ret = 0;

	if (*dev) {
		ret = iobus_remove(race->bus, r.first, NULL);
		*dev = device_destroy(*dev);
	}
	if (ret == 0)
		ret = device_create(&mortal_class[cycle / PLACES % 2], NULL, dev);
	r.dev = *dev;
	return ret < 0 ? ret : iobus_add(race->bus, &r, NULL);
}

static void *replace_on(void *arg)
{
	struct racer *racer = arg;
	struct race *race = racer->race;
	struct device *dev[PLACES] = {NULL};

	for (unsigned i = 0; i < race->cycles; i++) {
		unsigned k = i % PLACES;

		if (replace(race, &dev[k], racer->nr * PLACES + k, i) < 0)
			atomic_fetch_add(&race->errors, 1);
	}
	for (unsigned k = 0; k < PLACES; k++) {
		if (iobus_remove(race->bus, place_addr(racer->nr * PLACES + k), NULL) < 0)
			atomic_fetch_add(&race->errors, 1);
		device_destroy(dev[k]);
	}
	atomic_fetch_sub(&race->writers_left, 1);
	return NULL;
}

/* Somebody also looks at the counters all the while. Totals never go back. */
static void *count_on(void *arg)
{
	struct race *race = arg;
	struct iobus_count counts[PLACES * WRITERS];
	struct iobus_totals t, before = {0};

	do {
		if (iobus_counts(race->bus, counts, ARRAY_SIZE(counts), &t) > ARRAY_SIZE(counts) ||
		    t.split < before.split || t.unclaimed_reads < before.unclaimed_reads)
			atomic_fetch_add(&race->errors, 1);
		before = t;
	} while (atomic_load(&race->writers_left) > 0);
	return NULL;
}

static void race(struct iobus *bus, unsigned cycles)
{
	struct race race = {.bus = bus, .cycles = cycles};
	pthread_t readers[READERS], writers[WRITERS], counter;
	struct racer racers[READERS + WRITERS];
	struct iobus_totals t;

	atomic_init(&race.writers_left, WRITERS);
	atomic_store(&dead_ops, 0);
	for (unsigned i = 0; i < READERS; i++) {
		racers[i] = (struct racer){&race, i};
		assert_int_equal(pthread_create(&readers[i], NULL, read_on, &racers[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		racers[READERS + i] = (struct racer){&race, i};
		assert_int_equal(
			pthread_create(&writers[i], NULL, replace_on, &racers[READERS + i]), 0);
	}
	assert_int_equal(pthread_create(&counter, NULL, count_on, &race), 0);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	pthread_join(counter, NULL);
	assert_int_equal(atomic_load(&race.errors), 0);
	assert_int_equal(atomic_load(&dead_ops), 0);
	assert_int_equal(iobus_counts(race.bus, NULL, 0, &t), 0);
	assert_int_equal(t.reads, atomic_load(&race.reads));
	assert_int_equal(t.writes, atomic_load(&race.writes));
	iobus_destroy(race.bus);
}

static void devices_may_go_once_removed_with_membarrier(void **state)
{
	struct iobus *bus;

	(void)state;
	assert_int_equal(iobus_create(IOBUS_MMIO, &bus), 0);
	race(bus, CYCLES);
}

static void devices_may_go_once_removed_without_membarrier(void **state)
{
	struct iobus *bus;

	(void)state;
	assert_int_equal(iobus_create_as(IOBUS_MMIO, true, &bus), 0);
	race(bus, CYCLES);
}

/* From now on, for this process: membarrier() fails with EPERM. */
static int refuse_membarrier(void)
{
	struct sock_filter insn[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {.len = ARRAY_SIZE(insn), .filter = insn};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		return -errno;
	return syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) < 0 ? 0 : -EINVAL;
}

static int race_in_a_sandbox(void)
{
	struct iobus *bus;
	int r = iobus_create(IOBUS_MMIO, &bus);

	if (r == 0)
		r = refuse_membarrier();
	if (r < 0)
		return 2;
	race(bus, CYCLES_WAITING);
	return 0;
}

/* A sandbox that was closed over the bus, in a process of its own, as it never opens again. */
static void devices_may_go_once_removed_in_a_sandbox_closed_later(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (child == 0)
		child_exit(race_in_a_sandbox());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_may_go_once_removed_with_membarrier),
		cmocka_unit_test(devices_may_go_once_removed_without_membarrier),
		cmocka_unit_test(devices_may_go_once_removed_in_a_sandbox_closed_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
