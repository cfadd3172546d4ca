#include "config/vsock.h"

#include <errno.h>
#include <string.h>

#include "base/option.h"
#include "base/unix_socket.h"
#include "config.h"

/* After the path, for a socket that a program of the host listens on. */
#define LONGEST_PORT "_4294967295"

enum { VSOCK_PATH_BYTES_MAX = UNIX_PATH_BYTES_MAX - (sizeof(LONGEST_PORT) - 1) };

static int take_path(struct option_items *items, char **ret_path, struct config *config,
		     struct diag *diag)
{
	const size_t cap = strlen(items->rest) + 1;
	char *path = config_alloc(config, cap, diag);
	int r = path ? option_item_next(items, path, cap, diag) : -ENOMEM;

	if (r < 0)
		return r;
	if (path[0] == '\0') {
		diag_set(diag, -EINVAL, "vsock-path-empty", "--vsock without a path");
		diag_remedy(diag, "as in --vsock vm.vsock, or --vsock vm.vsock,cid=7");
		return -EINVAL;
	}
	if (strlen(path) > VSOCK_PATH_BYTES_MAX) {
		diag_set(diag, -EINVAL, "vsock-path-length",
			 "vsock socket '%s': a path of at most %d bytes", path,
			 (int)VSOCK_PATH_BYTES_MAX);
		diag_remedy(diag, "choose a shorter path, such as one relative to this directory");
		return -EINVAL;
	}
	*ret_path = path;
	return 0;
}

int config_vsock_option(struct config *config, const char *arg, struct diag *diag)
{
	struct virtio_vsock_conf *conf = &config->vsock.device;
	struct option_items items = option_items("--vsock", arg);
	uint64_t cid = VIRTIO_VSOCK_CID_DEFAULT;
	char item[32], *path = NULL;
	int r;

	if (conf->path)
		return diag_set(diag, -EINVAL, "vsock-twice", "--vsock is given twice");
	r = take_path(&items, &path, config, diag);
	if (r < 0)
		return r;
	while ((r = option_item_next(&items, item, sizeof(item), diag)) > 0) {
		const char *value = option_item_value(item, "cid");

		if (!value) {
			diag_set(diag, -EINVAL, "vsock-item", "--vsock: '%s' is not cid=N", item);
			diag_remedy(diag, "two commas stand for one that belongs to the path");
			return -EINVAL;
		}
		r = option_u64("--vsock cid", value, VIRTIO_VSOCK_CID_MIN, VIRTIO_VSOCK_CID_MAX,
			       &cid, diag);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*conf = (struct virtio_vsock_conf){.path = path, .cid = (uint32_t)cid};
	return config_virtio_add(config, "vsock", &virtio_vsock_class, conf, diag);
}

static int vsock_take(void *config, const char *arg, struct diag *diag)
{
	return config_vsock_option(config, arg, diag);
}

static const struct option_row vsock_rows[] = {
	{"vsock", CONFIG_OPT_VSOCK, "PATH[,cid=N]",
	 .help = "sockets between guest and host (virtio): clients of the Unix socket PATH\n"
		 "ask for a port of the guest; the guest reaches port N at PATH_N",
	 .take = vsock_take},
	{0},
};
const struct option_group config_vsock_group = {"Devices", vsock_rows};
