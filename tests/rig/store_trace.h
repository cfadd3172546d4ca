/*
 * store_trace.h - the order of the stores that a piece of code makes to some pages: what another CPU could see
 * in between. Each store to the pages, which cannot be written meanwhile, is let through by one single step of
 * the CPU. x86-64. One thread, and one trace at a time.
 */
#ifndef TESTS_UNIT_STORE_TRACE_H
#define TESTS_UNIT_STORE_TRACE_H

#include <assert.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum {
	STORE_TRACE_MAX = 256,
	STORE_TRACE_BYTES = 2 * 4096,
	STORE_TRACE_TRAP_FLAG = 0x100, /* EFLAGS.TF */
};

static struct {
	uint8_t *base;
	size_t bytes;
	uint8_t before[STORE_TRACE_BYTES];
	size_t off
		[STORE_TRACE_MAX]; /* of the first byte that a store changed; stores that change none are left out */
	unsigned n;
	struct sigaction old_segv, old_trap;
} store_trace;

static inline void store_trace_protect(int prot)
{
	if (mprotect(store_trace.base, store_trace.bytes, prot) < 0)
		_exit(1);
}

static inline void store_trace_segv(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	const uint8_t *at = info->si_addr;

	(void)sig;
	if (at < store_trace.base || at >= store_trace.base + store_trace.bytes)
		_exit(1);
	store_trace_protect(PROT_READ | PROT_WRITE);
	uc->uc_mcontext.gregs[REG_EFL] |= STORE_TRACE_TRAP_FLAG;
}

static inline void store_trace_step(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	size_t off = 0;

	(void)sig;
	(void)info;
	uc->uc_mcontext.gregs[REG_EFL] &= ~STORE_TRACE_TRAP_FLAG;
	while (off < store_trace.bytes && store_trace.base[off] == store_trace.before[off])
		off++;
	if (off < store_trace.bytes && store_trace.n < STORE_TRACE_MAX)
		store_trace.off[store_trace.n++] = off;
	memcpy(store_trace.before, store_trace.base, store_trace.bytes);
	store_trace_protect(PROT_READ);
}

/* page begins at a page, and bytes are whole ones. */
static inline void store_trace_begin(void *page, size_t bytes)
{
	struct sigaction segv = {.sa_sigaction = store_trace_segv, .sa_flags = SA_SIGINFO};
	struct sigaction trap = {.sa_sigaction = store_trace_step, .sa_flags = SA_SIGINFO};

	assert(bytes <= STORE_TRACE_BYTES);
	store_trace.base = page;
	store_trace.bytes = bytes;
	store_trace.n = 0;
	memcpy(store_trace.before, page, bytes);
	sigaction(SIGSEGV, &segv, &store_trace.old_segv);
	sigaction(SIGTRAP, &trap, &store_trace.old_trap);
	store_trace_protect(PROT_READ);
}

static inline void store_trace_end(void)
{
	store_trace_protect(PROT_READ | PROT_WRITE);
	sigaction(SIGSEGV, &store_trace.old_segv, NULL);
	sigaction(SIGTRAP, &store_trace.old_trap, NULL);
}

#endif
