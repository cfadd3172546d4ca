/* identify.c - names what a file is that was given for a kernel and is none, and what to do. */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/macros.h"
#include "boot/loader.h"

enum {
	PE_SECTIONS_MAX = 96, /* PE format, COFF file header: the Windows loader's limit */
	SECTOR_BYTES = 512,
	PARTITIONS_AT = 446, /* four entries, up to the signature of a boot sector */
	PARTITION_BYTES = 16,
	PARTITION_TYPE_AT = 4,
	BOOT_SIGNATURE_AT = 510,
};

static const char not_x86[] = "name a kernel built for x86-64";
static const char as_initrd[] = "give it as the initrd, and name a kernel here";
static const char as_disk[] = "give it as a disk, and name a kernel here";
static const char take_out[] = "take the kernel out of it first";

/* Sources: the formats' own specifications; file(1) knows the same numbers. */
static const struct signature {
	uint32_t offset;
	const char *magic;
	uint8_t len;
	const char *what, *remedy;
} table[] = {
	{56, "ARMd", 4, "is an arm64 kernel Image", not_x86},
	{56, "RSC\x05", 4, "is a RISC-V kernel Image", not_x86},
	{48, "RISCV", 5, "is a RISC-V kernel Image", not_x86},
	{36, "\x18\x28\x6f\x01", 4, "is a 32-bit Arm zImage", not_x86},
	{4, "zimg", 4, "is an EFI zboot image, which no x86 kernel is packed as", not_x86},
	{0, "#!", 2, "is a script", "name a kernel; a script goes into the initrd"},
	{0, "07070", 5, "is a cpio archive (an initramfs)", as_initrd},
	{0, "\xc7\x71", 2, "is a binary cpio archive (an initramfs)", as_initrd},
	{0, "QFI\xfb", 4, "is a qcow2 disk image", as_disk},
	{0, "KDMV", 4, "is a VMDK disk image", as_disk},
	{0, "vhdxfile", 8, "is a VHDX disk image", as_disk},
	{0, "conectix", 8, "is a VHD disk image", as_disk},
	{64, "\x7f\x10\xda\xbe", 4, "is a VDI disk image", as_disk},
	{512, "EFI PART", 8, "is a disk image with a GPT", as_disk},
	{4096, "EFI PART", 8, "is a disk image with a GPT", as_disk},
	{0x8001, "CD001", 5, "is an ISO 9660 image", take_out},
	{0, "hsqs", 4, "is a squashfs image", as_disk},
	{1024, "\xe2\xe1\xf5\xe0", 4, "is an EROFS image", as_disk},
	{0x438, "\x53\xef", 2, "is an ext2/3/4 file system", as_disk},
	{0, "XFSB", 4, "is an XFS file system", as_disk},
	{0x10040, "_BHRfS_M", 8, "is a Btrfs file system", as_disk},
	{0, "\x27\x05\x19\x56", 4, "is a U-Boot uImage", take_out},
	{0, "\xd0\x0d\xfe\xed", 4, "is a device tree or FIT image", take_out},
	{0, "!<arch>\ndebian", 14, "is a Debian package", take_out},
	{0, "!<arch>\n", 8, "is an archive of object files", take_out},
	{0, "\xed\xab\xee\xdb", 4, "is an RPM package", take_out},
	{0, "\x89LZO\0\r\n\x1a\n", 9, "is lzop data", "decompress it first: lzop -d"},
	{0, "PK\x03\x04", 4, "is a zip archive", take_out},
	{257, "ustar", 5, "is a tar archive", take_out},
	{0, "ANDROID!", 8, "is an Android boot image", take_out},
};

static bool has_at(const struct boot_image *img, uint64_t offset, const void *bytes, size_t len)
{
	return u64_range_within(offset, len, img->len) &&
	       memcmp(img->bytes + offset, bytes, len) == 0;
}

