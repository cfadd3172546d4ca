/*
 * bare_startup KERNEL - the floor for bench_startup: nothing but the system calls that `tollgate run`
 * makes for a VM of 512 MiB and one vCPU, in the same order, and a KVM_RUN loop that passes on what
 * the guest writes to the serial port. The kernel is bench/first.S; its file offset and entry are
 * given, because parsing is not what is measured.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CPUID_MAX = 264, MSR_MAX = 4096, KERNEL_GPA = 0x100000 };

static int must(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(2);
	}
	return r;
}

static void set_cpuid_and_msrs(int kvm, int vcpu)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_MAX * sizeof(cpuid->entries[0]));
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + MSR_MAX * sizeof(uint32_t));
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + 2 * sizeof(msrs->entries[0]));
	struct kvm_lapic_state lapic;

	if (!cpuid || !list || !msrs)
		exit(2);
	msrs->nmsrs = 2;
	msrs->entries[0] = (struct kvm_msr_entry){.index = 0x1a0, .data = 1};
	msrs->entries[1] = (struct kvm_msr_entry){.index = 0x2ff, .data = 0x806};
	cpuid->nent = CPUID_MAX;
	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	list->nmsrs = MSR_MAX;
	must(ioctl(kvm, KVM_GET_MSR_INDEX_LIST, list), "KVM_GET_MSR_INDEX_LIST");
	must(ioctl(vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	must(ioctl(vcpu, KVM_SET_MSRS, msrs), "KVM_SET_MSRS");
	must(ioctl(vcpu, KVM_GET_LAPIC, &lapic), "KVM_GET_LAPIC");
	must(ioctl(vcpu, KVM_SET_LAPIC, &lapic), "KVM_SET_LAPIC");
	free(cpuid);
	free(list);
	free(msrs);
}

static void set_registers(int vcpu, uint32_t entry)
{
	struct kvm_segment code = {.limit = 0xffffffff,
				   .selector = 0x10,
				   .type = 0xb,
				   .present = 1,
				   .s = 1,
				   .db = 1,
				   .g = 1};
	struct kvm_segment data = code;
	struct kvm_regs regs = {.rip = entry, .rflags = 2};
	struct kvm_sregs sregs;

	data.type = 3;
	data.selector = 0x18;
	must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 = 0x11;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static uint8_t *make_memory(int vm)
{
	const size_t bytes = (size_t)512 << 20;
	struct kvm_userspace_memory_region slot = {.memory_size = bytes};
	uint8_t *ram;

	ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (ram == MAP_FAILED)
		must(-1, "mmap");
	slot.userspace_addr = (uintptr_t)ram;
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	return ram;
}

static void run(int vcpu, struct kvm_run *run)
{
	for (;;) {
		const char *data;

		must(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO)
			exit(1);
		data = (const char *)run + run->io.data_offset;
		if (run->io.port == 0xf4)
			return;
		if (write(STDOUT_FILENO, data, 1) != 1)
			exit(1);
	}
}

int main(int argc, char **argv)
{
	uint64_t identity = 0xfffbc000;
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	long offset, entry;
	uint8_t *ram;
	int kvm, vm, vcpu, kernel, size;
	void *mapping;

	if (argc != 4)
		return 2;
	offset = strtol(argv[2], NULL, 0);
	entry = strtol(argv[3], NULL, 0);
	kernel = must(open(argv[1], O_RDONLY | O_CLOEXEC), argv[1]);
	kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	must(ioctl(kvm, KVM_GET_API_VERSION, 0), "KVM_GET_API_VERSION");
	size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	ram = make_memory(vm);
	must(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity), "KVM_SET_IDENTITY_MAP_ADDR");
	must(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000UL), "KVM_SET_TSS_ADDR");
	must(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	must(ioctl(vm, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");
	vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	mapping = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (mapping == MAP_FAILED)
		must(-1, "mmap of the vCPU");
	set_cpuid_and_msrs(kvm, vcpu);
	must((int)pread(kernel, ram + KERNEL_GPA, 4096, offset), "read the kernel");
	set_registers(vcpu, (uint32_t)entry);
	run(vcpu, mapping);
	return 0;
}
