/*
 * vm.h - one VM: owns every object of it. It is made in steps, and taken down in the reverse order.
 *
 * Threads: the thread that calls vm_run() is the event thread; each vCPU has its own. vm_end() may be
 * called from any of them.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/diag.h"
#include "boot/boot.h"
#include "device.h"
#include "event.h"
#include "event/guest_clock.h"
#include "iobus.h"
#include "kvm.h"
#include "kvm/coalesced.h"
#include "kvm/irq.h"
#include "kvm/register_page.h"
#include "machine.h"
#include "mem.h"
#include "vcpu.h"
#include "vm/consoles.h"
#include "vm/halted.h"
#include "vm/io_devices.h"
#include "vm/latency.h"
#include "vm/pause.h"
#include "vm/reset.h"
#include "vm/symbols.h"
#include "vm/unclaimed.h"

struct vm_opts {
	struct machine_spec machine;
	struct guest_mem_opts mem;
	struct boot_opts boot;
	enum arch_cpu_template cpu;
	struct boot_file kernel;
	struct boot_file initrd[BOOT_INITRDS_MAX];
	unsigned nr_initrds;
	struct boot_file symbols; /* of the kernel; data NULL: none */
	bool input;           /* stdin is the console's input, and a terminal there becomes raw */
	bool input_at_stdout; /* of the console on standard output, whatever others there are */
	bool to_stdout; /* what the devices write that are not in output[]; else it is dropped */
	struct vm_output output[VM_OUTPUTS_MAX];
	unsigned nr_outputs;
	bool time_exits;
	bool latency; /* a histogram for each kind of exit: vm/latency.h */
	bool profile; /* note some of the exits: vm/profile.h */
	bool end_on_unclaimed;
	bool no_coalesce; /* an exit for every write */
	struct vm_virtio_opts virtio;
	bool keeps_start; /* what a reset needs: memory for a copy of what is loaded, and some registers */
	bool reboots;        /* with keeps_start: a guest that resets itself is started again */
	int64_t deadline_ns; /* of CLOCK_MONOTONIC: VM_END_TIMEOUT; 0: none */
	unsigned
		paused_by; /* enum vm_pause_by: before the first instruction, until each resumes it */
};

struct vm {
	unsigned nr_made; /* of the steps that vm_init() takes; vm_fini() takes those back */
	struct power power;
	struct arch_boot *boot;    /* NULL once the kernel is in its place */
	struct arch_kernel kernel; /* zeroed before it is known */
	struct machine machine;
	struct vm_symbols symbols;
	struct kvm kvm;
	struct guest_mem mem;
	struct arch_cpu_model *cpu_model;
	struct iobus *pio, *mmio;
	struct coalesced coalesced;
	int64_t drain_ns;  /* until the event thread looks at the ring again */
	struct vcpu *vcpu; /* machine.cpus of them */
	unsigned nr_vcpus;
	const int
		*loop_files; /* borrowed: descriptors that vcpu.loop uses, besides the vCPUs' own */
	unsigned nr_loop_files;
	int *vcpu_files; /* while the vCPUs' threads run; vm/vcpu_files.h */
	struct device *device[MACHINE_DEVICES_MAX]; /* as machine.device */
	struct kvm_irq_bank irq_bank;
	struct kvm_irq_line irq[MACHINE_DEVICES_MAX];
	struct guest_timer timer[MACHINE_DEVICES_MAX];
	struct device_char chr[MACHINE_DEVICES_MAX]; /* unused but for character devices */
	struct register_page register_page
		[MACHINE_DEVICES_MAX]; /* on the bus in the place of device[]; unused for most */
	struct vm_virtio *virtio[MACHINE_DEVICES_MAX]; /* NULL: no I/O thread */
	bool unplugged[MACHINE_DEVICES_MAX];           /* off the bus (vm/plug.h); event thread */
	struct event_loop loop;
	struct vm_chars chars;
	struct vm_halted halted;
	struct guest_clock clock; /* of the devices */
	struct vm_pause pause;
	struct vm_reset reset;
	struct vm_unclaimed unclaimed;
	struct vm_debugger {
		void (*woken)(void *arg); /* event thread, after event_loop_wake(); NULL: none */
		void (*reset)(
			void *arg); /* event thread, paused: all is as before the first instruction */
		void *arg;
	} debugger;
	struct event_source signals;
	struct event_timer timeout, drain;
	pthread_mutex_t end_lock;
	struct vm_end end; /* under end_lock until the threads have been joined */
	struct vm_latency latency;
	bool time_exits;
	bool emulates_linux; /* the kernel is Linux, on a KVM that emulates kernel code */
	bool stuck;          /* of any vm_virtio; known once vm_run() has returned */
};

/*
 * Everything up to the guest's first instruction; with what takes long (reading, unpacking, populating)
 * done, it blocks SIGINT, SIGTERM and SIGHUP, unless they are ignored, and SIGALRM, if that has a handler,
 * and takes them as events of the VM. The image is read and placed, memory, interrupt
 * chips, vCPUs, devices and bus are made. opts is borrowed until vm_fini(). On failure diag says why,
 * and vm_fini() releases what was made.
 */
int vm_init(struct vm *vm, const struct vm_opts *opts, struct diag *diag);

/*
 * The machine that vm_init() would make of the same opts, and its kernel as it would be entered. Needs no KVM. Errors
 * are vm_init()'s of kernel and machine. The outputs borrow from opts, and are untouched on failure.
 */
int vm_preview(const struct vm_opts *opts, struct machine *ret, struct arch_kernel *ret_kernel,
	       struct diag *diag);

/*
 * Runs the guest until the VM ends, with SIGINT, SIGTERM and SIGHUP ending it. Returns 0 and the end,
 * or -errno when the threads could not be started.
 */
int vm_run(struct vm *vm, struct vm_end *ret_end, struct diag *diag);

/*
 * Asks for the VM to end; the first end counts. Any thread. A VM that reboots does not end by a reset or a triple
 * fault: it is started again.
 */
void vm_end(struct vm *vm, struct vm_end end);
/* The same, and it is an end whatever it is. */
void vm_end_finally(struct vm *vm, struct vm_end end);

/* The device that bus, event loop and back end see in the place of device[i]; its lock guards device[i]. */
struct device *vm_bus_device(struct vm *vm, unsigned i);

/*
 * Flushes the console, gives the terminal back and frees everything. Takes a zeroed vm too. False when an I/O
 * thread has not ended (vm_virtio.stuck), as the host does not answer what its device asked for: what the
 * thread may still use, vm itself among it, is left to the end of the process.
 */
bool vm_fini(struct vm *vm);

/* Flushes the console and gives the terminal back; after vm_run(), before anything is printed. */
void vm_console_close(struct vm *vm);

#endif
