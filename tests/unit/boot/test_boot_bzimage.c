/* Unit tests of vmm/boot/bzimage.c: the kernel inside, the bzImage as a whole, and broken ones. */
#include "base/macros.h"
#include "boot_pack.h"
#include "boot_rig.h"

enum {
	CODE_GPA = 0x1000000, /* pref_address of the rig's bzImage */
	INIT_SIZE = 0x800000,
};

static struct image kernel, img;

/* The kernel packed, with Linux's four bytes of size after it, in a bzImage. */
static void make_packed(const struct packer *packer, uint32_t stated_size)
{
	uint8_t *packed = malloc(PACK_BOUND(kernel.len) + 4);
	size_t len;

	assert_non_null(packed);
	len = packer->pack(kernel.bytes, kernel.len, packed, PACK_BOUND(kernel.len));
	assert_true(len > 0);
	memcpy(packed + len, &stated_size, 4);
	image_make_bzimage(&img, packed, len + 4);
	free(packed);
}

static void make_plain_kernel(void)
{
	const struct elf_spec spec = elf_spec_plain();

	image_make_kernel(&kernel, &spec);
}

static void assert_is_kernel_by_pvh(const struct planned *p)
{
	const struct boot_segment *seg = p->plan.segment;

	assert_int_equal(p->plan.protocol, BOOT_PVH);
	assert_string_equal(p->plan.container, "bzImage");
	assert_int_equal(p->plan.nr_segments, 2);
	assert_int_equal(seg[0].gpa, TEXT_GPA);
	assert_int_equal(seg[0].data_len, TEXT_LEN);
	assert_memory_equal(seg[0].data, kernel.bytes + TEXT_AT, TEXT_LEN);
	assert_int_equal(seg[1].gpa, DATA_GPA);
	assert_int_equal(seg[1].mem_len, DATA_MEM);
	assert_memory_equal(seg[1].data, kernel.bytes + DATA_AT, DATA_LEN);
	assert_int_equal(p->plan.entry_gpa, ENTRY_GPA + 0x20);
	assert_int_equal(p->plan.end_gpa, DATA_GPA + DATA_MEM);
}

/* The bzImage enters itself: its code at pref_address, the entry 0x200 after that. */
static void assert_is_whole(const struct planned *p)
{
	const struct boot_plan *plan = &p->plan;

	assert_int_equal(plan->protocol, BOOT_LINUX64);
	assert_string_equal(plan->kind, "bzImage by its 64-bit entry");
	assert_null(plan->container);
	assert_null(plan->compression);
	assert_int_equal(plan->nr_segments, 1);
	assert_int_equal(plan->segment[0].gpa, CODE_GPA);
	assert_int_equal(plan->segment[0].data_len, img.len - BZ_CODE_AT);
	assert_int_equal(plan->segment[0].mem_len, img.len - BZ_CODE_AT);
	assert_memory_equal(plan->segment[0].data, img.bytes + BZ_CODE_AT, img.len - BZ_CODE_AT);
	assert_int_equal(plan->entry_gpa, CODE_GPA + 0x200);
	assert_int_equal(plan->end_gpa, CODE_GPA + INIT_SIZE);
}

static void assert_header_is_kept(const struct planned *p)
{
	assert_int_equal(p->plan.setup_header_len, BZ_HEADER_LEN);
	assert_memory_equal(p->plan.setup_header, img.bytes + 0x1f1, BZ_HEADER_LEN);
	assert_int_equal(p->plan.cmdline_max, 2047);
	assert_int_equal(p->plan.initrd_gpa_max, 0x7ffff000);
}

static void the_kernel_inside_is_entered_by_pvh(void **state)
{
	(void)state;
	image_make_pvh(&kernel);
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct planned p;
		char words[64];

		make_packed(packer, (uint32_t)kernel.len);
		assert_planned(&p, &img, NULL);
		assert_is_kernel_by_pvh(&p);
		assert_header_is_kept(&p);
		assert_string_equal(p.plan.compression, packer->codec);
		assert_non_null(p.plan.owned);
		boot_plan_describe(&p.plan, words, sizeof(words));
		assert_non_null(strstr(words, packer->codec));
		plan_free(&p);
	}
}

