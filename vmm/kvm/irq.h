/*
 * irq.h - interrupt lines into the in-kernel irqchip, by ioctl and by eventfd.
 *
 * Any thread. Source: api.rst, KVM_IRQ_LINE (4.25) and KVM_IRQFD (4.75).
 */
#ifndef VMM_KVM_IRQ_H
#define VMM_KVM_IRQ_H

#include "base/diag.h"
#include "device/lines.h"
#include "kvm.h"

/* KVM_IRQ_LINE: a system call a change of level. */
struct kvm_irq_line {
	struct irq_line line;
	int vm_fd;
	unsigned gsi;
	bool level; /* what the device set last */
	bool cut;
};

void kvm_irq_line_init(struct kvm_irq_line *irq, const struct kvm *kvm, unsigned gsi);

/*
 * While cut, the interrupt chips see the line low, whatever the device sets. Afterwards they see what the device
 * set last. For a device that calls set under a lock: to be called with that lock held.
 */
void kvm_irq_line_cut(struct kvm_irq_line *irq, bool cut);

/* The same for any GSI that the irqchip has. */
struct kvm_irq_bank {
	struct irq_bank bank;
	int vm_fd;
};

void kvm_irq_bank_init(struct kvm_irq_bank *bank, const struct kvm *kvm);

/*
 * KVM_IRQFD: a pulse is a signal on an eventfd, which anything that holds the descriptor can give, and
 * which KVM turns into an edge. set works as that of kvm_irq_line.
 */
struct irq_eventfd {
	struct kvm_irq_line by_ioctl; /* .line is the whole one's */
	int fd;                       /* the eventfd; 0 or -1 when there is none */
};

bool irq_eventfd_supported(const struct kvm *kvm);

/* -errno with diag. *irq is safe to fini afterwards, and when it was zeroed and never initialised. */
int irq_eventfd_init(struct irq_eventfd *irq, const struct kvm *kvm, unsigned gsi,
		     struct diag *diag);
/*
 * Returns when each edge signalled before is in the interrupt chips: KVM takes those of an IOAPIC's input there in a
 * work queue. While no thread pulses it. A host without memory to assign the eventfd again leaves the line to the
 * ioctl, which is slower.
 */
void irq_eventfd_flush(struct irq_eventfd *irq);
/* No edge comes any more once this returned. */
void irq_eventfd_fini(struct irq_eventfd *irq);

#endif