/* Whether a PE file has a section of that name (PE format, "Section Table"). */
static bool pe_has_section(const struct boot_image *img, uint64_t pe, const char *name)
{
	const uint32_t nr = boot_image_le32(img, pe + 4) >> 16;
	const uint64_t first = pe + 24 + (boot_image_le32(img, pe + 20) & 0xffff);

	for (uint32_t i = 0; i < nr && i < PE_SECTIONS_MAX; i++)
		if (has_at(img, first + 40 * (uint64_t)i, name, strlen(name) + 1))
			return true;
	return false;
}

static int refuse_pe(const struct boot_image *img, struct diag *diag)
{
	const uint64_t pe = boot_image_le32(img, 0x3c);

	if (!has_at(img, pe, "PE\0", 4))
		return boot_refuse(img, diag, "kernel-dos-program", NULL,
				   "is a DOS program, not a kernel");
	if (pe_has_section(img, pe, ".linux"))
		return boot_refuse(img, diag, "kernel-unified-image",
				   "take the kernel out of it: objcopy -O binary "
				   "--only-section=.linux FILE vmlinuz",
				   "is a unified kernel image, which only EFI firmware starts");
	return boot_refuse(img, diag, "kernel-efi-program", "name a bzImage or an ELF kernel",
			   "is an EFI application, which only EFI firmware starts");
}

static bool is_text(const struct boot_image *img)
{
	const size_t len = img->len < 512 ? img->len : 512;

	for (size_t i = 0; i < len; i++) {
		const uint8_t c = img->bytes[i];

		if (c == 0x7f || (c < 0x20 && !(c >= '\t' && c <= '\r')))
			return false;
	}
	return true;
}

static bool is_zeros(const struct boot_image *img)
{
	for (size_t i = 0; i < img->len; i++)
		if (img->bytes[i])
			return false;
	return true;
}

/* Whether a partition table begins at 446: its entries have a status of 0 or 0x80, and one a type. */
static bool has_partitions(const struct boot_image *img)
{
	bool any = false;

	for (size_t at = PARTITIONS_AT; at < BOOT_SIGNATURE_AT; at += PARTITION_BYTES) {
		if (img->bytes[at] & 0x7f)
			return false;
		any |= img->bytes[at + PARTITION_TYPE_AT] != 0;
	}
	return any;
}

/* Code of one sector is for a BIOS to start; more may be a disk that begins with such code. */
static int refuse_boot_sector(const struct boot_image *img, struct diag *diag)
{
	static const char as_code[] =
		"--flat 0x7c00,real enters it as a BIOS does; the BIOS's services are not there";

	if (img->len == SECTOR_BYTES)
		return boot_refuse(img, diag, "kernel-boot-sector", as_code,
				   "is a boot sector, which a BIOS starts, not an x86 kernel");
	if (has_partitions(img))
		return boot_refuse(img, diag, "kernel-disk-image", as_disk,
				   "is a disk image with a partition table, not an x86 kernel");
	return boot_refuse(img, diag, "kernel-boot-sector-or-disk",
			   "for code, --flat 0x7c00,real enters it as a BIOS does; for a disk "
			   "image, give it as a disk, and name a kernel here",
			   "is a boot sector and more, or a disk image, not an x86 kernel");
}

int identify_refuse(const struct boot_image *img, struct diag *diag)
{
	static const char name_kernel[] =
		"name a bzImage, vmlinux, or another ELF or Multiboot kernel";

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct signature *sig = &table[i];

		if (has_at(img, sig->offset, sig->magic, sig->len))
			return boot_refuse(img, diag, "kernel-other-format", sig->remedy,
					   "%s, not an x86 kernel", sig->what);
	}
	if (has_at(img, BOOT_SIGNATURE_AT, "\x55\xaa", 2))
		return refuse_boot_sector(img, diag);
	if (has_at(img, 0, "MZ", 2))
		return refuse_pe(img, diag);
	if (is_text(img))
		return boot_refuse(img, diag, "kernel-text", name_kernel,
				   "is a text file, not a kernel");
	if (is_zeros(img))
		return boot_refuse(img, diag, "kernel-zeros", name_kernel,
				   "holds nothing but zeros");
	return boot_refuse(
		img, diag, "kernel-unknown-format",
		"name a bzImage, vmlinux, or another ELF or Multiboot kernel; raw code needs "
		"the flat boot mode",
		"is of no kind known here");
}
