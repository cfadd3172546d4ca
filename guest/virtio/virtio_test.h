/* virtio_test.h - what the two files of this kernel share. */
#ifndef GUEST_VIRTIO_TEST_H
#define GUEST_VIRTIO_TEST_H

#include "virtio.h"

extern struct virtio_test {
	struct virtio_device dev;
	struct virtio_queue q;
	unsigned requests;
	unsigned interrupts_wanted;
} test;

/* Negotiates VERSION_1 and these, and starts the device with its one queue empty. */
bool virtio_test_start(uint64_t features);

/* A request that ends well, with its interrupt. Interrupts are asked for each time. */
bool virtio_test_request(void);

/* Each invalid ring shape (hostile.c). */
void virtio_test_hostile(void);

#endif
