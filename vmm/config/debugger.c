#include "config/debugger.h"

#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "config.h"

static int gdb_refuse(const char *arg, struct diag *diag)
{
	diag_set(diag, -EINVAL, "gdb-form",
		 "--gdb '%s' is not PORT, unix:PATH or one of them with ,wait", arg);
	diag_remedy(diag, "as in --gdb 1234, --gdb 1234,wait or --gdb unix:gdb.sock");
	return -EINVAL;
}

int config_gdb_option(struct config *config, const char *arg, struct diag *diag)
{
	static const char wait[] = ",wait", scheme[] = "unix:";
	struct config_gdb *gdb = &config->gdb;
	size_t len = strlen(arg);
	uint64_t port;
	char *copy;

	*gdb = (struct config_gdb){.wanted = true};
	config->vm.keeps_start = true; /* for gdb's `run` */
	if (len >= sizeof(wait) && strcmp(arg + len - (sizeof(wait) - 1), wait) == 0) {
		gdb->wait = true;
		len -= sizeof(wait) - 1;
	}
	copy = config_alloc(config, len + 1, diag);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, arg, len);
	if (gdb->wait)
		config->vm.paused_by |= VM_PAUSED_BY_DEBUGGER;
	if (strncmp(copy, scheme, sizeof(scheme) - 1) == 0) {
		gdb->opts.path = copy + sizeof(scheme) - 1;
		return gdb->opts.path[0] ? 0 : gdb_refuse(arg, diag);
	}
	if (parse_u64_in(copy, 0, UINT16_MAX, &port) < 0)
		return gdb_refuse(arg, diag);
	gdb->opts.port = (uint16_t)port;
	return 0;
}
