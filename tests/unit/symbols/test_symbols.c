/* Unit tests of the table of symbols, and of the files that it is read from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diag_rig.h"
#include "symbols.h"

static struct symbols *symbols;
static struct diag diag;
static char text[SYMBOL_TEXT_MAX];

/* In memory of its own, so that a sanitizer sees a read past its end. */
static int parse(const void *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	symbols = symbols_free(symbols);
	diag = (struct diag){0};
	r = symbols_parse("F", copy, len, &symbols, &diag);
	free(copy);
	return r;
}

static int parse_text(const char *s)
{
	return parse(s, strlen(s));
}

static const char *at(uint64_t addr)
{
	return symbols_format(symbols, addr, text);
}

static void test_reads_a_system_map(void **state)
{
	struct symbol symbol;

	(void)state;
	assert_int_equal(parse_text("0000000000000000 D per_cpu_first\n"
				    "ffffffff81000000 T _text\n"
				    "ffffffff81000000 T startup_64\n"
				    "ffffffff81000040 t helper\n"
				    "ffffffff81000040 W weak_one\n"
				    "ffffffff81000100 D data\n"
				    "ffffffff81000180 A constant\n"
				    "ffffffff81000200 B _end\n"),
			 0);
	assert_string_equal(at(0xffffffff81000000), "startup_64+0x0/0x40");
	assert_string_equal(at(0xffffffff8100003f), "startup_64+0x3f/0x40");
	assert_string_equal(at(0xffffffff81000041), "helper+0x1/0xc0");
	assert_string_equal(at(0xffffffff810001ff), "data+0xff/0x100");
	assert_string_equal(at(0xffffffff81000200), "_end+0x0/0x0");
	assert_string_equal(at(0xffffffff81000201), "");
	assert_string_equal(at(0xffffffff80ffffff), "");
	assert_string_equal(at(0), "");
	assert_true(symbols_find(symbols, 0xffffffff81000042, &symbol) && symbol.is_text);
	assert_true(symbols_find(symbols, 0xffffffff81000142, &symbol) && !symbol.is_text);
	assert_int_equal(symbols_build_id(symbols, (uint8_t[SYMBOLS_BUILD_ID_MAX]){0}), 0);
}

static void test_reads_a_copy_of_proc_kallsyms(void **state)
{
	(void)state;
	assert_int_equal(parse_text("ffffffffa1000000 T _stext\n"
				    "ffffffffc0201000 t virtblk_probe\t[virtio_blk]\n"
				    "ffffffffc0201100 t virtblk_remove\t[virtio_blk]"),
			 0);
	assert_string_equal(at(0xffffffffc0201002), "virtblk_probe+0x2/0x100");
	assert_int_equal(parse_text("0000000000000000 T _stext\n0000000000000000 t a\n"), -EINVAL);
	assert_diag(&diag, -EINVAL, "symbols-no-addresses");
	assert_remedy(&diag, "root");
}

static void test_refuses_other_text(void **state)
{
	static const char *const bad[] = {
		"hello\n",
		"ffffffff81000000 T\n",
		"ffffffff81000000 T \n",
		"ffffffff8100000012 T a\n",
		"ffffffff81000000 T a\n\nffffffff81000000 T b\n",
		" T a\n",
		"ffffffff81000000_T a\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse_text(bad[i]), -EINVAL);
		assert_diag(&diag, -EINVAL, "symbols-kind 'F'");
	}
	assert_int_equal(parse("", 0), -EINVAL);
}

static void test_leaves_out_names_that_do_not_print(void **state)
{
	char line[700];

	(void)state;
	snprintf(line, sizeof(line),
		 "ffffffff81000000 T a\nffffffff81000010 T b\033[2J\n"
		 "ffffffff81000020 T %0600d\nffffffff81000030 T c\n",
		 7);
	assert_int_equal(parse_text(line), 0);
	assert_int_equal(symbols_count(symbols), 2);
	assert_string_equal(at(0xffffffff81000011), "a+0x11/0x30");
}

