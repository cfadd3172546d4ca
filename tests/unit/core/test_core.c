/* Unit tests of core.c: what the file holds, what it does not take, and what becomes of its name. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io_full.h"
#include "core.h"
#include "diag_rig.h"
#include "mem.h"
#include "temp_dir.h"

#define KIB  UINT64_C(1024)
#define MIB  (UINT64_C(1) << 20)
#define HIGH (UINT64_C(1) << 32)

enum { PAGE = GUEST_PAGE_BYTES, TEXT_MAX = 4096, BLOCK = 512 };

static const char text[] = "OSRELEASE=6.1.0\nPAGESIZE=4096\n";
static struct guest_mem mem;

static int setup(void **state)
{
	static const struct guest_region regions[] = {
		{.gpa = 0, .len = 64 * MIB},
		{.gpa = HIGH, .len = 4 * MIB},
	};

	(void)state;
	if (temp_dir_make() < 0 || chdir(temp_dir) < 0)
		return -1;
	if (guest_mem_init(&mem, regions, 2, &(struct guest_mem_opts){0}, NULL) < 0)
		return -1;
	guest_mem_prefer_small(&mem, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_mem_fini(&mem);
	temp_dir_shell("rm -f core*");
	return rmdir(temp_dir);
}

static struct core_opts opts(void)
{
	return (struct core_opts){.path = "core", .mem = &mem, .elf_machine = EM_X86_64};
}

static int write_core(void)
{
	const struct core_opts o = opts();

	return core_write(&o, NULL);
}

/* The file, as a mapping; for munmap(). */
static const uint8_t *map_core(size_t *ret_len)
{
	const int fd = open("core", O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *at;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	close(fd);
	*ret_len = (size_t)st.st_size;
	return at;
}

static void drop_core(const uint8_t *core, size_t len)
{
	munmap((void *)(uintptr_t)core, len);
	assert_int_equal(unlink("core"), 0);
	assert_string_equal(temp_dir_shell("ls -A"), "");
}

static const Elf64_Phdr *segment(const uint8_t *core, unsigned i)
{
	const Elf64_Ehdr *elf = (const void *)core;

	assert_true(i < elf->e_phnum);
	return (const Elf64_Phdr *)(const void *)(core + elf->e_phoff) + i;
}

static size_t resident_pages(void)
{
	unsigned char in[64 * MIB / PAGE];
	size_t n = 0;

	assert_int_equal(mincore(mem.base, sizeof(in) * PAGE, in), 0);
	for (size_t i = 0; i < sizeof(in); i++)
		n += in[i] & 1;
	return n;
}

static void fresh(void **state)
{
	(void)state;
	for (unsigned i = 0; i < mem.nr_regions; i++)
		assert_int_equal(guest_mem_discard(&mem, mem.region[i].host, mem.region[i].len), 0);
}

static void memory_is_there_by_guest_address(void **state)
{
	const uint8_t *core;
	size_t len;

	fresh(state);
	assert_int_equal(guest_mem_write(&mem, 0x12345, "low", 4), 0);
	assert_int_equal(guest_mem_write(&mem, 64 * MIB - 5, "last", 5), 0);
	assert_int_equal(guest_mem_write(&mem, HIGH, "high", 5), 0);
	assert_int_equal(write_core(), 0);
	core = map_core(&len);
	assert_int_equal(segment(core, 0)->p_type, PT_NOTE);
	assert_int_equal(segment(core, 1)->p_paddr, 0);
	assert_int_equal(segment(core, 1)->p_filesz, 64 * MIB);
	assert_int_equal(segment(core, 2)->p_paddr, HIGH);
	assert_int_equal(segment(core, 2)->p_offset + 4 * MIB, len);
	assert_memory_equal(core + segment(core, 1)->p_offset, mem.region[0].host, 64 * MIB);
	assert_memory_equal(core + segment(core, 2)->p_offset, mem.region[1].host, 4 * MIB);
	drop_core(core, len);
}

/* Of 64 MiB, five pages are touched, and one of these holds zeros. */
static void only_what_was_touched_is_read_and_takes_disk(void **state)
{
	struct stat st;
	size_t before;

	fresh(state);
	for (uint64_t i = 1; i <= 4; i++)
		assert_int_equal(guest_mem_write(&mem, i * 9 * MIB, &i, sizeof(i)), 0);
	assert_int_equal(guest_mem_write(&mem, MIB, "", 1), 0);
	before = resident_pages();
	assert_int_equal(before, 5);
	assert_int_equal(write_core(), 0);
	assert_int_equal(resident_pages(), before);
	assert_int_equal(stat("core", &st), 0);
	assert_true(st.st_size > (off_t)(68 * MIB));
	assert_true((uint64_t)st.st_blocks * BLOCK <=
		    5 * (uint64_t)PAGE + 16 * KIB); /* head and the file system's own */
	assert_int_equal(unlink("core"), 0);
}

/* The note as Linux puts it, or with other lengths. */
static void put_note(uint64_t gpa, uint32_t name_len, uint32_t desc_len)
{
	const Elf64_Nhdr head = {.n_namesz = name_len, .n_descsz = desc_len};

	assert_int_equal(guest_mem_write(&mem, gpa, &head, sizeof(head)), 0);
	assert_int_equal(guest_mem_write(&mem, gpa + 12, "VMCOREINFO", 11), 0);
	assert_int_equal(guest_mem_write(&mem, gpa + 24, text, sizeof(text) - 1), 0);
}

/* How often the note VMCOREINFO is in the core, and that it is whole. */
static unsigned notes_found(size_t desc_len)
{
	const uint8_t *core, *at, *end;
	unsigned n = 0;
	size_t len;

	assert_int_equal(write_core(), 0);
	core = map_core(&len);
	at = core + segment(core, 0)->p_offset;
	end = at + segment(core, 0)->p_filesz;
	while (at < end) {
		const Elf64_Nhdr *note = (const void *)at;
		const uint8_t *name = at + sizeof(*note);
		const uint8_t *desc = name + ((size_t)note->n_namesz + 3) / 4 * 4;

		if (strcmp((const char *)name, "VMCOREINFO") == 0) {
			assert_int_equal(note->n_descsz, desc_len);
			assert_memory_equal(desc, text, sizeof(text) - 1);
			n++;
		}
		at = desc + ((size_t)note->n_descsz + 3) / 4 * 4;
	}
	assert_ptr_equal(at, end);
	drop_core(core, len);
	return n;
}

static void the_kernels_own_note_is_found(void **state)
{
	fresh(state);
	assert_int_equal(notes_found(0), 0);
	put_note(33 * MIB, 11, sizeof(text) - 1);
	assert_int_equal(notes_found(sizeof(text) - 1), 1);
	fresh(state);
	put_note(HIGH + 4 * MIB - 2 * (uint64_t)PAGE, 11, TEXT_MAX); /* into the next page */
	assert_int_equal(notes_found(TEXT_MAX), 1);
}

/* Lengths that lie, a note that begins within a page, and one that would end outside of RAM. */
static void a_hostile_note_is_none(void **state)
{
	static const uint32_t lengths[][2] = {{11, 0},          {11, 9},  {11, TEXT_MAX + 1},
					      {11, UINT32_MAX}, {10, 30}, {UINT32_MAX, 30}};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		fresh(state);
		put_note(5 * MIB, lengths[i][0], lengths[i][1]);
		assert_int_equal(notes_found(0), 0);
	}
	fresh(state);
	put_note(5 * MIB + 64, 11, sizeof(text) - 1);
	assert_int_equal(notes_found(0), 0);
	fresh(state);
	put_note(HIGH + 4 * MIB - PAGE, 11, TEXT_MAX);
	assert_int_equal(notes_found(0), 0);
}

