/* A kernel's information about its machine: command line, ACPI and MP tables, device tree, boot information. */
#include <asm/bootparam.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/internal.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/mptable.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/macros.h"
#include "boot/multiboot.h"
#include "boot/pvh.h"
#include "boot/zero_page.h"
#include "machine/cmdline.h"
#include "machine/fdt.h"
#include "mem.h"

static int put(struct arch_boot *b, uint64_t gpa, const void *bytes, size_t len, const char *what,
	       struct diag *diag)
{
	int r = guest_mem_write(b->mem, gpa, bytes, len);

	return r < 0 ? diag_set(diag, r, "boot-info-write", "place %s at %#llx", what,
				(unsigned long long)gpa)
		     : 0;
}

int arch_boot_render_cmdline(struct arch_boot *b, struct diag *diag)
{
	int r = machine_cmdline_render(b->machine, &b->cmdline, diag);

	if (r < 0)
		return r;
	if (strlen(b->cmdline) > b->plan.cmdline_max) {
		diag_set(diag, -EINVAL, "kernel-cmdline-length",
			 "the command line has %zu bytes, and kernel '%s' reads %u",
			 strlen(b->cmdline), b->opts.kernel->name, b->plan.cmdline_max);
		diag_remedy(diag, "give fewer parameters with --append");
		return -EINVAL;
	}
	return 0;
}

static int load_cmdline(struct arch_boot *b, struct diag *diag)
{
	return put(b, LAYOUT_CMDLINE_GPA, b->cmdline, strlen(b->cmdline) + 1, "the command line",
		   diag);
}

static int load_acpi(struct arch_boot *b, struct diag *diag)
{
	AUTO_FREE void *acpi = NULL;
	size_t len;
	int r = machine_acpi_render(b->machine, LAYOUT_ACPI_GPA, &acpi, &len, &b->rsdp_gpa, diag);

	if (r == 0 && u64_range_within(b->rsdp_gpa - LAYOUT_ACPI_GPA, RSDP_BYTES, len))
		memcpy(b->rsdp, (uint8_t *)acpi + (b->rsdp_gpa - LAYOUT_ACPI_GPA), RSDP_BYTES);
	return r < 0 ? r : put(b, LAYOUT_ACPI_GPA, acpi, len, "the ACPI tables", diag);
}

#ifdef TOLLGATE_HAVE_MPTABLE
static int load_mptable(struct arch_boot *b, struct diag *diag)
{
	AUTO_FREE void *mptable = NULL;
	size_t len;
	int r = machine_mptable_render(b->machine, LAYOUT_MPTABLE_GPA, &mptable, &len, diag);

	return r < 0 ? r : put(b, LAYOUT_MPTABLE_GPA, mptable, len, "the MP table", diag);
}
#else
static int load_mptable(const struct arch_boot *b, const struct diag *diag)
{
	(void)b;
	(void)diag;
	return 0;
}
#endif

static int render_fdt(struct arch_boot *b, struct diag *diag)
{
	const struct machine_fdt_opts opts = {.initrd_gpa = b->initrd.gpa,
					      .initrd_len = b->initrd.len};
	int r = machine_fdt_render(b->machine, &opts, &b->fdt, &b->fdt_len, diag);

	if (r == 0 && b->fdt_len + sizeof(struct setup_data) > LAYOUT_FDT_MAX)
		return diag_set(diag, -EINVAL, "device-tree-size",
				"the device tree has %zu bytes, and %llu fit", b->fdt_len,
				(unsigned long long)LAYOUT_FDT_MAX);
	return r;
}

