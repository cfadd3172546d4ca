/* make_vm.h - what the command line asked for -> a VM with its kernel in place. */
#ifndef VMM_CONFIG_MAKE_VM_H
#define VMM_CONFIG_MAKE_VM_H

#include "base/diag.h"
#include "config.h"
#include "vm.h"

/*
 * Confines this process, unless --no-sandbox was given (sandbox.h): before config_make_vm(), with one thread. -errno with
 * diag.
 */
int config_confine(const struct config *config, struct diag *diag);

/*
 * Reads the kernel and the RAM disks that config names, and makes the VM up to the guest's first
 * instruction, with its console on stdin and stdout. The files are closed again. config->vm is
 * completed for it, and borrowed until vm_fini(), which must be called also after a failure. Once for a config. -errno
 * with diag.
 */
int config_make_vm(struct config *config, struct vm *vm, struct diag *diag);

/*
 * Reads the same files, and gives the machine and the kernel as that VM would have them (vm_preview()). Without an
 * initramfs that is made. -errno with diag.
 */
int config_preview(struct config *config, struct machine *ret, struct arch_kernel *ret_kernel,
		   struct diag *diag);

#endif
