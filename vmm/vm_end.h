/* vm_end.h - the ways a VM ends, and the exit status of `tollgate run` for each. */
#ifndef VMM_VM_END_H
#define VMM_VM_END_H

#include <stdint.h>

enum vm_end_kind {
	VM_END_NONE,         /* still running */
	VM_END_POWEROFF,     /* guest powered off: S5, a system event, pvpanic's shutdown bit */
	VM_END_EXIT_CODE,    /* guest wrote a code to the exit port; 0 is success */
	VM_END_PANIC,        /* guest reported a panic (pvpanic, or a system event) */
	VM_END_TRIPLE_FAULT, /* KVM_EXIT_SHUTDOWN */
	VM_END_RESET,        /* guest asked for a reset: 0xcf9, i8042, a system event */
	VM_END_KVM_ERROR,    /* KVM could not go on: INTERNAL_ERROR, FAIL_ENTRY, an unknown exit */
	VM_END_KILLED,       /* SIGINT, SIGTERM, SIGHUP, Ctrl-a x, or the control socket */
	VM_END_TIMEOUT,      /* --timeout ran out */
	VM_END_HALTED,       /* every CPU has halted with interrupts off */
	VM_END_UNCLAIMED,    /* --end-on-unclaimed: an access that no device claims */
};

/* Exit statuses of the process, besides the guest's own codes. Documented in docs/tollgate.1. */
enum {
	EXIT_OK = 0,
	EXIT_SETUP = 2,
	EXIT_SANDBOX = 109, /* a thread of ours made a system call that its filter forbids */
	EXIT_UNCLAIMED = 110,
	EXIT_PANIC = 112,
	EXIT_TRIPLE_FAULT = 113,
	EXIT_RESET = 114,
	EXIT_KVM_ERROR = 115,
	EXIT_KILLED = 116,
	EXIT_TIMEOUT = 117,
	EXIT_HALTED = 122, /* 118 to 121 are smoke's */
	EXIT_OUTPUT = 123, /* the work was done, but a file or standard output did not take all */
};

struct vm_end {
	enum vm_end_kind kind;
	uint32_t code; /* VM_END_EXIT_CODE: what the guest wrote */
	const char *
		by; /* who said so: "pvpanic", "reset register 0xcf9". Static, or the VM's as long as it is there */
};

/* "panic", "triple fault", …: the words of the end line. A static string. */
const char *vm_end_name(enum vm_end_kind kind);

/*
 * The process's exit status. A guest's code is passed on modulo 256, except that a code other than
 * 0 never becomes 0: it becomes 255. A code may equal one of the statuses above; the end line on
 * stderr and the JSON statistics distinguish them.
 */
int vm_end_status(const struct vm_end *end);

/* The exit status as isa-debug-exit makes QEMU end: of a code, (code << 1) | 1 modulo 256; else vm_end_status(). */
int vm_end_status_qemu(const struct vm_end *end);

#endif
