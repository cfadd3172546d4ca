/* Puts a kernel and what it is told into guest memory, and the boot processor at its door. */
#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/mptable.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "boot/initrd.h"
#include "boot/multiboot.h"
#include "boot/pvh.h"
#include "boot/zero_page.h"
#include "machine/cmdline.h"
#include "machine/fdt.h"
#include "vm.h"

/*
 * Linux's vmlinux wants its text at 16 MiB, and has it 2 MiB into the file: decompressed to here,
 * most of it is in its place at once.
 */
#define UNPACK_ROOM_GPA (UINT64_C(14) << 20)

enum {
	TAKEN_MAX = 8,
	INFO_BYTES_MAX = LAYOUT_ZERO_PAGE_GPA - LAYOUT_PVH_START_INFO_GPA,
	RSDP_BYTES = 36, /* ACPI 6.5, 5.2.5.3 */
};

/* Where no machine has RAM for a kernel. Below 1 MiB there is memory, which the map does not give. */
static const struct boot_hole holes[] = {
	{{LAYOUT_EBDA_GPA, LAYOUT_HIGH_RAM_GPA - LAYOUT_EBDA_GPA,
	  "the PC's reserved area (EBDA, video memory, BIOS)"},
	 false},
	{{LAYOUT_HOLE_FIRST, LAYOUT_HOLE_END - LAYOUT_HOLE_FIRST,
	  "the hole for devices below 4 GiB"},
	 true},
};

/* One boot, while it is prepared. */
struct boot {
	struct vm *vm;
	const struct vm_opts *opts;
	struct boot_plan plan;
	struct boot_initrd initrd;
	struct boot_segment initrd_segment[VM_INITRDS_MAX];
	struct boot_span ram[MACHINE_MAP_MAX], taken[TAKEN_MAX];
	unsigned nr_ram, nr_taken;
	struct boot_map_entry map[MACHINE_MAP_MAX];
	uint64_t rsdp_gpa;
	uint8_t rsdp[RSDP_BYTES];
	char *cmdline; /* NULL: the kernel is told nothing */
	void *fdt;
	size_t fdt_len;
	uint64_t info_gpa; /* what the entry's register points to */
};

static void take(struct boot *b, uint64_t gpa, uint64_t len, const char *name)
{
	assert(b->nr_taken < TAKEN_MAX);
	b->taken[b->nr_taken++] = (struct boot_span){.gpa = gpa, .len = len, .name = name};
}

/* A flat binary is told nothing, so its machine is bare but for what its mode of entry needs. */
static bool is_told(const struct boot *b)
{
	return b->plan.protocol != BOOT_FLAT_REAL && b->plan.protocol != BOOT_FLAT_LONG;
}

static bool is_linux(const struct boot *b)
{
	return b->plan.protocol == BOOT_LINUX64 || b->plan.protocol == BOOT_LINUX32;
}

static bool has_device_tree(const struct boot *b)
{
	return b->plan.protocol == BOOT_PVH || is_linux(b);
}

/* What the entry state and the information for the kernel take: of each protocol what it promises. */
static void take_for_entry(struct boot *b)
{
	const enum boot_protocol protocol = b->plan.protocol;
	const bool is_long = protocol == BOOT_LINUX64 || protocol == BOOT_FLAT_LONG;

	if (is_long || protocol == BOOT_LINUX32)
		take(b, LAYOUT_GDT_GPA, 0x1000, "the GDT");
	if (is_long)
		take(b, LAYOUT_PAGE_TABLES_GPA, LAYOUT_PAGE_TABLES_LEN, "the page tables");
	if (!is_told(b))
		return;
	if (protocol == BOOT_MULTIBOOT2) {
		take(b, LAYOUT_MULTIBOOT2_GPA, LAYOUT_MULTIBOOT2_MAX, "the boot information");
		return;
	}
	if (is_linux(b))
		take(b, LAYOUT_ZERO_PAGE_GPA, sizeof(struct boot_params), "the boot information");
	else
		take(b, LAYOUT_PVH_START_INFO_GPA, INFO_BYTES_MAX, "the boot information");
	take(b, LAYOUT_CMDLINE_GPA, strlen(b->cmdline) + 1, "the command line");
	if (has_device_tree(b))
		take(b, LAYOUT_FDT_GPA, LAYOUT_FDT_MAX, "the device tree");
}

