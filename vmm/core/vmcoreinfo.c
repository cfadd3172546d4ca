#include <elf.h>
#include <string.h>

#include "core/internal.h"
#include "mem.h"

static const char note_name[] = "VMCOREINFO", first_key[] = "OSRELEASE=";

enum { PAGES = 4096 }; /* looked at in one go */

/* A note's header and its name, which is padded to whole words. */
struct head {
	Elf64_Nhdr note;
	char name[(sizeof(note_name) + 3) & ~3UL];
	char text[sizeof(first_key) - 1];
};

static bool is_head(const struct head *head)
{
	return head->note.n_namesz == sizeof(note_name) &&
	       head->note.n_descsz >= sizeof(head->text) &&
	       head->note.n_descsz <= CORE_VMCOREINFO_MAX &&
	       memcmp(head->name, note_name, sizeof(note_name)) == 0 &&
	       memcmp(head->text, first_key, sizeof(head->text)) == 0;
}

/* The text of the note in the page at gpa; 0 when that is not such a page. */
static size_t take_note(const struct guest_mem *mem, uint64_t gpa, enum guest_page page,
			char buf[CORE_VMCOREINFO_MAX])
{
	uint8_t copy[GUEST_PAGE_BYTES];
	struct head head;
	const void *host = guest_mem_ptr(mem, gpa, GUEST_PAGE_BYTES);

	if (page == GUEST_PAGE_UNTOUCHED || !host)
		return 0;
	if (page == GUEST_PAGE_ELSEWHERE) {
		if (!guest_mem_copy_page(host, copy))
			return 0;
		host = copy;
	}
	memcpy(&head, host, sizeof(head));
	if (!is_head(&head) ||
	    guest_mem_read(mem, gpa + offsetof(struct head, text), buf, head.note.n_descsz) < 0)
		return 0;
	return head.note.n_descsz;
}

static size_t find_in_region(const struct guest_mem *mem, const struct guest_region *region,
			     char buf[CORE_VMCOREINFO_MAX])
{
	enum guest_page page[PAGES];
	uint64_t off = 0;

	while (off < region->len) {
		const uint64_t left = (region->len - off) / GUEST_PAGE_BYTES;
		const size_t nr = left < PAGES ? (size_t)left : PAGES;

		guest_mem_pages((const char *)region->host + off, nr, page);
		for (size_t i = 0; i < nr; i++, off += GUEST_PAGE_BYTES) {
			const size_t len = take_note(mem, region->gpa + off, page[i], buf);

			if (len)
				return len;
		}
	}
	return 0;
}

size_t core_vmcoreinfo_find(const struct guest_mem *mem, char buf[CORE_VMCOREINFO_MAX])
{
	size_t len = 0;

	for (unsigned i = 0; len == 0 && i < mem->nr_regions; i++)
		len = find_in_region(mem, &mem->region[i], buf);
	return len;
}
