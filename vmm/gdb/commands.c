/* commands.c - gdb's packets and what they do (gdb's manual, "Packets"). Unknown packets get an empty reply. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "gdb/internal.h"

enum { MEMORY_BYTES_MAX = GDB_REPLY_BYTES / 2 - 16, WORDS_MAX = CONTROL_ARGS_MAX };

static void reply_ok(struct gdb *gdb, bool ok)
{
	gdb_reply(gdb, ok ? "OK" : "E01");
}

static int command_fd(const struct gdb *gdb)
{
	return gdb->vm->vcpu[gdb->current].fd;
}

/* A thread id: ours are the vCPU's number and 1; 0 and -1 are any and all. False: no such thread. */
static bool take_thread(const struct gdb *gdb, const char **at, bool *ret_all, unsigned *ret_vcpu)
{
	uint64_t id;

	*ret_all = gdb_take(at, '-');
	if (!gdb_take_number(at, &id))
		return false;
	*ret_vcpu = gdb->current;
	if (*ret_all || id == 0)
		return true;
	*ret_vcpu = (unsigned)(id - 1);
	return id <= gdb->vm->nr_vcpus;
}

/* Registers. */

static void read_registers(struct gdb *gdb)
{
	uint8_t regs[ARCH_REGISTERS_BYTES_MAX];
	char hex[2 * ARCH_REGISTERS_BYTES_MAX + 1];

	if (arch_registers_read(command_fd(gdb), regs) < 0) {
		reply_ok(gdb, false);
		return;
	}
	gdb_to_hex(regs, arch_registers_bytes(), hex);
	gdb_reply(gdb, hex);
}

static void write_registers(struct gdb *gdb, const char *at)
{
	uint8_t regs[ARCH_REGISTERS_BYTES_MAX];
	const size_t n = arch_registers_bytes();

	reply_ok(gdb, strlen(at) == 2 * n && gdb_from_hex(at, n, regs) &&
			      arch_registers_write(command_fd(gdb), regs) == 0);
}

static void packet_read_register(struct gdb *gdb, const char *at)
{
	uint8_t regs[ARCH_REGISTERS_BYTES_MAX];
	char hex[2 * ARCH_REGISTERS_BYTES_MAX + 1];
	size_t off, len;
	uint64_t n;

	if (!gdb_take_number(&at, &n) || n > UINT16_MAX ||
	    !arch_register_place((unsigned)n, &off, &len) ||
	    arch_registers_read(command_fd(gdb), regs) < 0) {
		reply_ok(gdb, false);
		return;
	}
	gdb_to_hex(regs + off, len, hex);
	gdb_reply(gdb, hex);
}

static void packet_write_register(struct gdb *gdb, const char *at)
{
	uint8_t regs[ARCH_REGISTERS_BYTES_MAX];
	size_t off, len;
	uint64_t n;

	reply_ok(gdb, gdb_take_number(&at, &n) && n <= UINT16_MAX && gdb_take(&at, '=') &&
			      arch_register_place((unsigned)n, &off, &len) &&
			      strlen(at) == 2 * len &&
			      arch_registers_read(command_fd(gdb), regs) == 0 &&
			      gdb_from_hex(at, len, regs + off) &&
			      arch_registers_write(command_fd(gdb), regs) == 0);
}

/* Memory. */

static bool take_range(const char **at, uint64_t *ret_addr, uint64_t *ret_len)
{
	return gdb_take_number(at, ret_addr) && gdb_take(at, ',') && gdb_take_number(at, ret_len);
}

static void read_memory(struct gdb *gdb, const char *at)
{
	uint8_t bytes[MEMORY_BYTES_MAX];
	char hex[2 * MEMORY_BYTES_MAX + 1];
	uint64_t addr, len;
	size_t n;

	if (!take_range(&at, &addr, &len)) {
		reply_ok(gdb, false);
		return;
	}
	n = gdb_memory_read(gdb, addr, bytes, len < sizeof(bytes) ? (size_t)len : sizeof(bytes));
	if (n == 0 && len > 0) {
		reply_ok(gdb, false);
		return;
	}
	gdb_to_hex(bytes, n, hex);
	gdb_reply(gdb, hex);
}

