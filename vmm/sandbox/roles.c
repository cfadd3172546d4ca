/*
 * roles.c - the system calls of each role, from the time at which it is confined.
 *
 * A row's comment names the code that makes the call, where the name of the table does not. The C library makes some
 * by itself: memory for malloc(), futexes for locks, what abort() and a thread's end need.
 */
#include <assert.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "arch/arch.h"
#include "base/macros.h"
#include "sandbox/internal.h"

#define CALL(name)                                                                                 \
	{                                                                                          \
		.nr = SYS_##name, .check = SANDBOX_ANY                                             \
	}
#define CALL_OWN(name, n)                                                                          \
	{                                                                                          \
		.nr = SYS_##name, .check = SANDBOX_OWN, .arg = (n)                                 \
	}
#define CALL_IN(name, n, bits, values)                                                             \
	{                                                                                          \
		.nr = SYS_##name, .check = SANDBOX_IN, .arg = (n), .mask = (bits),                 \
		.value = (values), .nr_values = ARRAY_SIZE(values)                                 \
	}
#define WHOLE UINT32_MAX

static const uint32_t zero[] = {0};

/* A crash gives the terminal back (backend/char/terminal.c). */
#define TCGETS_2 UINT32_C(0x802c542a)
#define TCSETS_2 UINT32_C(0x402c542b) /* since glibc 2.42; two headers define their struct */
static const uint32_t crash_ioctls[] = {TIOCGPGRP, TCGETS, TCSETS, TCGETS_2, TCSETS_2};
static const uint32_t common_fcntls[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL};
static const uint32_t common_prctls[] = {PR_GET_NAME, PR_SET_NAME, 0x53564d41 /* PR_SET_VMA */};

static const struct sandbox_call common_calls[] = {
	CALL_IN(ioctl, 1, WHOLE, crash_ioctls),
	CALL_IN(mmap, 2, PROT_EXEC, zero),
	CALL_IN(mprotect, 2, PROT_EXEC, zero),
	CALL_IN(fcntl, 1, WHOLE, common_fcntls),
	CALL_IN(prctl, 0, WHOLE, common_prctls),
	CALL_OWN(tgkill, 0), /* a vCPU that is interrupted; abort() */
	{.nr = UINT32_MAX,
	 .check = SANDBOX_ANY}, /* a tracer has replaced a call by none (strace's inject=) */
	CALL(read),
	CALL(write),
	CALL(readv),
	CALL(writev),
	CALL(close),
	CALL(futex),
	CALL(poll),
	CALL(ppoll),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(brk),
	CALL(rt_sigreturn),
	CALL(rt_sigprocmask),
	CALL(rt_sigaction),
	CALL(rt_sigpending),
	CALL(sigaltstack),
	CALL(exit),
	CALL(exit_group),
	CALL(clock_gettime),
	CALL(clock_getres),
	CALL(clock_nanosleep),
	CALL(nanosleep),
	CALL(gettimeofday),
	CALL(sched_yield),
	CALL(sched_getaffinity), /* malloc() counts CPUs */
	CALL(sysinfo),           /* qsort() asks for the size of memory */
	CALL(getcpu),
	CALL(gettid),
	CALL(getpid),
	CALL(getpgrp), /* as crash_ioctls */
	CALL(restart_syscall),
	CALL(getrandom),
	CALL(membarrier), /* iobus/table.c: the thread that changes a bus */
	CALL(rseq),
	CALL(set_robust_list),
	CALL(timerfd_settime), /* a device's timer */
	CALL(timerfd_gettime),
};

/* A table of descriptors of its own (base/thread.c). */
static const uint32_t unshare_files[] = {CLONE_FILES};
static const struct sandbox_call vcpu_calls[] = {
	CALL_IN(unshare, 0, WHOLE, unshare_files),
	CALL(close_range),
	CALL(clock_adjtime),
};

