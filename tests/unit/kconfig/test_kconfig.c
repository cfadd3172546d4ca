/* Unit tests of how a kernel's configuration is read, and of what features say about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot_images.h"
#include "boot_pack.h"
#include "diag_rig.h"
#include "kconfig.h"

enum { COPY_AT = 0x2800, COPY_GPA = 0x300000 };

static struct kconfig config;
static uint8_t *
	bytes; /* what config was read from, in memory of its own: a sanitizer sees a read past its end */

static int read_bytes(const void *from, size_t len, struct diag *diag)
{
	kconfig_fini(&config);
	free(bytes);
	bytes = malloc(len ? len : 1);
	assert_non_null(bytes);
	memcpy(bytes, from, len);
	*diag = (struct diag){0};
	return kconfig_read(&config, "sample", bytes, len, diag);
}

static void read_text(const char *text)
{
	struct diag diag;

	assert_int_equal(read_bytes(text, strlen(text), &diag), 0);
}

static int teardown(void **state)
{
	(void)state;
	kconfig_fini(&config);
	free(bytes);
	bytes = NULL;
	return 0;
}

static void a_line_gives_an_option_its_value(void **state)
{
	(void)state;
	read_text("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=n\n"
		  "CONFIG_E=\"n\"\nCONFIG_F=17\nCONFIG_G=");
	assert_int_equal(kconfig_get(&config, "A"), KCONFIG_YES);
	assert_int_equal(kconfig_get(&config, "B"), KCONFIG_MODULE);
	assert_int_equal(kconfig_get(&config, "C"), KCONFIG_NO);
	assert_int_equal(kconfig_get(&config, "D"), KCONFIG_NO);
	assert_int_equal(kconfig_get(&config, "E"), KCONFIG_YES); /* a text */
	assert_int_equal(kconfig_get(&config, "F"), KCONFIG_YES);
	assert_int_equal(kconfig_get(&config, "G"), KCONFIG_YES);
	assert_int_equal(kconfig_get(&config, "H"), KCONFIG_UNKNOWN);
}

static void an_option_is_a_whole_name(void **state)
{
	(void)state;
	read_text("CONFIG_PNP_DEBUG=y\n# CONFIG_ACPI_X is not set\n#CONFIG_TTY=y\n CONFIG_NET=y\n"
		  "XCONFIG_SMP=y\nCONFIG_OF y\n# CONFIG_OF is not settled by this\nCONFIG_PCI");
	assert_int_equal(kconfig_get(&config, "PNP"), KCONFIG_UNKNOWN);
	assert_int_equal(kconfig_get(&config, "ACPI"), KCONFIG_UNKNOWN);
	assert_int_equal(kconfig_get(&config, "TTY"), KCONFIG_UNKNOWN);
	assert_int_equal(kconfig_get(&config, "NET"), KCONFIG_UNKNOWN);
	assert_int_equal(kconfig_get(&config, "SMP"), KCONFIG_UNKNOWN);
	assert_int_equal(kconfig_get(&config, "PCI"), KCONFIG_UNKNOWN);
	assert_int_equal(kconfig_get(&config, "DEBUG"), KCONFIG_UNKNOWN);
}

/* As Linux's conf does, which scripts/config relies on. */
static void the_last_line_counts(void **state)
{
	(void)state;
	read_text("CONFIG_A=y\r\nCONFIG_B=y\r\n# CONFIG_A is not set\r\nCONFIG_B=m\r\n");
	assert_int_equal(kconfig_get(&config, "A"), KCONFIG_NO);
	assert_int_equal(kconfig_get(&config, "B"), KCONFIG_MODULE);
}

static void the_title_is_the_kernels(void **state)
{
	(void)state;
	read_text("#\n# Automatically generated file; DO NOT EDIT.\n"
		  "# Linux/x86 6.1.192 Kernel Configuration\n#\nCONFIG_A=y\n");
	assert_string_equal(config.title, "Linux/x86 6.1.192");
	read_text("# Linux/x86 6.1.192\nCONFIG_A=y\n");
	assert_string_equal(config.title, "");
	read_text("# Linux/0123456789012345678901234567890123456789012345678901234567890123"
		  " Kernel Configuration\nCONFIG_A=y\n");
	assert_string_equal(config.title, "");
}

