#include "vm/consoles.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/char/stdio.h"

/* After the last line of a kernel: one that runs on, as after printing a log, has a prompt by then. */
#define PANIC_SILENCE_NS (NS_PER_S / 2)

static void panic_is_over(void *arg)
{
	struct vm_chars *chars = arg;
	struct guest_timer *timer = &chars->panic_timer;
	const struct clock_src *clock = &timer->clock->src;

	timer->line.arm(&timer->line, clock->monotonic_ns(clock) + PANIC_SILENCE_NS);
}

static void panic_timer_expired(void *arg)
{
	const struct vm_chars *chars = arg;
	bool over = false;

	for (unsigned i = 0; i < chars->nr_kernel_consoles; i++)
		over |= char_port_panic(chars->kernel_console[i])->state == CHAR_PANIC_OVER;
	if (over)
		chars->power->end(chars->power, (struct vm_end){.kind = VM_END_PANIC,
								.by = "the kernel's console"});
}

int vm_chars_init(struct vm_chars *chars, const struct vm_chars_opts *opts, struct event_loop *loop,
		  const struct guest_clock *clock, struct power *power, struct diag *diag)
{
	int r;

	*chars = (struct vm_chars){
		.input = opts->input,
		.input_at_stdout = opts->input_at_stdout,
		.to_stdout = opts->to_stdout,
		.nr_outputs = opts->nr_outputs,
		.loop = loop,
		.power = power,
	};
	assert(opts->nr_outputs <= VM_OUTPUTS_MAX);
	for (unsigned i = 0; i < opts->nr_outputs; i++)
		chars->output[i] = opts->output[i];
	char_null_init(&chars->null_backend);
	r = guest_timer_init(&chars->panic_timer, loop, clock, panic_timer_expired, chars);
	return r < 0 ? diag_set(diag, r, "panic-timer", "timer of a panic") : 0;
}

/* False when the device is connected to nothing. */
static bool find_output(const struct vm_chars *chars, const char *device, struct vm_output *ret)
{
	*ret = (struct vm_output){
		.device = device,
		.fd = chars->to_stdout ? STDOUT_FILENO : VM_OUTPUT_NONE,
	};
	for (unsigned i = 0; i < chars->nr_outputs; i++)
		if (strcmp(chars->output[i].device, device) == 0)
			*ret = chars->output[i];
	if (ret->dest && ret->dest->kind == CHAR_STDIO)
		*ret = (struct vm_output){.device = device, .fd = STDOUT_FILENO};
	return ret->dest ? ret->dest->kind != CHAR_NULL : ret->fd >= 0;
}

static struct char_host *find_host(const struct vm_chars *chars, const struct vm_output *out)
{
	for (unsigned i = 0; i < chars->nr_hosts; i++) {
		const struct vm_char_host *at = &chars->host[i];

		if (out->dest ? at->dest == out->dest : !at->dest && at->fd == out->fd)
			return at->host;
	}
	return NULL;
}

static int open_host(struct vm_chars *chars, const struct vm_output *out, struct char_host **ret,
		     struct diag *diag)
{
	const bool input = !out->dest && chars->input && !chars->terminal &&
			   (!chars->input_at_stdout || out->fd == STDOUT_FILENO);
	struct char_host *host;
	int r;

	assert(chars->nr_hosts < VM_CHAR_HOSTS_MAX);
	if (out->dest)
		r = char_host_open(out->dest, chars->loop, chars->power, diag, &host);
	else
		r = console_open(out->fd, input, chars->loop, chars->power, diag, &host);
	if (r < 0)
		return r;
	if (input)
		chars->terminal = host;
	chars->host[chars->nr_hosts++] = (struct vm_char_host){host, out->dest, out->fd};
	*ret = host;
	return 0;
}

static bool is_kernel_console(const char *device)
{
	return strcmp(device, "serial0") == 0 || strcmp(device, "console0") == 0;
}

static struct char_backend *null_backend(struct vm_chars *chars, const char *device)
{
	struct char_null *null;

	if (!is_kernel_console(device))
		return &chars->null_backend;
	assert(chars->nr_kernel_nulls < VM_KERNEL_CONSOLES);
	null = &chars->kernel_null[chars->nr_kernel_nulls++];
	char_null_init_watching(null);
	return &null->be;
}

int vm_chars_backend(struct vm_chars *chars, const char *device, struct char_backend **ret,
		     struct char_port **ret_port, struct diag *diag)
{
	struct char_port *port = NULL;
	struct vm_output out;

	if (find_output(chars, device, &out)) {
		struct char_host *host = find_host(chars, &out);
		int r = host ? 0 : open_host(chars, &out, &host, diag);

		if (r < 0)
			return r;
		port = char_port_add(host);
		if (!port)
			return diag_set(diag, -ENOMEM, "console-device-memory",
					"console of device '%s'", device);
		if (is_kernel_console(device)) {
			assert(chars->nr_kernel_consoles < VM_KERNEL_CONSOLES);
			chars->kernel_console[chars->nr_kernel_consoles++] = port;
			char_port_watch_panic(port, panic_is_over, chars);
		}
	}
	*ret = port ? &port->be : null_backend(chars, device);
	*ret_port = port;
	return 0;
}