static void a_wrong_size_behind_the_payload_changes_nothing(void **state)
{
	static const uint32_t sizes[] = {0, 1, 4096, UINT32_MAX};

	(void)state;
	image_make_pvh(&kernel);
	for (const struct packer *packer = packers; packer->codec; packer++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct planned p;

			make_packed(packer, sizes[i]);
			assert_planned(&p, &img, NULL);
			assert_is_kernel_by_pvh(&p);
			plan_free(&p);
		}
	}
}

static void a_payload_may_be_uncompressed(void **state)
{
	struct planned p;

	(void)state;
	image_make_pvh(&kernel);
	image_make_bzimage(&img, kernel.bytes, kernel.len);
	assert_planned(&p, &img, NULL);
	assert_is_kernel_by_pvh(&p);
	assert_null(p.plan.owned);
	assert_null(p.plan.compression);
	plan_free(&p);
}

static void without_a_note_the_bzimage_is_entered_as_it_is(void **state)
{
	struct planned p;

	(void)state;
	make_plain_kernel();
	for (const struct packer *packer = packers; packer->codec; packer++) {
		make_packed(packer, (uint32_t)kernel.len);
		assert_planned(&p, &img, NULL);
		assert_is_whole(&p);
		assert_header_is_kept(&p);
		assert_null(p.plan.owned);
		plan_free(&p);
	}
}

static void an_unknown_compression_leaves_the_work_to_the_guest(void **state)
{
	struct planned p;

	(void)state;
	image_make_bzimage(&img, "\x01\x02\x03", 3);
	assert_planned(&p, &img, NULL);
	assert_is_whole(&p);
	plan_free(&p);
	assert_refused(&img, mode_opts(BOOT_MODE_PVH), "kernel-unknown-format payload of");
	image_make_bzimage(&img, "\x89LZO\0\r\n\x1a\n", 9);
	assert_planned(&p, &img, NULL);
	assert_is_whole(&p);
	plan_free(&p);
	assert_refused(&img, mode_opts(BOOT_MODE_PVH), "kernel-other-format payload of ~ lzop");
}

static void without_a_payload_the_bzimage_is_entered_as_it_is(void **state)
{
	struct planned p;

	(void)state;
	image_make_bzimage(&img, "", 0);
	assert_planned(&p, &img, NULL);
	assert_is_whole(&p);
	plan_free(&p);
	assert_refused(&img, mode_opts(BOOT_MODE_LINUX64), "kernel-no-payload");
}

static void the_mode_chooses_among_entries(void **state)
{
	struct planned p;

	(void)state;
	image_make_pvh(&kernel);
	image_make_bzimage(&img, kernel.bytes, kernel.len);
	assert_planned(&p, &img, mode_opts(BOOT_MODE_BZIMAGE));
	assert_is_whole(&p);
	plan_free(&p);
	assert_planned(&p, &img, mode_opts(BOOT_MODE_PVH));
	assert_is_kernel_by_pvh(&p);
	plan_free(&p);
	assert_planned(&p, &img, mode_opts(BOOT_MODE_LINUX64));
	assert_int_equal(p.plan.protocol, BOOT_LINUX64);
	assert_string_equal(p.plan.container, "bzImage");
	assert_int_equal(p.plan.entry_gpa, ENTRY_GPA);
	assert_header_is_kept(&p);
	plan_free(&p);
	make_plain_kernel();
	image_make_bzimage(&img, kernel.bytes, kernel.len);
	assert_refused(&img, mode_opts(BOOT_MODE_PVH), "kernel-no-pvh-note payload of");
	assert_refused(&img, mode_opts(BOOT_MODE_MULTIBOOT), "kernel-no-multiboot");
}

