/*
 * pc.h - ports, addresses and interrupts that a PC has by convention. Kernels that test one device
 * use these, so that they check the VMM's machine description instead of trusting it; the selftest
 * finds its devices in the device tree.
 */
#ifndef GUEST_PC_H
#define GUEST_PC_H

#define PC_COM1_PORT     0x3f8
#define PC_COM1_GSI      4
#define PC_RTC_PORT      0x70
#define PC_RTC_GSI       8
#define PC_PIC1_MASK     0x21
#define PC_PIC2_MASK     0xa1
#define PC_I8042_DATA    0x60
#define PC_I8042_COMMAND 0x64
#define PC_POST_PORT     0x80
#define PC_DEBUGCON_PORT 0xe9
#define PC_EXIT_PORT     0xf4
#define PC_PVPANIC_PORT  0x505
#define PC_RESET_PORT    0xcf9

#define PC_IOAPIC_GPA 0xfec00000

#define DEBUGCON_SIGNATURE 0xe9 /* what the debug console reads as (Bochs) */

#define I8042_CMD_PULSE_RESET 0xfe
#define RESET_CF9_HARD        0x02 /* first: a hard reset is wanted */
#define RESET_CF9_NOW         0x04 /* then: 0 to 1 on this bit resets */

/* pvpanic's events (QEMU docs/specs/pvpanic): a read says which the device knows. */
#define PVPANIC_PANICKED     0x01
#define PVPANIC_CRASH_LOADED 0x02
#define PVPANIC_SHUTDOWN     0x04

#endif
