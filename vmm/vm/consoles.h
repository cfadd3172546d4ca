/*
 * consoles.h - which of a VM's character devices is connected to what, from build to teardown.
 *
 * Threads: the one that makes the VM, then the event thread.
 */
#ifndef VMM_VM_CONSOLES_H
#define VMM_VM_CONSOLES_H

#include "backend/char.h"
#include "base/diag.h"
#include "device.h"
#include "event.h"
#include "event/guest_clock.h"

enum {
	VM_OUTPUTS_MAX = 10,
	VM_OUTPUT_NONE = -1, /* as a descriptor: nowhere */
	VM_CHAR_HOSTS_MAX = VM_OUTPUTS_MAX + 1,
	VM_KERNEL_CONSOLES = 2, /* serial0, console0 */
};

/* Where a character device's output goes, and for a destination also where its input comes from. */
struct vm_output {
	const char *device; /* its name in the machine; no error when there is none of it */
	int fd; /* when dest is NULL: the caller's, open until vm_fini(), or VM_OUTPUT_NONE */
	const struct char_spec *dest; /* borrowed; devices with one pointer share it */
};

struct vm_chars_opts {
	bool input; /* stdin is the input of the first device on a descriptor; a terminal is raw */
	bool input_at_stdout; /* of the devices on standard output instead */
	bool to_stdout; /* what the devices write that are not in output[]; else it is dropped */
	const struct vm_output
		*output; /* at most VM_OUTPUTS_MAX; of two for one device, the last */
	unsigned nr_outputs;
};

struct vm_chars {
	bool input, input_at_stdout, to_stdout; /* as in the options */
	struct vm_output output[VM_OUTPUTS_MAX];
	unsigned nr_outputs;
	struct event_loop *loop; /* borrowed */
	struct power *power;     /* borrowed */
	struct vm_char_host {
		struct char_host *host;
		const struct char_spec *dest;
		int fd; /* without dest */
	} host[VM_CHAR_HOSTS_MAX];
	unsigned nr_hosts;
	struct char_port *kernel_console[VM_KERNEL_CONSOLES];
	unsigned nr_kernel_consoles;
	struct char_null kernel_null
		[VM_KERNEL_CONSOLES]; /* for those of them that are connected to nothing */
	unsigned nr_kernel_nulls;
	struct guest_timer panic_timer;   /* armed by a kernel's last line */
	bool line_open;                   /* after vm_chars_fini(): see there */
	struct char_host *terminal;       /* the one with stdin as its input, or NULL */
	struct char_backend null_backend; /* for devices that are connected to nothing */
	struct diag lost; /* after vm_chars_fini(): which output was lost, and why; err 0: none */
	struct vm_chars_left_out {
		const struct char_spec *dest;
		uint64_t bytes;
	} left_out
		[VM_CHAR_HOSTS_MAX]; /* after vm_chars_fini(): what the limits of the destinations kept out */
	unsigned nr_left_out;
};

/*
 * Copies opts; loop, clock and power are borrowed until vm_chars_fini(). Opens nothing yet. -errno with diag; then,
 * too, vm_chars_fini() follows.
 */
int vm_chars_init(struct vm_chars *chars, const struct vm_chars_opts *opts, struct event_loop *loop,
		  const struct guest_clock *clock, struct power *power, struct diag *diag);

/*
 * Opens what the device of that name is to be connected to, unless another device did. *ret is its back
 * end; *ret_port is to be given to char_port_connect() when the device is there, unless it is NULL.
 * -errno with diag.
 */
int vm_chars_backend(struct vm_chars *chars, const char *device, struct char_backend **ret,
		     struct char_port **ret_port, struct diag *diag);

/* Where the device of that name is, when the user cannot know: "/dev/pts/3"; else NULL. */
const char *vm_chars_name(const struct vm_chars *chars, const char *device);

/* To be called by the loop's woken function. */
void vm_chars_woken(struct vm_chars *chars);

/* SIGINT: whether the guest's command is interrupted by it, as char_command_interrupt(). */
bool vm_chars_interrupt(struct vm_chars *chars);

/* After SIGCONT, and after SIGWINCH. */
void vm_chars_resume(struct vm_chars *chars);
void vm_chars_resized(struct vm_chars *chars);

/*
 * Whether a kernel has said on its console that it panics. To be called when no device puts anything any
 * more. While they do, a kernel that has printed its last line, and nothing more for half a second, ends the VM.
 */
bool vm_chars_saw_panic(struct vm_chars *chars);

/* As if no kernel had panicked; the same holds for when to call it. */
void vm_chars_forget_panic(struct vm_chars *chars);

/*
 * Writes what is left, for a second at most when readers are slow, closes all and gives the terminal
 * back. The devices must still be there. Takes a zeroed one too, and one that was closed before. line_open is set
 * when the last of what went to the same file as standard error is a line without an end.
 */
void vm_chars_fini(struct vm_chars *chars);

#endif
