/* iov.h - scattered buffers. Offsets and lengths are bytes. */
#ifndef VMM_BASE_IOV_H
#define VMM_BASE_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Drops the first len bytes: moves *iov and *nr past whole pieces and shortens the next one in place. */
void iov_advance(struct iovec **iov, unsigned *nr, size_t len);

/*
 * Describes [off, off + len) of src in dst, which has room for nr pieces. Returns the pieces used; the
 * range must lie inside src.
 */
unsigned iov_slice(const struct iovec *src, unsigned nr, uint64_t off, uint64_t len,
		   struct iovec *dst);

/* Copy the first len bytes; the pieces hold at least so many. */
void iov_gather(const struct iovec *src, unsigned nr, void *buf, size_t len);
void iov_scatter(const struct iovec *dst, unsigned nr, const void *buf, size_t len);

/* Zeroes all of it. */
void iov_zero(const struct iovec *dst, unsigned nr);

#endif
