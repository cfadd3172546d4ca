/*
 * internal.h - what the files of the stub share: ../gdb.c, its client; commands.c, packets and their replies; run.c,
 * stopping and going on; points.c, break- and watchpoints. Event thread.
 */
#ifndef VMM_GDB_INTERNAL_H
#define VMM_GDB_INTERNAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include "base/unix_socket.h"
#include "control.h"
#include "event.h"
#include "gdb.h"
#include "gdb/packet.h"
#include "vm.h"

enum {
	GDB_BREAKPOINTS_MAX = 256,
	GDB_REPLY_BYTES = 2 * GDB_PACKET_BYTES, /* of a reply's content */
	GDB_OUT_BYTES = 2 * GDB_REPLY_BYTES,    /* replies that the client has not taken */
	GDB_SIGINT = 2,
	GDB_SIGTRAP = 5,
};

/* An instruction that was replaced. */
struct gdb_breakpoint {
	uint64_t linear, gpa;
	uint8_t original;
	bool is_set;
};

enum gdb_action { GDB_STAYS, GDB_CONTINUES, GDB_STEPS };

struct gdb_vcpu {
	atomic_bool has_stopped; /* set on its thread, which then waits at the gate */
	enum gdb_action action;
	bool unreported; /* it has stopped by a watchpoint or a step, and another vCPU was reported to gdb */
};

struct gdb {
	struct vm *vm;                      /* borrowed */
	struct control_commands *commands;  /* borrowed */
	struct unix_listener listener;      /* of a path */
	struct event_source listen, client; /* client.fd -1: nobody */
	bool is_stopped;                    /* by us */
	bool no_ack;
	bool is_extended; /* "!": after kill the client may run the guest anew */
	bool is_killed;   /* it has killed the guest, which is stopped; without it, the VM ends */
	unsigned current; /* the vCPU of registers and memory */
	struct gdb_vcpu *vcpu;
	struct gdb_breakpoint breakpoint[GDB_BREAKPOINTS_MAX];
	unsigned nr_breakpoints; /* that are set */
	struct arch_debug_point point[ARCH_DEBUG_POINTS];
	char *target; /* the description of registers */
	size_t target_len;
	struct gdb_input in;
	char out[GDB_OUT_BYTES];
	size_t out_len, out_sent;
	char last[GDB_REPLY_BYTES + 8]; /* the latest reply, framed */
	size_t last_len;
	bool is_over; /* it left, or is to be left */
};

/* ../gdb.c */
void gdb_reply(struct gdb *gdb, const char *content);
void gdb_replyf(struct gdb *gdb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* commands.c: gdb->in holds a packet. */
void gdb_command(struct gdb *gdb);

/* run.c. stop: -errno with diag, as vm_pause(). */
int gdb_stop(struct gdb *gdb, struct diag *diag);
void gdb_go_on(struct gdb *gdb); /* as each vCPU's action says */
void gdb_set_actions(struct gdb *gdb, enum gdb_action action);
void gdb_let_go(struct gdb *gdb); /* the VM runs as if nobody had been here */
void gdb_report(struct gdb *gdb, unsigned vcpu, unsigned signal);
void gdb_kill(struct gdb *gdb);
bool gdb_restart(struct gdb *gdb); /* stopped before the first instruction; false: not possible */
void gdb_vm_reset(void *arg);      /* vm.debugger.reset */
void gdb_vcpu_stopped(struct vcpu *vcpu, void *arg); /* vcpu.debugged */
void gdb_woken(void *arg);                           /* vm.debugger.woken */

/* points.c. While the VM is stopped. False: not possible. */
bool gdb_breakpoint_set(struct gdb *gdb, uint64_t linear);
bool gdb_breakpoint_clear(struct gdb *gdb, uint64_t linear);
bool gdb_point_set(struct gdb *gdb, const struct arch_debug_point *point);
bool gdb_point_clear(struct gdb *gdb, const struct arch_debug_point *point);
void gdb_clear_all(struct gdb *gdb);
void gdb_set_again(
	struct gdb *gdb); /* memory is new: forgets those whose instruction is not there */
bool gdb_is_breakpoint(const struct gdb *gdb, unsigned vcpu, uint64_t linear);
/* Memory without our breakpoints; writes go under them. How many of len. */
size_t gdb_memory_read(struct gdb *gdb, uint64_t linear, uint8_t *buf, size_t len);
size_t gdb_memory_write(struct gdb *gdb, uint64_t linear, const uint8_t *buf, size_t len);

#endif