static void other_files_are_refused(void **state)
{
	static const char words[] = "Tollgate is a VMM.\n";
	struct diag diag;
	char *text;

	(void)state;
	assert_int_equal(read_bytes(words, strlen(words), &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "kernel-config-none sample");
	assert_int_equal(read_bytes("", 0, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "kernel-config-none");
	text = malloc(KCONFIG_TEXT_MAX + 1);
	assert_non_null(text);
	memset(text, '\n', KCONFIG_TEXT_MAX + 1);
	memcpy(text, "CONFIG_A=y", 10);
	assert_int_equal(read_bytes(text, KCONFIG_TEXT_MAX, &diag), 0);
	assert_int_equal(read_bytes(text, KCONFIG_TEXT_MAX + 1, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "kernel-config-size");
	free(text);
}

/* A kernel with a part of its read-only data that has what Linux's kernel/configs.c puts there. */
static void make_kernel(struct image *img, const void *copy, size_t len)
{
	struct elf_spec spec = elf_spec_plain();

	spec.ph[spec.nr_ph++] = (Elf64_Phdr){.p_type = PT_LOAD,
					     .p_flags = PF_R,
					     .p_offset = COPY_AT,
					     .p_vaddr = 0xffffffff80300000,
					     .p_paddr = COPY_GPA,
					     .p_filesz = len + 32,
					     .p_memsz = len + 32,
					     .p_align = 0x1000};
	image_make_kernel(img, &spec);
	image_put(img, COPY_AT, "before..", 8);
	image_put(img, COPY_AT + 8, copy, len);
	image_put(img, COPY_AT + 8 + len, "IKCFG_EDafter...........", 24);
}

static void a_kernel_without_a_copy_is_refused(void **state)
{
	static struct image img, bz;
	struct diag diag;

	(void)state;
	make_kernel(&img, "IKCFG_ST, but no gzip file", 26);
	assert_int_equal(read_bytes(img.bytes, img.len, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "kernel-config-absent sample");
	make_kernel(&img, "IKCFG_ST\x1f\x8b\x08, which is cut", 25);
	assert_int_equal(read_bytes(img.bytes, img.len, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "kernel-config-absent");
	make_kernel(&img, "no copy", 7);
	image_make_bzimage(&bz, img.bytes, img.len);
	assert_int_equal(read_bytes(bz.bytes, bz.len, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "kernel-config-absent");
	assert_int_equal(read_bytes("\177ELF\0", 5, &diag), -ENOEXEC);
}

#ifdef TOLLGATE_HAVE_ZLIB
static const char sample[] = "# Linux/x86 7.0.0 Kernel Configuration\nCONFIG_TTY=y\n";

static void check_sample(void)
{
	assert_string_equal(config.title, "Linux/x86 7.0.0");
	assert_int_equal(kconfig_get(&config, "TTY"), KCONFIG_YES);
}

static void a_copy_in_a_kernel_is_found(void **state)
{
	static struct image img, bz;
	uint8_t copy[PACK_BOUND(sizeof(sample)) + 16] = "IKCFG_STIKCFG_ST"; /* the first is none */
	struct diag diag;
	size_t len;

	(void)state;
	len = 16 + pack_gzip((const uint8_t *)sample, strlen(sample), copy + 16, sizeof(copy) - 16);
	make_kernel(&img, copy, len);
	assert_int_equal(read_bytes(img.bytes, img.len, &diag), 0);
	check_sample();
	image_make_bzimage(&bz, img.bytes, img.len);
	assert_int_equal(read_bytes(bz.bytes, bz.len, &diag), 0);
	check_sample();
}

static void a_compressed_file_is_read(void **state)
{
	static struct image img;
	static uint8_t packed[PACK_BOUND(IMAGE_MAX)];
	struct diag diag;
	size_t len = pack_gzip((const uint8_t *)sample, strlen(sample), packed, sizeof(packed));

	(void)state;
	assert_int_equal(read_bytes(packed, len, &diag), 0);
	check_sample();
	assert_int_equal(read_bytes(packed, len / 2, &diag), -ENODATA);
	assert_diag(&diag, -ENODATA, "kernel-config-file-unpack sample");
	/* A compressed kernel is a kernel. */
	make_kernel(&img, "no copy", 7);
	len = pack_gzip(img.bytes, img.len, packed, sizeof(packed));
	assert_int_equal(read_bytes(packed, len, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "kernel-config-absent");
}
#endif

static enum kconfig_value feature(const char *name)
{
	const struct kconfig_feature *f = kconfig_feature_find(name);

	assert_non_null(f);
	return kconfig_feature_value(&config, f);
}

static void a_feature_is_as_good_as_its_least_option(void **state)
{
	(void)state;
	read_text("CONFIG_TTY=y\nCONFIG_PRINTK=y\nCONFIG_SERIAL_8250=y\n"
		  "CONFIG_SERIAL_8250_CONSOLE=y\n");
	assert_int_equal(feature("serial console"), KCONFIG_YES);
	read_text("CONFIG_TTY=y\nCONFIG_PRINTK=y\nCONFIG_SERIAL_8250=m\n"
		  "CONFIG_SERIAL_8250_CONSOLE=y\n");
	assert_int_equal(feature("serial console"), KCONFIG_NO); /* a console cannot be loaded */
	read_text("CONFIG_ACPI=y\nCONFIG_VIRTIO_MMIO=m\n");
	assert_int_equal(feature("virtio devices"), KCONFIG_MODULE);
	read_text("CONFIG_ACPI=m\nCONFIG_VIRTIO_MMIO=y\n");
	assert_int_equal(feature("virtio devices"), KCONFIG_NO);
}

static void a_feature_needs_those_under_it(void **state)
{
	static const char net[] = "CONFIG_NET=y\nCONFIG_INET=y\nCONFIG_NETDEVICES=y\n"
				  "CONFIG_VIRTIO_NET=y\n";
	char text[256];

	(void)state;
	read_text(net);
	assert_int_equal(feature("networks"), KCONFIG_NO);
	snprintf(text, sizeof(text), "%sCONFIG_ACPI=y\nCONFIG_VIRTIO_MMIO=m\n", net);
	read_text(text);
	assert_int_equal(feature("networks"), KCONFIG_MODULE);
	snprintf(text, sizeof(text), "%sCONFIG_OF=y\nCONFIG_VIRTIO_MMIO=y\n", net);
	read_text(text);
	assert_int_equal(feature("networks"), KCONFIG_YES);
}

static const struct kconfig_need *find_need(const char *name, const char *option)
{
	for (const struct kconfig_need *n = kconfig_feature_find(name)->need; n->option; n++)
		if (strcmp(n->option, option) == 0)
			return n;
	fail_msg("%s does not need %s", name, option);
	return NULL;
}

static void one_of_several_options_is_enough(void **state)
{
	const struct kconfig_need *need =
		find_need("virtio devices", "ACPI|OF|VIRTIO_MMIO_CMDLINE_DEVICES");
	char option[KCONFIG_OPTION_MAX];

	(void)state;
	read_text("# CONFIG_ACPI is not set\nCONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y\n");
	assert_int_equal(kconfig_need_value(&config, need, option), KCONFIG_YES);
	assert_string_equal(option, "VIRTIO_MMIO_CMDLINE_DEVICES");
	read_text("CONFIG_A=y\n");
	assert_int_equal(kconfig_need_value(&config, need, option), KCONFIG_UNKNOWN);
	assert_string_equal(option, "ACPI");
	kconfig_need_set_by(need, option);
	assert_string_equal(option, "ACPI");
	kconfig_need_set_by(find_need("exact stacks", "FRAME_POINTER"), option);
	assert_string_equal(option, "UNWINDER_FRAME_POINTER");
}

/* Before Linux 5.13 PVPANIC is the driver; before 5.5 no kernel lacks ioperm(). */
static void older_kernels_have_other_names(void **state)
{
	const struct kconfig_need *ioperm = find_need("a command in the guest", "X86_IOPL_IOPERM");
	char option[KCONFIG_OPTION_MAX];

	(void)state;
	read_text("CONFIG_ACPI=y\nCONFIG_PVPANIC=m\n");
	assert_int_equal(feature("panic notice"), KCONFIG_MODULE);
	assert_int_equal(kconfig_need_value(&config, ioperm, option), KCONFIG_YES);
	read_text("CONFIG_ACPI=y\nCONFIG_PVPANIC=y\n# CONFIG_PVPANIC_MMIO is not set\n"
		  "# CONFIG_X86_IOPL_IOPERM is not set\n");
	assert_int_equal(feature("panic notice"), KCONFIG_NO);
	assert_int_equal(kconfig_need_value(&config, ioperm, option), KCONFIG_NO);
}

/* So that looking one up ends, and the report lists it once. */
static void features_come_after_those_that_they_need(void **state)
{
	(void)state;
	for (const struct kconfig_feature *f = kconfig_features; f->name; f++) {
		assert_ptr_equal(kconfig_feature_find(f->name), f);
		assert_non_null(f->need[0].option);
		for (unsigned i = 0; i < KCONFIG_AFTER_MAX && f->after[i]; i++) {
			const struct kconfig_feature *after = kconfig_feature_find(f->after[i]);

			assert_non_null(after);
			assert_true(after < f);
		}
		for (const struct kconfig_need *need = f->need; need->option; need++) {
			assert_true(need < f->need + KCONFIG_NEEDS_MAX);
			assert_non_null(need->use);
			assert_null(strstr(need->option, "CONFIG_"));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_gives_an_option_its_value),
		cmocka_unit_test(an_option_is_a_whole_name),
		cmocka_unit_test(the_last_line_counts),
		cmocka_unit_test(the_title_is_the_kernels),
		cmocka_unit_test(other_files_are_refused),
		cmocka_unit_test(a_kernel_without_a_copy_is_refused),
#ifdef TOLLGATE_HAVE_ZLIB
		cmocka_unit_test(a_copy_in_a_kernel_is_found),
		cmocka_unit_test(a_compressed_file_is_read),
#endif
		cmocka_unit_test(a_feature_is_as_good_as_its_least_option),
		cmocka_unit_test(a_feature_needs_those_under_it),
		cmocka_unit_test(one_of_several_options_is_enough),
		cmocka_unit_test(older_kernels_have_other_names),
		cmocka_unit_test(features_come_after_those_that_they_need),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
