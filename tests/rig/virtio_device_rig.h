/*
 * virtio_device_rig.h - for the unit tests of one virtio device and its transport (virtio_rig.h): the
 * rig, its memory, its end.
 */
#ifndef TESTS_UNIT_VIRTIO_DEVICE_RIG_H
#define TESTS_UNIT_VIRTIO_DEVICE_RIG_H

#include "virtio/classes.h"
#include "virtio_counter.h"
#include "virtio_rig.h"

static struct virtio_rig rig;

static inline int teardown(void **state)
{
	(void)state;
	virtio_rig_fini(&rig);
	return 0;
}

static inline uint8_t *at(uint64_t gpa)
{
	return guest_mem_ptr(&rig.mem, gpa, 1);
}

static inline uint64_t counted(const char *name)
{
	return virtio_counter(rig.vd, name);
}

#endif