static void notes_of_the_caller_come_first(void **state)
{
	struct core_opts o = opts();
	char *notes = NULL;
	FILE *out = open_memstream(&notes, &o.notes_len);
	const uint8_t *core;
	size_t len;

	fresh(state);
	assert_non_null(out);
	core_note_put(out, "ABC", 7, "12345", 5); /* 12 + 4 + 8 */
	core_note_put(out, "ABCD", 8, "1234", 4); /* 12 + 8 + 4 */
	assert_int_equal(fclose(out), 0);
	assert_int_equal(o.notes_len, 48);
	o.notes = notes;
	assert_int_equal(core_write(&o, NULL), 0);
	core = map_core(&len);
	assert_int_equal(segment(core, 0)->p_filesz, 48);
	assert_memory_equal(core + segment(core, 0)->p_offset, notes, 48);
	drop_core(core, len);
	free(notes);
}

static struct core_mapping kernel; /* that is found */

static struct core_mapping find_kernel(const char *vmcoreinfo, size_t len)
{
	assert_int_equal(len, sizeof(text) - 1);
	assert_memory_equal(vmcoreinfo, text, len);
	return kernel;
}

/* Its part of RAM is there twice, and what would be outside of RAM is not. */
static void a_kernel_is_there_by_its_own_address(void **state)
{
	static const struct {
		uint64_t gpa, len, len_wanted;
	} cases[] = {
		{16 * MIB, MIB, MIB},
		{16 * MIB, 1024 * MIB, 48 * MIB},
		{HIGH + MIB, UINT64_MAX, 3 * MIB},
		{64 * MIB, MIB, 0},
		{UINT64_MAX - 16 * MIB + 1, 32 * MIB, 0},
		{16 * MIB, 0, 0},
	};
	struct core_opts o = opts();

	fresh(state);
	put_note(33 * MIB, 11, sizeof(text) - 1);
	o.find_kernel = find_kernel;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t virt = UINT64_C(0xffffffff81000000);
		const Elf64_Ehdr *elf;
		const Elf64_Phdr *last;
		const uint8_t *core;
		size_t len;
		bool found = false;

		kernel = (struct core_mapping){virt, cases[i].gpa, cases[i].len};
		assert_int_equal(core_write(&o, NULL), 0);
		core = map_core(&len);
		elf = (const void *)core;
		assert_int_equal(elf->e_phnum, cases[i].len_wanted ? 4 : 3);
		for (unsigned k = 1; k < elf->e_phnum; k++) {
			last = segment(core, k);
			if (last->p_vaddr != virt)
				continue;
			found = true;
			assert_int_equal(last->p_paddr, cases[i].gpa);
			assert_int_equal(last->p_filesz, cases[i].len_wanted);
			assert_memory_equal(core + last->p_offset,
					    guest_mem_ptr(&mem, cases[i].gpa, PAGE), PAGE);
		}
		assert_int_equal(found, cases[i].len_wanted != 0);
		drop_core(core, len);
	}
}

