#include "config/balloon.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/option.h"
#include "base/parse.h"
#include "config.h"

static int bad(const char *arg, struct diag *diag)
{
	diag_set(diag, -EINVAL, "balloon-form", "--balloon '%s' is not SIZE or SIZE,stats=SECONDS",
		 arg);
	diag_remedy(diag,
		    "as in --balloon 256M,stats=5; 0 takes nothing but what the guest reports "
		    "as free");
	return -EINVAL;
}

int config_balloon_option(struct config *config, const char *arg, struct diag *diag)
{
	struct virtio_balloon_conf conf = {0};
	struct option_items items = option_items("--balloon", arg);
	const char *seconds;
	char item[32];
	int r = option_item_next(&items, item, sizeof(item), diag);

	if (r < 0)
		return r;
	if (config->balloon.added)
		return diag_set(diag, -EINVAL, "balloon-twice", "--balloon is given twice");
	if (strcmp(item, "0") != 0 && parse_size_bytes(item, &conf.target_bytes) < 0)
		return bad(arg, diag);
	if (conf.target_bytes && conf.target_bytes < VIRTIO_BALLOON_TARGET_MIN_BYTES) {
		diag_set(diag, -EINVAL, "balloon-too-small", "--balloon %s is less than 1M", item);
		option_size_remedy("--balloon", item, VIRTIO_BALLOON_TARGET_MIN_BYTES, diag);
		return -EINVAL;
	}
	while ((r = option_item_next(&items, item, sizeof(item), diag)) > 0) {
		seconds = option_item_value(item, "stats");
		if (!seconds || parse_seconds_ns(seconds, &conf.stats_ns) < 0 || conf.stats_ns == 0)
			return bad(arg, diag);
	}
	if (r < 0)
		return r;
	config->balloon = (struct config_balloon){.device = conf, .added = true};
	return config_virtio_add(config, "balloon", &virtio_balloon_class, &config->balloon.device,
				 diag);
}

int config_balloon_check(const struct config *config, struct diag *diag)
{
	if (!config->balloon.added)
		return 0;
	if (config->vm.mem.hugepages) {
		diag_set(diag, -EINVAL, "balloon-hugepages", "--balloon with --hugepages");
		diag_remedy(
			diag,
			"reserved huge pages are the guest's for its whole life; leave one out");
		return -EINVAL;
	}
	if (config->balloon.device.target_bytes >= config->vm.machine.mem_bytes) {
		diag_set(diag, -EINVAL, "balloon-too-large",
			 "--balloon of %" PRIu64 " MiB takes all of the guest's %" PRIu64,
			 config->balloon.device.target_bytes >> 20,
			 config->vm.machine.mem_bytes >> 20);
		diag_remedy(diag, "take less than --mem gives");
		return -EINVAL;
	}
	return 0;
}

static int balloon_take(void *config, const char *arg, struct diag *diag)
{
	return config_balloon_option(config, arg, diag);
}

static const struct option_row balloon_rows[] = {
	{"balloon", CONFIG_OPT_BALLOON, "SIZE[,stats=SECONDS]",
	 .help = "the guest gives SIZE back (0: only what is free)", .take = balloon_take},
	{0},
};
const struct option_group config_balloon_group = {"Devices", balloon_rows};
