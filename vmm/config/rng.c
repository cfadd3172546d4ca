#include "config/rng.h"

#include "config.h"

static int rng_take(void *config, const char *arg, struct diag *diag)
{
	(void)arg;
	return config_virtio_add(config, "rng", &virtio_rng_class, NULL, diag);
}

static const struct option_row rng_rows[] = {
	{"rng", CONFIG_OPT_RNG, NULL,
	 .help = "an entropy device (virtio), with the host's random numbers", .take = rng_take},
	{0},
};
const struct option_group config_rng_group = {"Devices", rng_rows};
