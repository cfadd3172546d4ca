/* virtio_test.h - what the files of this kernel share. */
#ifndef GUEST_VIRTIO_TEST_H
#define GUEST_VIRTIO_TEST_H

#include "virtio.h"

#define VIRTIO_TEST_NOWHERE UINT64_C(0xd8000000) /* no memory, and no device */

extern struct virtio_test {
	struct virtio_device dev;
	struct virtio_queue q;
	unsigned index; /* of that queue, the one that is driven */
	unsigned requests;
	unsigned interrupts_wanted;
	uint8_t random[2][32]; /* what the last two requests to an entropy device got */
} test;

/* The device that the word device= names; true when it is the entropy device. */
bool virtio_test_find(void);

/* Negotiates VERSION_1 and these, and starts the device with its one queue empty. */
bool virtio_test_start(uint64_t features);

/* Makes a request that the device answers well, from desc[0] on; how many bytes it will write. */
uint32_t virtio_test_make(struct virtio_desc *desc);

/* Such a request, with its interrupt. Interrupts are asked for each time. */
bool virtio_test_request(void);

/* Used buffers that were not looked at; the same with an interrupt for them. */
bool virtio_test_used(void);
bool virtio_test_interrupt(void);

/* The end of the last stretch of RAM that begins below below_gpa, and how long that is. */
uint64_t virtio_test_ram_end(uint64_t below_gpa, uint64_t *ret_bytes);

void virtio_test_registers(void); /* registers.c: what a driver must not do to them */
void virtio_test_places(void);    /* places.c: where queues may lie, and where not */
void virtio_test_hostile(void);   /* hostile.c: each invalid ring shape */
void virtio_test_wrap(void);      /* wrap.c: the rings' indices pass 65,535 */

#endif
