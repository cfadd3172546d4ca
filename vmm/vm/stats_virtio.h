/* vm/stats_virtio.h - what virtio devices counted; part of stats.c. */
#ifndef VMM_VM_STATS_VIRTIO_H
#define VMM_VM_STATS_VIRTIO_H

#include <stdio.h>

#include "vm.h"

struct json_object;

/* A line for each queue that was used, and one for each device that needed a reset. */
void stats_virtio_print(FILE *out, const struct vm *vm);

/* An array of devices, the caller's to put; docs/reference/stats.md describes it. */
struct json_object *stats_virtio_json(const struct vm *vm);

#endif
