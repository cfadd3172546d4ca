#include "kvm/irq.h"

#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/macros.h"

static void gsi_drive(int vm_fd, unsigned gsi, bool level)
{
	struct kvm_irq_level arg = {.irq = gsi, .level = level};

	/* Fails only for a GSI without a route, which machine_resolve() excludes. */
	int r = ioctl(vm_fd, KVM_IRQ_LINE, &arg);

	assert(r >= 0 || errno != EBADF); /* as if a vCPU's thread lacked the descriptor */
	(void)r;
}

static void irq_line_drive(const struct kvm_irq_line *irq, bool level)
{
	gsi_drive(irq->vm_fd, irq->gsi, level);
}

static void irq_line_set(struct irq_line *line, bool level)
{
	struct kvm_irq_line *irq = container_of(line, struct kvm_irq_line, line);

	irq->level = level;
	if (!irq->cut)
		irq_line_drive(irq, level);
}

void kvm_irq_line_cut(struct kvm_irq_line *irq, bool cut)
{
	irq->cut = cut;
	if (irq->level)
		irq_line_drive(irq, !cut);
}

/* Any thread and no lock: nothing is noted. */
static void irq_line_pulse(struct irq_line *line)
{
	const struct kvm_irq_line *irq = container_of(line, struct kvm_irq_line, line);

	irq_line_drive(irq, true);
	irq_line_drive(irq, false);
}

void kvm_irq_line_init(struct kvm_irq_line *irq, const struct kvm *kvm, unsigned gsi)
{
	*irq = (struct kvm_irq_line){
		.line = {.set = irq_line_set, .pulse = irq_line_pulse},
		.vm_fd = kvm->vm_fd,
		.gsi = gsi,
	};
}

static void irq_bank_set(struct irq_bank *bank, unsigned gsi, bool level)
{
	gsi_drive(container_of(bank, struct kvm_irq_bank, bank)->vm_fd, gsi, level);
}

void kvm_irq_bank_init(struct kvm_irq_bank *bank, const struct kvm *kvm)
{
	*bank = (struct kvm_irq_bank){.bank = {.set = irq_bank_set}, .vm_fd = kvm->vm_fd};
}

static void eventfd_pulse(struct irq_line *line)
{
	const struct irq_eventfd *irq = container_of(line, struct irq_eventfd, by_ioctl.line);
	const uint64_t one = 1;
	ssize_t n = write(irq->fd, &one, sizeof(one));

	/* EAGAIN: the counter is full of edges that KVM has not taken yet. */
	assert(n == sizeof(one) || errno == EAGAIN);
	(void)n;
}

static int irqfd_ioctl(const struct irq_eventfd *irq, uint32_t flags)
{
	struct kvm_irqfd arg = {
		.fd = (uint32_t)irq->fd,
		.gsi = irq->by_ioctl.gsi,
		.flags = flags,
	};

	return ioctl(irq->by_ioctl.vm_fd, KVM_IRQFD, &arg) < 0 ? -errno : 0;
}

bool irq_eventfd_supported(const struct kvm *kvm)
{
	return kvm_cap(kvm, KVM_CAP_IRQFD) > 0;
}

int irq_eventfd_init(struct irq_eventfd *irq, const struct kvm *kvm, unsigned gsi,
		     struct diag *diag)
{
	int r;

	kvm_irq_line_init(&irq->by_ioctl, kvm, gsi);
	irq->by_ioctl.line.pulse = eventfd_pulse;
	irq->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (irq->fd < 0)
		return diag_set(diag, -errno, "irq-eventfd", "eventfd for an interrupt");
	r = irqfd_ioctl(irq, 0);
	if (r < 0) {
		diag_set(diag, r, "irqfd-set", "KVM_IRQFD of GSI %u", gsi);
		close(irq->fd);
		irq->fd = -1;
	}
	return r;
}

/* Taking it from KVM waits for the work that injects; what is signalled meanwhile, KVM finds when it has it again. */
void irq_eventfd_flush(struct irq_eventfd *irq)
{
	if (irq->fd <= 0)
		return;
	irqfd_ioctl(irq, KVM_IRQFD_FLAG_DEASSIGN);
	if (irqfd_ioctl(irq, 0) < 0)
		irq->by_ioctl.line.pulse = irq_line_pulse;
}

void irq_eventfd_fini(struct irq_eventfd *irq)
{
	if (irq->fd <= 0)
		return;
	irqfd_ioctl(irq, KVM_IRQFD_FLAG_DEASSIGN);
	close(irq->fd);
	irq->fd = -1;
}