static const uint32_t loop_ioctls[] = {TIOCGWINSZ}; /* a virtio console's size */
static const struct sandbox_call loop_calls[] = {
	CALL_IN(ioctl, 1, WHOLE, loop_ioctls),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_ctl),
	CALL(lseek),
	CALL(fstat),
};

/* A thread starts others when there is work for them. They are confined further: seccomp, capset. */
static const uint32_t clone_thread[] = {
	CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
		CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
};
static const uint32_t set_filter[] = {SECCOMP_SET_MODE_FILTER};
static const struct sandbox_call start_calls[] = {
	CALL_IN(clone, 0, WHOLE, clone_thread),
	CALL_IN(seccomp, 0, WHOLE, set_filter),
	{.nr = SYS_clone3, .check = SANDBOX_ENOSYS}, /* its flags are in memory; clone() follows */
	CALL(capget),
	CALL(capset),
};

static const uint32_t disk_ioctls[] = {BLKDISCARD, BLKZEROOUT, BLKGETSIZE64};
static const struct sandbox_call disk_calls[] = {
	CALL_IN(ioctl, 1, WHOLE, disk_ioctls),
	CALL(preadv),
	CALL(pwritev),
	CALL(preadv2),
	CALL(pwritev2),
	CALL(pread64),
	CALL(pwrite64),
	CALL(fdatasync),
	CALL(fsync),
	CALL(fallocate),
	CALL(ftruncate),
	CALL(lseek),
	CALL(fstat),
	CALL(sync_file_range),
};

static const struct sandbox_call uring_calls[] = {
	CALL(io_uring_enter),
};

static const uint32_t fs_unshare[] = {CLONE_FS};
static const uint32_t fs_fcntls[] = {F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD};
static const struct sandbox_call fs_calls[] = {
	CALL(landlock_restrict_self), /* by a worker, whose maker is restricted already */
	CALL_IN(unshare, 0, WHOLE, fs_unshare),
	CALL_IN(fcntl, 1, WHOLE, fs_fcntls),
	CALL(openat),
	CALL(openat2),
	CALL(newfstatat),
	CALL(statx),
	CALL(fstat),
	CALL(fstatfs),
	CALL(statfs),
	CALL(getdents64),
	CALL(lseek),
	CALL(pread64),
	CALL(pwrite64),
	CALL(preadv),
	CALL(pwritev),
	CALL(preadv2),
	CALL(pwritev2),
	CALL(copy_file_range),
	CALL(fallocate),
	CALL(ftruncate),
	CALL(fsync),
	CALL(fdatasync),
	CALL(syncfs),
	CALL(readlinkat),
	CALL(readlink),
	CALL(symlinkat),
	CALL(linkat),
	CALL(unlinkat),
	CALL(mkdirat),
	CALL(mknodat),
	CALL(renameat),
	CALL(renameat2),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(fchmodat),
	CALL(fchmod),
	CALL(fchown),
	CALL(fchownat),
	CALL(utimensat),
	CALL(getxattr),
	CALL(setxattr),
	CALL(listxattr),
	CALL(removexattr),
	CALL(fgetxattr),
	CALL(fsetxattr),
	CALL(flistxattr),
	CALL(fremovexattr),
	CALL(umask),
	CALL(setfsuid),
	CALL(setfsgid),
	CALL(capget),
	CALL(capset),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
};

/* A tap interface: its queues, and notices of its state. */
static const uint32_t net_ioctls[] = {TUNSETOFFLOAD, TUNSETQUEUE, SIOCGIFFLAGS, SIOCGIFNAME};
static const struct sandbox_call net_calls[] = {
	CALL_IN(ioctl, 1, WHOLE, net_ioctls),
	CALL(recvfrom), /* the stream of passt */
	CALL(sendto),
	CALL(recvmsg),
	CALL(pwrite64), /* a capture */
	CALL(pwritev),
	CALL(fdatasync),
};

