/* Names, counts and reports of a vCPU's exits. */
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>

#include "arch/arch.h"
#include "base/macros.h"
#include "vcpu.h"

static uint64_t exits_get(const atomic_uint_fast64_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

/* KVM_EXIT_IO is the most frequent, and not counted: it is what the other reasons leave of all exits. */
uint64_t vcpu_exits(const struct vcpu *vcpu, uint32_t reason)
{
	uint64_t others = 0, all;

	if (reason == KVM_EXIT_INTR)
		return exits_get(&vcpu->exits[reason]) + exits_get(&vcpu->interrupted);
	if (reason != KVM_EXIT_IO)
		return exits_get(&vcpu->exits[reason]);
	for (unsigned i = 0; i < VCPU_EXIT_REASONS; i++)
		others += exits_get(&vcpu->exits[i]);
	all = exits_get(&vcpu->history_bytes) / sizeof(vcpu->history[0]);
	return all > others ? all - others : 0;
}

const char *vcpu_exit_name(uint32_t reason, char buf[16])
{
	static const char *const names[] = {
		[KVM_EXIT_UNKNOWN] = "UNKNOWN",
		[KVM_EXIT_EXCEPTION] = "EXCEPTION",
		[KVM_EXIT_IO] = "IO",
		[KVM_EXIT_HYPERCALL] = "HYPERCALL",
		[KVM_EXIT_DEBUG] = "DEBUG",
		[KVM_EXIT_HLT] = "HLT",
		[KVM_EXIT_MMIO] = "MMIO",
		[KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
		[KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
		[KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
		[KVM_EXIT_INTR] = "INTR",
		[KVM_EXIT_NMI] = "NMI",
		[KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
		[KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
		[KVM_EXIT_DIRTY_RING_FULL] = "DIRTY_RING_FULL",
	};

	const char *name = reason < ARRAY_SIZE(names) ? names[reason] : NULL;

	if (!name)
		name = arch_exit_name(reason);
	if (name)
		return name;
	snprintf(buf, 16, "exit %" PRIu32, reason);
	return buf;
}

static void print_access(FILE *out, bool is_write, uint64_t addr, unsigned size, uint64_t data)
{
	const uint64_t bits = size < 8 ? (UINT64_C(1) << (size * 8)) - 1 : UINT64_MAX;

	fprintf(out, " %-5s %#" PRIx64 " size %u data %#" PRIx64, is_write ? "write" : "read", addr,
		size, data & bits);
}

void vcpu_print_history(FILE *out, const struct vcpu *vcpu, const char *indent)
{
	const uint64_t exits = atomic_load(&vcpu->history_bytes) / sizeof(vcpu->history[0]);

	for (uint64_t i = exits > VCPU_HISTORY ? exits - VCPU_HISTORY : 0; i < exits; i++) {
		const struct vcpu_history_entry *h = &vcpu->history[i % VCPU_HISTORY];
		char buf[16];

		fprintf(out, "%s%-14s", indent,
			vcpu_exit_name(h->io.size ? KVM_EXIT_IO : h->reason, buf));
		if (h->io.size) {
			print_access(out, h->io.direction == KVM_EXIT_IO_OUT, h->io.port,
				     h->io.size, h->data);
			if (h->io.count > 1)
				fprintf(out, " and %" PRIu32 " more", h->io.count - 1);
		} else if (h->reason == KVM_EXIT_MMIO) {
			print_access(out, h->mmio_is_write, h->gpa, h->mmio_len, h->data);
		}
		fputc('\n', out);
	}
}

static const char *suberror_name(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION: return "EMULATION: KVM could not emulate an instruction";
	case KVM_INTERNAL_ERROR_SIMUL_EX: return "SIMUL_EX: simultaneous exceptions";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "DELIVERY_EV: an exit while an event was being delivered";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "UNEXPECTED_EXIT_REASON: hardware reported an exit that KVM does not know";
	default: return "unknown sub-error";
	}
}

/* struct emulation_failure of <linux/kvm.h>: data[0] flags, then length and instruction bytes. */
static void print_emulated_insn(FILE *out, const struct vcpu_error *e, const char *indent)
{
	const uint8_t *bytes = (const uint8_t *)&e->data[1];

	if (e->nr_data < 3 || !(e->data[0] & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	fprintf(out, "%sinstruction bytes that KVM fetched:", indent);
	for (unsigned i = 0; i < bytes[0] && i < 15; i++)
		fprintf(out, " %02x", bytes[1 + i]);
	fputc('\n', out);
}

bool vcpu_error_is_emulation(const struct vcpu *vcpu)
{
	const struct vcpu_error *e = &vcpu->error;

	return e->set && !e->run_errno && e->reason == KVM_EXIT_INTERNAL_ERROR &&
	       e->suberror == KVM_INTERNAL_ERROR_EMULATION;
}

void vcpu_print_error(FILE *out, const struct vcpu *vcpu, const char *indent)
{
	const struct vcpu_error *e = &vcpu->error;
	char buf[16];

	if (!e->set)
		return;
	if (e->run_errno) {
		fprintf(out, "%sKVM_RUN: %s\n", indent, strerror(e->run_errno));
		return;
	}
	fprintf(out, "%sKVM_EXIT_%s", indent, vcpu_exit_name(e->reason, buf));
	switch (e->reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		fprintf(out, ", sub-error %" PRIu32 ": %s\n", e->suberror,
			suberror_name(e->suberror));
		if (e->suberror == KVM_INTERNAL_ERROR_EMULATION)
			print_emulated_insn(out, e, indent);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fprintf(out, ", hardware entry failure reason %#" PRIx64 "\n", e->hardware);
		break;
	case KVM_EXIT_UNKNOWN:
		fprintf(out, ", hardware exit reason %#" PRIx64 "\n", e->hardware);
		break;
	default: fputc('\n', out); break;
	}
	for (uint32_t i = 0; i < e->nr_data; i++)
		fprintf(out, "%s  data[%" PRIu32 "] %#" PRIx64 "\n", indent, i, e->data[i]);
}
