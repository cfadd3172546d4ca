/* Puts a kernel and what it is told into guest memory, and the boot processor at its door. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/layout.h"
#include "base/cleanup.h"
#include "boot/pvh.h"
#include "machine_cmdline.h"
#include "machine_fdt.h"
#include "vm.h"

/* The plan's segments, each zero-filled behind its data (guest RAM is fresh, but may be reused). */
static int load_segments(struct vm *vm, const struct vm_opts *opts, const struct boot_plan *plan,
			 struct diag *diag)
{
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct boot_segment *seg = &plan->segment[i];
		uint8_t *to = guest_mem_ptr(&vm->mem, seg->gpa, seg->mem_len);

		if (!to || seg->gpa < LAYOUT_HIGH_RAM_GPA) {
			diag_set(diag, -EINVAL,
				 "kernel '%s' wants %#llx bytes at %#llx, which is %s",
				 opts->kernel.name, (unsigned long long)seg->mem_len,
				 (unsigned long long)seg->gpa,
				 to ? "below 1 MiB" : "not within guest memory");
			if (!to)
				diag_remedy(diag, "ask for more with --mem");
			return -EINVAL;
		}
		if (seg->data_len)
			memcpy(to, seg->data, seg->data_len);
	}
	return 0;
}

static int load_cmdline(struct vm *vm, struct diag *diag)
{
	AUTO_FREE char *cmdline = NULL;
	int r = machine_cmdline_render(&vm->machine, &cmdline, diag);

	if (r == 0) {
		r = guest_mem_write(&vm->mem, LAYOUT_CMDLINE_GPA, cmdline, strlen(cmdline) + 1);
		if (r < 0)
			diag_set(diag, r, "place the command line");
	}
	return r;
}

static int load_fdt(struct vm *vm, size_t *ret_len, struct diag *diag)
{
	AUTO_FREE void *blob = NULL;
	size_t len;
	int r = machine_fdt_render(&vm->machine, &(struct machine_fdt_opts){0}, &blob, &len, diag);

	if (r < 0)
		return r;
	if (len > LAYOUT_FDT_MAX)
		return diag_set(diag, -EINVAL, "the device tree has %zu bytes, and %llu fit", len,
				(unsigned long long)LAYOUT_FDT_MAX);
	r = guest_mem_write(&vm->mem, LAYOUT_FDT_GPA, blob, len);
	if (r < 0)
		return diag_set(diag, r, "place the device tree");
	*ret_len = len;
	return 0;
}

/*
 * The first module is the initrd, because Linux takes it for that; its length is 0 when there is
 * none. The device tree follows, for kernels that look for it.
 */
static int load_pvh_info(struct vm *vm, size_t fdt_len, struct diag *diag)
{
	const struct boot_module modules[] = {
		{.gpa = 0, .len = 0},
		{.gpa = LAYOUT_FDT_GPA, .len = fdt_len, .cmdline = "device-tree"},
	};
	struct boot_map_entry map[MACHINE_MAP_MAX];
	uint8_t buf[LAYOUT_ZERO_PAGE_GPA - LAYOUT_PVH_START_INFO_GPA];
	struct boot_handoff info = {
		.cmdline_gpa = LAYOUT_CMDLINE_GPA,
		.module = modules,
		.nr_modules = sizeof(modules) / sizeof(modules[0]),
		.map = map,
		.nr_map = vm->machine.nr_map,
	};
	size_t len;
	int r;

	for (unsigned i = 0; i < vm->machine.nr_map; i++)
		map[i] = (struct boot_map_entry){
			.gpa = vm->machine.map[i].gpa,
			.len = vm->machine.map[i].len,
			.type = (uint32_t)vm->machine.map[i].type,
		};
	r = boot_pvh_render(&info, LAYOUT_PVH_START_INFO_GPA, buf, sizeof(buf), &len, diag);
	if (r == 0) {
		r = guest_mem_write(&vm->mem, LAYOUT_PVH_START_INFO_GPA, buf, len);
		if (r < 0)
			diag_set(diag, r, "place hvm_start_info");
	}
	return r;
}

int vm_boot_load(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	struct boot_plan plan;
	struct arch_entry entry;
	size_t fdt_len = 0;
	int r = boot_plan_init(&plan, opts->kernel.name, opts->kernel.data, opts->kernel.len,
			       &opts->boot, diag);

	if (r < 0)
		return r;
	r = load_segments(vm, opts, &plan, diag);
	if (r == 0)
		r = load_cmdline(vm, diag);
	if (r == 0)
		r = load_fdt(vm, &fdt_len, diag);
	if (r == 0)
		r = load_pvh_info(vm, fdt_len, diag);
	entry = (struct arch_entry){
		.protocol = plan.protocol,
		.entry_gpa = plan.entry_gpa,
		.info_gpa = LAYOUT_PVH_START_INFO_GPA,
	};
	if (r == 0)
		r = arch_vcpu_enter(vm->vcpu[0].fd, &vm->mem, &entry, diag);
	boot_plan_fini(&plan);
	return r;
}
