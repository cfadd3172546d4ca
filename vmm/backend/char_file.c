/* A file, appended to, or whatever else can be opened for writing by its name. Output only. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/char.h"
#include "backend/file_writer.h"
#include "base/out_file.h"

struct file_host {
	struct char_host host;
	struct file_writer
		*writer; /* of a file, whose write() may not return; NULL for what can be polled */
	struct event_source failed; /* its */
};

static struct file_host *file_host_of(struct char_host *host)
{
	return container_of(host, struct file_host, host);
}

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

static void file_failed(struct event_source *src, uint32_t epoll_events)
{
	struct file_host *fh = container_of(src, struct file_host, failed);

	(void)epoll_events;
	event_loop_remove(fh->host.loop, src);
	if (fh->host.out_state == CHAR_OUT_OPEN)
		file_out_failed(&fh->host, -file_writer_error(fh->writer));
}

static void file_close(struct char_host *host, int64_t until_ns)
{
	struct file_host *fh = file_host_of(host);

	if (fh->writer) {
		event_loop_remove(host->loop, &fh->failed);
		host->lost = file_writer_stop(fh->writer, until_ns);
	} else if (host->out.fd >= 0) {
		close(host->out.fd);
	}
}

static const struct char_host_class file_class = {
	.write = file_write,
	.out_failed = file_out_failed,
	.close = file_close,
};

/* What epoll cannot watch is written by a thread; the event thread must not wait for it. */
static int start_writer(struct file_host *fh)
{
	struct stat st;
	int r;

	if (fstat(fh->host.out.fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return 0;
	r = file_writer_start(fh->host.out.fd, &fh->writer, &fh->host.out.fd, &fh->failed.fd);
	if (r < 0)
		return r;
	fh->failed.events = EPOLLIN;
	fh->failed.ready = file_failed;
	return event_loop_add(fh->host.loop, &fh->failed);
}

int char_file_open(const char *path, struct event_loop *loop, struct power *power,
		   struct diag *diag, struct char_host **ret)
{
	struct char_host *host;
	int r = char_host_create(sizeof(struct file_host), &file_class, loop, power, diag, &host);

	if (r < 0)
		return r;
	host->out.fd =
		out_file_open(path, &(struct out_file_opts){.append = true, .nonblock = true});
	r = host->out.fd < 0 ? host->out.fd : start_writer(file_host_of(host));
	if (r == 0)
		r = char_host_attach(host);
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
