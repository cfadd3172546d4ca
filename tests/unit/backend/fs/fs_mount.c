/*
 * fs_mount DIR MOUNTPOINT COMMAND... - runs a command while the kernel of this host is the client of backend/fs: DIR is
 * mounted at MOUNTPOINT, for this process and the command alone. The exit status is the command's; 77, with a reason,
 * where the host refuses the mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/fs.h"

enum {
	THREADS = 3,
	BUF_BYTES = 2 << 20,
	FILES_MAX = 64, /* few, so that descriptors are closed and opened again */
	CANNOT = 77,
};

static struct fs *fs;
static int fuse_fd;

/* Until the file system is unmounted (ENODEV). */
static void *serve(void *arg)
{
	struct fs_worker *worker = fs_worker_create();
	uint8_t *request = malloc(BUF_BYTES), *reply = malloc(BUF_BYTES);
	ssize_t n;

	(void)arg;
	if (!worker || !request || !reply)
		abort();
	while ((n = read(fuse_fd, request, BUF_BYTES)) > 0 || errno != ENODEV) {
		const struct iovec out = {request, n > 0 ? (size_t)n : 0};
		const struct iovec in = {reply, BUF_BYTES};
		struct fs_result result;

		if (n <= 0)
			continue; /* ENOENT: the request was interrupted */
		if (!fs_serve(fs, worker, &out, 1, &in, 1, false, &result))
			fs_serve(fs, worker, &out, 1, &in, 1, true, &result);
		/* ENOENT: nobody waits for it any more. */
		if (result.reply_bytes && write(fuse_fd, reply, result.reply_bytes) < 0 &&
		    errno != ENOENT)
			perror("fs_mount: reply");
	}
	free(request);
	free(reply);
	fs_worker_destroy(worker);
	return NULL;
}

static int cannot(const char *why)
{
	printf("SKIP: %s: %s\n", why, strerror(errno));
	return CANNOT;
}

static int run(char **command)
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	const struct fs_opts opts = {.path = argv[1], .files_max = FILES_MAX};
	pthread_t thread[THREADS];
	char data[128];
	int status;

	if (argc < 4)
		return 2;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return cannot("a mount namespace");
	fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse_fd < 0)
		return cannot("/dev/fuse");
	if (fs_create(&opts, &fs, NULL) < 0)
		return 1;
	/* As Linux's virtio-fs driver mounts it. */
	snprintf(data, sizeof(data),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other",
		 fuse_fd);
	if (mount("share", argv[2], "fuse", MS_NODEV, data) < 0)
		return cannot("mount");
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, serve, NULL) != 0)
			abort();
	status = run(argv + 3);
	umount2(argv[2], MNT_DETACH);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	fs_destroy(fs);
	close(fuse_fd);
	return status;
}
