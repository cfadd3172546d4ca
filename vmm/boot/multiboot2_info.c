/* multiboot2_info.c - the boot information of Multiboot 2 (Multiboot2 Specification 2.0, 3.6). */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "boot/multiboot.h"

enum tag_type {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_LOADER_NAME = 2,
	TAG_MODULE = 3,
	TAG_BASIC_MEMORY = 4,
	TAG_MEMORY_MAP = 6,
	TAG_RSDP_OLD = 14,
	TAG_RSDP_NEW = 15,
	TAG_LOAD_BASE = 21,
};

enum {
	ALIGN = 8,
	RSDP_OLD_LEN = 20, /* of ACPI 1.0; a new one begins with it */
	MAP_ENTRY_VERSION = 0,
};

struct tag {
	uint32_t type, size; /* with these eight bytes, without the padding */
};

struct map_entry {
	uint64_t addr, len;
	uint32_t type, zero;
};

static_assert(sizeof(struct map_entry) == 24, "section 3.6.8");

static const char loader_name[] = "Tollgate";

/* Where the next bytes go; past cap they are counted, not written. */
struct writer {
	uint8_t *buf;
	size_t cap, len;
};

static void writer_put(struct writer *w, const void *bytes, size_t n)
{
	if (n && u64_range_within(w->len, n, w->cap))
		memcpy(w->buf + w->len, bytes, n);
	w->len += n;
}

static void writer_put_padding(struct writer *w)
{
	static const uint8_t zeros[ALIGN];

	writer_put(w, zeros, (ALIGN - w->len % ALIGN) % ALIGN);
}

/* A tag: up to two parts of content. */
static void put_tag(struct writer *w, enum tag_type type, const void *first, size_t first_len,
		    const void *second, size_t second_len)
{
	const struct tag tag = {
		.type = type,
		.size = (uint32_t)(sizeof(tag) + first_len + second_len),
	};

	writer_put(w, &tag, sizeof(tag));
	writer_put(w, first, first_len);
	writer_put(w, second, second_len);
	writer_put_padding(w);
}

static void writer_put_modules(struct writer *w, const struct boot_handoff *handoff)
{
	for (unsigned i = 0; i < handoff->nr_modules; i++) {
		const struct boot_module *mod = &handoff->module[i];
		const uint32_t at[] = {(uint32_t)mod->gpa, (uint32_t)(mod->gpa + mod->len)};
		const char *words = mod->cmdline ? mod->cmdline : "";

		if (mod->len)
			put_tag(w, TAG_MODULE, at, sizeof(at), words, strlen(words) + 1);
	}
}

static void writer_put_map(struct writer *w, const struct boot_handoff *handoff)
{
	const uint32_t head[] = {sizeof(struct map_entry), MAP_ENTRY_VERSION};
	const struct tag tag = {
		.type = TAG_MEMORY_MAP,
		.size = (uint32_t)(sizeof(tag) + sizeof(head) +
				   handoff->nr_map * sizeof(struct map_entry)),
	};

	writer_put(w, &tag, sizeof(tag));
	writer_put(w, head, sizeof(head));
	for (unsigned i = 0; i < handoff->nr_map; i++) {
		const struct map_entry entry = {
			.addr = handoff->map[i].gpa,
			.len = handoff->map[i].len,
			.type = handoff->map[i].type,
		};

		writer_put(w, &entry, sizeof(entry));
	}
}

static void put_rsdp(struct writer *w, const struct boot_handoff *handoff)
{
	if (!handoff->rsdp || handoff->rsdp_len < RSDP_OLD_LEN)
		return;
	put_tag(w, TAG_RSDP_OLD, handoff->rsdp, RSDP_OLD_LEN, NULL, 0);
	if (handoff->rsdp_len > RSDP_OLD_LEN)
		put_tag(w, TAG_RSDP_NEW, handoff->rsdp, handoff->rsdp_len, NULL, 0);
}

static void put_tags(struct writer *w, const struct boot_handoff *handoff)
{
	const uint32_t memory[] = {boot_handoff_low_kib(handoff), boot_handoff_high_kib(handoff)};
	const uint32_t base = (uint32_t)handoff->load_base_gpa;

	if (handoff->cmdline)
		put_tag(w, TAG_CMDLINE, handoff->cmdline, strlen(handoff->cmdline) + 1, NULL, 0);
	put_tag(w, TAG_LOADER_NAME, loader_name, sizeof(loader_name), NULL, 0);
	writer_put_modules(w, handoff);
	put_tag(w, TAG_BASIC_MEMORY, memory, sizeof(memory), NULL, 0);
	if (handoff->nr_map)
		writer_put_map(w, handoff);
	put_rsdp(w, handoff);
	if (handoff->load_base_gpa)
		put_tag(w, TAG_LOAD_BASE, &base, sizeof(base), NULL, 0);
	put_tag(w, TAG_END, NULL, 0, NULL, 0);
}

int boot_multiboot2_render(const struct boot_handoff *handoff, uint64_t gpa, uint8_t *buf,
			   size_t cap, size_t *ret_len, struct diag *diag)
{
	const uint64_t end = UINT64_C(1) << 32;
	const uint32_t none[2] = {0};
	struct writer w = {.buf = buf, .cap = cap};
	uint32_t total;

	writer_put(&w, none, sizeof(none)); /* the total size comes here, and a reserved field */
	put_tags(&w, handoff);
	if (w.len > cap)
		return diag_set(diag, -ENOSPC, "multiboot2-info-size",
				"Multiboot 2 information of %zu bytes in %zu", w.len, cap);
	if (gpa % ALIGN || !u64_range_within(gpa, w.len, end))
		return diag_set(diag, -EINVAL, "multiboot2-info-address",
				"the Multiboot 2 information at %#llx is not at a multiple of 8 "
				"below 4 GiB",
				(unsigned long long)gpa);
	for (unsigned i = 0; i < handoff->nr_modules; i++) /* mod_end must fit, too */
		if (!u64_range_within(handoff->module[i].gpa, handoff->module[i].len, end - 1))
			return diag_set(diag, -EINVAL, "multiboot2-module-end",
					"Multiboot module %u would end past 4 GiB", i);
	total = (uint32_t)w.len;
	memcpy(buf, &total, sizeof(total));
	*ret_len = w.len;
	return 0;
}
