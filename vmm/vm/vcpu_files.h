/*
 * vcpu_files.h - the descriptors that operations on a vCPU's thread use. A vCPU's thread has a table of its own with
 * these (thread_own_files()): KVM_RUN then takes 38 instructions less, none of them an atomic one.
 */
#ifndef VMM_VM_VCPU_FILES_H
#define VMM_VM_VCPU_FILES_H

struct vm;

/*
 * Once all devices are made, and before the vCPUs' threads: from then on no operation may use a descriptor that is
 * opened later. Out of memory the threads share the process's table.
 */
void vm_vcpu_files_set(struct vm *vm);
void vm_vcpu_files_free(struct vm *vm); /* after the threads were joined */

/* The descriptor of each vCPU, in their order: the caller's to free. NULL without memory. */
int *vm_vcpu_fds(const struct vm *vm);

#endif
