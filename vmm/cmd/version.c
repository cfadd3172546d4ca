/* `tollgate --version`: what this program is, and what it can do here. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/macros.h"
#include "cmd/cmds.h"
#include "commit.h"
#include "initramfs/module_index.h"
#include "sandbox.h"
#include "symbols/dwarf.h"

#ifdef TOLLGATE_HAVE_SLIRP
#include "backend/net/slirp_lib.h"
#else
#define SLIRP_LIB_SONAME NULL
#endif

#ifdef TOLLGATE_HAVE_KMOD
#define KMOD_SONAME MODULE_INDEX_SONAME
#else
#define KMOD_SONAME NULL
#endif

#ifdef TOLLGATE_HAVE_LIBURING
#define DISK_ENGINES "io_uring, threads"
#else
#define DISK_ENGINES "threads"
#endif

/* It is not kept: --version is all that this process does. */
static bool can_load(const char *soname)
{
	return dlopen(soname, RTLD_LAZY | RTLD_LOCAL) != NULL;
}

void cmd_version(void)
{
	const struct {
		const char *what, *soname; /* NULL: left out of this build */
	} libraries[] = {
		{"--net user", SLIRP_LIB_SONAME},
		{"--modules", KMOD_SONAME},
		{"disassembly", arch_disasm_soname()},
		{"source lines", dwarf_soname()},
	};

	printf("tollgate " TOLLGATE_VERSION);
	if (strcmp(TOLLGATE_COMMIT, "none") != 0)
		printf(" (commit " TOLLGATE_COMMIT ")");
	putchar('\n');
	printf("  packed kernels  %s\n", TOLLGATE_CODECS[0] ? TOLLGATE_CODECS : "none");
	printf("  disks           %s\n", DISK_ENGINES);
	printf("  sandbox         %s\n",
	       sandbox_is_built() ? "seccomp" : "none, in a build with a sanitizer or coverage");
	for (size_t i = 0; i < ARRAY_SIZE(libraries); i++) {
		const char *soname = libraries[i].soname;

		if (!soname)
			printf("  %-15s left out of this build\n", libraries[i].what);
		else
			printf("  %-15s %s, %s\n", libraries[i].what, soname,
			       can_load(soname) ? "found" : "not found on this host");
	}
}