static void a_file_that_is_there_stays(void **state)
{
	struct diag diag = {0};
	const struct core_opts o = opts();

	fresh(state);
	temp_dir_shell("echo mine >core");
	assert_int_equal(core_check("core", &diag), -EEXIST);
	assert_diag(&diag, -EEXIST, "core-write 'core'");
	assert_int_equal(core_write(&o, NULL), -EEXIST);
	assert_string_equal(temp_dir_shell("cat core; ls -A"), "mine\ncore\n");
	temp_dir_shell("ln -sf nowhere core");
	assert_int_equal(core_write(&o, NULL), -EEXIST);
	temp_dir_shell("rm core");
	assert_int_equal(core_check("core", NULL), 0);
	assert_int_equal(core_check("no/core", NULL), -ENOENT);
	assert_string_equal(temp_dir_shell("ls -A"), "");
}

static void after_an_error_there_is_no_file(void **state)
{
	struct rlimit old, small = {.rlim_cur = 32 * MIB};

	fresh(state);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(write_core(), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_string_equal(temp_dir_shell("ls -A"), "");
}

/* Between two pieces of memory; the file next to it is there then. */
static bool give_up(void *arg)
{
	unsigned *asked = arg;

	assert_string_equal(temp_dir_shell("ls -A | wc -l"), "1\n");
	assert_int_equal(access("core", F_OK), -1);
	return ++*asked == 2;
}

static void one_that_is_given_up_leaves_no_file(void **state)
{
	struct core_opts o = opts();
	struct diag diag = {0};
	unsigned asked = 0;

	fresh(state);
	o.is_cancelled = give_up;
	o.arg = &asked;
	assert_int_equal(core_write(&o, &diag), -ECANCELED);
	assert_int_equal(asked, 2);
	assert_diag(&diag, -EINVAL, "core-given-up 'core'");
	assert_string_equal(temp_dir_shell("ls -A"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_there_by_guest_address),
		cmocka_unit_test(only_what_was_touched_is_read_and_takes_disk),
		cmocka_unit_test(the_kernels_own_note_is_found),
		cmocka_unit_test(a_hostile_note_is_none),
		cmocka_unit_test(notes_of_the_caller_come_first),
		cmocka_unit_test(a_kernel_is_there_by_its_own_address),
		cmocka_unit_test(a_file_that_is_there_stays),
		cmocka_unit_test(after_an_error_there_is_no_file),
		cmocka_unit_test(one_that_is_given_up_leaves_no_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
