/* virtio_counter.h - what a virtio device counted, by the name under which statistics tell it. */
#ifndef TESTS_UNIT_VIRTIO_COUNTER_H
#define TESTS_UNIT_VIRTIO_COUNTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "virtio/virtio.h"

static inline uint64_t virtio_counter(const struct virtio_device *vd, const char *name)
{
	for (unsigned i = 0; vd->cls->counter_names[i]; i++)
		if (strcmp(vd->cls->counter_names[i], name) == 0)
			return vd->counter[i];
	fail_msg("no counter %s", name);
	return 0;
}

#endif