static void test_moves(void **state)
{
	uint64_t addr = 0;

	(void)state;
	assert_int_equal(parse_text("ffffffff81000000 T a\nffffffff81000040 T b\n"), 0);
	symbols_move(symbols, 0x200000);
	assert_string_equal(at(0xffffffff81200001), "a+0x1/0x40");
	assert_string_equal(at(0xffffffff81000001), "");
	assert_true(symbols_address(symbols, "b", &addr));
	assert_int_equal(addr, 0xffffffff81200040);
	assert_false(symbols_address(symbols, "c", &addr));
	/* Past the end of the address space some begin at its beginning. */
	symbols_move(symbols, (uint64_t)-0xffffffff81200020);
	assert_string_equal(at(0x20), "b+0x0/0x0");
	assert_string_equal(at((uint64_t)-0x20), "a+0x0/0x40");
}

/* ELF files. */

struct elf64_file {
	Elf64_Ehdr h;
	Elf64_Shdr section[5]; /* none, text, symbols, strings, notes */
	Elf64_Sym sym[8];
	char strings[64];
	struct {
		Elf64_Nhdr h;
		char name[4];
		uint8_t id[20];
	} note;
};

static const char strings[] = "\0start\0inner\0data\0_weak\0weak2\0label";
enum { START = 1, INNER = 7, DATA = 13, WEAK = 18, WEAK2 = 24, LABEL = 30 };

static Elf64_Sym sym64(unsigned name, unsigned char bind, unsigned char type, uint16_t section,
		       uint64_t value, uint64_t size)
{
	return (Elf64_Sym){.st_name = name,
			   .st_info = (unsigned char)ELF64_ST_INFO(bind, type),
			   .st_shndx = section,
			   .st_value = value,
			   .st_size = size};
}

static struct elf64_file elf64(void)
{
	struct elf64_file f = {
		.h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1},
		      .e_type = ET_EXEC,
		      .e_machine = EM_X86_64,
		      .e_shoff = offsetof(struct elf64_file, section),
		      .e_shentsize = sizeof(Elf64_Shdr),
		      .e_shnum = 5},
		.section = {{0},
			    {.sh_type = SHT_PROGBITS,
			     .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
			     .sh_addr = 0x100000,
			     .sh_size = 0x1000},
			    {.sh_type = SHT_SYMTAB,
			     .sh_offset = offsetof(struct elf64_file, sym),
			     .sh_size = sizeof(f.sym),
			     .sh_link = 3,
			     .sh_entsize = sizeof(Elf64_Sym)},
			    {.sh_type = SHT_STRTAB,
			     .sh_offset = offsetof(struct elf64_file, strings),
			     .sh_size = sizeof(f.strings)},
			    {.sh_type = SHT_NOTE,
			     .sh_offset = offsetof(struct elf64_file, note),
			     .sh_size = sizeof(f.note)}},
		.note = {.h = {4, 20, NT_GNU_BUILD_ID}, .name = "GNU", .id = {0xab, 1, 2, 0xcd}},
	};

	memcpy(f.strings, strings, sizeof(strings));
	f.sym[1] = sym64(DATA, STB_GLOBAL, STT_OBJECT, 1, 0x100100, 0x10);
	f.sym[2] = sym64(START, STB_GLOBAL, STT_FUNC, 1, 0x100000, 0x20);
	f.sym[3] = sym64(LABEL, STB_LOCAL, STT_NOTYPE, 1, 0x100000, 0);
	f.sym[4] = sym64(INNER, STB_LOCAL, STT_NOTYPE, 1, 0x100800, 0);
	f.sym[5] = sym64(WEAK, STB_GLOBAL, STT_FUNC, 1, 0x100200, 8);
	f.sym[6] = sym64(WEAK2, STB_WEAK, STT_FUNC, 1, 0x100200, 8);
	f.sym[7] = sym64(START, STB_GLOBAL, STT_NOTYPE, SHN_ABS, 0x100300, 0);
	return f;
}

