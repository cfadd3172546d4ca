/* console.h - the options about consoles: which there are, and where they are. */
#ifndef VMM_CONFIG_CONSOLE_H
#define VMM_CONFIG_CONSOLE_H

#include <stdbool.h>

#include "backend/char.h"
#include "base/diag.h"
#include "base/option_table.h"
#include "vm/consoles.h"

struct config;

enum config_console {
	CONFIG_CONSOLE_DEFAULT, /* serial, or both where the virtio console is given a destination */
	CONFIG_CONSOLE_SERIAL,
	CONFIG_CONSOLE_VIRTIO,
	CONFIG_CONSOLE_BOTH,
};

struct config_consoles {
	enum config_console which;
	struct char_spec serial, virtio; /* destinations */
	bool has_serial, has_virtio;     /* whether the user named them */
	bool added;                      /* the virtio console, to the machine */
	bool is_commands;                /* it has the input of --root-of-host's command */
};

/* The forms of a destination, for --help. */
#define CONFIG_DEST_HELP                                                                           \
	"DEST is stdio, null, file:PATH or file:PATH,limit=SIZE (at most so much is written),\n"   \
	"unix:PATH (a socket to connect to), pty or pty,link=PATH (a pseudo-terminal, whose\n"     \
	"name is printed on stderr).\n"

/* --console; and, for `tollgate run`, --serial and --virtio-console. They borrow their values from the command line. */
extern const struct option_group config_console_group, config_console_dest_group;

/* Checks the options together: -EINVAL with diag, or 0. */
int config_console_check(const struct config *config, struct diag *diag);

/* Adds a virtio console for the input of --root-of-host's command. -EINVAL with diag. */
int config_console_add_command(struct config *config, struct diag *diag);

/*
 * Adds the destinations that the user named to output[], which has *nr entries and room for VM_OUTPUTS_MAX; it
 * counts more than what is there.
 */
void config_console_connect(const struct config *config, struct vm_output *output, unsigned *nr);

#endif
