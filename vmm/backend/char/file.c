/* A file, appended to, or whatever else can be opened for writing by its name. Output only. */
#include <errno.h>
#include <unistd.h>

#include "backend/char.h"
#include "backend/char/writer.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/out_file.h"

struct file_host {
	struct char_host host;
	struct char_writer writer;
	uint64_t left_bytes; /* until the limit; UINT64_MAX: there is none */
};

static struct file_host *file_host_of(struct char_host *host)
{
	return container_of(host, struct file_host, host);
}

/* Bytes past the limit are counted and dropped: the guest goes on. */
static ssize_t file_write(struct char_host *host, const uint8_t *buf, size_t n)
{
	struct file_host *fh = file_host_of(host);
	ssize_t done;

	if (fh->left_bytes == UINT64_MAX)
		return write(host->out.fd, buf, n);
	if (fh->left_bytes == 0) {
		host->left_out_bytes += n;
		return (ssize_t)n;
	}
	done = write(host->out.fd, buf, n < fh->left_bytes ? n : (size_t)fh->left_bytes);
	if (done > 0)
		fh->left_bytes -= (uint64_t)done;
	return done;
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
	if (!char_writer_stop(&file_host_of(host)->writer, until_ns) && host->out.fd >= 0)
		close(host->out.fd);
}

static const struct char_host_class file_class = {
	.write = file_write,
	.out_failed = file_out_failed,
	.close = file_close,
};

int char_file_open(const struct char_spec *spec, struct event_loop *loop, struct power *power,
		   struct diag *diag, struct char_host **ret)
{
	struct char_host *host;
	int r = char_host_create(sizeof(struct file_host), &file_class, loop, power, diag, &host);

	if (r < 0)
		return r;
	file_host_of(host)->left_bytes = spec->limit_bytes ? spec->limit_bytes : UINT64_MAX;
	host->out.fd = out_file_open(spec->path,
				     &(struct out_file_opts){.append = true, .nonblock = true});
	r = host->out.fd < 0 ? host->out.fd
			     : char_writer_start(&file_host_of(host)->writer, host, host->out.fd);
	if (r == 0)
		r = char_host_attach(host);
	if (r < 0) {
		diag_set(diag, r, "console-file-open", "console's file '%s'", spec->path);
		if (r == -ENXIO)
			diag_remedy(diag, "start the pipe's reader first");
		/* A file's thread that is under way needs time to end, or it is abandoned. */
		char_host_destroy(host, clock_monotonic_ns() + CHAR_CLOSE_NS);
		return r;
	}
	*ret = host;
	return 0;
}
