/*
 * core.h - a guest's memory and registers as an ELF core file (System V ABI, "Program Header"; core(5)): a PT_LOAD per
 * range of RAM by guest physical address, and a PT_NOTE. As QEMU's dump-guest-memory writes it, so that the programs
 * that read those read these.
 *
 * The file is sparse: pages of zeros take no disk, and pages that the guest has never touched are not read.
 *
 * Threads: the caller's. Nothing else may run the guest.
 */
#ifndef VMM_CORE_H
#define VMM_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"

struct guest_mem;

/* Memory that a kernel has at a virtual address of its own. */
struct core_mapping {
	uint64_t virt, gpa, len; /* len 0: none */
};

struct core_opts {
	const char *path; /* must not exist */
	const struct guest_mem *mem;
	uint16_t elf_machine; /* EM_* of <elf.h> */
	const void *notes;    /* notes_len bytes, from core_note_put() */
	size_t notes_len;
	/*
	 * Where a Linux kernel is mapped, by its VMCOREINFO, which the guest may have written anything to. NULL: not
	 * known. Of the answer, what is in one range of RAM becomes a PT_LOAD.
	 */
	struct core_mapping (*find_kernel)(const char *vmcoreinfo, size_t len);
	/* Asked between pieces of memory: whether to give up. NULL: never. */
	bool (*is_cancelled)(void *arg);
	void *arg;
};

/*
 * Writes a note of len bytes (System V ABI, "Note Section"). An error is out's own, ferror(3).
 */
void core_note_put(FILE *out, const char *name, uint32_t type, const void *desc, size_t len);

/*
 * Writes the notes, the VMCOREINFO note that a Linux guest keeps in its memory, and the memory. The file has its name
 * when it is whole: until then it has another one next to it, and after an error there is none. 0, or -errno with diag;
 * -ECANCELED when is_cancelled() said so.
 */
int core_write(const struct core_opts *opts, struct diag *diag);

/* Whether core_write() could begin: nothing is there, and a file can be made. 0, or -errno with diag. */
int core_check(const char *path, struct diag *diag);

#endif