/* Before Linux 3.8 nothing shows the bzImage's 64-bit entry, but the kernel inside has one. */
static void an_old_kernel_is_entered_inside(void **state)
{
	struct planned p;

	(void)state;
	make_plain_kernel();
	image_make_bzimage(&img, kernel.bytes, kernel.len);
	BZ_SET(&img, version, 0x20a);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_LINUX64);
	assert_int_equal(p.plan.entry_gpa, ENTRY_GPA);
	plan_free(&p);
	assert_protocol(&img, mode_opts(BOOT_MODE_BZIMAGE), BOOT_LINUX32);
	BZ_SET(&img, version, 0x207); /* and no payload is named, either */
	assert_protocol(&img, NULL, BOOT_LINUX32);
}

static void make_kernel32(bool pvh)
{
	struct elf_spec spec = elf_spec_plain();
	const uint32_t entry = ENTRY_GPA + 0x20;

	spec.is32 = true;
	spec.machine = EM_386;
	image_make_kernel(&kernel, &spec);
	if (pvh) {
		spec.ph[2].p_filesz = image_put_note(&kernel, NOTE_AT, 4, "Xen", XEN_PHYS32_ENTRY,
						     &entry, sizeof(entry)) -
				      NOTE_AT;
		image_put_elf(&kernel, &spec);
	}
	image_make_bzimage(&img, kernel.bytes, kernel.len);
	BZ_SET(&img, xloadflags, 0);
}

/* Debian's 686 kernels: boot.rst, "32-bit Boot Protocol". The entry is the first byte of the code. */
static void a_32_bit_kernel_is_entered_by_its_32_bit_entry(void **state)
{
	struct planned p;

	(void)state;
	make_kernel32(false);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_LINUX32);
	assert_string_equal(p.plan.kind, "bzImage by its 32-bit entry");
	assert_int_equal(p.plan.segment[0].gpa, CODE_GPA);
	assert_int_equal(p.plan.entry_gpa, CODE_GPA);
	assert_int_equal(p.plan.end_gpa, CODE_GPA + INIT_SIZE);
	assert_int_equal(p.plan.initrd_gpa_max, 0x7ffff000);
	assert_int_equal(p.plan.initrd_gpa_limit, 0x7ffff000);
	plan_free(&p);
	assert_refused(&img, mode_opts(BOOT_MODE_LINUX64), "kernel-no-entry-32 payload of");
	make_kernel32(true); /* and by PVH where it has that */
	assert_protocol(&img, NULL, BOOT_PVH);
	assert_protocol(&img, mode_opts(BOOT_MODE_BZIMAGE), BOOT_LINUX32);
}

/* A zImage is loaded low; iPXE has no 32-bit code. Both begin with real-mode code that calls a BIOS. */
static void what_needs_a_bios_is_refused_by_that_name(void **state)
{
	(void)state;
	make_kernel32(false);
	BZ_SET(&img, loadflags, 0);
	assert_refused(&img, NULL, "kernel-16bit-only");
	make_kernel32(false);
	BZ_SET(&img, code32_start, 0);
	assert_refused(&img, NULL, "kernel-16bit-only");
	make_kernel32(false);
	BZ_SET(&img, version, 0x201); /* before the pointer to the command line */
	assert_refused(&img, NULL, "kernel-16bit-only");
}

/* boot.rst: 2.03 brought initrd_addr_max, 2.06 cmdline_size; 2.12 the flag for 4 GiB and more. */
static void old_headers_have_limits_of_their_own(void **state)
{
	struct planned p;

	(void)state;
	make_kernel32(false);
	BZ_SET(&img, version, 0x202);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.cmdline_max, 255);
	assert_int_equal(p.plan.initrd_gpa_max, 0x37ffffff);
	plan_free(&p);
	image_make_bzimage(&img, "", 0);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.cmdline_max, 2047);
	assert_int_equal(p.plan.initrd_gpa_limit, 0x7ffff000);
	plan_free(&p);
	BZ_SET(&img, xloadflags, XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_LINUX64);
	assert_int_equal(p.plan.initrd_gpa_max, 0x7ffff000);
	assert_true(p.plan.initrd_gpa_limit == UINT64_MAX);
	plan_free(&p);
	image_make_linux_pvh(&kernel); /* by PVH Linux keeps 32 bits of the address */
	image_make_bzimage(&img, kernel.bytes, kernel.len);
	BZ_SET(&img, xloadflags, XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_PVH);
	assert_int_equal(p.plan.initrd_gpa_limit, UINT32_MAX);
	plan_free(&p);
}