static void test_reads_an_elf_file(void **state)
{
	const struct elf64_file f = elf64();
	uint8_t id[SYMBOLS_BUILD_ID_MAX];
	struct symbol symbol;

	(void)state;
	assert_int_equal(parse(&f, sizeof(f)), 0);
	assert_string_equal(at(0x100001), "start+0x1/0x20");
	assert_string_equal(at(0x100020), ""); /* it has a size */
	assert_string_equal(at(0x10010f), "data+0xf/0x10");
	assert_string_equal(at(0x100201), "_weak+0x1/0x8"); /* a weak one comes last */
	assert_string_equal(at(0x100301), "");
	assert_string_equal(at(0x100fff), "inner+0x7ff/0x800"); /* to the end of its section */
	assert_string_equal(at(0x101000), "");
	assert_true(symbols_find(symbols, 0x100900, &symbol) && symbol.is_text);
	assert_true(symbols_find(symbols, 0x100101, &symbol) && !symbol.is_text);
	assert_int_equal(symbols_build_id(symbols, id), 20);
	assert_memory_equal(id, f.note.id, 20);
	assert_true(symbols_elf_is_small((const uint8_t *)&f, sizeof(f), 8));
	assert_false(symbols_elf_is_small((const uint8_t *)&f, sizeof(f), 7));
}

struct elf32_file {
	Elf32_Ehdr h;
	Elf32_Shdr section[3];
	Elf32_Sym sym[2];
	char strings[16];
};

static void test_reads_an_elf_file_of_32_bits(void **state)
{
	struct elf32_file f = {
		.h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, 1},
		      .e_shoff = offsetof(struct elf32_file, section),
		      .e_shentsize = sizeof(Elf32_Shdr),
		      .e_shnum = 3},
		.section = {{0},
			    {.sh_type = SHT_SYMTAB,
			     .sh_offset = offsetof(struct elf32_file, sym),
			     .sh_size = sizeof(f.sym),
			     .sh_link = 2,
			     .sh_entsize = sizeof(Elf32_Sym)},
			    {.sh_type = SHT_STRTAB,
			     .sh_offset = offsetof(struct elf32_file, strings),
			     .sh_size = sizeof(f.strings)}},
		.sym = {{0},
			{.st_name = 1,
			 .st_info = ELF32_ST_INFO(STB_GLOBAL, STT_FUNC),
			 .st_shndx = 1,
			 .st_value = 0x100000,
			 .st_size = 16}},
		.strings = "\0entry",
	};

	(void)state;
	assert_int_equal(parse(&f, sizeof(f)), 0);
	assert_string_equal(at(0x10000f), "entry+0xf/0x10");
}

static void test_refuses_an_elf_file_without_symbols(void **state)
{
	struct elf64_file f = elf64();

	(void)state;
	f.section[2].sh_type = SHT_PROGBITS;
	assert_int_equal(parse(&f, sizeof(f)), -EINVAL);
	assert_diag(&diag, -EINVAL, "symbols-stripped");
	assert_remedy(&diag, "System.map");
	f = elf64();
	memset(f.sym, 0, sizeof(f.sym));
	assert_int_equal(parse(&f, sizeof(f)), -EINVAL);
	f = elf64();
	f.h.e_shoff = 0;
	assert_int_equal(parse(&f, sizeof(f)), -EINVAL);
}

/* Each number of the headers, one after the other, with what is wrong for most of them. */
static void test_believes_no_length_of_an_elf_file(void **state)
{
	static const uint8_t values[] = {0, 1, 7, 0x7f, 0x80, 0xff};
	const struct elf64_file good = elf64();
	struct elf64_file f;

	(void)state;
	for (size_t i = 16; i < offsetof(struct elf64_file, strings); i++) {
		for (size_t v = 0; v < sizeof(values); v++) {
			f = good;
			((uint8_t *)&f)[i] = values[v];
			if (parse(&f, sizeof(f)) == 0)
				at(0x100001);
		}
	}
	for (size_t len = 0; len < sizeof(good); len++)
		parse(&good, len);
	memset(&f, 0xff, sizeof(f));
	memcpy(&f, &good, 16);
	assert_int_equal(parse(&f, sizeof(f)), -EINVAL);
}

static int teardown(void **state)
{
	(void)state;
	symbols = symbols_free(symbols);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_a_system_map),
		cmocka_unit_test(test_reads_a_copy_of_proc_kallsyms),
		cmocka_unit_test(test_refuses_other_text),
		cmocka_unit_test(test_leaves_out_names_that_do_not_print),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_reads_an_elf_file),
		cmocka_unit_test(test_reads_an_elf_file_of_32_bits),
		cmocka_unit_test(test_refuses_an_elf_file_without_symbols),
		cmocka_unit_test(test_believes_no_length_of_an_elf_file),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
