/* Unit tests of vmm/boot/elf.c: placement, entry by note and by header, and every refusal. */
#include "base/macros.h"
#include "boot_rig.h"

static struct image img;

static void make_note_kernel(size_t align, const void *desc, uint32_t desc_len)
{
	struct elf_spec spec = elf_spec_plain();
	size_t end;

	image_make_kernel(&img, &spec);
	end = image_put_note(&img, NOTE_AT, align, "GNU", NT_GNU_BUILD_ID, "12345", 5);
	end = image_put_note(&img, end, align, "Xen", XEN_PHYS32_ENTRY, desc, desc_len);
	spec.ph[2].p_filesz = end - NOTE_AT;
	spec.ph[2].p_align = align;
	image_put_elf(&img, &spec);
}

static void segments_go_where_their_physical_addresses_say(void **state)
{
	const struct boot_segment *seg;
	struct planned p;

	(void)state;
	image_make_pvh(&img);
	assert_planned(&p, &img, NULL);
	seg = p.plan.segment;
	assert_int_equal(p.plan.protocol, BOOT_PVH);
	assert_int_equal(p.plan.entry_gpa, ENTRY_GPA + 0x20);
	assert_int_equal(p.plan.nr_segments, 2);
	assert_int_equal(seg[0].gpa, TEXT_GPA);
	assert_int_equal(seg[0].data_len, TEXT_LEN);
	assert_int_equal(seg[0].mem_len, TEXT_LEN);
	assert_ptr_equal(seg[0].data, p.copy + TEXT_AT);
	assert_int_equal(seg[1].gpa, DATA_GPA);
	assert_int_equal(seg[1].data_len, DATA_LEN);
	assert_int_equal(seg[1].mem_len, DATA_MEM);
	assert_ptr_equal(seg[1].data, p.copy + DATA_AT);
	assert_int_equal(p.plan.end_gpa, DATA_GPA + DATA_MEM);
	assert_int_equal(p.plan.setup_header_len, 0);
	assert_null(p.plan.owned);
	assert_string_equal(p.plan.kind, "ELF64 with PVH note");
	plan_free(&p);
}

static void segments_are_put_in_order(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	const Elf64_Phdr first = spec.ph[0];
	struct planned p;

	(void)state;
	spec.ph[0] = spec.ph[1];
	spec.ph[1] = first;
	image_make_kernel(&img, &spec);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.segment[0].gpa, TEXT_GPA);
	assert_int_equal(p.plan.segment[1].gpa, DATA_GPA);
	plan_free(&p);
}

static void a_segment_without_file_bytes_is_all_zeros(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	struct planned p;

	(void)state;
	spec.ph[1].p_filesz = 0;
	spec.ph[1].p_offset = UINT64_MAX; /* stripping may leave an offset past the end */
	image_make_kernel(&img, &spec);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.nr_segments, 2);
	assert_null(p.plan.segment[1].data);
	assert_int_equal(p.plan.segment[1].data_len, 0);
	assert_int_equal(p.plan.segment[1].mem_len, DATA_MEM);
	plan_free(&p);
}

/* Linux's payload carries its bss in the file; those zeros need not be copied. */
static void zeros_at_the_end_of_a_segment_are_not_data(void **state)
{
	static const size_t left[] = {0, 1, 7, 8, 9, DATA_LEN - 1, DATA_LEN};
	const struct elf_spec spec = elf_spec_plain();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		struct planned p;

		image_make_kernel(&img, &spec);
		memset(img.bytes + DATA_AT, 0, DATA_LEN);
		if (left[i])
			img.bytes[DATA_AT + left[i] - 1] = 1;
		assert_planned(&p, &img, NULL);
		assert_int_equal(p.plan.segment[1].data_len, left[i]);
		assert_int_equal(p.plan.segment[1].mem_len, DATA_MEM);
		assert_int_equal(!p.plan.segment[1].data, !p.plan.segment[1].data_len);
		plan_free(&p);
	}
}

