/* ram.c - guest memory to a sparse file. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io_full.h"
#include "core/internal.h"
#include "mem.h"

enum { PAGES = 4096 }; /* looked at, and asked whether to give up, in one go: 16 MiB */

/* Where a piece of memory goes. */
struct piece {
	int fd;
	const uint8_t *host;
	uint64_t off; /* in the file */
};

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, GUEST_PAGE_BYTES - 1) == 0;
}

/* nr pages from src are the first-th and following ones of the piece. */
static int piece_put(const struct piece *piece, size_t first, const uint8_t *src, size_t nr)
{
	if (nr == 0)
		return 0;
	if (lseek(piece->fd, (off_t)(piece->off + first * GUEST_PAGE_BYTES), SEEK_SET) < 0)
		return -errno;
	return io_write_full(piece->fd, src, nr * GUEST_PAGE_BYTES, NULL);
}

/* A page whose content is lost reads as zeros in the core, as one that was never touched. */
static int put_elsewhere(const struct piece *piece, size_t i)
{
	uint8_t copy[GUEST_PAGE_BYTES];

	if (!guest_mem_copy_page(piece->host + i * GUEST_PAGE_BYTES, copy) || is_zero(copy))
		return 0;
	return piece_put(piece, i, copy, 1);
}

/* Neighbours go out together; what is not written stays a hole. */
static int piece_write(const struct piece *piece, const enum guest_page *page, size_t nr)
{
	size_t first = 0; /* of the pages that wait to be written */
	int r = 0;

	for (size_t i = 0; r == 0 && i < nr; i++) {
		const uint8_t *host = piece->host + i * GUEST_PAGE_BYTES;

		if (page[i] == GUEST_PAGE_RESIDENT && !is_zero(host))
			continue;
		r = piece_put(piece, first, piece->host + first * GUEST_PAGE_BYTES, i - first);
		first = i + 1;
		if (r == 0 && page[i] == GUEST_PAGE_ELSEWHERE)
			r = put_elsewhere(piece, i);
	}
	return r < 0 ? r
		     : piece_put(piece, first, piece->host + first * GUEST_PAGE_BYTES, nr - first);
}

static int write_region(const struct core_opts *opts, const struct guest_region *region, int fd,
			uint64_t off)
{
	enum guest_page page[PAGES];
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < region->len;) {
		const uint64_t left = (region->len - at) / GUEST_PAGE_BYTES;
		const size_t nr = left < PAGES ? (size_t)left : PAGES;
		const struct piece piece = {fd, (const uint8_t *)region->host + at, off + at};

		if (opts->is_cancelled && opts->is_cancelled(opts->arg))
			return -ECANCELED;
		guest_mem_pages(piece.host, nr, page);
		r = piece_write(&piece, page, nr);
		at += nr * GUEST_PAGE_BYTES;
	}
	return r;
}

int core_ram_write(const struct core_opts *opts, int fd, uint64_t off)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < opts->mem->nr_regions; i++) {
		r = write_region(opts, &opts->mem->region[i], fd, off);
		off += opts->mem->region[i].len;
	}
	return r;
}