/* libslirp; the remote ends are the user's affair (--net user,restrict). */
static const uint32_t socket_ioctls[] = {FIONREAD, FIONBIO, SIOCGIFINDEX, 0x8905 /* SIOCATMARK */};
static const struct sandbox_call socket_calls[] = {
	CALL_IN(ioctl, 1, WHOLE, socket_ioctls),
	CALL(socket),
	CALL(connect),
	CALL(bind),
	CALL(listen),
	CALL(accept),
	CALL(accept4),
	CALL(shutdown),
	CALL(sendto),
	CALL(sendmsg),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(getsockname),
	CALL(getpeername),
	CALL(uname),
	CALL(openat), /* /etc/resolv.conf, when it has changed */
	CALL(newfstatat),
	CALL(fstat),
	CALL(lseek),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
};

/* Connections of the guest to the host's Unix sockets, and the other way round. */
static const uint32_t unix_family[] = {1 /* AF_UNIX */};
static const struct sandbox_call vsock_calls[] = {
	CALL_IN(socket, 0, WHOLE, unix_family),
	CALL(connect),
	CALL(accept4),
	CALL(shutdown),
	CALL(sendto),
	CALL(sendmsg),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(getsockopt),
	CALL(newfstatat), /* the end: the socket's own name goes (base/unix_socket.c) */
	CALL(unlink),
	CALL(unlinkat),
};

/* kvm-unit-tests' test device takes KVM's mapping of a page away (guest_mem_remap_page()). */
static const uint32_t remap[] = {PROT_READ | PROT_WRITE | PROT_EXEC};
static const struct sandbox_call remap_calls[] = {
	CALL_IN(mprotect, 2, WHOLE, remap),
};

static const struct sandbox_call writer_calls[] = {
	CALL(openat), /* its file, or the file of a log; and the directory's state */
	CALL(newfstatat), CALL(fstat),     CALL(lseek),    CALL(ftruncate),
	CALL(fsync),      CALL(fdatasync), CALL(pwrite64), CALL(pwritev),
};

/* Reports, statistics and core files are of this thread, as are consoles, the control socket, gdb and the teardown. */
static const uint32_t event_ioctls[] = {
	TIOCGWINSZ, FIONREAD, TIOCGDEV, TIOCGPTPEER, TCSETSW, TCSETSF, TIOCSPGRP, TUNSETQUEUE,
};
static const uint32_t event_fcntls[] = {F_GETFD,         F_SETFD, F_GETFL,    F_SETFL,
					F_DUPFD_CLOEXEC, F_SETLK, F_OFD_SETLK};
static const uint32_t sigkill[] = {9};
static const struct sandbox_call event_calls[] = {
	CALL_IN(ioctl, 1, WHOLE, event_ioctls),
	CALL_IN(fcntl, 1, WHOLE, event_fcntls),
	CALL_IN(kill, 1, WHOLE, sigkill), /* the process that reads DWARF (symbols/lines.c) */
	CALL(openat),
	CALL(newfstatat),
	CALL(statx),
	CALL(fstatfs),
	CALL(getdents64), /* kvm's module, for a report */
	CALL(readlink),
	CALL(readlinkat),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(unlink), /* sockets and links that it made */
	CALL(unlinkat),
	CALL(rename),
	CALL(renameat),
	CALL(renameat2),
	CALL(linkat),
	CALL(pread64),
	CALL(pwrite64),
	CALL(preadv),
	CALL(pwritev),
	CALL(ftruncate),
	CALL(fallocate),
	CALL(fsync),
	CALL(fdatasync),
	CALL(fchmod),
	CALL(fchown),
	CALL(umask),
	CALL(mincore),
	CALL(msync),
	CALL(munlock),
	CALL(accept4),
	CALL(shutdown),
	CALL(sendto),
	CALL(sendmsg),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(getsockname),
	CALL(getpeername),
	CALL(dup),
	CALL(wait4),
	CALL(getrusage),
	CALL(times),
	CALL(prlimit64),
	CALL(setitimer),
	CALL(getppid),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(uname),
	CALL(eventfd2),
	CALL(io_uring_enter), /* the end of a disk's ring */
};

