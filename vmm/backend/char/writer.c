#include "backend/char/writer.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/macros.h"

static void writer_failed(struct event_source *src, uint32_t epoll_events)
{
	struct char_writer *cw = container_of(src, struct char_writer, failed);

	(void)epoll_events;
	event_loop_remove(cw->host->loop, src);
	if (cw->host->out_state != CHAR_OUT_OPEN)
		return;
	cw->has_reported = true;
	cw->host->cls->out_failed(cw->host, -file_writer_error(cw->writer));
}

int char_writer_start(struct char_writer *cw, struct char_host *host, int fd)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return 0;
	r = file_writer_start(fd, &cw->writer, &host->out.fd, &cw->failed.fd);
	if (r < 0)
		return r;
	cw->host = host;
	cw->failed.events = EPOLLIN;
	cw->failed.ready = writer_failed;
	return event_loop_add(host->loop, &cw->failed);
}

bool char_writer_stop(struct char_writer *cw, int64_t until_ns)
{
	int r;

	if (!cw->writer)
		return false;
	event_loop_remove(cw->host->loop, &cw->failed);
	r = file_writer_stop(cw->writer, until_ns);
	cw->host->lost = cw->has_reported ? 0 : r;
	return true;
}
