#include "initramfs/busybox.h"

#include <elf.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/checked.h"
#include "base/macros.h"

const char *busybox_find(void)
{
	/* Debian and Ubuntu, Fedora, Arch; Alpine's and openSUSE's static ones next to dynamic ones. */
	static const char *const path[] = {
		"/bin/busybox.static", "/usr/bin/busybox-static", "/bin/busybox",
		"/usr/bin/busybox",    "/sbin/busybox",           "/usr/local/bin/busybox",
	};

	for (size_t i = 0; i < ARRAY_SIZE(path); i++)
		if (access(path[i], X_OK) == 0)
			return path[i];
	return NULL;
}

bool busybox_is_static(const void *elf, size_t len)
{
	Elf64_Ehdr ehdr;
	uint64_t table_bytes;

	if (len < sizeof(ehdr))
		return false;
	memcpy(&ehdr, elf, sizeof(ehdr));
	if (memcmp(ehdr.e_ident, ELFMAG, SELFMAG) != 0 || ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    ehdr.e_machine != arch_elf_machine || ehdr.e_phentsize != sizeof(Elf64_Phdr))
		return false;
	table_bytes = (uint64_t)ehdr.e_phnum * sizeof(Elf64_Phdr);
	if (!u64_range_within(ehdr.e_phoff, table_bytes, len))
		return false;
	for (unsigned i = 0; i < ehdr.e_phnum; i++) {
		Elf64_Phdr phdr;

		memcpy(&phdr, (const char *)elf + ehdr.e_phoff + i * sizeof(phdr), sizeof(phdr));
		if (phdr.p_type == PT_INTERP)
			return false;
	}
	return ehdr.e_phnum > 0;
}
