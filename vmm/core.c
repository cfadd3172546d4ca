#include "core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io_full.h"
#include "core/internal.h"
#include "mem.h"

/* The file's head: all but memory. */
struct head {
	Elf64_Ehdr elf;
	Elf64_Phdr segment
		[2 + GUEST_MEM_REGIONS_MAX]; /* the notes, RAM, and the kernel's part of it again */
};

static void put_padded(FILE *out, const void *bytes, size_t len)
{
	static const char zeros[3];

	fwrite(bytes, 1, len, out);
	fwrite(zeros, 1, -len % 4, out);
}

void core_note_put(FILE *out, const char *name, uint32_t type, const void *desc, size_t len)
{
	const Elf64_Nhdr head = {
		.n_namesz = (Elf64_Word)strlen(name) + 1,
		.n_descsz = (Elf64_Word)len,
		.n_type = type,
	};

	fwrite(&head, 1, sizeof(head), out);
	put_padded(out, name, head.n_namesz);
	put_padded(out, desc, len);
}

/* The caller's notes and the guest's, which the caller of this frees. -ENOMEM. */
static int make_notes(const struct core_opts *opts, char **ret, size_t *ret_len,
		      struct core_mapping *ret_kernel)
{
	char info[CORE_VMCOREINFO_MAX];
	const size_t info_len = core_vmcoreinfo_find(opts->mem, info);
	FILE *out = open_memstream(ret, ret_len);
	bool failed;

	*ret_kernel = (struct core_mapping){0};
	if (info_len && opts->find_kernel)
		*ret_kernel = opts->find_kernel(info, info_len);
	if (!out)
		return -ENOMEM;
	if (opts->notes_len)
		fwrite(opts->notes, 1, opts->notes_len, out);
	if (info_len)
		core_note_put(out, "VMCOREINFO", 0, info, info_len);
	failed = ferror(out);
	return fclose(out) != 0 || failed ? -ENOMEM : 0;
}

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + GUEST_PAGE_BYTES - 1) / GUEST_PAGE_BYTES * GUEST_PAGE_BYTES;
}

/* p_align stays 0, by which crash distinguishes a file such as QEMU's and kdump's from one of netdump. */
static Elf64_Phdr load_of(const struct core_mapping *at, uint64_t off)
{
	return (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W | PF_X,
		.p_offset = off,
		.p_vaddr = at->virt,
		.p_paddr = at->gpa,
		.p_filesz = at->len,
		.p_memsz = at->len,
	};
}

/* Where the kernel is, once more, by its virtual address: readers need that to get to its page tables. */
static void add_kernel(struct head *head, const struct guest_region *region,
		       const struct core_mapping *kernel, uint64_t region_off)
{
	struct core_mapping at = *kernel;

	if (kernel->len == 0 || kernel->gpa < region->gpa ||
	    kernel->gpa - region->gpa >= region->len)
		return;
	if (at.len > region->len - (at.gpa - region->gpa))
		at.len = region->len - (at.gpa - region->gpa);
	head->segment[head->elf.e_phnum++] = load_of(&at, region_off + (at.gpa - region->gpa));
}

/* Holes of the file and zeros of memory have the same bounds, as memory begins at a page. */
static void fill_head(const struct core_opts *opts, size_t notes_len,
		      const struct core_mapping *kernel, struct head *ret)
{
	uint64_t off = whole_pages(sizeof(*ret) + notes_len);

	*ret = (struct head){
		.elf = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				    EV_CURRENT},
			.e_type = ET_CORE,
			.e_machine = opts->elf_machine,
			.e_version = EV_CURRENT,
			.e_phoff = offsetof(struct head, segment),
			.e_ehsize = sizeof(ret->elf),
			.e_phentsize = sizeof(ret->segment[0]),
			.e_phnum = (Elf64_Half)(1 + opts->mem->nr_regions)},
		.segment[0] = {.p_type = PT_NOTE,
			       .p_offset = sizeof(*ret),
			       .p_filesz = notes_len,
			       .p_align = 4},
	};
	for (unsigned i = 0; i < opts->mem->nr_regions; i++) {
		const struct guest_region *region = &opts->mem->region[i];
		const struct core_mapping ram = {region->gpa, region->gpa, region->len};

		ret->segment[1 + i] = load_of(&ram, off);
		add_kernel(ret, region, kernel, off);
		off += region->len;
	}
}

static int fill_file(const struct core_opts *opts, int fd)
{
	AUTO_FREE char *notes = NULL;
	size_t notes_len = 0;
	struct core_mapping kernel;
	struct head head;
	uint64_t ram_off;
	int r = make_notes(opts, &notes, &notes_len, &kernel);

	if (r < 0)
		return r;
	fill_head(opts, notes_len, &kernel, &head);
	ram_off = whole_pages(sizeof(head) + notes_len);
	if (ftruncate(fd, (off_t)(ram_off + opts->mem->bytes)) < 0)
		return -errno;
	r = io_write_full(fd, &head, sizeof(head), NULL);
	if (r == 0)
		r = io_write_full(fd, notes, notes_len, NULL);
	return r < 0 ? r : core_ram_write(opts, fd, ram_off);
}

/* Never over another file. Some file systems have no such rename, and others no link. */
static int core_publish(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (link(from, to) < 0)
		return -errno;
	unlink(from);
	return 0;
}

static int core_refuse(const char *path, int r, struct diag *diag)
{
	if (r == -ECANCELED) {
		diag_set(diag, -EINVAL, "core-given-up", "core '%s': given up, as the VM is to end",
			 path);
		return r;
	}
	diag_set(diag, r, "core-write", "core '%s'", path);
	if (r == -EEXIST)
		diag_remedy(diag, "choose another name, or remove the file");
	else if (r == -ENOSPC || r == -EDQUOT)
		diag_remedy(diag,
			    "a core takes as much room as the guest has memory that is not zero");
	return r;
}

/*
 * Makes the file next to path that core_write() fills: its descriptor, and its name for the caller to free; or -errno.
 */
static int core_open(const char *path, char **ret_name)
{
	AUTO_FREE char *name = NULL;
	struct stat st;
	int fd;

	if (lstat(path, &st) == 0)
		return -EEXIST;
	if (asprintf(&name, "%s.XXXXXX", path) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_name = STEAL_PTR(name);
	return fd;
}

int core_write(const struct core_opts *opts, struct diag *diag)
{
	AUTO_FREE char *name = NULL;
	const int fd = core_open(opts->path, &name);
	int r;

	if (!name)
		return core_refuse(opts->path, fd, diag);
	r = fill_file(opts, fd);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0)
		r = core_publish(name, opts->path);
	if (r == 0)
		return 0;
	unlink(name);
	return core_refuse(opts->path, r, diag);
}

int core_check(const char *path, struct diag *diag)
{
	AUTO_FREE char *name = NULL;
	const int fd = core_open(path, &name);

	if (!name)
		return core_refuse(path, fd, diag);
	close(fd);
	unlink(name);
	return 0;
}
