#include "cmd/agent.h"

#include "base/option.h"

#define WAIT_DEFAULT_NS (60 * NS_PER_S)

enum { OPT_WAIT = 0x200, OPT_SILENCE };

static const struct option_row rows[] = {
	{"wait", OPT_WAIT, "[=SECONDS]",
	 .help = "for a guest that is being started: until it listens (default 60)",
	 .common = true},
	{"silence", OPT_SILENCE, "SECONDS",
	 .help = "after which the guest counts as lost (default 30; 0: never)", .common = true},
	{0},
};
const struct option_group cmd_agent_group = {NULL, rows};

int cmd_agent_option(struct cmd_agent *agent, int opt, const char *arg, struct diag *diag)
{
	switch (opt) {
	case OPT_WAIT:
		agent->wait_ns = WAIT_DEFAULT_NS;
		return arg ? option_seconds("--wait", arg, false, &agent->wait_ns, diag) : 0;
	case OPT_SILENCE: return option_seconds("--silence", arg, true, &agent->silence_ns, diag);
	default: return 1;
	}
}
