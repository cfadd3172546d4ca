#include "config/exits.h"

#include <errno.h>

#include "config.h"

const struct option_value config_exits_values[] = {
	{"reads", CONFIG_EXITS_READS},
	{"writes", CONFIG_EXITS_WRITES},
	{"doorbells", CONFIG_EXITS_DOORBELLS},
	{"interrupts", CONFIG_EXITS_INTERRUPTS},
	{"all", CONFIG_EXITS_ALL},
	{"time", CONFIG_EXITS_TIME},
	{"latency", CONFIG_EXITS_LATENCY},
	{0},
};

int config_exits_option(struct config *config, const char *arg, struct diag *diag)
{
	struct option_items items = option_items("--exits", arg);
	struct vm_opts *vm = &config->vm;
	char item[64];
	unsigned exits = 0;
	int which = 0, r;

	while ((r = option_item_next(&items, item, sizeof(item), diag)) > 0) {
		r = option_choice("--exits", item, config_exits_values, &which, diag);
		if (r < 0)
			return r;
		exits |= (unsigned)which;
	}
	if (r < 0)
		return r;
	vm->machine.register_pages &= !(exits & CONFIG_EXITS_READS);
	vm->virtio.no_register_pages |= exits & CONFIG_EXITS_READS;
	vm->virtio.no_ioeventfd |= exits & CONFIG_EXITS_DOORBELLS;
	vm->virtio.no_irqfd |= exits & CONFIG_EXITS_INTERRUPTS;
	vm->no_coalesce |= exits & CONFIG_EXITS_WRITES;
	vm->time_exits |= exits & CONFIG_EXITS_TIME;
	vm->latency |= exits & CONFIG_EXITS_LATENCY;
	return 0;
}

int config_exits_check(const struct config *config, struct diag *diag)
{
	const struct vm_opts *vm = &config->vm;

	if ((!vm->time_exits && !vm->latency) || config->stats || config->stats_json ||
	    config->control)
		return 0;
	diag_set(diag, -EINVAL, "exits-time-unused", "--exits %s measures what nothing prints",
		 vm->latency ? "latency" : "time");
	diag_remedy(diag, "`tollgate run` has --stats, and --control to ask for them");
	return -EINVAL;
}