const char *vm_chars_name(const struct vm_chars *chars, const char *device)
{
	const struct char_host *host = NULL;
	struct vm_output out;

	if (find_output(chars, device, &out) && out.dest && !out.dest->path)
		host = find_host(chars, &out);
	return host && host->name[0] ? host->name : NULL;
}

void vm_chars_woken(struct vm_chars *chars)
{
	for (unsigned i = 0; i < chars->nr_hosts; i++)
		char_host_woken(chars->host[i].host);
}

bool vm_chars_interrupt(struct vm_chars *chars)
{
	for (unsigned i = 0; i < chars->nr_hosts; i++)
		if (chars->host[i].dest && chars->host[i].dest->kind == CHAR_COMMAND)
			return char_command_interrupt(chars->host[i].host);
	return false;
}

void vm_chars_resume(struct vm_chars *chars)
{
	if (chars->terminal)
		console_resume(chars->terminal);
}

void vm_chars_resized(struct vm_chars *chars)
{
	for (unsigned i = 0; i < chars->nr_hosts; i++)
		char_host_resized(chars->host[i].host);
}

/* All at once, so that one whose reader is stuck takes no time from the others. */
static void flush_all(struct vm_chars *chars, int64_t until_ns)
{
	struct pollfd pfd[VM_CHAR_HOSTS_MAX];
	nfds_t left;

	do {
		left = 0;
		for (unsigned i = 0; i < chars->nr_hosts; i++) {
			struct char_host *host = chars->host[i].host;

			if (!char_host_flush(host))
				pfd[left++] =
					(struct pollfd){.fd = host->out.fd, .events = POLLOUT};
		}
		if (left)
			poll(pfd, left, 100);
	} while (left && clock_monotonic_ns() < until_ns);
}

bool vm_chars_saw_panic(struct vm_chars *chars)
{
	bool saw = false;

	for (unsigned i = 0; i < chars->nr_kernel_consoles; i++)
		saw |= char_port_panic(chars->kernel_console[i])->state != CHAR_PANIC_NONE;
	for (unsigned i = 0; i < chars->nr_kernel_nulls; i++)
		saw |= chars->kernel_null[i].panic.state != CHAR_PANIC_NONE;
	return saw;
}

void vm_chars_forget_panic(struct vm_chars *chars)
{
	struct timer_line *timer = &chars->panic_timer.line;

	for (unsigned i = 0; i < chars->nr_kernel_consoles; i++)
		char_port_forget_panic(chars->kernel_console[i]);
	for (unsigned i = 0; i < chars->nr_kernel_nulls; i++)
		chars->kernel_null[i].panic = (struct char_panic){0};
	timer->arm(timer, INT64_MAX);
}

static bool is_stderrs_file(int fd)
{
	struct stat st, err;

	return fstat(fd, &st) == 0 && fstat(STDERR_FILENO, &err) == 0 && st.st_dev == err.st_dev &&
	       st.st_ino == err.st_ino;
}

static bool find_line_open(const struct vm_chars *chars)
{
	const struct char_host *last = NULL;

	for (unsigned i = 0; i < chars->nr_hosts; i++) {
		const struct char_host *host = chars->host[i].host;

		if (!chars->host[i].dest && host->wrote_ns &&
		    (!last || host->wrote_ns > last->wrote_ns) &&
		    is_stderrs_file(chars->host[i].fd))
			last = host;
	}
	return last && last->line_open;
}

static void note_lost(struct vm_chars *chars, const struct vm_char_host *at, int r)
{
	char what[sizeof(chars->lost.what)];

	if (at->dest)
		snprintf(what, sizeof(what), "console's file '%s'", at->dest->path);
	else
		snprintf(what, sizeof(what), "%s",
			 at->fd == STDOUT_FILENO ? "standard output" : "console output");
	if (r == -ETIMEDOUT)
		diag_set(&chars->lost, -EINVAL, "output-stuck",
			 "%s does not answer: its last output is lost", what);
	else
		diag_set(&chars->lost, r, "output-lost", "%s: its last output is lost", what);
}

static void close_host(struct vm_chars *chars, const struct vm_char_host *at, int64_t until_ns)
{
	const uint64_t left_out_bytes = at->host->left_out_bytes;
	const int r = char_host_destroy(at->host, until_ns);

	if (r < 0)
		note_lost(chars, at, r);
	if (left_out_bytes)
		chars->left_out[chars->nr_left_out++] =
			(struct vm_chars_left_out){at->dest, left_out_bytes};
}

void vm_chars_fini(struct vm_chars *chars)
{
	int64_t until_ns = clock_monotonic_ns() + NS_PER_S;

	guest_timer_fini(&chars->panic_timer);
	flush_all(chars, until_ns);
	if (chars->nr_hosts)
		chars->line_open = find_line_open(chars);
	chars->nr_kernel_consoles = 0;
	/* A time of their own: one whose reader is stuck took all of the first from files that answer. */
	until_ns = clock_monotonic_ns() + CHAR_CLOSE_NS;
	while (chars->nr_hosts)
		close_host(chars, &chars->host[--chars->nr_hosts], until_ns);
	chars->terminal = NULL;
}
