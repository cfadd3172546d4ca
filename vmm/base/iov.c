#include "base/iov.h"

#include <assert.h>
#include <string.h>

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

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

void iov_gather(const struct iovec *src, unsigned nr, void *buf, size_t len)
{
	uint8_t *to = buf;

	for (unsigned i = 0; i < nr && len > 0; i++) {
		const size_t n = smaller(src[i].iov_len, len);

		memcpy(to, src[i].iov_base, n);
		to += n;
		len -= n;
	}
	assert(len == 0);
}

void iov_scatter(const struct iovec *dst, unsigned nr, const void *buf, size_t len)
{
	const uint8_t *from = buf;

	for (unsigned i = 0; i < nr && len > 0; i++) {
		const size_t n = smaller(dst[i].iov_len, len);

		memcpy(dst[i].iov_base, from, n);
		from += n;
		len -= n;
	}
	assert(len == 0);
}

void iov_zero(const struct iovec *dst, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		memset(dst[i].iov_base, 0, dst[i].iov_len);
}