static void an_empty_segment_is_left_out(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	struct planned p;

	(void)state;
	spec.ph[1].p_filesz = spec.ph[1].p_memsz = 0;
	image_make_kernel(&img, &spec);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.nr_segments, 1);
	plan_free(&p);
}

static void the_note_may_have_4_or_8_bytes_at_either_alignment(void **state)
{
	static const uint64_t entry = ENTRY_GPA + 8;

	(void)state;
	for (uint32_t desc_len = 4; desc_len <= 8; desc_len += 4) {
		for (size_t align = 4; align <= 8; align += 4) {
			struct planned p;

			make_note_kernel(align, &entry, desc_len);
			assert_planned(&p, &img, NULL);
			assert_int_equal(p.plan.protocol, BOOT_PVH);
			assert_int_equal(p.plan.entry_gpa, entry);
			plan_free(&p);
		}
	}
}

static void notes_laid_out_by_4_in_a_segment_aligned_to_8_are_found(void **state)
{
	static const uint32_t entry = ENTRY_GPA;
	struct elf_spec spec = elf_spec_plain();
	size_t end;

	(void)state;
	image_make_kernel(&img, &spec);
	end = image_put_note(&img, NOTE_AT, 4, "GNU", NT_GNU_BUILD_ID, "1234", 4); /* 20 bytes */
	end = image_put_note(&img, end, 4, "Xen", XEN_PHYS32_ENTRY, &entry, sizeof(entry));
	spec.ph[2].p_filesz = end - NOTE_AT;
	spec.ph[2].p_align = 8;
	image_put_elf(&img, &spec);
	assert_protocol(&img, NULL, BOOT_PVH);
}

static void the_note_is_found_in_a_second_note_segment(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	const uint32_t entry = ENTRY_GPA;
	size_t end;

	(void)state;
	image_make_kernel(&img, &spec);
	end = image_put_note(&img, NOTE_AT, 4, "Xen", XEN_PHYS32_ENTRY, &entry, sizeof(entry));
	spec.ph[3] = spec.ph[2];
	spec.ph[3].p_filesz = end - NOTE_AT;
	spec.nr_ph = 4;
	image_put_elf(&img, &spec);
	assert_protocol(&img, NULL, BOOT_PVH);
}

static void notes_of_other_owners_and_types_do_not_count(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	const uint32_t entry = ENTRY_GPA;
	size_t end;

	(void)state;
	image_make_kernel(&img, &spec);
	end = image_put_note(&img, NOTE_AT, 4, "XEN", XEN_PHYS32_ENTRY, &entry, sizeof(entry));
	end = image_put_note(&img, end, 4, "Xen", XEN_PHYS32_ENTRY + 1, &entry, sizeof(entry));
	spec.ph[2].p_filesz = end - NOTE_AT;
	image_put_elf(&img, &spec);
	assert_protocol(&img, NULL, BOOT_LINUX64);
}

static void a_note_cut_by_the_end_of_its_segment_does_not_count(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	const uint64_t entry = ENTRY_GPA;
	size_t end;

	(void)state;
	image_make_kernel(&img, &spec);
	end = image_put_note(&img, NOTE_AT, 4, "Xen", XEN_PHYS32_ENTRY, &entry, sizeof(entry));
	for (size_t len = 0; len < end - NOTE_AT; len++) {

		spec.ph[2].p_filesz = len;
		image_put_elf(&img, &spec);
		assert_protocol(&img, NULL, BOOT_LINUX64);
	}
}