static void a_cut_bzimage_is_refused(void **state)
{
	struct planned p;
	char total[48];

	(void)state;
	image_make_pvh(&kernel);
	image_make_bzimage(&img, kernel.bytes, kernel.len);
	snprintf(total, sizeof(total), "kernel-bzimage-truncated %zu", img.len);
	for (size_t len = BZ_CODE_AT - 2; len <= img.len - 16; len += 239) {
		plan_bytes(&p, img.bytes, len, NULL);
		check_refused(&p, -ENOEXEC, total);
	}
	/* syssize is rounded up to 16, for which older builds did not pad the file. */
	plan_bytes(&p, img.bytes, img.len - 15, NULL);
	assert_int_equal(p.r, 0);
	plan_free(&p);
}

static void what_follows_the_code_is_not_loaded(void **state)
{
	struct planned p;
	size_t len;

	(void)state;
	image_make_bzimage(&img, "", 0);
	len = img.len - BZ_CODE_AT;
	image_put(&img, img.len, "signature", 9);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.segment[0].data_len, len);
	plan_free(&p);
}

static void a_payload_outside_the_code_is_refused(void **state)
{
	static const uint32_t bad[][2] = {
		{BZ_PAYLOAD_OFF, 0x10000000}, {UINT32_MAX, 1}, {UINT32_MAX, UINT32_MAX}};

	(void)state;
	image_make_pvh(&kernel);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		image_make_bzimage(&img, kernel.bytes, kernel.len);
		BZ_SET(&img, payload_offset, bad[i][0]);
		BZ_SET(&img, payload_length, bad[i][1]);
		assert_refused(&img, NULL, "kernel-bzimage-payload");
	}
}

static void a_corrupt_payload_is_refused_by_name(void **state)
{
	(void)state;
	image_make_pvh(&kernel);
	for (const struct packer *packer = packers; packer->codec; packer++) {
		char what[64];

		if (!packer->has_checksum)
			continue;
		make_packed(packer, (uint32_t)kernel.len);
		img.bytes[BZ_CODE_AT + BZ_PAYLOAD_OFF + 100] ^= 0xff;
		snprintf(what, sizeof(what), "kernel-packed-corrupt payload of ~ %s",
			 packer->codec);
		assert_refused(&img, NULL, what);
	}
}

static void a_payload_past_the_limit_is_refused(void **state)
{
	(void)state;
	image_make_pvh(&kernel);
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct boot_opts opts = {.unpacked_max = kernel.len};
		struct planned p;

		make_packed(packer, (uint32_t)kernel.len);
		assert_planned(&p, &img, &opts);
		plan_free(&p);
		opts.unpacked_max = kernel.len - 1;
		assert_refused(&img, &opts, "kernel-unpacked-size");
	}
}

static void setup_sects_0_means_4(void **state)
{
	const size_t sects = 4, code_at = (sects + 1) * 512;
	struct planned p;

	(void)state;
	image_make_bzimage(&img, "", 0);
	memmove(img.bytes + code_at, img.bytes + BZ_CODE_AT, img.len - BZ_CODE_AT);
	img.len += code_at - BZ_CODE_AT;
	BZ_SET(&img, setup_sects, 0);
	assert_planned(&p, &img, NULL);
	assert_ptr_equal(p.plan.segment[0].data, p.copy + code_at);
	plan_free(&p);
}

