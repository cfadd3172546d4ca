/* Unit tests of vmm/boot/multiboot2.c and multiboot2_info.c: headers, tags, and what the kernel gets. */
#include "base/macros.h"
#include "boot/multiboot.h"
#include "boot_rig.h"

enum {
	TAG_REQUEST = 1,
	TAG_ADDRESS,
	TAG_ENTRY,
	TAG_CONSOLE,
	TAG_FRAMEBUFFER,
	TAG_MODULE_ALIGNMENT,
	TAG_EFI_BOOT_SERVICES,
	TAG_ENTRY_EFI64 = 9,
	TAG_RELOCATABLE,
	OPTIONAL = 1 << 16, /* as bit 0 of the flags next to the type */
	HEADER_AT = 0x40,
	LOAD_GPA = 0x100000,
	FILE_LEN = 0x800,
	INFO_GPA = 0x20000,
};

static struct image img;

static void make_elf(const uint32_t *tags, uint32_t len)
{
	const struct elf_spec spec = elf_spec_plain();

	image_make_any_kernel(&img, &spec);
	image_put_multiboot2(&img, MB2_AT, tags, len);
}

static void make_flat(const uint32_t *tags, uint32_t len)
{
	image_reset(&img);
	image_put_noise(&img, 0, FILE_LEN);
	image_put_multiboot2(&img, HEADER_AT, tags, len);
}

#define ELF_WITH(...)                                                                              \
	do {                                                                                       \
		const uint32_t tags_[] = {__VA_ARGS__};                                            \
		make_elf(tags_, sizeof(tags_));                                                    \
	} while (0)

#define FLAT_WITH(...)                                                                             \
	do {                                                                                       \
		const uint32_t tags_[] = {__VA_ARGS__};                                            \
		make_flat(tags_, sizeof(tags_));                                                   \
	} while (0)

static void an_elf_kernel_is_placed_by_its_program_headers(void **state)
{
	struct planned p;

	(void)state;
	image_make_multiboot2(&img);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_MULTIBOOT2);
	assert_string_equal(p.plan.kind, "Multiboot 2 ELF64");
	assert_int_equal(p.plan.entry_gpa, ENTRY_GPA);
	assert_int_equal(p.plan.nr_segments, 2);
	assert_int_equal(p.plan.load_base_gpa, 0);
	assert_int_equal(p.plan.initrd_gpa_max, UINT32_MAX);
	plan_free(&p);
	assert_protocol(&img, mode_opts(BOOT_MODE_MULTIBOOT2), BOOT_MULTIBOOT2);
	assert_refused(&img, mode_opts(BOOT_MODE_MULTIBOOT), "kernel-no-multiboot");
}

static void the_entry_tag_outranks_the_file(void **state)
{
	struct planned p;

	(void)state;
	ELF_WITH(TAG_ENTRY, 12, ENTRY_GPA + 0x40);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.entry_gpa, ENTRY_GPA + 0x40);
	plan_free(&p);
	ELF_WITH(TAG_ENTRY, 12, 0x5000);
	assert_refused(&img, NULL, "kernel-entry-outside 0x5000");
}

static void the_address_tag_says_where_everything_goes(void **state)
{
	struct planned p;

	(void)state;
	FLAT_WITH(TAG_ADDRESS, 24, LOAD_GPA + HEADER_AT, LOAD_GPA, LOAD_GPA + 0x600,
		  LOAD_GPA + 0x3000, TAG_ENTRY, 12, LOAD_GPA + 0x100);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_MULTIBOOT2);
	assert_int_equal(p.plan.entry_gpa, LOAD_GPA + 0x100);
	assert_int_equal(p.plan.segment[0].gpa, LOAD_GPA);
	assert_ptr_equal(p.plan.segment[0].data, p.copy);
	assert_int_equal(p.plan.segment[0].data_len, 0x600);
	assert_int_equal(p.plan.segment[0].mem_len, 0x3000);
	plan_free(&p);
	/* A load address of -1 begins at the file's first byte. */
	FLAT_WITH(TAG_ADDRESS, 24, LOAD_GPA + HEADER_AT, UINT32_MAX, 0, 0, TAG_ENTRY, 12,
		  LOAD_GPA + 0x100);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.segment[0].gpa, LOAD_GPA);
	assert_int_equal(p.plan.segment[0].data_len, FILE_LEN);
	plan_free(&p);
	FLAT_WITH(TAG_ADDRESS, 24, LOAD_GPA + HEADER_AT, LOAD_GPA, 0, 0);
	assert_refused(&img, NULL, "kernel-multiboot2-no-entry");
	FLAT_WITH(TAG_REQUEST, 8);
	assert_refused(&img, NULL, "kernel-multiboot2-addresses");
}

