/*
 * cmdline.h - the kernel command line of a machine.
 *
 * Our defaults come first and the user's last, because a kernel lets the last parameter of a kind
 * win. A default is left out when the user gave one of its kind before "--" (what follows that is
 * init's; Linux, Documentation/admin-guide/kernel-parameters.rst):
 *
 *   console=ttyS0  the serial console, when the machine has serial0. Consoles add up instead of
 *                  replacing each other, so a user's console= must not find ours there before it.
 *                  Where serial0 has a register page it is console=uart8250,mmio,ADDRESS, which
 *                  Linux uses at once and hands over to its driver later. That parameter comes last, but
 *                  before a "--": the console starts with it, and then quiet must have been read.
                  Where the kernel is to use the virtio console, console=hvc0 in the same place, and
                  earlycon=uart8250,... unless there is one: it shows what is said before hvc0 has its
                  driver, and then ends.
 *   8250.nr_uarts=N  as many serial ports as the machine has. Linux otherwise looks for a PC's four,
 *                  or as many as it was built for.
 *   those of the platform (machine_platform.param), which says why: pci=conf1,noearly on x86-64.
 *   cryptomgr.notests  when the machine is to be quick: no known answer tests of the kernel's ciphers,
 *                  which are half the instructions of a distribution kernel's boot. Linux's own
 *                  configuration leaves them out unless asked (CRYPTO_MANAGER_DISABLE_TESTS, default y);
 *                  with fips=1 they are run all the same (crypto/testmgr.c), and a kernel without them
 *                  ignores it.
 *   panic=-1       a kernel that panics resets at once, which ends the VM; Linux's own default is to
 *                  halt forever, and no report would follow.
 *   quiet          when the machine is to be quiet, unless quiet, loglevel=, debug or ignore_loglevel is
 *                  there
 */
#ifndef VMM_MACHINE_CMDLINE_H
#define VMM_MACHINE_CMDLINE_H

#include "base/diag.h"
#include "machine.h"

/*
 * Pure. *ret is a string that the caller frees. -EINVAL with diag when it is longer than
 * machine_platform.cmdline_max with its NUL, -ENOMEM; *ret is untouched then.
 */
int machine_cmdline_render(const struct machine *m, char **ret, struct diag *diag);

#endif