static struct boot_places places_of(const struct boot *b)
{
	return (struct boot_places){
		.ram = b->ram,
		.nr_ram = b->nr_ram,
		.taken = b->taken,
		.nr_taken = b->nr_taken,
		.hole = holes,
		.nr_holes = ARRAY_SIZE(holes),
	};
}

static void survey(struct boot *b)
{
	const struct machine *m = &b->vm->machine;

	for (unsigned i = 0; i < m->nr_map; i++) {
		b->map[i] = (struct boot_map_entry){.gpa = m->map[i].gpa,
						    .len = m->map[i].len,
						    .type = (uint32_t)m->map[i].type};
		if (m->map[i].type == MACHINE_MAP_RAM)
			b->ram[b->nr_ram++] = (struct boot_span){
				.gpa = m->map[i].gpa, .len = m->map[i].len, .name = "RAM"};
	}
	take_for_entry(b);
}

static int place(struct boot *b, uint64_t gpa, const void *bytes, size_t len, const char *what,
		 struct diag *diag)
{
	int r = guest_mem_write(&b->vm->mem, gpa, bytes, len);

	return r < 0 ? diag_set(diag, r, "place %s at %#llx", what, (unsigned long long)gpa) : 0;
}

/* Not everything lies in fresh memory: the kernel may have been decompressed where the initrd goes. */
static int place_initrds(struct boot *b, struct diag *diag)
{
	for (unsigned i = 0; i < b->opts->nr_initrds; i++) {
		const struct boot_segment *seg = &b->initrd_segment[i];
		uint8_t *dst = guest_mem_ptr(&b->vm->mem, seg->gpa, seg->mem_len);

		if (!dst)
			return diag_set(diag, -EFAULT, "place the initrd at %#llx",
					(unsigned long long)seg->gpa);
		memcpy(dst, seg->data, seg->data_len);
		memset(dst + seg->data_len, 0, seg->mem_len - seg->data_len);
	}
	return 0;
}

static int place_kernel(struct boot *b, struct diag *diag)
{
	uint8_t *dst[BOOT_SEGMENTS_MAX];

	for (unsigned i = 0; i < b->plan.nr_segments; i++) {
		const struct boot_segment *seg = &b->plan.segment[i];

		dst[i] = guest_mem_ptr(&b->vm->mem, seg->gpa, seg->mem_len);
		if (!dst[i])
			return diag_set(diag, -EFAULT, "place the kernel at %#llx",
					(unsigned long long)seg->gpa);
	}
	return boot_plan_place(&b->plan, dst, diag);
}

static int load_kernel(struct boot *b, struct diag *diag)
{
	const struct boot_places places = places_of(b);
	int r = boot_plan_check(&b->plan, b->opts->kernel.name, &places, diag);

	if (r == 0)
		r = place_kernel(b, diag);
	return r;
}

static int load_initrds(struct boot *b, struct diag *diag)
{
	const struct boot_places places = places_of(b);
	struct boot_initrd_file file[VM_INITRDS_MAX];
	int r;

	for (unsigned i = 0; i < b->opts->nr_initrds; i++)
		file[i] = (struct boot_initrd_file){
			.name = b->opts->initrd[i].name,
			.bytes = b->opts->initrd[i].data,
			.len = b->opts->initrd[i].len,
		};
	r = boot_initrd_place(&b->plan, file, b->opts->nr_initrds, &places, b->initrd_segment,
			      &b->initrd, diag);
	if (r == 0)
		r = place_initrds(b, diag);
	return r;
}

