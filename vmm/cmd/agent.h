/* agent.h - options that exec and cp share. */
#ifndef VMM_CMD_AGENT_H
#define VMM_CMD_AGENT_H

#include <stdint.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/option_table.h"

struct cmd_agent {
	int64_t wait_ns;    /* for a guest that does not listen yet; 0: not */
	int64_t silence_ns; /* of the guest, until it counts as lost; 0: forever */
};
#define CMD_AGENT_DEFAULTS ((struct cmd_agent){.silence_ns = 30 * NS_PER_S})

extern const struct option_group cmd_agent_group;

/* Takes one of these; 1 when it is another one, -EINVAL with diag. */
int cmd_agent_option(struct cmd_agent *agent, int opt, const char *arg, struct diag *diag);

#endif
