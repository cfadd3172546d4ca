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

/*
 * Copy up to len bytes, from off on, out of the pieces or into them. Return how many there were: fewer than
 * len where the pieces end before.
 */
size_t iov_read(const struct iovec *iov, unsigned nr, size_t off, void *buf, size_t len);
size_t iov_write(const struct iovec *iov, unsigned nr, size_t off, const void *buf, size_t len);

/* Bytes in all pieces; the caller knows that they do not wrap. */
size_t iov_bytes(const struct iovec *iov, unsigned nr);

/* Zeroes all of it. */
void iov_zero(const struct iovec *dst, unsigned nr);

#endif
