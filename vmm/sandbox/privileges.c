/* privileges.c - what is left of root's privileges. A thread has capabilities of its own. */
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/internal.h"

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

/* A shared directory acts as the guest's users do, and checks for itself (backend/fs/caller.c). */
#define CAPS_OF_FILES                                                                              \
	(CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) |           \
	 CAP_BIT(CAP_FOWNER) | CAP_BIT(CAP_FSETID) | CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) |   \
	 CAP_BIT(CAP_MKNOD) | CAP_BIT(CAP_SETFCAP) | CAP_BIT(CAP_SYS_ADMIN) |                      \
	 CAP_BIT(CAP_SYS_RESOURCE))
/* The user's own files, whatever their owner is: cores, logs, statistics. */
#define CAPS_OF_OUTPUT (CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_FOWNER))
/* Ports below 1024 that are forwarded, and ping. */
#define CAPS_OF_SOCKETS (CAP_BIT(CAP_NET_BIND_SERVICE) | CAP_BIT(CAP_NET_RAW))

static uint64_t kept_caps(enum thread_role role, const struct sandbox_opts *opts)
{
	switch (role) {
	case THREAD_IO_FS:
	case THREAD_FS_WORKER: return CAPS_OF_FILES;
	case THREAD_FILE_WRITER: return CAPS_OF_OUTPUT;
	case THREAD_EVENT: return CAPS_OF_OUTPUT | (opts->sockets ? CAPS_OF_SOCKETS : 0);
	case THREAD_IO_NET: return opts->sockets ? CAPS_OF_SOCKETS : 0;
	default: return 0;
	}
}

int sandbox_drop_capabilities(enum thread_role role, const struct sandbox_opts *opts)
{
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	const uint64_t kept = kept_caps(role, opts);

	if (syscall(SYS_capget, &hdr, data) < 0)
		return -errno;
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= (uint32_t)(kept >> 32 * i);
		data[i].effective &= data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &hdr, data) < 0 ? -errno : 0;
}
