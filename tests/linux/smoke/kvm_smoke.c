/*
 * kvm_smoke.c - whether this kernel's KVM runs guests: asks for the API version, then runs 16-bit code
 * that computes a sum, writes it to a port and halts, and checks each exit. Linux's
 * Documentation/virt/kvm/api.rst. Knows nothing of the VMM: when this fails, the testbed is at fault.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	GUEST_MEM_BYTES = 0x1000,
	SUM_PORT = 0x42, /* any port without a device */
	TERMS = 300,
};

/* Real mode, CS base 0, entered at 0: AX = CX + (CX - 1) + … + 1; out; hlt. */
static const uint8_t guest_code[] = {
	0x31, 0xc0,     /*    xor ax, ax */
	0x01, 0xc8,     /* 1: add ax, cx */
	0xe2, 0xfc,     /*    loop 1b */
	0xe7, SUM_PORT, /*    out SUM_PORT, ax */
	0xf4,           /*    hlt */
};

static int checked_ioctl(int fd, unsigned long request, void *arg, const char *name)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		err(1, "FAIL %s", name);
	return r;
}

static void *checked_mmap(size_t len, int flags, int fd)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		err(1, "FAIL mmap");
	return p;
}

static void guest_memory_init(int vm_fd)
{
	struct kvm_userspace_memory_region region = {.memory_size = GUEST_MEM_BYTES};
	void *mem = checked_mmap(GUEST_MEM_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	memcpy(mem, guest_code, sizeof(guest_code));
	region.userspace_addr = (uintptr_t)mem;
	checked_ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
}

static void guest_registers_init(int vcpu_fd)
{
	struct kvm_regs regs = {.rip = 0, .rcx = TERMS, .rflags = 0x2};
	struct kvm_sregs sregs;

	checked_ioctl(vcpu_fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	checked_ioctl(vcpu_fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	checked_ioctl(vcpu_fd, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static void run_expect(int vcpu_fd, const struct kvm_run *run, uint32_t reason)
{
	checked_ioctl(vcpu_fd, KVM_RUN, NULL, "KVM_RUN");
	if (run->exit_reason != reason)
		errx(1, "FAIL exit reason %u, not %u", run->exit_reason, reason);
}

static void check_sum(const struct kvm_run *run)
{
	const uint16_t expected = TERMS * (TERMS + 1) / 2;
	uint16_t sum;

	if (run->io.direction != KVM_EXIT_IO_OUT || run->io.port != SUM_PORT || run->io.size != 2 ||
	    run->io.count != 1)
		errx(1, "FAIL not a 2-byte write to port 0x%x", SUM_PORT);
	memcpy(&sum, (const uint8_t *)run + run->io.data_offset, sizeof(sum));
	printf("the guest's sum of 1 to %d: %u\n", TERMS, sum);
	if (sum != expected)
		errx(1, "FAIL it is %u", expected);
}

int main(void)
{
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version, vm_fd, vcpu_fd, run_bytes;
	struct kvm_run *run;

	if (kvm_fd < 0)
		err(1, "FAIL open /dev/kvm");
	version = checked_ioctl(kvm_fd, KVM_GET_API_VERSION, NULL, "KVM_GET_API_VERSION");
	printf("KVM API version %d\n", version);
	if (version != KVM_API_VERSION)
		errx(1, "FAIL it is not %d", KVM_API_VERSION);
	vm_fd = checked_ioctl(kvm_fd, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	guest_memory_init(vm_fd);
	vcpu_fd = checked_ioctl(vm_fd, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	run_bytes = checked_ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	run = checked_mmap((size_t)run_bytes, MAP_SHARED, vcpu_fd);
	guest_registers_init(vcpu_fd);
	run_expect(vcpu_fd, run, KVM_EXIT_IO);
	check_sum(run);
	run_expect(vcpu_fd, run, KVM_EXIT_HLT);
	puts("PASS");
	return 0;
}
