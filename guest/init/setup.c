#include "setup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ports.h"

#define NEW_ROOT  "/tollgate/root"
#define HOST_ROOT "/tollgate/host"
#define CHANGES   "/tollgate/changes"

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	unsigned n = 0;

	if (!dir)
		return false;
	while ((e = readdir(dir)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(dir);
	return n == 0;
}

static void mount_at(const char *type, const char *path, mode_t mode, const char *data)
{
	mkdir(path, mode);
	if (mount(type, path, type, MS_NOSUID, data) < 0 && errno != EBUSY)
		say("mount %s on %s: %s", type, path, strerror(errno));
}

/* Files that were put there with --copy or --overlay stay in sight. */
static void mount_if_empty(const char *path, mode_t mode, const char *data)
{
	mkdir(path, mode);
	if (is_empty(path))
		mount_at("tmpfs", path, mode, data);
}

void setup_system(const struct conf *conf)
{
	umask(0);
	mount_at("proc", "/proc", 0755, NULL);
	mount_at("sysfs", "/sys", 0755, NULL);
	mount_at("devtmpfs", "/dev", 0755, NULL);
	mount_at("devpts", "/dev/pts", 0755, "ptmxmode=0666,mode=0620,gid=5");
	mount_at("tmpfs", "/dev/shm", 01777, "mode=1777");
	mount_if_empty("/run", 0755, "mode=755");
	mount_if_empty("/tmp", 01777, "mode=1777");
	mkdir("/root", 0700);
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/fd/0", "/dev/stdin");
	symlink("/proc/self/fd/1", "/dev/stdout");
	symlink("/proc/self/fd/2", "/dev/stderr");
	umask(022);
	if (conf->hostname)
		sethostname(conf->hostname, strlen(conf->hostname));
}

static int load_module(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
		r = -errno;
	close(fd);
	return r;
}

void setup_modules(const struct conf *conf)
{
	for (size_t i = 0; i < conf->nr_modules; i++) {
		const char *path = conf->module[i].path;
		const int r = load_module(path);

		if (r < 0 && conf->module[i].needed)
			fail("load %s: %s", path, strerror(-r));
		if (r < 0)
			say("load %s: %s; going on without", path, strerror(-r));
	}
	if (conf->nr_modules)
		log_line("modules %zu%s%s", conf->nr_modules, conf->missing ? ", without " : "",
			 conf->missing ? conf->missing : "");
}

void setup_busybox(const struct conf *conf)
{
	static const char *const dir[] = {"/bin", "/sbin", "/usr", "/usr/bin", "/usr/sbin"};
	int status;
	pid_t pid;

	if (!conf->busybox)
		return;
	for (unsigned i = 0; i < sizeof(dir) / sizeof(dir[0]); i++)
		mkdir(dir[i], 0755);
	pid = fork();
	if (pid == 0) {
		execl(conf->busybox, "busybox", "--install", "-s", (char *)NULL);
		_exit(STATUS_NOT_FOUND);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		fail("install busybox: %s", strerror(errno));
}

bool setup_wait_for(const char *path)
{
	const struct timespec wait = {.tv_nsec = 10000000};
	struct stat st;

	for (unsigned i = 0; i < 300 && stat(path, &st) < 0; i++)
		nanosleep(&wait, NULL);
	return stat(path, &st) == 0;
}

static int mount_type(const char *device, const char *type)
{
	if (mount(device, NEW_ROOT, type, 0, NULL) == 0)
		return 0;
	if (errno != EROFS && errno != EACCES)
		return -errno;
	return mount(device, NEW_ROOT, type, MS_RDONLY, NULL) == 0 ? 0 : -errno;
}

/* The first of the kernel's file systems that knows what is on the device. */
static int mount_any(const char *device)
{
	FILE *f = fopen("/proc/filesystems", "re");
	char line[128], type[64];
	int r = -ENODEV;

	if (!f)
		return -errno;
	while (r != 0 && fgets(line, sizeof(line), f)) {
		/* "nodev\tproc": those have no device. */
		if (line[0] == '\t' && sscanf(line, "%63s", type) == 1)
			r = mount_type(device, type);
	}
	fclose(f);
	return r;
}

/* NEW_ROOT, where a file system is mounted, becomes the root directory. */
static void enter_root(void)
{
	static const char *const moved[] = {"/dev", "/proc", "/sys"};
	char to[64];

	for (unsigned i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
		snprintf(to, sizeof(to), NEW_ROOT "%s", moved[i]);
		mkdir(to, 0755);
		if (mount(moved[i], to, NULL, MS_MOVE, NULL) < 0)
			say("move %s to the root directory: %s", moved[i], strerror(errno));
	}
	if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		fail("enter the root directory: %s", strerror(errno));
}

void setup_root(const struct conf *conf)
{
	int r;

	mkdir(NEW_ROOT, 0755);
	if (!setup_wait_for(conf->root))
		fail("no disk %s: does the kernel have its driver (--modules)?", conf->root);
	r = mount_any(conf->root);
	if (r < 0)
		fail("mount %s as the root directory: %s", conf->root, strerror(-r));
	enter_root();
	if (conf->run) {
		mount_if_empty("/run", 0755, "mode=755");
		mount_if_empty("/tmp", 01777, "mode=1777");
	}
}

static void mount_share(const char *tag, const char *path, unsigned long flags)
{
	if (mount(tag, path, "virtiofs", flags, NULL) < 0)
		fail("mount share '%s' on %s: %s%s", tag, path, strerror(errno),
		     errno == ENODEV ? "; does the kernel have virtiofs (--modules)?" : "");
}

/* The host's sockets and locks under /run are of no use to programs in the guest. */
void setup_host_root(const struct conf *conf)
{
	static const char options[] =
		"lowerdir=" HOST_ROOT ",upperdir=" CHANGES "/files,workdir=" CHANGES "/work";

	mkdir(HOST_ROOT, 0755);
	mkdir(CHANGES, 0755);
	mkdir(NEW_ROOT, 0755);
	mount_share(conf->host_root, HOST_ROOT, MS_RDONLY);
	mount_at("tmpfs", CHANGES, 0755, "mode=755");
	mkdir(CHANGES "/files", 0755);
	mkdir(CHANGES "/work", 0755);
	if (mount("overlay", NEW_ROOT, "overlay", 0, options) < 0)
		fail("mount the host's root directory: %s%s", strerror(errno),
		     errno == ENODEV ? "; does the kernel have overlayfs (--modules)?" : "");
	enter_root();
	mount_at("tmpfs", "/run", 0755, "mode=755");
	unlink("/etc/resolv.conf"); /* the guest's network has a name server of its own */
	log_line("host-root");
}

void setup_shares(const struct conf *conf)
{
	char path[64];

	for (size_t i = 0; i < conf->nr_shares; i++) {
		const struct conf_share *share = &conf->share[i];
		const unsigned long flags = MS_NODEV | (share->read_only ? MS_RDONLY : 0);

		snprintf(path, sizeof(path), "/mnt/%s", share->tag);
		if (!share->path) {
			mkdir("/mnt", 0755);
			mkdir(path, 0755);
		}
		mount_share(share->tag, share->path ? share->path : path, flags);
	}
	if (conf->nr_shares)
		log_line("shares %zu", conf->nr_shares);
}