/* PVH and Multiboot: the initrd first, because Linux takes the first module for it. */
static int load_modules_info(struct arch_boot *b, struct diag *diag)
{
	const struct boot_module module[] = {
		{.gpa = b->initrd.gpa, .len = b->initrd.len},
		{.gpa = LAYOUT_FDT_GPA, .len = b->fdt_len, .cmdline = "device-tree"},
	};
	const struct boot_handoff handoff = {
		.cmdline_gpa = LAYOUT_CMDLINE_GPA,
		.rsdp_gpa = b->rsdp_gpa,
		.module = module,
		.nr_modules = arch_boot_has_device_tree(b) ? ARRAY_SIZE(module) : 1,
		.map = b->map,
		.nr_map = b->machine->nr_map,
	};
	uint8_t info[INFO_BYTES_MAX];
	size_t len = 0;
	int r = load_cmdline(b, diag);

	b->info_gpa = LAYOUT_PVH_START_INFO_GPA;
	if (r == 0 && arch_boot_has_device_tree(b))
		r = put(b, LAYOUT_FDT_GPA, b->fdt, b->fdt_len, "the device tree", diag);
	if (r < 0)
		return r;
	if (b->plan.protocol == BOOT_PVH)
		r = boot_pvh_render(&handoff, b->info_gpa, info, sizeof(info), &len, diag);
	else
		r = boot_multiboot_render(&handoff, b->info_gpa, info, sizeof(info), &len, diag);
	return r < 0 ? r : put(b, b->info_gpa, info, len, "the boot information", diag);
}

static int load_multiboot2_info(struct arch_boot *b, struct diag *diag)
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
		.nr_map = b->machine->nr_map,
	};
	AUTO_FREE uint8_t *info = malloc(LAYOUT_MULTIBOOT2_MAX);
	size_t len = 0;
	int r = info ? boot_multiboot2_render(&handoff, LAYOUT_MULTIBOOT2_GPA, info,
					      LAYOUT_MULTIBOOT2_MAX, &len, diag)
		     : diag_set(diag, -ENOMEM, "multiboot2-memory", "the boot information");

	b->info_gpa = LAYOUT_MULTIBOOT2_GPA;
	return r < 0 ? r : put(b, b->info_gpa, info, len, "the boot information", diag);
}

static int load_zero_page(struct arch_boot *b, struct diag *diag)
{
	const struct boot_module initrd = {.gpa = b->initrd.gpa, .len = b->initrd.len};
	const struct boot_handoff handoff = {
		.cmdline_gpa = LAYOUT_CMDLINE_GPA,
		.rsdp_gpa = b->rsdp_gpa,
		.setup_data_gpa = LAYOUT_FDT_GPA,
		.module = &initrd,
		.nr_modules = 1,
		.map = b->map,
		.nr_map = b->machine->nr_map,
	};
	AUTO_FREE uint8_t *data = malloc(LAYOUT_FDT_MAX);
	struct boot_params params;
	size_t len = 0;
	int r = data ? boot_setup_data_render(SETUP_DTB, 0, b->fdt, (uint32_t)b->fdt_len, data,
					      LAYOUT_FDT_MAX, &len, diag)
		     : diag_set(diag, -ENOMEM, "setup-data-memory", "setup_data");

	b->info_gpa = LAYOUT_ZERO_PAGE_GPA;
	if (r == 0)
		r = load_cmdline(b, diag);
	if (r == 0)
		r = put(b, LAYOUT_FDT_GPA, data, len, "the device tree", diag);
	if (r == 0)
		r = boot_zero_page_render(&b->plan, &handoff, &params, diag);
	return r < 0 ? r : put(b, b->info_gpa, &params, sizeof(params), "the zero page", diag);
}

int arch_boot_write_info(struct arch_boot *b, struct diag *diag)
{
	int r = load_acpi(b, diag);

	if (r == 0)
		r = load_mptable(b, diag);
	if (r == 0 && arch_boot_has_device_tree(b))
		r = render_fdt(b, diag);
	if (r < 0)
		return r;
	if (arch_boot_is_linux(b))
		return load_zero_page(b, diag);
	return b->plan.protocol == BOOT_MULTIBOOT2 ? load_multiboot2_info(b, diag)
						   : load_modules_info(b, diag);
}