static int render_cmdline(struct boot *b, struct diag *diag)
{
	int r = machine_cmdline_render(&b->vm->machine, &b->cmdline, diag);

	if (r < 0)
		return r;
	if (strlen(b->cmdline) > b->plan.cmdline_max) {
		diag_set(diag, -EINVAL, "the command line has %zu bytes, and kernel '%s' reads %u",
			 strlen(b->cmdline), b->opts->kernel.name, b->plan.cmdline_max);
		diag_remedy(diag, "give fewer words with --append");
		return -EINVAL;
	}
	return 0;
}

static int load_cmdline(struct boot *b, struct diag *diag)
{
	return place(b, LAYOUT_CMDLINE_GPA, b->cmdline, strlen(b->cmdline) + 1, "the command line",
		     diag);
}

static int load_acpi(struct boot *b, struct diag *diag)
{
	AUTO_FREE void *acpi = NULL;
	AUTO_FREE void *mptable = NULL;
	size_t len;
	int r = machine_acpi_render(&b->vm->machine, LAYOUT_ACPI_GPA, &acpi, &len, &b->rsdp_gpa,
				    diag);

	if (r == 0 && u64_range_within(b->rsdp_gpa - LAYOUT_ACPI_GPA, RSDP_BYTES, len))
		memcpy(b->rsdp, (uint8_t *)acpi + (b->rsdp_gpa - LAYOUT_ACPI_GPA), RSDP_BYTES);
	if (r == 0)
		r = place(b, LAYOUT_ACPI_GPA, acpi, len, "the ACPI tables", diag);
	if (r == 0)
		r = machine_mptable_render(&b->vm->machine, LAYOUT_MPTABLE_GPA, &mptable, &len,
					   diag);
	if (r == 0)
		r = place(b, LAYOUT_MPTABLE_GPA, mptable, len, "the MP table", diag);
	return r;
}

static int render_fdt(struct boot *b, struct diag *diag)
{
	const struct machine_fdt_opts opts = {.initrd_gpa = b->initrd.gpa,
					      .initrd_len = b->initrd.len};
	int r = machine_fdt_render(&b->vm->machine, &opts, &b->fdt, &b->fdt_len, diag);

	if (r == 0 && b->fdt_len + sizeof(struct setup_data) > LAYOUT_FDT_MAX)
		return diag_set(diag, -EINVAL, "the device tree has %zu bytes, and %llu fit",
				b->fdt_len, (unsigned long long)LAYOUT_FDT_MAX);
	return r;
}

/* PVH and Multiboot: the initrd first, because Linux takes the first module for it. */
static int load_modules_info(struct boot *b, struct diag *diag)
{
	const struct boot_module module[] = {
		{.gpa = b->initrd.gpa, .len = b->initrd.len},
		{.gpa = LAYOUT_FDT_GPA, .len = b->fdt_len, .cmdline = "device-tree"},
	};
	const struct boot_handoff handoff = {
		.cmdline_gpa = LAYOUT_CMDLINE_GPA,
		.rsdp_gpa = b->rsdp_gpa,
		.module = module,
		.nr_modules = has_device_tree(b) ? ARRAY_SIZE(module) : 1,
		.map = b->map,
		.nr_map = b->vm->machine.nr_map,
	};
	uint8_t info[INFO_BYTES_MAX];
	size_t len = 0;
	int r = load_cmdline(b, diag);

	b->info_gpa = LAYOUT_PVH_START_INFO_GPA;
	if (r == 0 && has_device_tree(b))
		r = place(b, LAYOUT_FDT_GPA, b->fdt, b->fdt_len, "the device tree", diag);
	if (r < 0)
		return r;
	if (b->plan.protocol == BOOT_PVH)
		r = boot_pvh_render(&handoff, b->info_gpa, info, sizeof(info), &len, diag);
	else
		r = boot_multiboot_render(&handoff, b->info_gpa, info, sizeof(info), &len, diag);
	return r < 0 ? r : place(b, b->info_gpa, info, len, "the boot information", diag);
}

