/* Identifies a kernel, puts it and its initrds into guest memory, and the boot processor at its entry. */
#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/internal.h"
#include "arch/x86_64/layout.h"
#include "base/cleanup.h"
#include "base/macros.h"
#include "mem.h"

/*
 * Linux's vmlinux wants its text at 16 MiB, and has it 2 MiB into the file: decompressed to here,
 * most of it is in its place at once.
 */
#define UNPACK_ROOM_GPA (UINT64_C(14) << 20)

/* Where no machine has RAM for a kernel. Below 1 MiB there is memory, which the map does not give. */
static const struct boot_hole holes[] = {
	{{LAYOUT_EBDA_GPA, LAYOUT_HIGH_RAM_GPA - LAYOUT_EBDA_GPA,
	  "the PC's reserved area (EBDA, video memory, BIOS)"},
	 false},
	{{LAYOUT_HOLE_FIRST, LAYOUT_HOLE_END - LAYOUT_HOLE_FIRST,
	  "the hole for devices below 4 GiB"},
	 true},
};

static void take(struct arch_boot *b, uint64_t gpa, uint64_t len, const char *name)
{
	assert(b->nr_taken < ARRAY_SIZE(b->taken));
	b->taken[b->nr_taken++] = (struct boot_span){.gpa = gpa, .len = len, .name = name};
}

/* A flat binary gets no information, so its machine is bare but for what its mode of entry needs. */
bool arch_boot_has_info(const struct arch_boot *b)
{
	return b->plan.protocol != BOOT_FLAT_REAL && b->plan.protocol != BOOT_FLAT_LONG;
}

bool arch_boot_is_linux(const struct arch_boot *b)
{
	return b->plan.protocol == BOOT_LINUX64 || b->plan.protocol == BOOT_LINUX32;
}

bool arch_boot_has_device_tree(const struct arch_boot *b)
{
	return b->plan.protocol == BOOT_PVH || arch_boot_is_linux(b);
}

/* Reserves memory for the entry state and the boot information that the protocol promises. */
static void take_for_entry(struct arch_boot *b)
{
	const enum boot_protocol protocol = b->plan.protocol;
	const bool is_long = protocol == BOOT_LINUX64 || protocol == BOOT_FLAT_LONG;

	if (is_long || protocol == BOOT_LINUX32)
		take(b, LAYOUT_GDT_GPA, 0x1000, "the GDT");
	if (is_long)
		take(b, LAYOUT_PAGE_TABLES_GPA, LAYOUT_PAGE_TABLES_LEN, "the page tables");
	if (!arch_boot_has_info(b))
		return;
	if (protocol == BOOT_MULTIBOOT2) {
		take(b, LAYOUT_MULTIBOOT2_GPA, LAYOUT_MULTIBOOT2_MAX, "the boot information");
		return;
	}
	if (arch_boot_is_linux(b))
		take(b, LAYOUT_ZERO_PAGE_GPA, sizeof(struct boot_params), "the boot information");
	else
		take(b, LAYOUT_PVH_START_INFO_GPA, INFO_BYTES_MAX, "the boot information");
	take(b, LAYOUT_CMDLINE_GPA, strlen(b->cmdline) + 1, "the command line");
	if (arch_boot_has_device_tree(b))
		take(b, LAYOUT_FDT_GPA, LAYOUT_FDT_MAX, "the device tree");
}

static struct boot_layout layout_of(const struct arch_boot *b)
{
	return (struct boot_layout){
		.ram = b->ram,
		.nr_ram = b->nr_ram,
		.taken = b->taken,
		.nr_taken = b->nr_taken,
		.hole = holes,
		.nr_holes = ARRAY_SIZE(holes),
	};
}

