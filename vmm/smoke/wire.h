/*
 * wire.h - what the process that runs a VM reports to the supervisor, through a pipe: one SMOKE_MSG_STARTED,
 * then one SMOKE_MSG_ENDED and the text of a report up to the pipe's end; or one SMOKE_MSG_FAILED. The other way, each
 * byte is a key of SysRq for the guest.
 *
 * Both ends are the same program. The supervisor checks what it reads all the same, because a guest may
 * have taken over the other one.
 */
#ifndef VMM_SMOKE_WIRE_H
#define VMM_SMOKE_WIRE_H

#include <stdint.h>

#include "base/diag.h"
#include "vcpu.h"
#include "vm_end.h"

enum { SMOKE_WIRE_REPORT_MAX = 64 << 10 };

enum smoke_msg_type { SMOKE_MSG_STARTED = 1, SMOKE_MSG_FAILED, SMOKE_MSG_ENDED };

struct smoke_msg {
	uint32_t type;
	int64_t at_ns; /* CLOCK_MONOTONIC */
	union {
		struct diag failed;
		struct {
			uint32_t entered_by;     /* enum boot_protocol */
			uint32_t emulates_linux; /* vm.h; 0 or 1 */
			uint32_t is_linux;       /* 0 or 1 */
		} started;
		struct {
			uint32_t kind, code; /* struct vm_end */
			char by[64];
			int64_t cpu_ns;   /* all CPU time of the process */
			int64_t guest_ns; /* the part of it inside the guest, as the host counts it */
			uint64_t exits[VCPU_EXIT_REASONS];
		} ended;
	};
};

#endif