/* The kernel is linked to 1 MiB; what it allows may exclude that. */
static void a_kernel_that_may_be_moved_is(void **state)
{
	struct planned p;

	(void)state;
	ELF_WITH(TAG_RELOCATABLE, 24, 0, UINT32_MAX, 0x1000, 0);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.segment[0].gpa, TEXT_GPA);
	assert_int_equal(p.plan.load_base_gpa, TEXT_GPA);
	plan_free(&p);
	ELF_WITH(TAG_RELOCATABLE, 24, 0x280001, UINT32_MAX, 0x100000, 0);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.segment[0].gpa, 0x300000);
	assert_int_equal(p.plan.segment[1].gpa, 0x300000 + (DATA_GPA - TEXT_GPA));
	assert_int_equal(p.plan.entry_gpa, 0x300000 + (ENTRY_GPA - TEXT_GPA));
	assert_int_equal(p.plan.end_gpa, 0x300000 + (DATA_GPA - TEXT_GPA) + DATA_MEM);
	assert_int_equal(p.plan.load_base_gpa, 0x300000);
	plan_free(&p);
	ELF_WITH(TAG_RELOCATABLE, 24, 0x800000, 0x8fffff, 0x1000, 0);
	assert_refused(&img, NULL, "kernel-multiboot2-range");
	ELF_WITH(TAG_RELOCATABLE, 24, 0xfffff000, UINT32_MAX, 0xffffffff, 0);
	assert_refused(&img, NULL, "kernel-multiboot2-range");
}

static void what_must_be_there_and_is_not_is_refused(void **state)
{
	(void)state;
	ELF_WITH(TAG_FRAMEBUFFER, 20, 1024, 768, 32);
	assert_refused(&img, NULL, "kernel-multiboot2-video");
	ELF_WITH(TAG_FRAMEBUFFER | OPTIONAL, 20, 1024, 768, 32);
	assert_protocol(&img, NULL, BOOT_MULTIBOOT2);
	ELF_WITH(TAG_CONSOLE, 12, 1);
	assert_refused(&img, NULL, "kernel-multiboot2-console");
	ELF_WITH(TAG_CONSOLE, 12, 2); /* it can write to one, and need not */
	assert_protocol(&img, NULL, BOOT_MULTIBOOT2);
	ELF_WITH(TAG_REQUEST, 12, 22);
	assert_refused(&img, NULL, "kernel-multiboot2-information 22");
	ELF_WITH(TAG_REQUEST | OPTIONAL, 12, 22);
	assert_protocol(&img, NULL, BOOT_MULTIBOOT2);
	ELF_WITH(TAG_REQUEST, 16, 8, 21); /* known, if not always there */
	assert_protocol(&img, NULL, BOOT_MULTIBOOT2);
	ELF_WITH(11, 8);
	assert_refused(&img, NULL, "kernel-multiboot2-tag 11");
	ELF_WITH(11 | OPTIONAL, 8);
	assert_protocol(&img, NULL, BOOT_MULTIBOOT2);
	ELF_WITH(TAG_MODULE_ALIGNMENT, 8, TAG_EFI_BOOT_SERVICES, 8, TAG_ENTRY_EFI64, 12, 5);
	assert_protocol(&img, NULL, BOOT_MULTIBOOT2);
}

static void corrupt_headers_are_refused(void **state)
{
	(void)state;
	ELF_WITH(TAG_ENTRY, 7);
	assert_refused(&img, NULL, "kernel-multiboot2-tag-cut");
	ELF_WITH(TAG_ENTRY, 0xffffffff);
	assert_refused(&img, NULL, "kernel-multiboot2-tag-cut");
	ELF_WITH(TAG_ENTRY, 8);
	assert_refused(&img, NULL, "kernel-multiboot2-entry-tag");
	ELF_WITH(TAG_ADDRESS, 20, 0, 0, 0);
	assert_refused(&img, NULL, "kernel-multiboot2-address-tag");
	ELF_WITH(TAG_RELOCATABLE, 16, 0, 0);
	assert_refused(&img, NULL, "kernel-multiboot2-relocatable-tag");
	ELF_WITH(TAG_CONSOLE, 8);
	assert_refused(&img, NULL, "kernel-multiboot2-console-tag");
	image_make_multiboot2(&img);
	image_put32(&img, MB2_AT + 16 + 16, 99 | OPTIONAL); /* instead of the end */
	assert_refused(&img, NULL, "kernel-multiboot2-tags-end");
	image_make_multiboot2(&img);
	image_put32(&img, MB2_AT + 4, 4); /* MIPS */
	image_put32(&img, MB2_AT + 12, 0u - (uint32_t)MB2_MAGIC - 4 - 40);
	assert_refused(&img, NULL, "kernel-multiboot2-architecture 4");
	image_make_multiboot2(&img);
	img.bytes[MB2_AT + 12]++; /* a wrong checksum is no header */
	assert_refused(&img, NULL, "kernel-no-entry-64");
}

