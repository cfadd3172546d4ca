/* kernel_version.h - a kernel image's version, by which its modules' directory is called. Pure. */
#ifndef VMM_BOOT_KERNEL_VERSION_H
#define VMM_BOOT_KERNEL_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KERNEL_VERSION_MAX = 65 }; /* with its NUL: __NEW_UTS_LEN + 1 */

/*
 * The version ("6.1.0-56-cloud-amd64") in a bzImage's setup header (Linux, Documentation/arch/x86/
 * boot.rst, kernel_version) or in the banner of an uncompressed kernel ("Linux version ..."). false:
 * the image has none, or it could be no directory's name.
 */
bool kernel_version_find(const uint8_t *image, size_t len, char ret[KERNEL_VERSION_MAX]);

#endif
