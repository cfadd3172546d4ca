/* A file, appended to, or whatever else can be opened for writing by its name. Output only. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backend/char.h"
#include "base/out_file.h"

static ssize_t file_write(struct char_host *host, const uint8_t *buf, size_t n)
{
	return write(host->out.fd, buf, n);
}

/* A log that is silently cut is worse than a VM that ends and says why. */
static void file_out_failed(struct char_host *host, int err)
{
	(void)err;
	char_host_detach(host, CHAR_OUT_BROKEN);
	host->power->end(host->power, (struct vm_end){.kind = VM_END_KILLED,
						      .by = "console's file takes no more"});
}

static void file_close(struct char_host *host, int64_t until_ns)
{
	(void)until_ns;
	if (host->out.fd >= 0)
		close(host->out.fd);
}

static const struct char_host_class file_class = {
	.write = file_write,
	.out_failed = file_out_failed,
	.close = file_close,
};

int char_file_open(const char *path, struct event_loop *loop, struct power *power,
		   struct diag *diag, struct char_host **ret)
{
	struct char_host *host;
	int r = char_host_create(sizeof(*host), &file_class, loop, power, diag, &host);

	if (r < 0)
		return r;
	host->out.fd =
		out_file_open(path, &(struct out_file_opts){.append = true, .nonblock = true});
	r = host->out.fd < 0 ? host->out.fd : char_host_attach(host);
	if (r < 0) {
		diag_set(diag, r, "console's file '%s'", path);
		if (r == -ENXIO)
			diag_remedy(diag, "start the pipe's reader first");
		char_host_destroy(host, 0);
		return r;
	}
	*ret = host;
	return 0;
}
