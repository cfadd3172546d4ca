/* commands.h - a CPU that makes what the host asks for, turn after turn; lib/hammer_abi.h has the protocol. */
#ifndef GUEST_HAMMER_COMMANDS_H
#define GUEST_HAMMER_COMMANDS_H

#include "hammer_abi.h"

/* Returns after HAMMER_END. index: of ctl->cpu. The local APIC of this CPU is on. */
void commands_run(struct hammer_ctl *ctl, unsigned index);

#endif
