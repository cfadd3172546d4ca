/*
 * entry.S - from the PVH entry state (32-bit protected mode, flat segments, no paging, EBX =
 * hvm_start_info; Xen docs/misc/pvh.pandoc) to 64-bit C.
 *
 * Paging is an identity map of the first 4 GiB. The fourth GiB, where devices are, is uncached
 * (PCD|PWT). With 1 GiB pages that is four entries; without, 2,048, which an emulated guest feels.
 */
#include "entry.h"

#define MSR_EFER        0xc0000080
#define EFER_LME        0x100
#define CR0_LONG_MODE  0x80010031 /* PG WP NE ET PE: no TS, no EM, caches on */
#define CR4_PAE         0x20
#define CPUID_1G_PAGES  26         /* CPUID.80000001H:EDX */

#define PTE_TABLE       0x003      /* present, writable */
#define PTE_PAGE        0x083      /* and a page of this level */
#define PTE_UNCACHED    0x018      /* PCD PWT */
#define GIB             0x40000000

/* The note a PVH loader looks for. Name and descriptor are padded to 4 bytes. */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 8, 18 /* name and descriptor size, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad pvh_entry

	.section .text32, "ax", @progbits
	.code32
	.globl pvh_entry
pvh_entry:
	cld
	movl $boot_stack_top, %esp
	movl %ebx, %ebp
	call page_tables_build
	call long_mode_prepare
	ljmp $CODE64_SELECTOR, $boot_entry64

/* Clobbers all but EBP and ESP. */
page_tables_build:
	movl $(pdpt + PTE_TABLE), pml4
	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb map_2m
	movl $0x80000001, %eax
	cpuid
	btl $CPUID_1G_PAGES, %edx
	jnc map_2m
	movl $PTE_PAGE, pdpt
	movl $(PTE_PAGE + GIB), pdpt + 8
	movl $(PTE_PAGE + 2 * GIB), pdpt + 16
	movl $(PTE_PAGE + PTE_UNCACHED + 3 * GIB), pdpt + 24
	ret
map_2m:
	movl $(pd + PTE_TABLE), pdpt
	movl $(pd + 0x1000 + PTE_TABLE), pdpt + 8
	movl $(pd + 0x2000 + PTE_TABLE), pdpt + 16
	movl $(pd + 0x3000 + PTE_TABLE), pdpt + 24
	movl $pd, %edi
	movl $PTE_PAGE, %eax
	movl $(3 * 512), %ecx
	call map_2m_fill
	orl $PTE_UNCACHED, %eax
	movl $512, %ecx
map_2m_fill:
	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop map_2m_fill
	ret

/* Turns on paging and long mode; the caller's far jump enters 64-bit code. Also for APs. */
	.globl long_mode_prepare
long_mode_prepare:
	lgdt gdt_pointer
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl $CR0_LONG_MODE, %eax
	movl %eax, %cr0
	ret

	.text
	.code64
boot_entry64:
	movl $boot_stack_top, %esp /* and zero bits 63:32 (SDM volume 1, 3.4.1.1) */
	call segments_load
	movl %ebp, %edi
	xorl %ebp, %ebp
	call guest_start /* does not return */
	ud2

	.globl segments_load
segments_load:
	movl $DATA_SELECTOR, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	ret

	.section .rodata
	.balign 8
	.globl gdt
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* CODE64_SELECTOR */
	.quad 0x00cf93000000ffff /* DATA_SELECTOR */
	.quad 0x00cf9b000000ffff /* CODE32_SELECTOR */
gdt_pointer:
	.word . - gdt - 1
	.quad gdt

	.bss
	.balign 4096
pml4:
	.skip 4096
pdpt:
	.skip 4096
pd:
	.skip 4 * 4096
boot_stack:
	.skip BOOT_STACK_BYTES
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