/* The last place for the shortest header, and the first that does not count. */
static void the_header_lies_in_the_first_32_kib_at_a_multiple_of_8(void **state)
{
	static const struct {
		size_t at;
		const char *why; /* NULL: it counts */
	} cases[] = {{0x1000, NULL},
		     {32768 - 24, NULL},
		     {32768 - 16, "kernel-multiboot2-cut"},
		     {32768, "kernel-no-multiboot2"},
		     {0x1004, "kernel-no-multiboot2"}};
	const struct elf_spec spec = elf_spec_plain();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		image_make_any_kernel(&img, &spec);
		image_put_multiboot2(&img, cases[i].at, NULL, 0);
		if (cases[i].why)
			assert_refused(&img, mode_opts(BOOT_MODE_MULTIBOOT2), cases[i].why);
		else
			assert_protocol(&img, NULL, BOOT_MULTIBOOT2);
	}
}

static void a_short_file_is_read_to_its_end_only(void **state)
{
	(void)state;
	FLAT_WITH(TAG_ENTRY, 12, LOAD_GPA);
	for (size_t len = 1; len < HEADER_AT + 40; len++) {
		struct planned p;

		plan_bytes(&p, img.bytes, len, mode_opts(BOOT_MODE_MULTIBOOT2));
		check_refused(&p, -ENOEXEC,
			      len < HEADER_AT + 16 ? "kernel-no-multiboot2"
						   : "kernel-multiboot2-cut");
	}
}

static uint32_t get32(const uint8_t *buf, size_t at)
{
	uint32_t v;

	memcpy(&v, buf + at, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *buf, size_t at)
{
	uint64_t v;

	memcpy(&v, buf + at, sizeof(v));
	return v;
}

/* The offset of the content of the nth tag of that type; 0 when there is none. Checks the chain. */
static size_t find_tag(const uint8_t *buf, uint32_t type, unsigned nth, uint32_t *ret_len)
{
	const uint32_t total = get32(buf, 0);
	size_t at = 8;

	assert_int_equal(get32(buf, 4), 0);
	for (;;) {
		const uint32_t t = get32(buf, at), size = get32(buf, at + 4);

		assert_true(size >= 8 && at + size <= total);
		if (t == type && nth-- == 0) {
			*ret_len = size - 8;
			return at + 8;
		}
		if (t == 0) {
			assert_int_equal(size, 8);
			assert_int_equal(at + 8, total);
			return 0;
		}
		at += (size_t)(size + 7) / 8 * 8;
	}
}

static const struct boot_map_entry map[] = {
	{0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2}, {0x100000, 0x3ff00000, 1}, {0xfec00000, 0x1000, 2}};
static const struct boot_module modules[] = {
	{.gpa = 0x7f000000, .len = 0x12345},
	{.len = 0, .cmdline = "is not there"},
	{.gpa = 0x5000, .len = 0x800, .cmdline = "second"},
};
static const uint8_t rsdp[36] = "RSD PTR .......2...................";

static struct boot_handoff full_handoff(void)
{
	return (struct boot_handoff){
		.cmdline = "a command line",
		.rsdp = rsdp,
		.rsdp_len = sizeof(rsdp),
		.load_base_gpa = 0x300000,
		.module = modules,
		.nr_modules = ARRAY_SIZE(modules),
		.map = map,
		.nr_map = ARRAY_SIZE(map),
	};
}

static void the_information_has_all_that_is_known(void **state)
{
	const struct boot_handoff h = full_handoff();
	uint8_t buf[1024] __attribute__((aligned(8)));
	size_t len = 0, at;
	uint32_t n;

	(void)state;
	assert_int_equal(boot_multiboot2_render(&h, INFO_GPA, buf, sizeof(buf), &len, NULL), 0);
	assert_int_equal(get32(buf, 0), len);
	assert_string_equal((const char *)buf + find_tag(buf, 1, 0, &n), "a command line");
	assert_int_equal(n, sizeof("a command line"));
	assert_string_equal((const char *)buf + find_tag(buf, 2, 0, &n), "Tollgate");
	at = find_tag(buf, 3, 0, &n);
	assert_int_equal(get32(buf, at), 0x7f000000);
	assert_int_equal(get32(buf, at + 4), 0x7f012345);
	assert_string_equal((const char *)buf + at + 8, "");
	at = find_tag(buf, 3, 1, &n);
	assert_int_equal(get32(buf, at), 0x5000);
	assert_string_equal((const char *)buf + at + 8, "second");
	assert_int_equal(find_tag(buf, 3, 2, &n), 0);
	at = find_tag(buf, 4, 0, &n);
	assert_int_equal(get32(buf, at), 639);
	assert_int_equal(get32(buf, at + 4), 0x3ff00000 / 1024);
	at = find_tag(buf, 6, 0, &n);
	assert_int_equal(n, 8 + sizeof(map) / sizeof(map[0]) * 24);
	assert_int_equal(get32(buf, at), 24);
	assert_int_equal(get32(buf, at + 4), 0);
	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		assert_true(get64(buf, at + 8 + 24 * i) == map[i].gpa);
		assert_true(get64(buf, at + 16 + 24 * i) == map[i].len);
		assert_int_equal(get32(buf, at + 24 + 24 * i), map[i].type);
	}
	at = find_tag(buf, 14, 0, &n);
	assert_int_equal(n, 20);
	assert_memory_equal(buf + at, rsdp, 20);
	at = find_tag(buf, 15, 0, &n);
	assert_int_equal(n, 36);
	assert_memory_equal(buf + at, rsdp, 36);
	assert_int_equal(get32(buf, find_tag(buf, 21, 0, &n)), 0x300000);
}