static void survey(struct arch_boot *b)
{
	const struct machine *m = b->machine;

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

/* Not everything lies in fresh memory: the kernel may have been decompressed where the initrd goes. */
static int place_initrds(struct arch_boot *b, struct diag *diag)
{
	for (unsigned i = 0; i < b->opts.nr_initrds; i++) {
		const struct boot_segment *seg = &b->initrd_segment[i];
		uint8_t *dst = guest_mem_ptr(b->mem, seg->gpa, seg->mem_len);

		if (!dst)
			return diag_set(diag, -EFAULT, "initrd-write", "place the initrd at %#llx",
					(unsigned long long)seg->gpa);
		memcpy(dst, seg->data, seg->data_len);
		memset(dst + seg->data_len, 0, seg->mem_len - seg->data_len);
	}
	return 0;
}

static int place_kernel(struct arch_boot *b, struct diag *diag)
{
	uint8_t *dst[BOOT_SEGMENTS_MAX];

	for (unsigned i = 0; i < b->plan.nr_segments; i++) {
		const struct boot_segment *seg = &b->plan.segment[i];

		dst[i] = guest_mem_ptr(b->mem, seg->gpa, seg->mem_len);
		if (!dst[i])
			return diag_set(diag, -EFAULT, "kernel-write", "place the kernel at %#llx",
					(unsigned long long)seg->gpa);
	}
	return boot_plan_place(&b->plan, dst, diag);
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

static uint64_t initrds_len(const struct arch_boot_opts *opts)
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
static bool is_initrd_out_of_reach(const struct boot_plan *plan, const struct arch_boot_opts *opts)
{
	return opts->nr_initrds && plan->initrd_gpa_limit < LAYOUT_HOLE_FIRST &&
	       (plan->initrd_gpa_limit < plan->end_gpa ||
		initrds_len(opts) > plan->initrd_gpa_limit - plan->end_gpa);
}

static int identify_kernel(struct arch_boot *b, struct diag *diag)
{
	const struct boot_file *kernel = b->opts.kernel;
	struct boot_opts opts = b->opts.boot;
	struct boot_plan other;
	int r;

	find_room(b->mem, &opts);
	r = boot_plan_init(&b->plan, kernel->name, kernel->data, kernel->len, &opts, diag);
	if (r < 0)
		return r;
	clip_initrd_limit(&b->plan);
	if (opts.mode != BOOT_MODE_AUTO || b->plan.protocol != BOOT_PVH ||
	    !is_initrd_out_of_reach(&b->plan, &b->opts))
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

/* A kernel that decompresses itself is elsewhere then. */
static void describe_image(const struct boot_plan *plan, struct arch_kernel *ret)
{
	const uint64_t gpa = plan->segment[0].gpa;

	ret->is_linux = plan->is_linux || plan->setup_header_len > 0;
	memcpy(ret->build_id, plan->build_id, plan->build_id_len);
	ret->build_id_len = plan->build_id_len;
	if (plan->has_linear_offset)
		ret->image = (struct arch_image){.gpa = gpa,
						 .linear = gpa + plan->linear_offset,
						 .len = plan->end_gpa - gpa};
}

int arch_boot_create(const struct arch_boot_opts *opts, struct guest_mem *mem,
		     struct arch_boot **ret, struct arch_kernel *ret_kernel, struct diag *diag)
{
	struct arch_boot *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return diag_set(diag, -ENOMEM, "boot-memory", "prepare the boot");
	b->mem = mem;
	b->opts = *opts;
	r = identify_kernel(b, diag);
	if (r < 0) {
		arch_boot_destroy(b);
		return r;
	}
	*ret_kernel = (struct arch_kernel){
		.name = opts->kernel->name,
		.protocol = b->plan.protocol,
		.entry_gpa = b->plan.entry_gpa,
		.has_cmdline = arch_boot_has_info(b),
		.finds_register_pages =
			arch_boot_has_info(b) && boot_plan_finds_memory_uart(&b->plan),
	};
	describe_image(&b->plan, ret_kernel);
	boot_plan_describe(&b->plan, ret_kernel->kind, sizeof(ret_kernel->kind));
	*ret = b;
	return 0;
}

int arch_boot_prepare(struct arch_boot *b, const struct machine *m, struct diag *diag)
{
	struct boot_layout layout;
	int r;

	b->machine = m;
	/* Before the kernel's place is checked: how long the command line is says what memory it takes. */
	r = arch_boot_has_info(b) ? arch_boot_render_cmdline(b, diag) : 0;
	if (r < 0)
		return r;
	survey(b);
	layout = layout_of(b);
	r = boot_plan_check(&b->plan, b->opts.kernel->name, &layout, diag);
	if (r == 0)
		r = boot_initrd_place(&b->plan, b->opts.initrd, b->opts.nr_initrds, &layout,
				      b->initrd_segment, &b->initrd, diag);
	return r;
}

int arch_boot_load(struct arch_boot *b, const struct machine *m, int vcpu_fd, struct diag *diag)
{
	int r = arch_boot_prepare(b, m, diag);

	if (r < 0)
		return r;
	if (b->plan.protocol == BOOT_FLAT_REAL && no_bios_write(b->mem) < 0)
		return diag_set(diag, -EFAULT, "bios-area", "put vectors into low memory");
	r = place_kernel(b, diag);
	if (r == 0)
		r = place_initrds(b, diag);
	if (r == 0 && arch_boot_has_info(b))
		r = arch_boot_write_info(b, diag);
	return r < 0 ? r
		     : arch_vcpu_enter(vcpu_fd, b->mem,
				       &(struct arch_entry){.protocol = b->plan.protocol,
							    .entry_gpa = b->plan.entry_gpa,
							    .info_gpa = b->info_gpa},
				       diag);
}

struct arch_boot *arch_boot_destroy(struct arch_boot *b)
{
	if (!b)
		return NULL;
	free(b->fdt);
	free(b->cmdline);
	boot_plan_fini(&b->plan);
	free(b);
	return NULL;
}
