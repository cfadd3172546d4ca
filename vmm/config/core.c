#include "config/core.h"

#include <errno.h>
#include <string.h>

#include "base/option.h"
#include "config.h"

static const char option[] = "--core";

static const struct option_value core_ends[] = {
	{"panic", VM_END_PANIC},         {"triple-fault", VM_END_TRIPLE_FAULT},
	{"kvm-error", VM_END_KVM_ERROR}, {"timeout", VM_END_TIMEOUT},
	{"halted", VM_END_HALTED},       {"stall", VM_END_HALTED},
	{"unclaimed", VM_END_UNCLAIMED}, {"reset", VM_END_RESET},
	{"killed", VM_END_KILLED},       {0},
};

#define END(kind) (1U << (kind))
/* Those after which somebody asks why. */
#define ENDS_DEFAULT                                                                               \
	(END(VM_END_PANIC) | END(VM_END_TRIPLE_FAULT) | END(VM_END_KVM_ERROR) |                    \
	 END(VM_END_TIMEOUT) | END(VM_END_HALTED) | END(VM_END_UNCLAIMED))

static int core_parse_path(struct config *config, const char *arg, struct option_items *items,
			   struct diag *diag)
{
	const size_t cap = strlen(arg) + 1;
	char *path = config_alloc(config, cap, diag);
	int r;

	if (!path)
		return -ENOMEM;
	r = option_item_next(items, path, cap, diag);
	if (r < 0)
		return r;
	if (!path[0])
		return diag_set(diag, -EINVAL, "core-no-file", "%s '%s' names no file", option,
				arg);
	config->core.path = path;
	return 0;
}

int config_core_option(struct config *config, const char *arg, struct diag *diag)
{
	struct option_items items = option_items(option, arg);
	struct config_core *core = &config->core;
	char item[64];
	int kind = VM_END_NONE, r;

	*core = (struct config_core){0};
	r = core_parse_path(config, arg, &items, diag);
	if (r < 0)
		return r;
	while ((r = option_item_next(&items, item, sizeof(item), diag)) > 0) {
		const char *name = core->ends ? item : option_item_value(item, "on");

		if (!name) {
			diag_set(diag, -EINVAL, "core-item", "%s does not know '%s'", option, item);
			diag_remedy(diag, "FILE[,on=END,END...]; a comma in a name is ,,");
			return -EINVAL;
		}
		r = option_choice("--core on", name, core_ends, &kind, diag);
		if (r < 0)
			return r;
		core->ends |= END(kind);
	}
	if (r == 0 && !core->ends)
		core->ends = ENDS_DEFAULT;
	return r;
}

bool config_core_wanted(const struct config_core *core, enum vm_end_kind kind)
{
	return core->path && core->ends & END(kind);
}