static void huge_note_sizes_end_the_search(void **state)
{
	static const uint32_t sizes[][2] = {
		{UINT32_MAX, 4}, {4, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {

		image_make_pvh(&img);
		image_put32(&img, NOTE_AT, sizes[i][0]);
		image_put32(&img, NOTE_AT + 4, sizes[i][1]);
		assert_refused(&img, NULL, "kernel-no-entry-64");
	}
}

static void a_note_segment_past_the_end_does_not_count(void **state)
{
	struct elf_spec spec = elf_spec_plain();

	(void)state;
	spec.ph[2].p_offset = UINT64_MAX - 3;
	spec.ph[2].p_filesz = 16;
	image_make_kernel(&img, &spec);
	assert_protocol(&img, NULL, BOOT_LINUX64);
}

static void a_note_of_another_size_is_refused(void **state)
{
	(void)state;
	make_note_kernel(4, "123456", 6);
	assert_refused(&img, NULL, "kernel-pvh-note-size 6");
	make_note_kernel(4, "", 0);
	assert_refused(&img, NULL, "kernel-pvh-note-size 0");
}

static void a_pvh_entry_past_4_gib_is_refused(void **state)
{
	static const uint64_t entry = UINT64_C(1) << 32;

	(void)state;
	make_note_kernel(4, &entry, sizeof(entry));
	assert_refused(&img, NULL, "kernel-pvh-entry 0x100000000");
}

static void without_a_note_linux_is_entered_by_its_header(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	struct planned p;

	(void)state;
	image_make_kernel(&img, &spec);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_LINUX64);
	assert_int_equal(p.plan.entry_gpa, ENTRY_GPA);
	plan_free(&p);
}

static void the_mode_chooses_among_entries(void **state)
{
	const struct elf_spec spec = elf_spec_plain();

	(void)state;
	image_make_pvh(&img);
	assert_protocol(&img, mode_opts(BOOT_MODE_LINUX64), BOOT_LINUX64);
	assert_protocol(&img, mode_opts(BOOT_MODE_PVH), BOOT_PVH);
	assert_refused(&img, mode_opts(BOOT_MODE_BZIMAGE), "kernel-not-bzimage");
	assert_refused(&img, mode_opts(BOOT_MODE_MULTIBOOT), "kernel-no-multiboot");
	image_make_kernel(&img, &spec);
	assert_refused(&img, mode_opts(BOOT_MODE_PVH), "kernel-no-pvh-note");
}

static void elf32_boots_by_its_note_alone(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	const uint32_t entry = ENTRY_GPA;
	struct planned p;
	size_t end;

	(void)state;
	spec.is32 = true;
	spec.machine = EM_386;
	image_make_kernel(&img, &spec);
	assert_refused(&img, NULL, "kernel-no-entry-32");
	end = image_put_note(&img, NOTE_AT, 4, "Xen", XEN_PHYS32_ENTRY, &entry, sizeof(entry));
	spec.ph[2].p_filesz = end - NOTE_AT;
	image_put_elf(&img, &spec);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_PVH);
	assert_int_equal(p.plan.segment[1].mem_len, DATA_MEM);
	assert_string_equal(p.plan.kind, "ELF32 with PVH note");
	plan_free(&p);
}

static void the_entry_must_lie_in_bytes_of_the_file(void **state)
{
	static const uint64_t bad[] = {
		TEXT_GPA - 1, TEXT_GPA + TEXT_LEN, DATA_GPA + DATA_LEN, 0, UINT64_MAX,
	};
	struct elf_spec spec = elf_spec_plain();
	struct planned p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		spec.entry = bad[i];
		image_make_kernel(&img, &spec);
		assert_refused(&img, NULL, "kernel-entry-outside");
	}
	spec.entry = TEXT_GPA + TEXT_LEN - 1;
	image_make_kernel(&img, &spec);
	assert_planned(&p, &img, NULL);
	plan_free(&p);
}

static void overlapping_segments_are_refused_and_touching_ones_not(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	struct planned p;

	(void)state;
	spec.ph[1].p_paddr = TEXT_GPA + TEXT_LEN - 1;
	image_make_kernel(&img, &spec);
	assert_refused(&img, NULL, "kernel-segment-overlap 0x100000 ~ 0x1002ff");
	spec.ph[1].p_paddr = TEXT_GPA + TEXT_LEN;
	image_make_kernel(&img, &spec);
	assert_planned(&p, &img, NULL);
	plan_free(&p);
	spec.ph[1].p_paddr = TEXT_GPA - DATA_MEM + 1;
	image_make_kernel(&img, &spec);
	assert_refused(&img, NULL, "kernel-segment-overlap");
	spec.ph[1].p_paddr = TEXT_GPA - DATA_MEM;
	image_make_kernel(&img, &spec);
	assert_planned(&p, &img, NULL);
	plan_free(&p);
}

