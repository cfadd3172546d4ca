/*
 * zero_page.c - Linux's struct boot_params ("zero page") for the 64-bit entry (boot.rst, "64-bit
 * Boot Protocol" and "The Real-Mode Kernel Header"; zero-page.rst).
 */
#include "boot/zero_page.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

enum {
	LOADER_UNDEFINED = 0xff, /* type_of_loader of one without an assigned number */
	BOOT_FLAG = 0xaa55,
	HEADER_MAGIC = 0x53726448, /* "HdrS" */
	HEADER_VERSION = 0x20f,
};

static_assert(sizeof(struct boot_params) == 4096, "zero-page.rst");
static_assert(offsetof(struct boot_params, hdr) == 0x1f1, "boot.rst");
static_assert(offsetof(struct boot_params, edd_mbr_sig_buffer) -
			      offsetof(struct boot_params, hdr) ==
		      BOOT_SETUP_HEADER_MAX,
	      "the setup header ends where the next field begins");

/* A vmlinux has no setup header; the kernel looks at these before it believes the rest. */
static void invent_header(struct setup_header *hdr)
{
	hdr->boot_flag = BOOT_FLAG;
	hdr->header = HEADER_MAGIC;
	hdr->version = HEADER_VERSION;
	hdr->loadflags = LOADED_HIGH;
	hdr->xloadflags = XLF_KERNEL_64;
}

static void set_initrd(struct boot_params *zp, const struct boot_module *mod)
{
	zp->hdr.ramdisk_image = (uint32_t)mod->gpa;
	zp->ext_ramdisk_image = (uint32_t)(mod->gpa >> 32);
	zp->hdr.ramdisk_size = (uint32_t)mod->len;
	zp->ext_ramdisk_size = (uint32_t)(mod->len >> 32);
}

static void set_map(struct boot_params *zp, const struct boot_handoff *handoff)
{
	for (unsigned i = 0; i < handoff->nr_map; i++)
		zp->e820_table[i] = (struct boot_e820_entry){
			.addr = handoff->map[i].gpa,
			.size = handoff->map[i].len,
			.type = handoff->map[i].type,
		};
	zp->e820_entries = (uint8_t)handoff->nr_map;
}

int boot_zero_page_render(const struct boot_plan *plan, const struct boot_handoff *handoff,
			  struct boot_params *ret, struct diag *diag)
{
	if (handoff->nr_map > E820_MAX_ENTRIES_ZEROPAGE)
		return diag_set(diag, -EINVAL, "zero-page-map-size",
				"a memory map of %u entries: the zero page has room for %d",
				handoff->nr_map, E820_MAX_ENTRIES_ZEROPAGE);
	memset(ret, 0, sizeof(*ret));
	if (plan->setup_header_len)
		memcpy((uint8_t *)ret + offsetof(struct boot_params, hdr), plan->setup_header,
		       plan->setup_header_len);
	else
		invent_header(&ret->hdr);
	ret->hdr.type_of_loader = LOADER_UNDEFINED;
	ret->hdr.code32_start = (uint32_t)plan->segment[0].gpa;
	ret->hdr.cmd_line_ptr = (uint32_t)handoff->cmdline_gpa;
	ret->ext_cmd_line_ptr = (uint32_t)(handoff->cmdline_gpa >> 32);
	ret->hdr.setup_data = handoff->setup_data_gpa;
	ret->acpi_rsdp_addr = handoff->rsdp_gpa;
	if (handoff->nr_modules && handoff->module[0].len)
		set_initrd(ret, &handoff->module[0]);
	set_map(ret, handoff);
	return 0;
}

int boot_setup_data_render(uint32_t type, uint64_t next_gpa, const void *data, uint32_t len,
			   uint8_t *buf, size_t cap, size_t *ret_len, struct diag *diag)
{
	const struct setup_data head = {.next = next_gpa, .type = type, .len = len};

	if (cap < sizeof(head) || cap - sizeof(head) < len)
		return diag_set(diag, -ENOSPC, "setup-data-size", "setup_data of %u bytes in %zu",
				len, cap);
	memcpy(buf, &head, sizeof(head));
	if (len)
		memcpy(buf + sizeof(head), data, len);
	*ret_len = sizeof(head) + len;
	return 0;
}
