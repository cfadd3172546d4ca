/* builtin.h - the guest programs that are part of the binary (sources in guest/). */
#ifndef VMM_CONFIG_BUILTIN_H
#define VMM_CONFIG_BUILTIN_H

#include "vm.h"

/* What `tollgate run` boots when it is given no kernel. Static storage. */
struct boot_file builtin_selftest(void);

/* What `tollgate hammer` boots; guest/lib/hammer_abi.h is its interface. Static storage. */
struct boot_file builtin_hammer(void);

/* The /init of an initramfs that runs a command (guest/init/): a static program. Static storage. */
struct boot_file builtin_init(void);

#endif
