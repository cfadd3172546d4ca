/* internal.h - the tables of the sandbox, and the programs that are made of them. */
#ifndef VMM_SANDBOX_INTERNAL_H
#define VMM_SANDBOX_INTERNAL_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/thread.h"
#include "sandbox.h"

/* A system call that is allowed. */
struct sandbox_call {
	unsigned nr;
	enum sandbox_check {
		SANDBOX_ANY,    /* whatever its arguments are */
		SANDBOX_IN,     /* when arg & mask is one of value[] */
		SANDBOX_OWN,    /* when arg is this process */
		SANDBOX_ENOSYS, /* fails, as on a kernel that does not have it */
	} check;
	unsigned
		arg; /* SANDBOX_IN, SANDBOX_OWN: 0 to 5. Of its 64 bits the lower 32 are compared. */
	uint32_t mask;
	const uint32_t *value;
	size_t nr_values;
};

struct sandbox_table {
	const struct sandbox_call *call;
	size_t nr;
};

enum { SANDBOX_TABLES_MAX = 8, SANDBOX_PROGRAM_MAX = 2048 };

/* The calls of a role. One that several tables have is allowed when one of them allows it. Stays where it is. */
struct sandbox_role {
	struct sandbox_call kvm;
	struct sandbox_table table[SANDBOX_TABLES_MAX];
	size_t nr;
};
void sandbox_role_init(struct sandbox_role *ret, enum thread_role role,
		       const struct sandbox_opts *opts);

/* "openat"; "unknown" for a number that has no name. A static string. */
const char *sandbox_call_name(unsigned nr);

/* The role's program for seccomp(2): how many instructions. Asserts that cap is enough. Pure, but for getpid(). */
size_t sandbox_program(const struct sandbox_role *role, struct sock_filter *ret, size_t cap);

/* The process ends by these two. violation_watch(): SIGSYS is taken. -errno. */
int sandbox_violation_watch(void);
_Noreturn void sandbox_fail(const char *what);

/* For the calling thread: only what its role uses of root's privileges. -errno. */
int sandbox_drop_capabilities(enum thread_role role, const struct sandbox_opts *opts);

/*
 * Landlock's ruleset for the threads of shared directories, to be closed; -1 where this host's ABI is too old. -errno.
 * The second confines the calling thread to it, and those that it starts. -errno; 0 for -1.
 */
int sandbox_files_ruleset(const struct sandbox_opts *opts, int abi, int *ret);
int sandbox_files_restrict(int ruleset);

#endif