static void write_memory(struct gdb *gdb, const char *at, bool is_binary)
{
	const char *end = (const char *)gdb->in.content + gdb->in.len;
	uint8_t bytes[GDB_PACKET_BYTES];
	uint64_t addr, len;
	size_t given;

	if (!take_range(&at, &addr, &len) || !gdb_take(&at, ':')) {
		reply_ok(gdb, false);
		return;
	}
	given = (size_t)(end - at);
	if (len > sizeof(bytes) || given != (is_binary ? len : 2 * len)) {
		reply_ok(gdb, false);
		return;
	}
	if (is_binary)
		memcpy(bytes, at, (size_t)len);
	else if (!gdb_from_hex(at, (size_t)len, bytes))
		len = UINT64_MAX;
	reply_ok(gdb, len != UINT64_MAX && gdb_memory_write(gdb, addr, bytes, (size_t)len) == len);
}

/* Break- and watchpoints: Z0 to Z4 set, z0 to z4 clear. */
static void point(struct gdb *gdb, const char *at, bool set)
{
	static const enum arch_debug_kind kinds[] = {ARCH_DEBUG_NONE, ARCH_DEBUG_BREAK,
						     ARCH_DEBUG_WRITE, ARCH_DEBUG_NONE,
						     ARCH_DEBUG_ACCESS};
	struct arch_debug_point p = {0};
	uint64_t type, len;

	if (!gdb_take_number(&at, &type) || !gdb_take(&at, ',') ||
	    !take_range(&at, &p.addr, &len)) {
		reply_ok(gdb, false);
		return;
	}
	if (type == 0) {
		reply_ok(gdb,
			 set ? gdb_breakpoint_set(gdb, p.addr) : gdb_breakpoint_clear(gdb, p.addr));
		return;
	}
	if (type >= ARRAY_SIZE(kinds) || kinds[type] == ARCH_DEBUG_NONE) {
		gdb_reply(gdb, ""); /* a watchpoint of reads alone is not what x86 has */
		return;
	}
	p.kind = kinds[type];
	/* A KVM that emulates guest kernel code looks for no accesses there. */
	if (p.kind != ARCH_DEBUG_BREAK && !arch_backing_name()) {
		gdb_reply(gdb, "");
		return;
	}
	p.len = p.kind == ARCH_DEBUG_BREAK ? 1 : len <= 8 ? (uint8_t)len : 0;
	reply_ok(gdb, set ? gdb_point_set(gdb, &p) : gdb_point_clear(gdb, &p));
}

/* Going on. */

/* "c" or "s", and "C" or "S" with a signal, which a machine has no use for. */
static bool take_action(const char **at, enum gdb_action *ret)
{
	const char kind = **at;
	uint64_t signal;

	if (kind != 'c' && kind != 's' && kind != 'C' && kind != 'S')
		return false;
	++*at;
	*ret = kind == 's' || kind == 'S' ? GDB_STEPS : GDB_CONTINUES;
	return kind == 'c' || kind == 's' || gdb_take_number(at, &signal);
}

/* ";ACTION[:THREAD]" once or more: of several for one thread, the first. */
static bool take_actions(struct gdb *gdb, const char *at)
{
	bool is_set[1024] = {false};

	gdb_set_actions(gdb, GDB_STAYS);
	while (gdb_take(&at, ';')) {
		enum gdb_action action;
		unsigned vcpu = 0;
		bool all = true;

		if (!take_action(&at, &action))
			return false;
		if (gdb_take(&at, ':') && !take_thread(gdb, &at, &all, &vcpu))
			return false;
		for (unsigned i = 0; i < gdb->vm->nr_vcpus && i < ARRAY_SIZE(is_set); i++) {
			if ((!all && i != vcpu) || is_set[i])
				continue;
			gdb->vcpu[i].action = action;
			is_set[i] = true;
		}
	}
	return *at == '\0';
}

static void vcont(struct gdb *gdb, const char *at)
{
	if (*at == '?')
		gdb_reply(gdb, "vCont;c;C;s;S");
	else if (take_actions(gdb, at))
		gdb_go_on(gdb);
	else
		reply_ok(gdb, false);
}

