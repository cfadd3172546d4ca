/*
 * filter.c - a table of calls as a program for seccomp(2).
 *
 * A call that is allowed whatever its arguments costs a system call next to nothing: the kernel runs the program once
 * for each number, and remembers the answer (since Linux 5.11). Others run the program each time. They come first.
 */
#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <unistd.h>

#include "arch/arch.h"
#include "sandbox/internal.h"

struct program {
	struct sock_filter *insn;
	size_t nr, cap;
};

static void program_add(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	assert(p->nr < p->cap);
	p->insn[p->nr++] = (struct sock_filter){.code = code, .k = k, .jt = jt, .jf = jf};
}

static void program_load(struct program *p, size_t offset)
{
	program_add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void program_return(struct program *p, uint32_t action)
{
	program_add(p, BPF_RET | BPF_K, action, 0, 0);
}

/* Returns action when the accumulator is k. */
static void program_return_if(struct program *p, uint32_t k, uint32_t action)
{
	program_add(p, BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1);
	program_return(p, action);
}

/* Little-endian: the lower half of an argument comes first. The kernel ignores the upper one of all checked ones. */
static void program_load_arg(struct program *p, unsigned arg)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "offsets of halves");
	program_load(p, offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t));
}

static void program_check(struct program *p, const struct sandbox_call *call)
{
	program_load_arg(p, call->arg);
	if (call->check == SANDBOX_OWN) {
		program_return_if(p, (uint32_t)getpid(), SECCOMP_RET_ALLOW);
		return;
	}
	if (call->mask != UINT32_MAX)
		program_add(p, BPF_ALU | BPF_AND | BPF_K, call->mask, 0, 0);
	for (size_t i = 0; i < call->nr_values; i++)
		program_return_if(p, call->value[i], SECCOMP_RET_ALLOW);
}

/* Loads the number, and skips the rest of the block, whose length program_end_block() fills in, for another call. */
static size_t program_begin_block(struct program *p, unsigned nr)
{
	program_add(p, BPF_JMP | BPF_JEQ | BPF_K, nr, 1, 0);
	program_add(p, BPF_JMP | BPF_JA, 0, 0, 0);
	return p->nr - 1;
}

static void program_end_block(struct program *p, size_t jump)
{
	program_load(p, offsetof(struct seccomp_data, nr));
	p->insn[jump].k = (uint32_t)(p->nr - jump - 1);
}

static bool is_checked(const struct sandbox_call *call)
{
	return call->check == SANDBOX_IN || call->check == SANDBOX_OWN;
}

static bool is_allowed_whole(const struct sandbox_role *role, unsigned nr)
{
	for (size_t t = 0; t < role->nr; t++)
		for (size_t i = 0; i < role->table[t].nr; i++)
			if (role->table[t].call[i].nr == nr &&
			    role->table[t].call[i].check == SANDBOX_ANY)
				return true;
	return false;
}

/* Of two rows of one call, a check that fails goes on to the next; past all rows is the end of the process. */
static void program_add_checked(struct program *p, const struct sandbox_call *call)
{
	const size_t jump = program_begin_block(p, call->nr);

	program_check(p, call);
	program_end_block(p, jump);
}

static void program_add_whole(struct program *p, const struct sandbox_call *call)
{
	program_return_if(p, call->nr,
			  call->check == SANDBOX_ENOSYS ? SECCOMP_RET_ERRNO | ENOSYS
							: SECCOMP_RET_ALLOW);
}

static void program_add_table(struct program *p, const struct sandbox_role *role,
			      const struct sandbox_table *table, bool checked)
{
	for (size_t i = 0; i < table->nr; i++) {
		const struct sandbox_call *call = &table->call[i];

		if (is_checked(call) != checked || (checked && is_allowed_whole(role, call->nr)))
			continue;
		if (checked)
			program_add_checked(p, call);
		else
			program_add_whole(p, call);
	}
}

size_t sandbox_program(const struct sandbox_role *role, struct sock_filter *ret, size_t cap)
{
	struct program p = {.insn = ret, .cap = cap};

	/* Another architecture has other numbers. The x32 ones have a bit that no row has. */
	program_load(&p, offsetof(struct seccomp_data, arch));
	program_add(&p, BPF_JMP | BPF_JEQ | BPF_K, arch_audit, 1, 0);
	program_return(&p, SECCOMP_RET_KILL_PROCESS);
	program_load(&p, offsetof(struct seccomp_data, nr));
	for (size_t t = 0; t < role->nr; t++)
		program_add_table(&p, role, &role->table[t], true);
	for (size_t t = 0; t < role->nr; t++)
		program_add_table(&p, role, &role->table[t], false);
	program_return(&p, SECCOMP_RET_TRAP);
	return p.nr;
}