static void the_information_needs_its_room_below_4_gib(void **state)
{
	const struct boot_module high = {.gpa = 0xfffff000, .len = 0x1000};
	struct boot_handoff h = full_handoff();
	uint8_t buf[1024];
	size_t needed = 0, len = 7;

	(void)state;
	assert_int_equal(boot_multiboot2_render(&h, INFO_GPA, buf, sizeof(buf), &needed, NULL), 0);
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(boot_multiboot2_render(&h, INFO_GPA, buf, needed - 1, &len, NULL),
			 -ENOSPC);
	assert_int_equal(buf[needed - 1], 0xee);
	assert_int_equal(len, 7);
	assert_int_equal(boot_multiboot2_render(&h, INFO_GPA + 4, buf, needed, &len, NULL),
			 -EINVAL);
	assert_int_equal(
		boot_multiboot2_render(&h, (UINT64_C(1) << 32) - 8, buf, needed, &len, NULL),
		-EINVAL);
	h.module = &high; /* its end would be 0 in 32 bits */
	h.nr_modules = 1;
	assert_int_equal(boot_multiboot2_render(&h, INFO_GPA, buf, sizeof(buf), &len, NULL),
			 -EINVAL);
}

static void what_is_not_there_has_no_tag(void **state)
{
	const struct boot_handoff h = {0};
	uint8_t buf[256] __attribute__((aligned(8)));
	size_t len = 0;
	uint32_t n;

	(void)state;
	assert_int_equal(boot_multiboot2_render(&h, INFO_GPA, buf, sizeof(buf), &len, NULL), 0);
	for (uint32_t type = 1; type <= 21; type++)
		if (type != 2 && type != 4) /* the loader's name, and basic memory, which is 0 */
			assert_int_equal(find_tag(buf, type, 0, &n), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_elf_kernel_is_placed_by_its_program_headers),
		cmocka_unit_test(the_entry_tag_outranks_the_file),
		cmocka_unit_test(the_address_tag_says_where_everything_goes),
		cmocka_unit_test(a_kernel_that_may_be_moved_is),
		cmocka_unit_test(what_must_be_there_and_is_not_is_refused),
		cmocka_unit_test(corrupt_headers_are_refused),
		cmocka_unit_test(the_header_lies_in_the_first_32_kib_at_a_multiple_of_8),
		cmocka_unit_test(a_short_file_is_read_to_its_end_only),
		cmocka_unit_test(the_information_has_all_that_is_known),
		cmocka_unit_test(the_information_needs_its_room_below_4_gib),
		cmocka_unit_test(what_is_not_there_has_no_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
