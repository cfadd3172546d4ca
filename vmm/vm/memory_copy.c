#include "vm/memory_copy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mem.h"

enum { PAGES = 4096 }; /* looked at in one go: 16 MiB */

static bool page_is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, GUEST_PAGE_BYTES - 1) == 0;
}

static bool copy_has(const struct memory_copy *copy, uint64_t page)
{
	return copy->has_page[page / 8] >> page % 8 & 1;
}

/* Small pages: with huge ones a page that is copied would take 2 MiB. */
static int copy_alloc(struct memory_copy *copy, uint64_t len)
{
	void *bytes = mmap(NULL, len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (bytes == MAP_FAILED)
		return -ENOMEM;
	madvise(bytes, len, MADV_NOHUGEPAGE);
	madvise(bytes, len, MADV_DONTDUMP);
	copy->bytes = bytes;
	copy->len = len;
	copy->has_page = calloc(1, len / GUEST_PAGE_BYTES / 8 + 1);
	return copy->has_page ? 0 : -ENOMEM;
}

int memory_copy_init(struct memory_copy *copy, const struct guest_mem *mem, struct diag *diag)
{
	enum guest_page page[PAGES];
	int r = copy_alloc(copy, mem->bytes);

	if (r < 0) {
		memory_copy_fini(copy);
		return diag_set(diag, r, "reset-copy-memory",
				"keep guest memory as it is at the start");
	}
	for (uint64_t first = 0; first < mem->bytes / GUEST_PAGE_BYTES; first += PAGES) {
		const uint64_t left = mem->bytes / GUEST_PAGE_BYTES - first;
		const size_t nr = left < PAGES ? (size_t)left : PAGES;
		const uint8_t *from = (const uint8_t *)mem->base + first * GUEST_PAGE_BYTES;

		guest_mem_pages(from, nr, page);
		for (size_t i = 0; i < nr; i++) {
			const uint64_t off = (first + i) * GUEST_PAGE_BYTES;

			if (page[i] == GUEST_PAGE_UNTOUCHED ||
			    page_is_zero(from + i * GUEST_PAGE_BYTES))
				continue;
			memcpy(copy->bytes + off, from + i * GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
			copy->has_page[(first + i) / 8] |= (uint8_t)(1 << (first + i) % 8);
		}
	}
	return 0;
}

int memory_copy_put_back(const struct memory_copy *copy, const struct guest_mem *mem,
			 struct diag *diag)
{
	const int r = guest_mem_clear(mem);

	if (r < 0)
		return diag_set(diag, r, "reset-memory-clear", "clear guest memory for a reset");
	for (uint64_t page = 0; page < copy->len / GUEST_PAGE_BYTES; page++) {
		const uint64_t off = page * GUEST_PAGE_BYTES;

		if (copy_has(copy, page))
			memcpy((uint8_t *)mem->base + off, copy->bytes + off, GUEST_PAGE_BYTES);
	}
	return 0;
}

void memory_copy_fini(struct memory_copy *copy)
{
	if (copy->bytes)
		munmap(copy->bytes, copy->len);
	free(copy->has_page);
	*copy = (struct memory_copy){0};
}
