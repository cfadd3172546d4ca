#include "initramfs/initramfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/frame.h"
#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/macros.h"
#include "initramfs/busybox.h"
#include "initramfs/cpio.h"
#include "initramfs/host_files.h"
#include "initramfs/modules.h"

/* Ours, where nobody's overlay is in the way. guest/init/conf.h describes the first. */
#define OUR_DIR     "/tollgate"
#define CONF_PATH   OUR_DIR "/init.conf"
#define BUSYBOX     OUR_DIR "/busybox"
#define MODULE_PATH OUR_DIR "/modules/%s.ko"

/* One initramfs_build(). */
struct build {
	const struct initramfs_opts *opts;
	struct cpio cpio;
	struct modules modules;
	uint64_t budget_bytes;
	FILE *conf; /* of /init: records that end with NUL */
};

/* A record's value ends at its NUL, as a C string does: what the user gave cannot hold one. */
static void build_put(struct build *b, const char *key, const char *value)
{
	fprintf(b->conf, "%s=%s%c", key, value, '\0');
}

static void put_port(struct build *b, const char *key, uint16_t port)
{
	if (port)
		fprintf(b->conf, "%s=%u%c", key, port, '\0');
}

/* The kernel opens /dev/console for /init before that can mount a /dev. */
static int add_base(struct build *b, struct diag *diag)
{
	static const struct {
		const char *path;
		mode_t perm;
	} dir[] = {
		{"/dev", 0755}, {"/etc", 0755}, {"/proc", 0555}, {"/root", 0700},
		{"/run", 0755}, {"/sys", 0555}, {"/tmp", 01777},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(dir); i++)
		r = cpio_add_dir(&b->cpio, dir[i].path, dir[i].perm, diag);
	if (r == 0)
		r = cpio_add_node(&b->cpio, "/dev/console", S_IFCHR | 0600, makedev(5, 1), diag);
	return r;
}

static int build_add_files(struct build *b, struct diag *diag)
{
	const struct initramfs_opts *o = b->opts;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < o->nr_overlays; i++)
		r = host_files_add(&b->cpio, "overlay", o->overlay[i], "/", &b->budget_bytes, diag);
	for (unsigned i = 0; r == 0 && i < o->nr_copies; i++)
		r = host_files_add(&b->cpio, "file", o->copy[i].file, o->copy[i].path,
				   &b->budget_bytes, diag);
	return r;
}

/* *ret_file is untouched when there is to be none. */
static int choose_busybox(const struct build *b, const char **ret_file, struct diag *diag)
{
	const bool wanted = b->opts->busybox == INITRAMFS_BUSYBOX_FILE;
	const char *file = b->opts->busybox_file;

	if (b->opts->busybox == INITRAMFS_BUSYBOX_NONE || b->opts->host_root.tag)
		return 0;
	if (!wanted && cpio_has(&b->cpio, "/bin/sh"))
		return 0;
	if (!file)
		file = busybox_find();
	if (!file && wanted) {
		diag_set(diag, -ENOENT, "busybox-missing", "busybox");
		diag_remedy(diag,
			    "install a static one (Debian: busybox-static), or name its file");
		return -ENOENT;
	}
	if (file)
		*ret_file = file;
	return 0;
}

static int add_busybox(struct build *b, struct diag *diag)
{
	const bool wanted = b->opts->busybox == INITRAMFS_BUSYBOX_FILE;
	const char *file = NULL;
	void *data = NULL;
	size_t len = 0;
	int r = choose_busybox(b, &file, diag);

	if (r < 0 || !file)
		return r;
	r = host_file_read("busybox", file, &b->budget_bytes, &data, &len, diag);
	if (r < 0)
		return r;
	if (!data || !busybox_is_static(data, len)) {
		free(data);
		if (!wanted)
			return 0;
		diag_set(diag, -EINVAL, "busybox-not-static",
			 "busybox '%s' is not a static program for %s", file, arch_platform.name);
		diag_remedy(diag,
			    "install a static one (Debian: busybox-static), or name its file");
		return -EINVAL;
	}
	build_put(b, "busybox", BUSYBOX);
	return cpio_add_file(&b->cpio, BUSYBOX, 0755, data, len, diag);
}

static int build_add_module(struct build *b, struct module_file *file, struct diag *diag)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, MODULE_PATH, file->name) < 0) {
		path = NULL;
		return diag_set(diag, -ENOMEM, "module-file-memory", "module '%s'", file->name);
	}
	build_put(b, file->needed ? "need" : "module", path);
	return cpio_add_file(&b->cpio, path, 0644, STEAL_PTR(file->data), file->len, diag);
}

