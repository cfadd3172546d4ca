/* chaos.h - between what every CPU does at random, and the virtio devices. */
#ifndef GUEST_CHAOS_H
#define GUEST_CHAOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Finds the virtio devices, and gives each a part of the arena, which has to be RAM. How many there are. */
unsigned chaos_devices_init(void);

/* One thing that no driver would do, or one that a driver does, to one of them. Any CPU, at any time. */
void chaos_device_op(uint64_t *random);

/*
 * Whether a CPU may write anything to width bytes there. Not to addresses of queues: the device would write to where
 * this kernel is.
 */
bool chaos_may_write(uint64_t gpa, unsigned width);

/* An address of a virtio device's registers; 0: there is none. */
uint64_t chaos_register(uint64_t *random);

/* When no other CPU runs: each device is reset, and is one still. */
bool chaos_devices_rest(void);

#endif
