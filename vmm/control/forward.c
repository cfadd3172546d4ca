/* forward.c - the command for the forwarded ports of user networks. */
#include <errno.h>
#include <string.h>

#include "control/commands.h"
#include "control/internal.h"
#include "vm/forward.h"

/* list, or add|remove [NAME] FORWARD. */
int command_hostfwd(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		    struct diag *diag)
{
	const bool add = strcmp(arg[0], "add") == 0;

	if (strcmp(arg[0], "list") == 0 && nr == 1)
		return vm_forward_list(ctl->vm, out, diag);
	if ((add || strcmp(arg[0], "remove") == 0) && nr >= 2)
		return vm_forward_change(ctl->vm, nr > 2 ? arg[1] : NULL, add, arg[nr - 1], diag);
	diag_set(diag, -EINVAL, "forward-command",
		 "'hostfwd' is to be followed by list, or by add or remove and a forward");
	diag_remedy(diag, "as in hostfwd add tcp::8080-:80, or hostfwd remove net1 tcp::8080");
	return -EINVAL;
}