static void a_segment_may_not_wrap_around(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	struct planned p;

	(void)state;
	spec.ph[1].p_paddr = UINT64_MAX - DATA_MEM + 1;
	image_make_kernel(&img, &spec);
	assert_refused(&img, NULL, "kernel-segment-wraps");
	spec.ph[1].p_paddr--;
	image_make_kernel(&img, &spec);
	assert_planned(&p, &img, NULL);
	assert_true(p.plan.end_gpa == UINT64_MAX);
	plan_free(&p);
}

static void a_segment_larger_in_the_file_than_in_memory_is_refused(void **state)
{
	struct elf_spec spec = elf_spec_plain();

	(void)state;
	spec.ph[0].p_memsz = TEXT_LEN - 1;
	image_make_kernel(&img, &spec);
	assert_refused(&img, NULL, "kernel-segment-size 0x300 ~ 0x2ff");
}

static void too_many_segments_are_refused(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	struct planned p;

	(void)state;
	for (unsigned i = 1; i < BOOT_SEGMENTS_MAX + 1; i++) {
		spec.ph[i] = spec.ph[0];
		spec.ph[i].p_paddr = TEXT_GPA + i * UINT64_C(0x1000);
		spec.nr_ph = i + 1;
		if (i + 1 == BOOT_SEGMENTS_MAX) {
			image_make_kernel(&img, &spec);
			assert_planned(&p, &img, NULL);
			assert_int_equal(p.plan.nr_segments, BOOT_SEGMENTS_MAX);
			plan_free(&p);
		}
	}
	image_make_kernel(&img, &spec);
	assert_refused(&img, NULL, "kernel-segment-count 64");
}

/* Every length short of the last byte that is needed is refused; the whole file is not. */
static void a_file_cut_anywhere_is_refused(void **state)
{
	const size_t whole = DATA_AT + DATA_LEN;
	struct planned p;

	(void)state;
	image_make_pvh(&img);
	assert_int_equal(img.len, whole);
	for (size_t len = SELFMAG; len < whole; len += len < 0x200 ? 1 : 61) {
		plan_bytes(&p, img.bytes, len, NULL);
		check_refused(&p, -ENOEXEC, "kernel-elf-truncated");
	}
	plan_bytes(&p, img.bytes, whole - 1, NULL);
	check_refused(&p, -ENOEXEC, "kernel-elf-truncated loadable segment ~ 9343");
}

static void corrupt_program_headers_are_refused(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	Elf64_Ehdr h;

	(void)state;
	image_make_kernel(&img, &spec);
	memcpy(&h, img.bytes, sizeof(h));
	h.e_phentsize = 57;
	image_put(&img, 0, &h, sizeof(h));
	assert_refused(&img, NULL, "kernel-elf-segment-table 3 ~ 57");
	h.e_phentsize = sizeof(Elf64_Phdr);
	h.e_phnum = PN_XNUM;
	image_put(&img, 0, &h, sizeof(h));
	assert_refused(&img, NULL, "kernel-elf-segment-table 65535 ~ 56");
	h.e_phnum = 0;
	image_put(&img, 0, &h, sizeof(h));
	assert_refused(&img, NULL, "kernel-no-segments");
	h.e_phnum = 3;
	h.e_phoff = UINT64_MAX - 7;
	image_put(&img, 0, &h, sizeof(h));
	assert_refused(&img, NULL, "kernel-elf-truncated program header table");
	img.bytes[EI_CLASS] = 3;
	assert_refused(&img, NULL, "kernel-elf-class 3");
}

