/*
 * writer.h - a file as a console's output. A thread (file_writer.h) writes a file that epoll cannot watch: the
 * event thread must not wait for it.
 */
#ifndef VMM_BACKEND_CHAR_WRITER_H
#define VMM_BACKEND_CHAR_WRITER_H

#include "backend/char.h"
#include "backend/file_writer.h"

struct char_writer {
	struct char_host *host;
	struct file_writer *writer; /* NULL: out.fd is not a file, or none was started */
	struct event_source failed;
	bool has_reported; /* out_failed was called, which reports the loss */
};

/*
 * Where fd is a file or a block device, takes it over and sets host->out.fd to the pipe before it; else does
 * nothing. When the file takes no more, host's out_failed is called. Returns 0 or -errno; what was started is to be
 * stopped also after a failure.
 */
int char_writer_start(struct char_writer *cw, struct char_host *host, int fd);

/* Sets host->lost. As file_writer_stop(); takes one that was not started, and false says that it was not. */
bool char_writer_stop(struct char_writer *cw, int64_t until_ns);

#endif
