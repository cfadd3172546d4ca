/*
 * failed_memory.h - memory of the host that fails (an uncorrectable error, "poison") under a running VM.
 *
 * Linux reports it by SIGBUS, whose si_code says which (sigaction(2)):
 * - BUS_MCEERR_AR in KVM_RUN, for guest RAM: the guest gets a machine check, and handles it as hardware's;
 * - BUS_MCEERR_AR elsewhere: a device was reading or writing there, and can neither go on nor skip it. The address is
 *   named on stderr, and the process dies of the signal;
 * - BUS_MCEERR_AO: nobody has used it yet, so nothing is done. A later access gets the other code.
 * Every other SIGBUS ends the process, by that signal.
 */
#ifndef VMM_VM_FAILED_MEMORY_H
#define VMM_VM_FAILED_MEMORY_H

struct vm;

/* Once before the vCPUs' threads start and after the console is there. One VM in a process. 0 or -errno. */
int vm_failed_memory_watch(struct vm *vm);

/* SIGBUS is as it was. Once the threads have been joined. */
void vm_failed_memory_unwatch(void);

#endif