static int load_multiboot2_info(struct boot *b, struct diag *diag)
{
	const struct boot_module initrd = {.gpa = b->initrd.gpa, .len = b->initrd.len};
	const struct boot_handoff handoff = {
		.cmdline = b->cmdline,
		.rsdp = b->rsdp,
		.rsdp_len = sizeof(b->rsdp),
		.load_base_gpa = b->plan.load_base_gpa,
		.module = &initrd,
		.nr_modules = 1,
		.map = b->map,
		.nr_map = b->vm->machine.nr_map,
	};
	AUTO_FREE uint8_t *info = malloc(LAYOUT_MULTIBOOT2_MAX);
	size_t len = 0;
	int r = info ? boot_multiboot2_render(&handoff, LAYOUT_MULTIBOOT2_GPA, info,
					      LAYOUT_MULTIBOOT2_MAX, &len, diag)
		     : diag_set(diag, -ENOMEM, "the boot information");

	b->info_gpa = LAYOUT_MULTIBOOT2_GPA;
	return r < 0 ? r : place(b, b->info_gpa, info, len, "the boot information", diag);
}

static int load_zero_page(struct boot *b, struct diag *diag)
{
	const struct boot_module initrd = {.gpa = b->initrd.gpa, .len = b->initrd.len};
	const struct boot_handoff handoff = {
		.cmdline_gpa = LAYOUT_CMDLINE_GPA,
		.rsdp_gpa = b->rsdp_gpa,
		.setup_data_gpa = LAYOUT_FDT_GPA,
		.module = &initrd,
		.nr_modules = 1,
		.map = b->map,
		.nr_map = b->vm->machine.nr_map,
	};
	AUTO_FREE uint8_t *data = malloc(LAYOUT_FDT_MAX);
	struct boot_params params;
	size_t len = 0;
	int r = data ? boot_setup_data_render(SETUP_DTB, 0, b->fdt, (uint32_t)b->fdt_len, data,
					      LAYOUT_FDT_MAX, &len, diag)
		     : diag_set(diag, -ENOMEM, "setup_data");

	b->info_gpa = LAYOUT_ZERO_PAGE_GPA;
	if (r == 0)
		r = load_cmdline(b, diag);
	if (r == 0)
		r = place(b, LAYOUT_FDT_GPA, data, len, "the device tree", diag);
	if (r == 0)
		r = boot_zero_page_render(&b->plan, &handoff, &params, diag);
	return r < 0 ? r : place(b, b->info_gpa, &params, sizeof(params), "the zero page", diag);
}

/* Whether the kernel's last segment has text: what Linux discards after boot is there. */
static bool last_segment_has(const struct boot_plan *plan, const char *text)
{
	const struct boot_segment *last = &plan->segment[plan->nr_segments - 1];

	return last->data_len && memmem(last->data, last->data_len, text, strlen(text));
}

/*
 * Whether the kernel is a Linux that finds a UART in memory: first by the command line, which takes
 * SERIAL_8250_CONSOLE and its early console "uart8250", and then by ACPI, which takes PNPACPI, whose
 * parameter is "pnpacpi=". Any other kernel is told of the ports, which need no finding.
 */
static bool finds_windows(const struct boot_plan *plan)
{
	return last_segment_has(plan, "uart8250") && last_segment_has(plan, "pnpacpi=");
}

/* Before the kernel is placed: how long the command line is says what memory it takes. */
static int choose_words(struct boot *b, struct diag *diag)
{
	const struct machine_device *serial = machine_find(&b->vm->machine, "serial0");

	if (serial && serial->nr_untold && !finds_windows(&b->plan))
		machine_tell_ports(&b->vm->machine);
	return render_cmdline(b, diag);
}

static int boot_write_info(struct boot *b, struct diag *diag)
{
	int r = load_acpi(b, diag);

	if (r == 0 && has_device_tree(b))
		r = render_fdt(b, diag);
	if (r < 0)
		return r;
	if (is_linux(b))
		return load_zero_page(b, diag);
	return b->plan.protocol == BOOT_MULTIBOOT2 ? load_multiboot2_info(b, diag)
						   : load_modules_info(b, diag);
}

