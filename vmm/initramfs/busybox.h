/* busybox.h - the host's statically linked busybox. */
#ifndef VMM_INITRAMFS_BUSYBOX_H
#define VMM_INITRAMFS_BUSYBOX_H

#include <stdbool.h>
#include <stddef.h>

/* Where distributions put it, or NULL. A static string; whether it is a static program is not looked at. */
const char *busybox_find(void);

/* Whether a 64-bit ELF file needs no dynamic loader, which a guest would not have. Pure. */
bool busybox_is_static(const void *elf, size_t len);

#endif
