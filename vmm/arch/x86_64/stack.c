/*
 * stack.c - the callers of what a vCPU runs. By frame pointers: (R)BP points to the caller's (R)BP, after which is the
 * return address (System V ABI, AMD64 supplement, 3.2.2 "The Stack Frame"). Where code keeps none, as most of Linux
 * does, each word of the stack that is a return address by its looks: it is in text, after a call.
 */
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86_64/internal.h"
#include "base/macros.h"

enum {
	FRAMES_MAX = 64,
	STACK_BYTES =
		16384, /* of a Linux kernel's (THREAD_SIZE), whose end is a multiple of that */
	WORD = 8,
	CALL_MAX = 7, /* bytes of the longest call that compilers make */
};

struct stack_frame {
	uint64_t at; /* of the return address */
	uint64_t pc;
};

struct stack_walk {
	const struct arch_view *view;
	uint64_t base; /* of the stack's segment */
	size_t width;  /* bytes of a pointer */
	struct stack_frame frame[FRAMES_MAX];
	unsigned nr;
	bool is_cut; /* there are more */
};

/* The frame at fp: the caller's frame and the address that it returns to. */
static bool read_frame(const struct stack_walk *walk, uint64_t fp, uint64_t *ret_fp,
		       uint64_t *ret_pc)
{
	uint8_t frame[16];
	uint64_t word[2] = {0};

	if (arch_linear_read(walk->view->vcpu_fd, walk->view->mem, walk->base + fp, frame,
			     2 * walk->width) < 2 * walk->width)
		return false;
	memcpy(&word[0], frame, walk->width); /* little endian */
	memcpy(&word[1], frame + walk->width, walk->width);
	*ret_fp = word[0];
	*ret_pc = word[1];
	return true;
}

/* A caller's frame is above that of whom it called; the outermost one's pointer is 0, or its return address is. */
static void follow_frames(struct stack_walk *walk, uint64_t fp)
{
	uint64_t next, pc;

	while (fp && read_frame(walk, fp, &next, &pc) && pc) {
		if (walk->nr == FRAMES_MAX) {
			walk->is_cut = true;
			return;
		}
		walk->frame[walk->nr++] = (struct stack_frame){.at = fp + walk->width, .pc = pc};
		if (next <= fp)
			return;
		fp = next;
	}
}

static void print_address(FILE *out, const struct stack_walk *walk, const char *mark, uint64_t pc,
			  uint64_t lookup)
{
	const struct arch_view *view = walk->view;
	char line[SYMBOL_LINE_MAX];
	struct symbol symbol;

	fprintf(out, "%s%-3s %016" PRIx64, view->indent, mark, pc);
	/* A return address may be past the end of its function, when the call is the last thing there. */
	if (symbols_find(view->symbols, lookup, &symbol)) {
		fprintf(out, " %s+0x%" PRIx64 "/0x%" PRIx64, symbol.name, pc - symbol.addr,
			symbol.size);
		if (symbols_line(view->symbols, lookup, line)[0])
			fprintf(out, " %s", line);
	}
	fputc('\n', out);
}

/* Calls end with E8 and 4 bytes, or with FF /2 and its operand of 1 to 6 (Intel SDM, volume 2, CALL). */
static bool follows_call(const struct arch_view *view, uint64_t pc)
{
	uint8_t code[CALL_MAX];

	if (arch_linear_read(view->vcpu_fd, view->mem, pc - sizeof(code), code, sizeof(code)) <
	    sizeof(code))
		return false;
	if (code[CALL_MAX - 5] == 0xe8)
		return true;
	for (size_t i = 0; i + 2 <= sizeof(code); i++)
		if (code[i] == 0xff && (code[i + 1] & 0x38) == 0x10)
			return true;
	return false;
}

static bool is_return_address(const struct arch_view *view, uint64_t pc)
{
	struct symbol symbol;

	return symbols_find(view->symbols, pc - 1, &symbol) && symbol.is_text &&
	       follows_call(view, pc);
}

/* Prints the return addresses from sp to the stack's end, in order; those of the frame chain are certain. */
static unsigned print_words(FILE *out, const struct stack_walk *walk, uint64_t sp, unsigned frame)
{
	const struct arch_view *view = walk->view;
	const uint64_t first = sp & ~(uint64_t)(WORD - 1);
	uint64_t stack[STACK_BYTES / WORD];
	const size_t bytes = STACK_BYTES - (size_t)(first % STACK_BYTES);
	const size_t nr = arch_linear_read(view->vcpu_fd, view->mem, first, stack, bytes) / WORD;
	unsigned left = FRAMES_MAX;
	char mark[16];

	for (size_t i = 0; i < nr && left > 0; i++) {
		if (frame < walk->nr && walk->frame[frame].at == first + i * WORD) {
			snprintf(mark, sizeof(mark), "#%u", frame + 1);
			print_address(out, walk, mark, stack[i], stack[i] - 1);
			frame++;
		} else if (is_return_address(view, stack[i])) {
			print_address(out, walk, "?", stack[i], stack[i] - 1);
			left--;
		}
	}
	if (left == 0)
		fprintf(out, "%sand more\n", view->indent);
	return frame;
}

static void print_walk(FILE *out, const struct stack_walk *walk, uint64_t sp)
{
	unsigned frame = 0;
	char mark[16];

	if (walk->view->symbols && walk->width == WORD)
		frame = print_words(out, walk, sp, 0);
	for (; frame < walk->nr; frame++) {
		snprintf(mark, sizeof(mark), "#%u", frame + 1);
		print_address(out, walk, mark, walk->frame[frame].pc, walk->frame[frame].pc - 1);
	}
	if (walk->is_cut)
		fprintf(out, "%sand more\n", walk->view->indent);
}

void arch_vcpu_print_stack(FILE *out, const struct arch_view *view)
{
	struct kvm_regs r;
	struct kvm_sregs s;
	struct stack_walk walk = {.view = view};

	if (ioctl(view->vcpu_fd, KVM_GET_REGS, &r) < 0 ||
	    ioctl(view->vcpu_fd, KVM_GET_SREGS, &s) < 0) {
		fprintf(out, "%sregisters cannot be read\n", view->indent);
		return;
	}
	walk.width = s.cs.l ? 8 : s.cs.db ? 4 : 2;
	walk.base = s.cs.l ? 0 : s.ss.base;
	print_address(out, &walk, "#0", r.rip, (s.cs.l ? 0 : s.cs.base) + r.rip);
	follow_frames(&walk, s.cs.l ? r.rbp : s.cs.db ? (uint32_t)r.rbp : (uint16_t)r.rbp);
	print_walk(out, &walk, r.rsp);
}
