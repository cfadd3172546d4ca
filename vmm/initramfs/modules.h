/*
 * modules.h - the modules that a guest's kernel needs for the machine's devices, out of its own modules
 * directory: resolved through libkmod (modules.dep and the other indexes that depmod writes),
 * decompressed on the host, in the order in which they must be loaded.
 */
#ifndef VMM_INITRAMFS_MODULES_H
#define VMM_INITRAMFS_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

struct module_file {
	char *name;    /* as the kernel calls it: "virtio_mmio" */
	uint8_t *data; /* an ELF file, malloc'ed */
	size_t len;
	bool needed; /* somebody asked for it by name, or for one that needs it */
};

struct modules {
	struct module_file *file; /* in the order to load them */
	size_t nr, cap;
	char missing[256]; /* those of the defaults that the kernel lacks, between blanks */
};

/*
 * Reads the modules of dir (such as /lib/modules/VERSION): those of virtio devices, as far as the kernel
 * has them, with sockets also that of the socket device, and the nr_names named ones; what is built in is left out. At most max_bytes of them.
 * -ENOENT with diag: no such directory, no indexes in it, or no such module; -ENOTSUP: no libkmod;
 * -EFBIG; -EBADMSG: a corrupt file. *ret is to be freed with modules_fini() in any case.
 */
int modules_read(struct modules *ret, const char *dir, bool sockets, const char *const *names,
		 unsigned nr_names, uint64_t max_bytes, struct diag *diag);

void modules_fini(struct modules *modules); /* takes a zeroed one too */

#endif