static int add_modules(struct build *b, struct diag *diag)
{
	const struct initramfs_opts *o = b->opts;
	const char *name[INITRAMFS_NAMES_MAX + 2];
	unsigned nr = o->nr_modules;
	int r;

	if (!o->modules)
		return 0;
	memcpy(name, o->module, nr * sizeof(name[0]));
	if (o->nr_shares || o->host_root.tag)
		name[nr++] = "virtiofs";
	if (o->host_root.tag)
		name[nr++] = "overlay";
	r = modules_read(&b->modules, o->modules, o->sockets, name, nr, b->budget_bytes, diag);
	for (size_t i = 0; r == 0 && i < b->modules.nr; i++)
		r = build_add_module(b, &b->modules.file[i], diag);
	if (r == 0 && b->modules.missing[0])
		build_put(b, "missing", b->modules.missing);
	return r;
}

static void put_owner_id(struct build *b, const char *key, uint32_t number)
{
	fprintf(b->conf, "%s=%u%c", key, number, '\0');
}

static void put_host_root(struct build *b)
{
	const struct initramfs_host_root *root = &b->opts->host_root;

	build_put(b, "host-root", root->tag);
	build_put(b, "cwd", root->cwd);
	put_owner_id(b, "uid", root->uid);
	put_owner_id(b, "gid", root->gid);
	build_put(b, "groups", root->groups);
	build_put(b, "input", root->terminal ? "terminal" : "frames");
	if (root->terminal_stderr)
		build_put(b, "stderr", "terminal");
	for (unsigned i = 0; root->command[i]; i++)
		build_put(b, "arg", root->command[i]);
}

static void put_settings(struct build *b)
{
	const struct initramfs_opts *o = b->opts;

	put_port(b, "out", o->out_port);
	put_port(b, "err", o->err_port);
	put_port(b, "log", o->log_port);
	put_port(b, "exit", o->exit_port);
	if (o->sockets)
		fprintf(b->conf, "agent=%d%c", (int)AGENT_PORT, '\0');
	build_put(b, "hostname", o->host_root.tag ? o->host_root.hostname : "tollgate");
	build_put(b, "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	build_put(b, "env", "HOME=/root");
	build_put(b, "env", "TERM=linux");
	for (unsigned i = 0; i < o->nr_env; i++)
		build_put(b, "env", o->env[i]);
	for (unsigned i = 0; i < o->nr_shares; i++) {
		build_put(b, o->share[i].read_only ? "share-ro" : "share", o->share[i].tag);
		if (o->share[i].path)
			build_put(b, "share-at", o->share[i].path);
	}
	if (o->root)
		build_put(b, "root", o->root);
	if (o->run)
		build_put(b, "run", o->run);
	if (o->host_root.tag)
		put_host_root(b);
}

static int add_init(struct build *b, struct diag *diag)
{
	char *conf = NULL;
	size_t conf_len = 0;
	void *init = NULL;
	int r;

	b->conf = open_memstream(&conf, &conf_len);
	if (!b->conf)
		return diag_set(diag, -ENOMEM, "initramfs-memory", "an initramfs");
	put_settings(b);
	r = add_busybox(b, diag);
	if (r == 0)
		r = add_modules(b, diag);
	if (fclose(b->conf) != 0 && r == 0)
		r = diag_set(diag, -ENOMEM, "initramfs-memory", "an initramfs");
	if (r < 0) {
		free(conf);
		return r;
	}
	r = cpio_add_file(&b->cpio, CONF_PATH, 0644, conf, conf_len, diag);
	if (r == 0)
		init = malloc(b->opts->init_len);
	if (!init)
		return diag_set(diag, -ENOMEM, "initramfs-memory", "an initramfs");
	memcpy(init, b->opts->init, b->opts->init_len);
	return cpio_add_file(&b->cpio, "/init", 0755, init, b->opts->init_len, diag);
}

int initramfs_build(const struct initramfs_opts *opts, struct initramfs *ret, struct diag *diag)
{
	struct build b = {.opts = opts, .budget_bytes = opts->max_bytes};
	const bool ours = opts->run || opts->root || opts->host_root.tag;
	struct initramfs made = {0};
	int r = ours ? add_base(&b, diag) : 0;

	if (r == 0)
		r = build_add_files(&b, diag);
	if (r == 0 && ours)
		r = add_init(&b, diag);
	if (r == 0)
		r = cpio_render(&b.cpio, &made.data, &made.len, diag);
	if (r == 0)
		*ret = made;
	modules_fini(&b.modules);
	cpio_fini(&b.cpio);
	return r;
}

void initramfs_fini(struct initramfs *initramfs)
{
	free(initramfs->data);
	*initramfs = (struct initramfs){0};
}
