#include "base/iov.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

void iov_advance(struct iovec **iov, unsigned *nr, size_t len)
{
	while (*nr > 0 && len >= (*iov)->iov_len) {
		len -= (*iov)->iov_len;
		(*iov)++;
		(*nr)--;
	}
	if (len == 0)
		return;
	assert(*nr > 0);
	(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + len;
	(*iov)->iov_len -= len;
}

unsigned iov_slice(const struct iovec *src, unsigned nr, uint64_t off, uint64_t len,
		   struct iovec *dst)
{
	unsigned used = 0;

	for (unsigned i = 0; i < nr && len > 0; i++) {
		size_t n = src[i].iov_len;

		if (off >= n) {
			off -= n;
			continue;
		}
		n -= (size_t)off;
		if (n > len)
			n = (size_t)len;
		dst[used++] = (struct iovec){
			.iov_base = (uint8_t *)src[i].iov_base + off,
			.iov_len = n,
		};
		off = 0;
		len -= n;
	}
	assert(len == 0);
	return used;
}

/* The next stretch of scattered bytes, off from here and at most max long; false at their end. */
static bool iov_stretch(const struct iovec **iov, unsigned *nr, size_t *off, size_t max,
			struct iovec *ret)
{
	while (*nr > 0 && *off >= (*iov)->iov_len) {
		*off -= (*iov)->iov_len;
		(*iov)++;
		(*nr)--;
	}
	if (*nr == 0)
		return false;
	ret->iov_base = (uint8_t *)(*iov)->iov_base + *off;
	ret->iov_len = (*iov)->iov_len - *off;
	if (ret->iov_len > max)
		ret->iov_len = max;
	*off += ret->iov_len;
	return true;
}

size_t iov_read(const struct iovec *iov, unsigned nr, size_t off, void *buf, size_t len)
{
	struct iovec at;
	size_t done = 0;

	while (done < len && iov_stretch(&iov, &nr, &off, len - done, &at)) {
		memcpy((uint8_t *)buf + done, at.iov_base, at.iov_len);
		done += at.iov_len;
	}
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned nr, size_t off, const void *buf, size_t len)
{
	struct iovec at;
	size_t done = 0;

	while (done < len && iov_stretch(&iov, &nr, &off, len - done, &at)) {
		memcpy(at.iov_base, (const uint8_t *)buf + done, at.iov_len);
		done += at.iov_len;
	}
	return done;
}

size_t iov_bytes(const struct iovec *iov, unsigned nr)
{
	size_t sum = 0;

	for (unsigned i = 0; i < nr; i++)
		sum += iov[i].iov_len;
	return sum;
}

void iov_zero(const struct iovec *dst, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		if (dst[i].iov_len) /* an empty piece may have no base, which memset() does not take */
			memset(dst[i].iov_base, 0, dst[i].iov_len);
}
