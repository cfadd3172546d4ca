/*
 * bare_exits [OPTION]... GUEST PORT - the floor of bench/instructions: a KVM_RUN loop that does nothing about an exit
 * at PORT, in a VM of memory and interrupt chips. It passes on what the guest writes to the serial port, and ends when
 * the guest writes the exit port.
 *
 * Each option adds one thing that Tollgate's VM has too, to show what KVM takes for it per exit:
 *   --pit            the timer chip in KVM: two places on KVM's port bus
 *   --zones N        N ports whose writes KVM collects: N places
 *   --ioeventfds N   N ioeventfds on ports: N places
 *   --thread         a second thread: the descriptors are shared, so KVM_RUN counts a reference
 *   --own-files      the vCPU's thread has a table of descriptors of its own
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	GUEST_GPA = 0x10000,
	MEM_BYTES = 1 << 20,
	SERIAL_PORT = 0x3f8,
	EXIT_PORT = 0xf4,
	ZONES_FIRST = 0x410, /* from here on are the ports that have zones or ioeventfds */
	IOEVENTFDS_FIRST = 0xc000,
};

#define TSS_GPA 0xfffbd000UL

static int must(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(2);
	}
	return r;
}

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void add_zone(int vm, unsigned i)
{
	struct kvm_coalesced_mmio_zone zone = {.addr = ZONES_FIRST + i, .size = 1, .pio = 1};

	must(ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &zone), "KVM_REGISTER_COALESCED_MMIO");
}

static void add_ioeventfd(int vm, unsigned i)
{
	struct kvm_ioeventfd arg = {
		.addr = IOEVENTFDS_FIRST + i,
		.len = 1,
		.fd = must(eventfd(0, EFD_CLOEXEC), "eventfd"),
		.flags = KVM_IOEVENTFD_FLAG_PIO,
	};

	must(ioctl(vm, KVM_IOEVENTFD, &arg), "KVM_IOEVENTFD");
}

static void add_pit(int vm)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};

	must(ioctl(vm, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");
}

/* Takes the option at argv[0]; returns how many words of argv it took. */
static int add_option(int vm, char **argv)
{
	const unsigned n = argv[1] ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	pthread_t thread;

	if (strcmp(argv[0], "--pit") == 0) {
		add_pit(vm);
	} else if (strcmp(argv[0], "--thread") == 0) {
		must(-pthread_create(&thread, NULL, sleeper, NULL), "pthread_create");
	} else if (strcmp(argv[0], "--own-files") == 0) {
		must(unshare(CLONE_FILES), "unshare");
	} else if (strcmp(argv[0], "--zones") == 0) {
		for (unsigned i = 0; i < n; i++)
			add_zone(vm, i);
		return 2;
	} else if (strcmp(argv[0], "--ioeventfds") == 0) {
		for (unsigned i = 0; i < n; i++)
			add_ioeventfd(vm, i);
		return 2;
	} else {
		fprintf(stderr, "bare_exits: unknown option '%s'\n", argv[0]);
		exit(2);
	}
	return 1;
}

static void load(uint8_t *ram, const char *name)
{
	int fd = must(open(name, O_RDONLY | O_CLOEXEC), name);

	must((int)read(fd, ram + GUEST_GPA, MEM_BYTES - GUEST_GPA), name);
	close(fd);
}

static void set_registers(int vcpu)
{
	struct kvm_regs regs = {.rflags = 2};
	struct kvm_sregs sregs;

	must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = GUEST_GPA;
	sregs.cs.selector = GUEST_GPA >> 4;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* False at the guest's end, or when the exit is none of its accesses. */
static bool pass_on(const struct kvm_run *run)
{
	const char *data = (const char *)run + run->io.data_offset;

	if (run->exit_reason != KVM_EXIT_IO) {
		fprintf(stderr, "bare_exits: exit reason %u\n", run->exit_reason);
		exit(2);
	}
	if (run->io.port == SERIAL_PORT)
		must((int)write(STDOUT_FILENO, data, 1), "write");
	return run->io.port != EXIT_PORT;
}

/* The measured loop: the fewest instructions that tell the measured exits from all others. */
static void loop(int vcpu, const struct kvm_run *run, unsigned port)
{
	do {
		do
			must(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
		while (run->exit_reason == KVM_EXIT_IO && run->io.port == port);
	} while (pass_on(run));
}

int main(int argc, char **argv)
{
	struct kvm_userspace_memory_region slot = {.memory_size = MEM_BYTES};
	int kvm, vm, vcpu, size;
	const struct kvm_run *run;
	uint8_t *ram;

	if (argc < 3)
		return 2;
	kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	ram = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		must(-1, "mmap");
	slot.userspace_addr = (uintptr_t)ram;
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	must(ioctl(vm, KVM_SET_TSS_ADDR, TSS_GPA), "KVM_SET_TSS_ADDR");
	must(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		must(-1, "mmap of the vCPU");
	for (char **arg = argv + 1; arg < argv + argc - 2;)
		arg += add_option(vm, arg);
	load(ram, argv[argc - 2]);
	set_registers(vcpu);
	loop(vcpu, run, (unsigned)strtoul(argv[argc - 1], NULL, 0));
	return 0;
}
