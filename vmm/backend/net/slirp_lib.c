#include "backend/net/slirp_lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"

/* GLib's g_log_set_handler(), of which we have no header. */
typedef void glib_log_fn(const char *domain, int level, const char *message, void *arg);
typedef unsigned glib_log_set_handler_fn(const char *domain, int levels, glib_log_fn *fn,
					 void *arg);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void slirp_lib_lock(void)
{
	pthread_mutex_lock(&lock);
}

void slirp_lib_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

/* A guest can make libslirp complain as often as it likes: not on our standard error. */
static void drop_message(const char *domain, int level, const char *message, void *arg)
{
	(void)domain;
	(void)level;
	(void)message;
	(void)arg;
}

static void silence(void *lib)
{
	enum { ALL_LEVELS = ~3 }; /* but for the flags "recursion" and "fatal" */
	void *sym = dlsym(lib, "g_log_set_handler");
	glib_log_set_handler_fn *set_handler;

	memcpy(&set_handler, &sym, sizeof(set_handler));
	if (set_handler)
		set_handler("Slirp", ALL_LEVELS, drop_message, NULL);
}

int slirp_lib_load(struct slirp_lib *ret, struct diag *diag)
{
	struct slirp_lib slirp;
	const struct {
		const char *name;
		void *fn;          /* where the function's pointer goes */
		const char *older; /* its name in earlier versions, if it had another */
	} symbols[] = {
		{"slirp_new", &slirp.new, NULL},
		{"slirp_cleanup", &slirp.cleanup, NULL},
		{"slirp_pollfds_fill_socket", &slirp.pollfds_fill, "slirp_pollfds_fill"},
		{"slirp_pollfds_poll", &slirp.pollfds_poll, NULL},
		{"slirp_input", &slirp.input, NULL},
		{"slirp_add_hostfwd", &slirp.add_hostfwd, NULL},
		{"slirp_remove_hostfwd", &slirp.remove_hostfwd, NULL},
	};
	void *lib = dlopen(SLIRP_LIB_SONAME, RTLD_NOW | RTLD_LOCAL);

	if (!lib) {
		diag_set(diag, -ENOENT, "libslirp-load",
			 "load " SLIRP_LIB_SONAME " for a user network");
		diag_remedy(diag, "install libslirp (Debian, Ubuntu: libslirp0)");
		return -ENOENT;
	}
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		void *sym = dlsym(lib, symbols[i].name);

		if (!sym && symbols[i].older)
			sym = dlsym(lib, symbols[i].older);
		if (!sym) {
			dlclose(lib);
			return diag_set(diag, -ENOENT, "libslirp-function",
					SLIRP_LIB_SONAME " has no %s()", symbols[i].name);
		}
		/* ISO C has no cast from data to function pointers. */
		memcpy(symbols[i].fn, &sym, sizeof(sym));
	}
	silence(lib);
	*ret = slirp;
	return 0;
}