#ifdef SYS_open
/* Numbers that newer architectures lack, and some C libraries still use. */
static const struct sandbox_call old_file_calls[] = {
	CALL(open), CALL(stat), CALL(lstat), CALL(access), CALL(readlink), CALL(unlink),
};
#endif

static void role_add(struct sandbox_role *role, const struct sandbox_call *call, size_t nr)
{
	assert(role->nr < SANDBOX_TABLES_MAX);
	role->table[role->nr++] = (struct sandbox_table){call, nr};
}
#define ADD(role, calls) role_add(role, calls, ARRAY_SIZE(calls))

/* KVM's requests: first, as a vCPU's thread makes no other call as often. */
static void role_add_kvm(struct sandbox_role *role, const struct arch_ioctls *ioctls)
{
	role->kvm = (struct sandbox_call){
		.nr = SYS_ioctl,
		.check = SANDBOX_IN,
		.arg = 1,
		.mask = WHOLE,
		.value = ioctls->request,
		.nr_values = ioctls->nr,
	};
	role_add(role, &role->kvm, 1);
	ADD(role, common_calls);
}

static void role_add_io(struct sandbox_role *role)
{
	role_add_kvm(role, &arch_io_ioctls);
	ADD(role, loop_calls);
}

static void role_add_files(struct sandbox_role *role)
{
#ifdef SYS_open
	ADD(role, old_file_calls);
#else
	(void)role;
#endif
}

/* A disk's loop makes a worker's calls when no worker can be started; a worker has the loop's filter as well. */
static void role_add_disk_loop(struct sandbox_role *role)
{
	role_add_io(role);
	ADD(role, disk_calls);
	ADD(role, uring_calls);
	ADD(role, start_calls);
}

static void role_add_net(struct sandbox_role *role, const struct sandbox_opts *opts)
{
	role_add_io(role);
	ADD(role, net_calls);
	if (!opts->sockets)
		return;
	ADD(role, socket_calls);
	role_add_files(role);
}

static void role_add_event(struct sandbox_role *role, const struct sandbox_opts *opts)
{
	role_add_kvm(role, &arch_event_ioctls);
	ADD(role, loop_calls);
	ADD(role, event_calls);
	role_add_files(role);
	if (opts->sockets) /* `control PATH hostfwd add` */
		ADD(role, socket_calls);
}

void sandbox_role_init(struct sandbox_role *ret, enum thread_role role,
		       const struct sandbox_opts *opts)
{
	ret->nr = 0;
	switch (role) {
	case THREAD_VCPU:
		role_add_kvm(ret, &arch_vcpu_ioctls);
		ADD(ret, vcpu_calls);
		if (opts->remaps_pages)
			ADD(ret, remap_calls);
		return;
	case THREAD_IO_DISK: role_add_disk_loop(ret); return;
	case THREAD_IO_FS:
		role_add_io(ret);
		ADD(ret, fs_calls);
		ADD(ret, start_calls);
		role_add_files(ret);
		return;
	case THREAD_IO_NET: role_add_net(ret, opts); return;
	case THREAD_IO_VSOCK:
		role_add_io(ret);
		ADD(ret, vsock_calls);
		role_add_files(ret);
		return;
	case THREAD_DISK_WORKER:
		ADD(ret, common_calls);
		ADD(ret, disk_calls);
		return;
	case THREAD_FS_WORKER:
		ADD(ret, common_calls);
		ADD(ret, fs_calls);
		role_add_files(ret);
		return;
	case THREAD_FILE_WRITER:
		ADD(ret, common_calls);
		ADD(ret, writer_calls);
		role_add_files(ret);
		return;
	case THREAD_EVENT: role_add_event(ret, opts); return;
	case THREAD_IO:
	case THREAD_MEASURE:
	case THREAD_ROLES: role_add_io(ret); return;
	}
}
