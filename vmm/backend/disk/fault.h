/* fault.h - a disk before another one, with faults on purpose. The thread of its loop. */
#ifndef VMM_BACKEND_DISK_FAULT_H
#define VMM_BACKEND_DISK_FAULT_H

#include "backend/disk.h"

/*
 * Takes inner, also when it fails; -errno. rules are copied; batch_done and arg as in disk_open(). A request has the
 * fault of the first rule that fires, and the sum of all delays. A delay comes before the rest.
 */
int disk_fault_create(struct disk *inner, const struct fault_rules *rules, struct event_loop *loop,
		      void (*batch_done)(void *arg), void *arg, struct disk **ret);

#endif