/* The older way, without threads: a step is the current one's. An address to go on from is not taken. */
static void go_on(struct gdb *gdb, char kind, const char *at)
{
	if (*at && (kind == 'c' || kind == 's')) {
		reply_ok(gdb, false);
		return;
	}
	gdb_set_actions(gdb, kind == 'c' || kind == 'C' ? GDB_CONTINUES : GDB_STAYS);
	if (kind == 's' || kind == 'S')
		gdb->vcpu[gdb->current].action = GDB_STEPS;
	gdb_go_on(gdb);
}

/* Threads. */

static void set_thread(struct gdb *gdb, const char *at)
{
	unsigned vcpu;
	bool all;

	if (*at != 'g' && *at != 'c') {
		reply_ok(gdb, false);
		return;
	}
	at++;
	if (!take_thread(gdb, &at, &all, &vcpu)) {
		reply_ok(gdb, false);
		return;
	}
	if (!all)
		gdb->current = vcpu;
	reply_ok(gdb, true);
}

static void list_threads(struct gdb *gdb)
{
	char list[GDB_REPLY_BYTES];
	size_t len = 0;

	for (unsigned i = 0; i < gdb->vm->nr_vcpus && len < sizeof(list) - 8; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%c%x", i ? ',' : 'm',
					i + 1);
	gdb_reply(gdb, list);
}

static void describe_thread(struct gdb *gdb, const char *at)
{
	char text[64], hex[2 * sizeof(text) + 1];
	unsigned vcpu;
	bool all;

	if (!take_thread(gdb, &at, &all, &vcpu) || all) {
		reply_ok(gdb, false);
		return;
	}
	snprintf(text, sizeof(text), "vCPU %u%s", vcpu,
		 arch_vcpu_halted(gdb->vm->vcpu[vcpu].fd) == ARCH_WAITS_FOR_CPU ? ", not started"
										: "");
	gdb_to_hex(text, strlen(text), hex);
	gdb_reply(gdb, hex);
}

/* Queries. */

static void read_target(struct gdb *gdb, const char *at)
{
	char part[GDB_PACKET_BYTES];
	uint64_t off, len;
	size_t n;

	if (!take_range(&at, &off, &len)) {
		reply_ok(gdb, false);
		return;
	}
	if (off > gdb->target_len)
		off = gdb->target_len;
	n = gdb->target_len - (size_t)off;
	if (n > len)
		n = (size_t)len;
	if (n > sizeof(part) - 2)
		n = sizeof(part) - 2;
	part[0] = off + n == gdb->target_len ? 'l' : 'm';
	memcpy(part + 1, gdb->target + off, n); /* none of its characters is escaped */
	part[1 + n] = '\0';
	gdb_reply(gdb, part);
}

/* Runs a line of text, and gives what it printed, or why it was not run. The caller's to free. */
static char *monitor_run(struct gdb *gdb, char *line)
{
	char *word[WORDS_MAX], *rest = NULL, *text = NULL;
	struct diag diag = {0};
	unsigned nr = 0;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (char *at = strtok_r(line, " \t", &rest); at && nr < WORDS_MAX;
	     at = strtok_r(NULL, " \t", &rest))
		word[nr++] = at;
	if (nr == 0)
		fputs("`monitor help` lists the commands\n", out);
	else if (gdb->commands->run(gdb->commands, word, nr, out, &diag) < 0)
		control_print_error(&diag, out);
	fclose(out);
	return text;
}

/* `monitor`: a command of the control socket. Its output comes in packets of its own. */
static void monitor(struct gdb *gdb, const char *hex)
{
	char line[256], part[2 * 1024 + 2];
	const size_t n = strlen(hex) / 2;

	if (n >= sizeof(line) || !gdb_from_hex(hex, n, (uint8_t *)line)) {
		reply_ok(gdb, false);
		return;
	}
	line[n] = '\0';
	AUTO_FREE char *text = monitor_run(gdb, line);
	size_t left = text ? strlen(text) : 0;

	/* At most what the client's buffer has room for: the rest of a long text is left out. */
	for (const char *at = text; left > 0 && gdb->out_len < GDB_OUT_BYTES / 2;) {
		const size_t now = left < 1024 ? left : 1024;

		part[0] = 'O';
		gdb_to_hex(at, now, part + 1);
		gdb_reply(gdb, part);
		at += now;
		left -= now;
	}
	reply_ok(gdb, text);
}