static void other_machines_are_named(void **state)
{
	static const struct {
		uint16_t machine;
		const char *error;
	} cases[] = {
		{EM_AARCH64, "kernel-elf-machine arm64"},
		{EM_RISCV, "kernel-elf-machine RISC-V"},
		{EM_ARM, "kernel-elf-machine 32-bit Arm"},
		{EM_PPC64, "kernel-elf-machine 64-bit PowerPC"},
		{EM_S390, "kernel-elf-machine s390"},
		{EM_LOONGARCH, "kernel-elf-machine LoongArch"},
		{0x1234, "kernel-elf-machine 4660"},
	};
	struct elf_spec spec = elf_spec_plain();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		spec.machine = cases[i].machine;
		image_make_kernel(&img, &spec);
		assert_refused(&img, NULL, cases[i].error);
	}
	img.bytes[EI_DATA] = ELFDATA2MSB;
	assert_refused(&img, NULL, "kernel-elf-big-endian");
}

static void other_types_are_named(void **state)
{
	static const struct {
		uint16_t type;
		const char *error;
	} cases[] = {
		{ET_REL, "kernel-elf-object"},
		{ET_CORE, "kernel-elf-core"},
		{ET_DYN, "kernel-program-shared"},
		{ET_NONE, "kernel-elf-type 0"},
	};
	struct elf_spec spec = elf_spec_plain();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		spec.type = cases[i].type;
		image_make_kernel(&img, &spec);
		assert_refused(&img, NULL, cases[i].error);
	}
}

static void programs_are_told_from_kernels(void **state)
{
	struct elf_spec spec = elf_spec_plain();
	size_t end;

	(void)state;
	spec.nr_ph = 4;
	spec.ph[3] = (Elf64_Phdr){.p_type = PT_INTERP};
	image_make_kernel(&img, &spec);
	assert_refused(&img, NULL, "kernel-program-dynamic");
	spec.ph[3].p_type = PT_TLS;
	image_make_kernel(&img, &spec);
	assert_refused(&img, NULL, "kernel-program-static");
	spec.nr_ph = 3;
	image_make_kernel(&img, &spec);
	end = image_put_note(&img, NOTE_AT, 4, "GNU", NT_GNU_ABI_TAG, "0123456789abcdef", 16);
	spec.ph[2].p_filesz = end - NOTE_AT;
	image_put_elf(&img, &spec);
	assert_refused(&img, NULL, "kernel-program-static");
	assert_refused(&img, mode_opts(BOOT_MODE_PVH), "kernel-program-static");
}

/* Unikernels are linked as position-independent executables, some with thread-local storage. */
static void a_pvh_note_vouches_for_the_file(void **state)
{
	Elf64_Ehdr h;

	(void)state;
	image_make_pvh(&img);
	memcpy(&h, img.bytes, sizeof(h));
	h.e_type = ET_DYN;
	image_put(&img, 0, &h, sizeof(h));
	assert_protocol(&img, NULL, BOOT_PVH);
}

static void a_file_without_code_is_refused(void **state)
{
	struct elf_spec spec = elf_spec_plain();

	(void)state;
	spec.ph[0].p_flags = PF_R;
	image_make_kernel(&img, &spec);
	assert_refused(&img, NULL, "kernel-no-code");
}

/* The kernel without its banner, with a note of that owner and type, and desc. */
static void make_stranger(const char *owner, uint32_t type, const char *desc)
{
	struct elf_spec spec = elf_spec_plain();
	size_t end;

	image_make_any_kernel(&img, &spec);
	end = image_put_note(&img, NOTE_AT, 4, owner, type, desc, (uint32_t)strlen(desc) + 1);
	spec.ph[2].p_filesz = end - NOTE_AT;
	image_put_elf(&img, &spec);
}

