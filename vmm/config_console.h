/* config_console.h - the options about consoles: where a character device's output and input are. */
#ifndef VMM_CONFIG_CONSOLE_H
#define VMM_CONFIG_CONSOLE_H

#include "backend/char.h"
#include "base/diag.h"
#include "vm_chars.h"

/* The words for a place, for --help. */
#define CONFIG_PLACE_HELP                                                                          \
	"PLACE is stdio, null, file:PATH, unix:PATH (a socket to connect to), pty or\n"            \
	"pty,link=PATH (a pseudo-terminal, whose name is told on stderr).\n"

/* Reads a PLACE. *ret borrows arg. -EINVAL with diag, naming option. */
int config_place(const char *option, const char *arg, struct char_spec *ret, struct diag *diag);

/* Two places that cannot both be opened, as the options say them: -EINVAL with diag, else 0. */
int config_places_check(const struct char_spec *a, const struct char_spec *b, struct diag *diag);

#endif
