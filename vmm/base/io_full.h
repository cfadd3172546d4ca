/*
 * io_full.h - whole buffers to and from descriptors that block: calls that a signal interrupts or that
 * move only a part are continued.
 */
#ifndef VMM_BASE_IO_FULL_H
#define VMM_BASE_IO_FULL_H

#include <stddef.h>
#include <sys/types.h>

/* Reads exactly len bytes. 0; -EIO where the file ends before; -errno. */
int io_read_full(int fd, void *buf, size_t len);
int io_pread_full(int fd, void *buf, size_t len, off_t off);

/*
 * Writes all of len bytes. 0 or -errno; -EAGAIN where a descriptor that does not block takes no more.
 * *ret_done, unless it is NULL, is how many bytes were written, also on failure.
 */
int io_write_full(int fd, const void *buf, size_t len, size_t *ret_done);

/* read(2) of at most len bytes that no signal interrupts: bytes, 0 at the end, or -1 with errno. */
ssize_t io_read_some(int fd, void *buf, size_t len);

#endif