static void note_entry(struct boot *b)
{
	struct vm_kernel *kernel = &b->vm->kernel;

	*kernel = (struct vm_kernel){
		.name = b->opts->kernel.name,
		.protocol = b->plan.protocol,
		.entry_gpa = b->plan.entry_gpa,
	};
	boot_plan_describe(&b->plan, kernel->kind, sizeof(kernel->kind));
}

static int prepare(struct boot *b, struct diag *diag)
{
	struct arch_entry entry;
	int r = is_told(b) ? choose_words(b, diag) : 0;

	if (r < 0)
		return r;
	survey(b);
	r = load_kernel(b, diag);
	if (r == 0)
		r = load_initrds(b, diag);
	if (r == 0 && is_told(b))
		r = boot_write_info(b, diag);
	note_entry(b);
	entry = (struct arch_entry){
		.protocol = b->plan.protocol,
		.entry_gpa = b->plan.entry_gpa,
		.info_gpa = b->info_gpa,
	};
	return r < 0 ? r : arch_vcpu_enter(b->vm->vcpu[0].fd, &b->vm->mem, &entry, diag);
}

/* Nothing else lies there yet: the initrd is placed after the kernel. */
static void find_room(const struct guest_mem *mem, struct boot_opts *opts)
{
	const struct guest_region *low = &mem->region[0];

	if (low->gpa > UNPACK_ROOM_GPA || low->len <= UNPACK_ROOM_GPA - low->gpa)
		return;
	opts->room_len = low->len - (UNPACK_ROOM_GPA - low->gpa);
	opts->room = guest_mem_ptr(mem, UNPACK_ROOM_GPA, opts->room_len);
}

static uint64_t initrds_len(const struct vm_opts *opts)
{
	uint64_t len = 0;

	for (unsigned i = 0; i < opts->nr_initrds; i++)
		len += opts->initrd[i].len;
	return len;
}

/* Under the hole, unless the kernel takes what lies above it. */
static void clip_initrd_limit(struct boot_plan *plan)
{
	if (plan->initrd_gpa_limit >= LAYOUT_HOLE_FIRST && plan->initrd_gpa_limit < LAYOUT_HOLE_END)
		plan->initrd_gpa_limit = LAYOUT_HOLE_FIRST - 1;
}

/* The entries by which a kernel may start differ in how high its initrd may be. */
static bool is_initrd_out_of_reach(const struct boot_plan *plan, const struct vm_opts *opts)
{
	return opts->nr_initrds && plan->initrd_gpa_limit < LAYOUT_HOLE_FIRST &&
	       (plan->initrd_gpa_limit < plan->end_gpa ||
		initrds_len(opts) > plan->initrd_gpa_limit - plan->end_gpa);
}

static int plan_kernel(struct boot *b, struct diag *diag)
{
	const struct vm_blob *kernel = &b->opts->kernel;
	struct boot_opts opts = b->opts->boot;
	struct boot_plan other;
	int r;

	find_room(&b->vm->mem, &opts);
	r = boot_plan_init(&b->plan, kernel->name, kernel->data, kernel->len, &opts, diag);
	if (r < 0)
		return r;
	clip_initrd_limit(&b->plan);
	if (opts.mode != BOOT_MODE_AUTO || b->plan.protocol != BOOT_PVH ||
	    !is_initrd_out_of_reach(&b->plan, b->opts))
		return 0;
	/* It decompresses to the same bytes, and so to the same room. */
	opts.mode = BOOT_MODE_LINUX64;
	if (boot_plan_init(&other, kernel->name, kernel->data, kernel->len, &opts, NULL) < 0)
		return 0; /* and the initrd will be refused */
	boot_plan_fini(&b->plan);
	b->plan = other;
	clip_initrd_limit(&b->plan);
	return 0;
}

int vm_boot_load(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	AUTO_FREE struct boot *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return diag_set(diag, -ENOMEM, "prepare the boot");
	b->vm = vm;
	b->opts = opts;
	r = plan_kernel(b, diag);
	if (r < 0)
		return r;
	r = prepare(b, diag);
	free(b->fdt);
	free(b->cmdline);
	boot_plan_fini(&b->plan);
	return r;
}