static void the_load_address_is_rounded_up_for_relocatable_kernels(void **state)
{
	struct planned p;

	(void)state;
	image_make_bzimage(&img, "", 0);
	BZ_SET(&img, pref_address, CODE_GPA + 1);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.segment[0].gpa, CODE_GPA + 0x200000);
	plan_free(&p);
	BZ_SET(&img, relocatable_kernel, 0);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.segment[0].gpa, CODE_GPA + 1);
	plan_free(&p);
	BZ_SET(&img, pref_address, 0);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.segment[0].gpa, 0x100000); /* code32_start */
	plan_free(&p);
	BZ_SET(&img, pref_address, UINT64_C(1) << 32);
	assert_refused(&img, NULL, "kernel-bzimage-address 0x100000000");
	BZ_SET(&img, relocatable_kernel, 1);
	BZ_SET(&img, pref_address, UINT64_MAX);
	assert_refused(&img, NULL, "kernel-bzimage-address 0xffffffffffffffff");
}

/* The header's own length byte ends it: fields after that are the next thing's bytes. */
static void fields_past_the_headers_end_count_as_0(void **state)
{
	struct planned p;

	(void)state;
	image_make_pvh(&kernel);
	image_make_bzimage(&img, kernel.bytes, kernel.len);
	img.bytes[0x201] = 0x248 - 0x202; /* ends before payload_offset */
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_LINUX64);
	assert_int_equal(p.plan.segment[0].gpa, 0x200000); /* code32_start, aligned */
	assert_int_equal(p.plan.setup_header_len, 0x248 - 0x1f1);
	plan_free(&p);
	img.bytes[0x201] = 0xff;
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.setup_header_len, BOOT_SETUP_HEADER_MAX);
	plan_free(&p);
}

static void too_short_a_code_has_no_entry(void **state)
{
	(void)state;
	image_make_bzimage(&img, "", 0);
	BZ_SET(&img, syssize, 0x200 / 16);
	BZ_SET(&img, payload_offset, 0);
	assert_refused(&img, NULL, "kernel-entry-outside 0x1000200");
}

static void a_bzimage_may_be_compressed_as_a_file(void **state)
{
	(void)state;
	for (const struct packer *packer = packers; packer->codec; packer++) {
		struct image packed = {0};
		struct planned p;

		image_make_pvh(&kernel);
		make_packed(packer, (uint32_t)kernel.len);
		packed.len = packer->pack(img.bytes, img.len, packed.bytes, IMAGE_MAX);
		assert_true(packed.len > 0);
		assert_planned(&p, &packed, NULL);
		assert_is_kernel_by_pvh(&p);
		plan_free(&p);
		assert_planned(&p, &packed, mode_opts(BOOT_MODE_BZIMAGE));
		assert_int_equal(p.plan.protocol, BOOT_LINUX64);
		assert_int_equal(p.plan.entry_gpa, CODE_GPA + 0x200);
		plan_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_inside_is_entered_by_pvh),
		cmocka_unit_test(a_wrong_size_behind_the_payload_changes_nothing),
		cmocka_unit_test(a_payload_may_be_uncompressed),
		cmocka_unit_test(without_a_note_the_bzimage_is_entered_as_it_is),
		cmocka_unit_test(an_unknown_compression_leaves_the_work_to_the_guest),
		cmocka_unit_test(without_a_payload_the_bzimage_is_entered_as_it_is),
		cmocka_unit_test(the_mode_chooses_among_entries),
		cmocka_unit_test(an_old_kernel_is_entered_inside),
		cmocka_unit_test(a_32_bit_kernel_is_entered_by_its_32_bit_entry),
		cmocka_unit_test(what_needs_a_bios_is_refused_by_that_name),
		cmocka_unit_test(old_headers_have_limits_of_their_own),
		cmocka_unit_test(a_cut_bzimage_is_refused),
		cmocka_unit_test(what_follows_the_code_is_not_loaded),
		cmocka_unit_test(a_payload_outside_the_code_is_refused),
		cmocka_unit_test(a_corrupt_payload_is_refused_by_name),
		cmocka_unit_test(a_payload_past_the_limit_is_refused),
		cmocka_unit_test(setup_sects_0_means_4),
		cmocka_unit_test(the_load_address_is_rounded_up_for_relocatable_kernels),
		cmocka_unit_test(fields_past_the_headers_end_count_as_0),
		cmocka_unit_test(too_short_a_code_has_no_entry),
		cmocka_unit_test(a_bzimage_may_be_compressed_as_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
