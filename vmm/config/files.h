/* files.h - the files that the options of one VM name. */
#ifndef VMM_CONFIG_FILES_H
#define VMM_CONFIG_FILES_H

#include "base/file_uses.h"

struct config;

/* Adds all of them. -ENOMEM. */
int config_files_add(const struct config *config, struct file_uses *uses);

/* That no output of this VM is an input or another output: -EINVAL with diag, -ENOMEM. */
int config_files_check(const struct config *config, struct diag *diag);

#endif
