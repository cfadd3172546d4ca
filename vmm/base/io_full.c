#include "base/io_full.h"

#include <errno.h>
#include <unistd.h>

int io_read_full(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const ssize_t n = io_read_some(fd, (char *)buf + done, len - done);

		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int io_pread_full(int fd, void *buf, size_t len, off_t off)
{
	size_t done = 0;

	while (done < len) {
		const ssize_t n = pread(fd, (char *)buf + done, len - done, off + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int io_write_full(int fd, const void *buf, size_t len, size_t *ret_done)
{
	size_t done = 0;
	int r = 0;

	while (r == 0 && done < len) {
		const ssize_t n = write(fd, (const char *)buf + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0)
			r = -EIO; /* else this would go on forever */
		else if (errno != EINTR)
			r = -errno;
	}
	if (ret_done)
		*ret_done = done;
	return r;
}

ssize_t io_read_some(int fd, void *buf, size_t len)
{
	ssize_t n;

	do
		n = read(fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n;
}
