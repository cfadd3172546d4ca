#include "initramfs/module_index.h"

#include <errno.h>

#ifdef TOLLGATE_HAVE_KMOD

#include <dlfcn.h>
#include <libkmod.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"

/* Functions that we call, by name. */
struct kmod_calls {
	__typeof__(kmod_new) *new;
	__typeof__(kmod_unref) *unref;
	__typeof__(kmod_set_log_fn) *set_log_fn;
	__typeof__(kmod_list_next) *list_next;
	__typeof__(kmod_module_new_from_lookup) *new_from_lookup;
	__typeof__(kmod_module_unref_list) *unref_list;
	__typeof__(kmod_module_get_module) *get_module;
	__typeof__(kmod_module_unref) *module_unref;
	__typeof__(kmod_module_get_name) *get_name;
	__typeof__(kmod_module_get_path) *get_path;
	__typeof__(kmod_module_get_dependencies) *get_dependencies;
	__typeof__(kmod_module_get_softdeps) *get_softdeps;
};

struct module_index {
	struct kmod_calls call;
	struct kmod_ctx *ctx;
};

/* A resolution, while it goes on. */
struct walk {
	const struct kmod_calls *call;
	int (*each)(void *arg, const struct module_index_entry *module);
	void *arg;
};

static int load_calls(struct kmod_calls *call, struct diag *diag)
{
	static const struct {
		const char *name;
		size_t offset;
	} symbols[] = {
		{"kmod_new", offsetof(struct kmod_calls, new)},
		{"kmod_unref", offsetof(struct kmod_calls, unref)},
		{"kmod_set_log_fn", offsetof(struct kmod_calls, set_log_fn)},
		{"kmod_list_next", offsetof(struct kmod_calls, list_next)},
		{"kmod_module_new_from_lookup", offsetof(struct kmod_calls, new_from_lookup)},
		{"kmod_module_unref_list", offsetof(struct kmod_calls, unref_list)},
		{"kmod_module_get_module", offsetof(struct kmod_calls, get_module)},
		{"kmod_module_unref", offsetof(struct kmod_calls, module_unref)},
		{"kmod_module_get_name", offsetof(struct kmod_calls, get_name)},
		{"kmod_module_get_path", offsetof(struct kmod_calls, get_path)},
		{"kmod_module_get_dependencies", offsetof(struct kmod_calls, get_dependencies)},
		{"kmod_module_get_softdeps", offsetof(struct kmod_calls, get_softdeps)},
	};
	/* Stays loaded: once is enough for a process. */
	void *lib = dlopen(MODULE_INDEX_SONAME, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		void *sym = lib ? dlsym(lib, symbols[i].name) : NULL;

		if (!sym) {
			const char *why = dlerror();

			diag_set(diag, -ENOTSUP, "libkmod-load",
				 "load libkmod, which finds modules (%s)",
				 why ? why : "no reason given");
			diag_remedy(diag, "install it (Debian: libkmod2)");
			return -ENOTSUP;
		}
		/* ISO C has no cast from data to function pointers */
		memcpy((char *)call + symbols[i].offset, &sym, sizeof(sym));
	}
	return 0;
}

/* Its default is to print. */
static void log_nothing(void *data, int priority, const char *file, int line, const char *fn,
			const char *format, va_list args)
{
	(void)data;
	(void)priority;
	(void)file;
	(void)line;
	(void)fn;
	(void)format;
	(void)args;
}

int module_index_open(const char *dir, struct module_index **ret, struct diag *diag)
{
	AUTO_FREE struct module_index *index = calloc(1, sizeof(*index));
	AUTO_FREE char *softdep = NULL;
	/* Not the configuration of this host, which is about other modules; the tree's own. */
	const char *config[] = {NULL, NULL};
	int r = index ? load_calls(&index->call, diag) : -ENOMEM;

	if (r < 0)
		return r;
	if (asprintf(&softdep, "%s/modules.softdep", dir) < 0) {
		softdep = NULL;
		return -ENOMEM;
	}
	config[0] = softdep;
	index->ctx = index->call.new(dir, config);
	if (!index->ctx)
		return -ENOMEM;
	index->call.set_log_fn(index->ctx, log_nothing, NULL);
	*ret = STEAL_PTR(index);
	return 0;
}

struct module_index *module_index_close(struct module_index *index)
{
	if (index)
		index->call.unref(index->ctx);
	free(index);
	return NULL;
}

static int walk_report(const struct walk *walk, struct kmod_module *mod)
{
	const struct module_index_entry module = {
		.name = walk->call->get_name(mod),
		.path = walk->call->get_path(mod),
	};

	return walk->each(walk->arg, &module);
}

static int for_list(const struct walk *walk, const struct kmod_list *list,
		    int (*fn)(const struct walk *walk, struct kmod_module *mod))
{
	int r = 0;

	for (const struct kmod_list *at = list; r == 0 && at;
	     at = walk->call->list_next(list, at)) {
		struct kmod_module *mod = walk->call->get_module(at);

		r = fn(walk, mod);
		walk->call->module_unref(mod);
	}
	return r;
}

/* A line of modules.dep has all that a module needs, directly or not; libkmod gives it last first. */
static int with_dependencies(const struct walk *walk, struct kmod_module *mod)
{
	struct kmod_list *list = walk->call->get_dependencies(mod);
	int r = for_list(walk, list, walk_report);

	walk->call->unref_list(list);
	return r < 0 ? r : walk_report(walk, mod);
}

/* Modules to load before it, though it links to none of them: the hash that a file system uses. */
static int before_softly(const struct walk *walk, struct kmod_module *mod)
{
	struct kmod_list *pre = NULL, *post = NULL;
	int r = walk->call->get_softdeps(mod, &pre, &post);

	if (r == 0)
		r = for_list(walk, pre, with_dependencies);
	walk->call->unref_list(pre);
	walk->call->unref_list(post);
	return r;
}

static int resolve_one(const struct walk *walk, struct kmod_module *mod)
{
	struct kmod_list *list = walk->call->get_dependencies(mod);
	int r = for_list(walk, list, before_softly);

	walk->call->unref_list(list);
	if (r == 0)
		r = before_softly(walk, mod);
	return r < 0 ? r : with_dependencies(walk, mod);
}

int module_index_resolve(struct module_index *index, const char *name,
			 int (*each)(void *arg, const struct module_index_entry *module), void *arg)
{
	const struct walk walk = {&index->call, each, arg};
	struct kmod_list *list = NULL;
	int r = index->call.new_from_lookup(index->ctx, name, &list);

	if (r == 0 && !list)
		r = -ENOENT;
	if (r == 0)
		r = for_list(&walk, list, resolve_one);
	index->call.unref_list(list);
	return r;
}

#else

int module_index_open(const char *dir, struct module_index **ret, struct diag *diag)
{
	(void)dir;
	(void)ret;
	diag_set(diag, -EINVAL, "libkmod-not-built",
		 "this Tollgate was built without libkmod, which finds modules");
	diag_remedy(diag, "install its headers (Debian: libkmod-dev) and build again");
	return -ENOTSUP;
}

struct module_index *module_index_close(struct module_index *index)
{
	return index;
}

int module_index_resolve(struct module_index *index, const char *name,
			 int (*each)(void *arg, const struct module_index_entry *module), void *arg)
{
	(void)index;
	(void)name;
	(void)each;
	(void)arg;
	return -ENOTSUP;
}

#endif
