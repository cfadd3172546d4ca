/*
 * layout.h - the guest physical address map of an x86-64 machine, written down once.
 *
 *   0x0000_0000  real-mode IVT and BDA; zeros, but for code that starts in real mode (no_bios.c)
 *   0x0000_1000  GDT for the entry state
 *   0x0000_6000  hvm_start_info, module list, memory map (PVH); Multiboot information
 *   0x0000_7000  zero page (Linux boot protocol)
 *   0x0000_9000  page tables for 64-bit entry
 *   0x0002_0000  kernel command line, 64 KiB at most; in Multiboot 2's information for such a kernel
 *   0x0003_0000  device tree (PVH, Linux)
 *   0x0009_fc00  EBDA, empty; the memory map has RAM up to here, and reserved to 1 MiB
 *   0x000a_0000  legacy hole (VGA, option ROMs): backed by RAM, but not for the kernel
 *   0x000e_0000  ACPI tables, RSDP first
 *   0x000f_0000  MP table; in the BIOS area, since that of 255 CPUs outgrows the EBDA's 1 KiB
 *   0x0010_0000  kernel and initrd
 *   0xc000_0000  the hole: RAM ends here and goes on at 4 GiB
 *   0xd000_0000  MMIO device ranges
 *   0xfec0_0000  IOAPIC
 *   0xfee0_0000  local APICs
 *   0xff00_0000  memory of QEMU's test device, with --test-device=pc
 *   0xfffb_c000  KVM's identity map page and three TSS pages (Intel hosts)
 *   0x1_0000_0000  RAM above the hole
 */
#ifndef VMM_ARCH_X86_64_LAYOUT_H
#define VMM_ARCH_X86_64_LAYOUT_H

#include <stdint.h>

#define LAYOUT_GDT_GPA            UINT64_C(0x1000)
#define LAYOUT_PVH_START_INFO_GPA UINT64_C(0x6000)
#define LAYOUT_ZERO_PAGE_GPA      UINT64_C(0x7000)
#define LAYOUT_PAGE_TABLES_GPA    UINT64_C(0x9000)
#define LAYOUT_PAGE_TABLES_LEN    UINT64_C(0x6000) /* PML4, PDPT, four page directories */
#define LAYOUT_CMDLINE_GPA        UINT64_C(0x20000)
#define LAYOUT_CMDLINE_MAX        UINT64_C(0x10000)  /* with the closing NUL */
#define LAYOUT_MULTIBOOT2_GPA     LAYOUT_CMDLINE_GPA /* which is in it */
#define LAYOUT_MULTIBOOT2_MAX     (LAYOUT_CMDLINE_MAX + UINT64_C(0x1000))
#define LAYOUT_FDT_GPA            UINT64_C(0x30000)
#define LAYOUT_FDT_MAX            (LAYOUT_EBDA_GPA - LAYOUT_FDT_GPA)
#define LAYOUT_EBDA_GPA           UINT64_C(0x9fc00)
#define LAYOUT_ACPI_GPA           UINT64_C(0xe0000)
#define LAYOUT_ACPI_END           UINT64_C(0xf0000)
#define LAYOUT_MPTABLE_GPA        UINT64_C(0xf0000)
#define LAYOUT_MPTABLE_END        UINT64_C(0x100000)
#define LAYOUT_HIGH_RAM_GPA       UINT64_C(0x100000)
#define LAYOUT_HOLE_FIRST         UINT64_C(0xc0000000)
#define LAYOUT_HOLE_END           UINT64_C(0x100000000)
#define LAYOUT_MMIO_GPA           UINT64_C(0xd0000000)
#define LAYOUT_MMIO_END           UINT64_C(0xe0000000)
#define LAYOUT_IOAPIC_GPA         UINT64_C(0xfec00000)
#define LAYOUT_LAPIC_GPA          UINT64_C(0xfee00000)
#define LAYOUT_PC_TESTDEV_GPA     UINT64_C(0xff000000)
#define LAYOUT_IDENTITY_MAP_GPA   UINT64_C(0xfffbc000)
#define LAYOUT_TSS_GPA            UINT64_C(0xfffbd000)
#define LAYOUT_GPA_END            (UINT64_C(1) << 52) /* MAXPHYADDR is at most 52 bits */

#endif
