/* rng.h - --rng: an entropy device. */
#ifndef VMM_CONFIG_RNG_H
#define VMM_CONFIG_RNG_H

#include "base/option_table.h"

extern const struct option_group config_rng_group;

#endif
