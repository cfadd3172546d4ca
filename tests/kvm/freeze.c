/*
 * freeze DIR FLAG COMMAND...: runs COMMAND, in this process. While there is a file FLAG, no write to a file below
 * DIR returns, as on a frozen file system; the first one makes the file FLAG.held. All are absolute paths without
 * symbolic links.
 *
 * The kernel asks another process about each write (seccomp_unotify(2)), which lets it wait. No privilege is needed.
 * Unlike on a frozen file system, the wait ends with the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HELD_MAX = 1024, LOOK_MS = 10 };

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(125);
}

/* Only writes; the architecture needs no look, as nothing here calls as another one. */
static int filter_writes(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_writev, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	const struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail("PR_SET_NO_NEW_PRIVS");
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &prog);
}

union control {
	struct cmsghdr head;
	char buf[CMSG_SPACE(sizeof(int))];
};

/* Not by write(), which is filtered already. */
static void send_fd(int sock, int fd)
{
	union control control = {0};
	char byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};

	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	if (sendmsg(sock, &msg, 0) != 1)
		fail("sendmsg");
}

static int receive_fd(int sock)
{
	union control control = {0};
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1 || msg.msg_controllen == 0)
		exit(0); /* the other has said why */
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}

static int is_below(const struct seccomp_notif *req, const char *dir)
{
	char link[64], path[PATH_MAX];
	const size_t len = strlen(dir);
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%u/fd/%llu", req->pid, req->data.args[0]);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

/* The call is made as if there were no filter. An interrupted one is not an error. */
static void let_go(int listener, uint64_t id)
{
	struct seccomp_notif_resp resp = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static void note_held(const char *flag)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s.held", flag);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

static _Noreturn void watch(int listener, const char *dir, const char *flag)
{
	static uint64_t held[HELD_MAX];
	struct pollfd pfd = {.fd = listener, .events = POLLIN};
	unsigned nr = 0;

	for (;;) {
		struct seccomp_notif req = {0};

		poll(&pfd, 1, LOOK_MS);
		if (pfd.revents & POLLHUP)
			exit(0);
		if (access(flag, F_OK) < 0)
			while (nr > 0)
				let_go(listener, held[--nr]);
		if (!(pfd.revents & POLLIN) || ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req) < 0)
			continue;
		if (nr < HELD_MAX && access(flag, F_OK) == 0 && is_below(&req, dir)) {
			held[nr++] = req.id;
			note_held(flag);
		} else {
			let_go(listener, req.id);
		}
	}
}

/* A child of nobody here: COMMAND is not to be asked to wait for it. */
static void start_watcher(int sock, const char *dir, const char *flag)
{
	const pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid > 0) {
		waitpid(pid, NULL, 0);
		return;
	}
	setsid();
	if (fork() != 0)
		_exit(0);
	for (int fd = 0; fd < 3; fd++) /* a reader of COMMAND's output waits for its end */
		dup2(open("/dev/null", O_RDWR | O_CLOEXEC), fd);
	watch(receive_fd(sock), dir, flag);
}

int main(int argc, char **argv)
{
	int sock[2], listener;

	if (argc < 4) {
		fputs("usage: freeze DIR FLAG COMMAND...\n", stderr);
		return 125;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) < 0)
		fail("socketpair");
	start_watcher(sock[1], argv[1], argv[2]);
	close(sock[1]);
	listener = filter_writes();
	if (listener < 0)
		fail("seccomp");
	send_fd(sock[0], listener);
	close(listener);
	close(sock[0]);
	execv(argv[3], argv + 3);
	return 125; /* a word of it would be a write */
}
