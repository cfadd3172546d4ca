/*
 * module_index.h - the indexes of a modules directory, through libkmod, which is loaded when it is needed:
 * it brings libraries (compression, cryptography) that no other run needs.
 */
#ifndef VMM_INITRAMFS_MODULE_INDEX_H
#define VMM_INITRAMFS_MODULE_INDEX_H

#include "base/diag.h"

#define MODULE_INDEX_SONAME "libkmod.so.2"

struct module_index;

/* A module, borrowed. */
struct module_index_entry {
	const char *name; /* as the kernel calls it */
	const char *path; /* of its file; NULL: built in */
};

/* -ENOTSUP with diag where libkmod is missing, at build or run time; -ENOMEM. */
int module_index_open(const char *dir, struct module_index **ret, struct diag *diag);
struct module_index *module_index_close(struct module_index *index); /* takes NULL; returns NULL */

/*
 * Calls each() for all modules that a name or alias stands for, each after those it needs; one may come
 * more than once. Returns what each() returned when that was not 0, else 0; -ENOENT: no such module.
 */
int module_index_resolve(struct module_index *index, const char *name,
			 int (*each)(void *arg, const struct module_index_entry *module),
			 void *arg);

#endif
