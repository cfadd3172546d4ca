#include "boot.h"

#include "cmdline.h"
#include "cpu.h"
#include "power.h"
#include "serial.h"
#include "trap.h"

#define HVM_START_MAGIC UINT32_C(0x336ec578)

static const uint8_t fdt_magic[] = {0xd0, 0x0d, 0xfe, 0xed};

static struct boot_info boot = {.cmdline = ""};

static bool is_fdt(const struct hvm_modlist_entry *module)
{
	const uint8_t *bytes = phys_ptr(module->paddr);

	if (module->size < sizeof(fdt_magic))
		return false;
	for (size_t i = 0; i < sizeof(fdt_magic); i++) {
		if (bytes[i] != fdt_magic[i])
			return false;
	}
	return true;
}

void boot_init(const struct hvm_start_info *info)
{
	const struct hvm_modlist_entry *modules;

	if (info->magic != HVM_START_MAGIC)
		guest_panic("EBX is not a PVH start_info: %p has magic 0x%x", (const void *)info,
			    info->magic);
	if (info->version < 1)
		guest_panic("start_info version %u has no memory map", info->version);
	if (info->cmdline_paddr)
		boot.cmdline = phys_ptr(info->cmdline_paddr);
	boot.memmap = phys_ptr(info->memmap_paddr);
	boot.nr_memmap = info->memmap_entries;

	modules = phys_ptr(info->modlist_paddr);
	for (size_t i = 0; i < info->nr_modules && !boot.fdt; i++) {
		if (is_fdt(&modules[i])) {
			boot.fdt = phys_ptr(modules[i].paddr);
			boot.fdt_bytes = modules[i].size;
		}
	}
}

const struct boot_info *boot_info(void)
{
	return &boot;
}

void guest_start(const struct hvm_start_info *info)
{
	trap_init();
	boot_init(info);
	serial_locate(cmdline_u64("uart", 0, UINT32_MAX));
	serial_init();
	kernel_main();
	guest_exit(GUEST_EXIT_OK);
}
