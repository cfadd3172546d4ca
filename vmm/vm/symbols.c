#include "vm/symbols.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "symbols/lines.h"
#include "vm.h"
#include "vm/internal.h"

/* A kernel with more names has kallsyms, and to read its table would make its boot longer. */
enum { OWN_MAX = 16384 };

/* The first words of Linux's linux_banner (init/version.c). */
static const char banner[] = "Linux version ";
enum { BANNER_BYTES = sizeof(banner) - 1 };

static void print_id(const uint8_t *id, size_t len, char text[2 * SYMBOLS_BUILD_ID_MAX + 1])
{
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
}

static int check_build_id(const struct vm *vm, const char *name, struct diag *diag)
{
	char given[2 * SYMBOLS_BUILD_ID_MAX + 1] = "", booted[2 * SYMBOLS_BUILD_ID_MAX + 1] = "";
	uint8_t id[SYMBOLS_BUILD_ID_MAX];
	const size_t len = symbols_build_id(vm->symbols.table, id);
	const struct arch_kernel *kernel = &vm->kernel;

	if (len == 0 || kernel->build_id_len == 0 ||
	    (len == kernel->build_id_len && memcmp(id, kernel->build_id, len) == 0))
		return 0;
	print_id(id, len, given);
	print_id(kernel->build_id, kernel->build_id_len, booted);
	diag_set(diag, -EINVAL, "symbols-build-id",
		 "symbols '%s' are of another kernel: build ID %s, and '%s' has %s", name, given,
		 kernel->name, booted);
	diag_remedy(diag, "name the vmlinux that this kernel was made from");
	return -EINVAL;
}

/* The table is of that file, so the file's DWARF is, too. */
static int add_lines(struct vm *vm, const struct boot_file *file, struct diag *diag)
{
	struct symbols_lines *lines = NULL;
	int r;

	if (!vm->symbols.table || !file->fd || !symbols_elf_has_lines(file->data, file->len))
		return 0;
	r = symbols_lines_open(file->fd, SYMBOLS_LINES_WAIT_MS, &lines);
	if (r < 0)
		return diag_set(diag, r, "symbols-lines", "source lines of '%s'", file->name);
	symbols_set_lines(vm->symbols.table, lines);
	return 0;
}

int vm_symbols_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	const struct boot_file *file = &opts->symbols, *kernel = &opts->kernel;
	int r = 0;

	if (file->data) {
		r = symbols_parse(file->name, file->data, file->len, &vm->symbols.table, diag);
		if (r == 0)
			r = check_build_id(vm, file->name, diag);
		if (r == 0)
			r = add_lines(vm, file, diag);
		vm->symbols.is_given = true;
	} else if (symbols_elf_is_small(kernel->data, kernel->len, OWN_MAX)) {
		r = symbols_parse(kernel->name, kernel->data, kernel->len, &vm->symbols.table,
				  diag);
		if (r == -EINVAL) /* then it has no names */
			r = 0;
		else if (r == 0)
			r = add_lines(vm, kernel, diag);
	}
	if (r < 0)
		vm_symbols_unmake(vm);
	return r;
}

void vm_symbols_unmake(struct vm *vm)
{
	vm->symbols.table = symbols_free(vm->symbols.table);
}

void vm_symbols_prepare(struct vm *vm)
{
	if (vm->symbols.table)
		symbols_prepare_lines(vm->symbols.table);
}

/* Whether Linux's banner is at that address, as a vCPU sees it, or where the loader has put it. */
static bool has_banner_at(const struct vm *vm, uint64_t linear)
{
	char text[BANNER_BYTES];

	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		if (arch_linear_read(vm->vcpu[i].fd, &vm->mem, linear, text, sizeof(text)) ==
			    sizeof(text) &&
		    memcmp(text, banner, sizeof(text)) == 0)
			return true;
	return vm->kernel.image.len &&
	       guest_mem_read(&vm->mem, linear - vm->kernel.image.linear + vm->kernel.image.gpa,
			      text, sizeof(text)) == 0 &&
	       memcmp(text, banner, sizeof(text)) == 0;
}

/* Linux may have moved itself (KASLR): it is where its banner is. Another kernel is where it was linked. */
static void place_table(struct vm *vm)
{
	struct vm_symbols *s = &vm->symbols;
	uint64_t linked;

	if (!symbols_address(s->table, "linux_banner", &linked)) {
		s->is_placed = true;
		return;
	}
	for (unsigned i = 0; !s->is_placed && i < arch_kernel_move.nr; i++) {
		const uint64_t offset = i * arch_kernel_move.bytes;

		if (!has_banner_at(vm, linked + offset))
			continue;
		symbols_move(s->table, offset);
		s->moved = offset;
		s->is_placed = true;
	}
}

static bool take_kallsyms(struct vm *vm, const struct arch_image *image)
{
	const uint8_t *bytes = guest_mem_ptr(&vm->mem, image->gpa, image->len);

	if (!bytes ||
	    symbols_parse_kallsyms(bytes, image->len, image->linear, &vm->symbols.table) < 0)
		return false;
	vm->symbols.is_placed = vm->symbols.is_found = true;
	return true;
}

/* Where the loader has put the kernel, and where page tables show it: those of most vCPUs show the same. */
static void find_kallsyms(struct vm *vm)
{
	struct arch_image image, tried = {0};

	if (vm->kernel.image.len && take_kallsyms(vm, &vm->kernel.image))
		return;
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		if (!arch_kernel_image(vm->vcpu[i].fd, &vm->mem, &image) ||
		    (image.gpa == tried.gpa && image.len == tried.len))
			continue;
		if (take_kallsyms(vm, &image))
			return;
		tried = image;
	}
}

const struct symbols *vm_symbols(struct vm *vm)
{
	struct vm_symbols *s = &vm->symbols;

	if (!s->table)
		find_kallsyms(vm);
	else if (!s->is_placed)
		place_table(vm);
	return s->is_placed ? s->table : NULL;
}

void vm_symbols_forget(struct vm *vm)
{
	struct vm_symbols *s = &vm->symbols;

	if (s->is_found)
		vm_symbols_unmake(vm);
	else if (s->moved)
		symbols_move(s->table, -s->moved);
	s->is_placed = s->is_found = false;
	s->moved = 0;
}

static int no_names(const struct vm *vm, struct diag *diag)
{
	if (vm->symbols.table) {
		diag_set(diag, -EINVAL, "symbols-not-mapped",
			 "no vCPU maps the kernel of these symbols, or not yet");
		diag_remedy(diag, "try again later, or name its own vmlinux or System.map");
		return -EINVAL;
	}
	diag_set(diag, -EINVAL, "symbols-kernel-none", "this guest's kernel shows no names");
	diag_remedy(diag, "start the VM with --symbols FILE, its vmlinux or System.map");
	return -EINVAL;
}

int vm_print_symbol(struct vm *vm, uint64_t addr, FILE *out, struct diag *diag)
{
	const struct symbols *symbols;
	char text[SYMBOL_TEXT_MAX];
	int r = vm_hold(vm, diag);

	if (r < 0)
		return r;
	symbols = vm_symbols(vm);
	if (!symbols)
		r = no_names(vm, diag);
	else if (symbols_format(symbols, addr, text)[0])
		fprintf(out, "%s\n", text);
	else
		r = diag_set(diag, -EINVAL, "symbol-none", "no symbol has address %#" PRIx64, addr);
	vm_let_go(vm);
	return r;
}
