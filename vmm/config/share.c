#include "config/share.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/option.h"
#include "base/suggest.h"
#include "config.h"

_Static_assert((int)CONFIG_SHARES_MAX == (int)INITRAMFS_SHARES_MAX, "each can be mounted");

static const char share_option[] = "--share";

/* The guest makes a directory of that name, and a kernel parameter may have it. */
static bool tag_is_valid(const char *tag)
{
	const size_t n = strlen(tag);

	if (n == 0 || n > VIRTIO_FS_TAG_MAX || strcmp(tag, ".") == 0 || strcmp(tag, "..") == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isgraph((unsigned char)tag[i]) || tag[i] == '/')
			return false;
	return true;
}

static int set_tag(struct config_share *share, const char *tag, struct diag *diag)
{
	if (!tag_is_valid(tag)) {
		diag_set(diag, -EINVAL, "share-tag", "%s tag '%s' is not a name of a directory",
			 share_option, tag);
		diag_remedy(diag, "1 to %d characters without blanks and /", VIRTIO_FS_TAG_MAX);
		return -EINVAL;
	}
	snprintf(share->tag, sizeof(share->tag), "%s", tag);
	return 0;
}

static int share_set_item(struct config_share *share, const char *item, struct diag *diag)
{
	static const char *const keys[] = {"ro", "tag"};
	const char *tag = option_item_value(item, "tag");
	struct suggest suggest;

	if (tag)
		return set_tag(share, tag, diag);
	if (strcmp(item, "ro") == 0) {
		share->conf.fs.read_only = true;
		return 0;
	}
	diag_set(diag, -EINVAL, "share-item", "%s does not know '%s'", share_option, item);
	suggest_init(&suggest, item, strcspn(item, "="));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		suggest_offer(&suggest, keys[i]);
	if (strncmp(item, "read", 4) == 0)
		suggest.best = "ro"; /* as other programs say */
	if (suggest.best)
		diag_remedy(diag, "did you mean '%s'?", suggest.best);
	diag_remedy(diag, "DIR[,tag=NAME][,ro]; a comma in a name is ,,");
	return -EINVAL;
}

static int share_parse(struct config *config, struct config_share *share, const char *arg,
		       struct diag *diag)
{
	const size_t len = strnlen(arg, PATH_MAX - 1) + 1;
	struct option_items items = option_items(share_option, arg);
	char item[64];
	int r;

	share->path = config_alloc(config, len, diag);
	if (!share->path)
		return -ENOMEM;
	share->conf.fs.path = share->path;
	r = option_item_next(&items, share->path, len, diag);
	if (r < 0)
		return r;
	if (!share->path[0])
		return diag_set(diag, -EINVAL, "share-no-directory", "%s '%s' names no directory",
				share_option, arg);
	while ((r = option_item_next(&items, item, sizeof(item), diag)) > 0) {
		r = share_set_item(share, item, diag);
		if (r < 0)
			return r;
	}
	return r;
}

static int check_tag_is_new(const struct config *config, const char *tag, struct diag *diag)
{
	for (unsigned i = 0; i < config->nr_shares; i++)
		if (strcmp(config->share[i]->tag, tag) == 0)
			return diag_set(diag, -EINVAL, "share-tag-twice",
					"%s '%s' and '%s' have the same tag, '%s'", share_option,
					config->share[i]->path,
					config->share[config->nr_shares]->path, tag);
	return 0;
}

int config_share_add(struct config *config, const char *arg, struct diag *diag)
{
	struct config_share *share;
	int r;

	if (config->nr_shares == CONFIG_SHARES_MAX)
		return diag_set(diag, -EINVAL, "share-count", "more than %d times %s",
				CONFIG_SHARES_MAX, share_option);
	share = config_alloc(config, sizeof(*share), diag);
	if (!share)
		return -ENOMEM;
	snprintf(share->tag, sizeof(share->tag), "share%u", config->nr_shares);
	share->conf.tag = share->tag;
	share->conf.cpus = &config->vm.machine.cpus;
	share->conf.shares = &config->nr_shares;
	config->share[config->nr_shares] = share;
	r = share_parse(config, share, arg, diag);
	if (r == 0)
		r = check_tag_is_new(config, share->tag, diag);
	if (r == 0)
		r = config_virtio_add(config, "share", &virtio_fs_class, &share->conf, diag);
	if (r < 0)
		return r;
	config->nr_shares++;
	config->initramfs.share[config->initramfs.nr_shares++] = (struct initramfs_share){
		.tag = share->tag,
		.read_only = share->conf.fs.read_only,
	};
	return 0;
}

static int share_take(void *config, const char *arg, struct diag *diag)
{
	return config_share_add(config, arg, diag);
}

static const struct option_row share_rows[] = {
	{"share", CONFIG_OPT_SHARE, "DIR[,HOW]",
	 .help = "a directory of this host for the guest (virtio-fs); with --run\n"
		 "it is mounted at /mnt/TAG. HOW: tag=NAME (default share0,\n"
		 "share1, ...), ro; repeatable; ,, is a comma of the name",
	 .common = true, .take = share_take},
	{0},
};
const struct option_group config_share_group = {"Devices", share_rows};