/* The rest of a packet after prefix; NULL: it does not begin so. */
static const char *packet_after(const char *packet, const char *prefix)
{
	const size_t len = strlen(prefix);

	return strncmp(packet, prefix, len) == 0 ? packet + len : NULL;
}

static void query(struct gdb *gdb, const char *packet)
{
	const char *at;

	if (packet_after(packet, "qSupported"))
		gdb_replyf(gdb,
			   "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;"
			   "swbreak+;hwbreak+",
			   GDB_PACKET_BYTES);
	else if ((at = packet_after(packet, "qXfer:features:read:target.xml:")))
		read_target(gdb, at);
	else if (strcmp(packet, "qfThreadInfo") == 0)
		list_threads(gdb);
	else if (strcmp(packet, "qsThreadInfo") == 0)
		gdb_reply(gdb, "l");
	else if ((at = packet_after(packet, "qThreadExtraInfo,")))
		describe_thread(gdb, at);
	else if (strcmp(packet, "qC") == 0)
		gdb_replyf(gdb, "QC%x", gdb->current + 1);
	else if (strcmp(packet, "qAttached") == 0)
		gdb_reply(gdb, "1");
	else if ((at = packet_after(packet, "qRcmd,")))
		monitor(gdb, at);
	else
		gdb_reply(gdb, "");
}

/* "vRun;FILE;ARGUMENTS": there is one kernel to run, whatever the client names. */
static void run_anew(struct gdb *gdb)
{
	if (gdb_restart(gdb))
		gdb_report(gdb, 0, GDB_SIGTRAP);
	else
		reply_ok(gdb, false);
}

static void long_command(struct gdb *gdb, const char *packet)
{
	const char *at;

	if ((at = packet_after(packet, "vCont"))) {
		vcont(gdb, at);
	} else if (packet_after(packet, "vKill;")) {
		gdb_reply(gdb, "OK");
		gdb_kill(gdb);
	} else if (packet_after(packet, "vRun;")) {
		run_anew(gdb);
	} else {
		gdb_reply(gdb, "");
	}
}

static void is_alive(struct gdb *gdb, const char *at)
{
	unsigned vcpu;
	bool all;

	reply_ok(gdb, take_thread(gdb, &at, &all, &vcpu) && !all);
}

static void detach(struct gdb *gdb)
{
	gdb_let_go(gdb);
	reply_ok(gdb, true);
}

static void set_stub_mode(struct gdb *gdb, const char *packet)
{
	const bool no_ack = strcmp(packet, "QStartNoAckMode") == 0;

	gdb_reply(gdb, no_ack ? "OK" : "");
	gdb->no_ack |= no_ack;
}

void gdb_command(struct gdb *gdb)
{
	const char *packet = (const char *)gdb->in.content;

	switch (packet[0]) {
	case '?':
		if (gdb->is_killed)
			gdb_reply(gdb, "W00");
		else
			gdb_report(gdb, gdb->current, GDB_SIGTRAP);
		break;
	case 'g': read_registers(gdb); break;
	case 'G': write_registers(gdb, packet + 1); break;
	case 'p': packet_read_register(gdb, packet + 1); break;
	case 'P': packet_write_register(gdb, packet + 1); break;
	case 'm': read_memory(gdb, packet + 1); break;
	case 'M': write_memory(gdb, packet + 1, false); break;
	case 'X': write_memory(gdb, packet + 1, true); break;
	case 'Z': point(gdb, packet + 1, true); break;
	case 'z': point(gdb, packet + 1, false); break;
	case 'c':
	case 'C':
	case 's':
	case 'S': go_on(gdb, packet[0], packet + 1); break;
	case 'H': set_thread(gdb, packet + 1); break;
	case 'T': is_alive(gdb, packet + 1); break;
	case 'q': query(gdb, packet); break;
	case 'v': long_command(gdb, packet); break;
	case 'D': detach(gdb); break;
	case 'k': gdb_kill(gdb); break;
	case 'R': gdb_restart(gdb); break; /* has no reply */
	case '!':
		gdb->is_extended = true;
		reply_ok(gdb, true);
		break;
	case 'Q': set_stub_mode(gdb, packet); break;
	default: gdb_reply(gdb, ""); break;
	}
}