/* Entered as Linux, a kernel of another kind would start with an argument it does not expect. */
static void elf64_without_a_sign_of_linux_is_refused_unless_asked(void **state)
{
	enum { BUILD_SALT = 0x100, GUEST_OS = 6 };
	struct elf_spec spec = elf_spec_plain();
	struct planned p;

	(void)state;
	image_make_any_kernel(&img, &spec);
	plan_image(&p, &img, NULL);
	assert_remedy(&p.diag, "--boot linux64");
	check_refused(&p, -ENOEXEC, "kernel-no-entry-64");
	assert_protocol(&img, mode_opts(BOOT_MODE_LINUX64), BOOT_LINUX64);
	image_put(&img, BANNER_AT, "Linux version ", 14);
	assert_protocol(&img, NULL, BOOT_LINUX64);
	make_stranger("Linux", BUILD_SALT, "salt");
	assert_protocol(&img, NULL, BOOT_LINUX64);
	make_stranger("Xen", GUEST_OS, "linux");
	assert_protocol(&img, NULL, BOOT_LINUX64);
	make_stranger("Xen", GUEST_OS, "FreeBSD");
	assert_refused(&img, NULL, "kernel-no-entry-64");
	make_stranger("GNU", BUILD_SALT, "salt");
	assert_refused(&img, NULL, "kernel-no-entry-64");
}

/* The limit is Linux's; that of other kernels is not known. */
static void a_linux_reads_2047_bytes_of_command_line(void **state)
{
	const struct elf_spec spec = elf_spec_plain();
	struct planned p;

	(void)state;
	image_make_kernel(&img, &spec);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.cmdline_max, 2047);
	plan_free(&p);
	image_make_any_kernel(&img, &spec);
	assert_planned(&p, &img, mode_opts(BOOT_MODE_LINUX64));
	assert_int_equal(p.plan.cmdline_max, UINT32_MAX);
	plan_free(&p);
	image_make_pvh(&img);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.cmdline_max, UINT32_MAX);
	plan_free(&p);
	image_make_linux_pvh(&img);
	assert_planned(&p, &img, NULL);
	assert_int_equal(p.plan.protocol, BOOT_PVH);
	assert_int_equal(p.plan.cmdline_max, 2047);
	plan_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_go_where_their_physical_addresses_say),
		cmocka_unit_test(segments_are_put_in_order),
		cmocka_unit_test(a_segment_without_file_bytes_is_all_zeros),
		cmocka_unit_test(zeros_at_the_end_of_a_segment_are_not_data),
		cmocka_unit_test(an_empty_segment_is_left_out),
		cmocka_unit_test(the_note_may_have_4_or_8_bytes_at_either_alignment),
		cmocka_unit_test(notes_laid_out_by_4_in_a_segment_aligned_to_8_are_found),
		cmocka_unit_test(the_note_is_found_in_a_second_note_segment),
		cmocka_unit_test(notes_of_other_owners_and_types_do_not_count),
		cmocka_unit_test(a_note_cut_by_the_end_of_its_segment_does_not_count),
		cmocka_unit_test(huge_note_sizes_end_the_search),
		cmocka_unit_test(a_note_segment_past_the_end_does_not_count),
		cmocka_unit_test(a_note_of_another_size_is_refused),
		cmocka_unit_test(a_pvh_entry_past_4_gib_is_refused),
		cmocka_unit_test(without_a_note_linux_is_entered_by_its_header),
		cmocka_unit_test(the_mode_chooses_among_entries),
		cmocka_unit_test(elf32_boots_by_its_note_alone),
		cmocka_unit_test(the_entry_must_lie_in_bytes_of_the_file),
		cmocka_unit_test(overlapping_segments_are_refused_and_touching_ones_not),
		cmocka_unit_test(a_segment_may_not_wrap_around),
		cmocka_unit_test(a_segment_larger_in_the_file_than_in_memory_is_refused),
		cmocka_unit_test(too_many_segments_are_refused),
		cmocka_unit_test(a_file_cut_anywhere_is_refused),
		cmocka_unit_test(corrupt_program_headers_are_refused),
		cmocka_unit_test(other_machines_are_named),
		cmocka_unit_test(other_types_are_named),
		cmocka_unit_test(programs_are_told_from_kernels),
		cmocka_unit_test(a_pvh_note_vouches_for_the_file),
		cmocka_unit_test(a_file_without_code_is_refused),
		cmocka_unit_test(elf64_without_a_sign_of_linux_is_refused_unless_asked),
		cmocka_unit_test(a_linux_reads_2047_bytes_of_command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
