/* builtin.h - the guest programs that are part of the binary (sources in guest/). */
#ifndef VMM_CONFIG_BUILTIN_H
#define VMM_CONFIG_BUILTIN_H

#include "vm.h"

/* The kernel that `tollgate run` boots when it is given none. Static storage. */
struct boot_file builtin_selftest(void);

/* The kernel that `tollgate hammer` boots; guest/lib/hammer_abi.h is its interface. Static storage. */
struct boot_file builtin_hammer(void);

/* The /init of an initramfs that runs a command (guest/init/): a static program. Static storage. */
struct boot_file builtin_init(void);

#endif
