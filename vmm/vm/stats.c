#include "vm/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kvm/binary_stats.h"
#include "vm/stats_virtio.h"

/* The counters of one bus; the arrays are the caller's to free. */
struct bus_view {
	const char *name;
	struct iobus_count *count;
	struct iobus_count
		*collected; /* of them, what KVM collected; NULL when it collects nothing */
	size_t n;
	struct iobus_totals totals;
	struct iobus_unclaimed *unclaimed;
	size_t nr_unclaimed;
};

void stats_exits_sum(const struct vm *vm, struct stats_exits *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		for (unsigned k = 0; k < VCPU_EXIT_REASONS; k++) {
			const uint64_t n = vcpu_exits(&vm->vcpu[i], k);

			ret->by_reason[k] += n;
			ret->total += n;
		}
	}
}

/* On the thread that plugs devices, so no range comes or goes meanwhile. collecting may be NULL. */
static struct bus_view bus_view_read(struct iobus *bus, const struct iobus_reader *collecting,
				     const char *name)
{
	struct bus_view view = {.name = name};

	view.n = iobus_counts(bus, NULL, 0, &view.totals);
	view.count = calloc(view.n ? view.n : 1, sizeof(*view.count));
	if (!view.count)
		view.n = 0;
	else
		iobus_counts(bus, view.count, view.n, &view.totals);
	if (collecting && view.n)
		view.collected = calloc(view.n, sizeof(*view.collected));
	if (view.collected)
		iobus_reader_counts(collecting, view.collected, view.n);
	if (iobus_unclaimed(bus, &view.unclaimed, &view.nr_unclaimed) < 0)
		view.nr_unclaimed = 0;
	return view;
}

static void bus_view_free(struct bus_view *view)
{
	free(view->unclaimed);
	free(view->collected);
	free(view->count);
}

static uint64_t bus_view_collected(const struct bus_view *view, size_t i)
{
	return view->collected ? view->collected[i].writes : 0;
}

static void print_kernel(FILE *out, const struct arch_kernel *kernel)
{
	if (kernel->name)
		fprintf(out, "kernel '%s': %s; entered by %s at %#" PRIx64 "\n", kernel->name,
			kernel->kind, boot_protocol_name(kernel->protocol), kernel->entry_gpa);
}

static void print_exits(FILE *out, const struct vm *vm)
{
	struct stats_exits exits;
	char buf[16];

	stats_exits_sum(vm, &exits);
	fprintf(out, "exits to userspace: %" PRIu64 "\n", exits.total);
	for (uint32_t i = 0; i < VCPU_EXIT_REASONS; i++)
		if (exits.by_reason[i])
			fprintf(out, "  %-16s %12" PRIu64 "\n", vcpu_exit_name(i, buf),
				exits.by_reason[i]);
}

static void print_range(FILE *out, const struct bus_view *view, size_t i, bool timed)
{
	const struct iobus_count *c = &view->count[i];
	char range[48];

	snprintf(range, sizeof(range), "%#" PRIx64 "-%#" PRIx64, c->first, c->first + c->len - 1);
	fprintf(out, "       %-23s %-12s %12" PRIu64 " %12" PRIu64 " %12" PRIu64, range, c->owner,
		c->reads, c->writes, bus_view_collected(view, i));
	if (timed)
		fprintf(out, " %12" PRIu64, c->ns / (c->reads + c->writes));
	fputc('\n', out);
}

static void print_unclaimed(FILE *out, const struct bus_view *view)
{
	const struct iobus_totals *totals = &view->totals;

	if (totals->unclaimed_reads || totals->unclaimed_writes)
		fprintf(out, "       %-36s %12" PRIu64 " %12" PRIu64 "\n", "unclaimed",
			totals->unclaimed_reads, totals->unclaimed_writes);
	for (size_t i = 0; i < view->nr_unclaimed; i++) {
		const struct iobus_unclaimed *at = &view->unclaimed[i];

		fprintf(out, "         %#-34" PRIx64 " %12" PRIu64 " %12" PRIu64 "\n", at->addr,
			at->reads, at->writes);
	}
}

/* Everything of a bus is under its heading, unclaimed accesses too; a bus that had no access has none. */
static void print_bus(FILE *out, const struct bus_view *view, bool timed)
{
	const struct iobus_totals *totals = &view->totals;
	bool any = totals->unclaimed_reads || totals->unclaimed_writes || totals->split;

	for (size_t i = 0; i < view->n && !any; i++)
		any = view->count[i].reads + view->count[i].writes > 0;
	if (!any)
		return;
	fprintf(out, "%-6s %-23s %-12s %12s %12s %12s%s\n", view->name, "range", "device", "reads",
		"writes", "collected", timed ? "    ns/access" : "");
	for (size_t i = 0; i < view->n; i++)
		if (view->count[i].reads + view->count[i].writes > 0)
			print_range(out, view, i, timed);
	print_unclaimed(out, view);
	if (totals->split)
		fprintf(out, "       split accesses: %" PRIu64 "\n", totals->split);
}

/* KVM counts no read of what is memory, so only how often the page was mapped can be reported. */
static void print_register_pages(FILE *out, struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		struct register_page_counts counts;

		if (!vm->register_page[i].page)
			continue;
		counts = register_page_counts(&vm->register_page[i]);
		fprintf(out,
			"register page of %s: unmapped %" PRIu64 " times, mapped again %" PRIu64
			" times\n",
			vm->machine.device[i].name, counts.unmaps, counts.maps);
	}
}

/* A device's counters, read under its lock, which is that of the device on the bus. */
struct device_view {
	const char *counter_name; /* NULL: it has no number of its own */
	uint64_t counter, guest_errors;
};

static struct device_view view_device(struct vm *vm, unsigned i)
{
	struct device *dev = vm->device[i], *on_bus = vm_bus_device(vm, i);
	struct device_view view = {.counter_name = dev->cls->counter_name};

	pthread_mutex_lock(&on_bus->lock);
	view.guest_errors = dev->guest_errors;
	if (dev->cls->counter)
		view.counter = dev->cls->counter(dev);
	pthread_mutex_unlock(&on_bus->lock);
	return view;
}

static void print_devices(FILE *out, struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		const struct device_view view = view_device(vm, i);
		const char *name = vm->machine.device[i].name;

		if (view.counter)
			fprintf(out, "%s: %s %" PRIu64 "\n", name, view.counter_name, view.counter);
		if (view.guest_errors)
			fprintf(out, "%s: guest_errors %" PRIu64 "\n", name, view.guest_errors);
	}
}

void stats_print(FILE *out, struct vm *vm)
{
	struct bus_view pio = bus_view_read(vm->pio, vm->coalesced.pio, "PIO");
	struct bus_view mmio = bus_view_read(vm->mmio, vm->coalesced.mmio, "MMIO");

	print_kernel(out, &vm->kernel);
	print_exits(out, vm);
	if (vm->coalesced.ring)
		fprintf(out, "writes collected by KVM without an exit: %" PRIu64 "\n",
			atomic_load(&vm->coalesced.drained));
	print_register_pages(out, vm);
	print_devices(out, vm);
	stats_virtio_print(out, vm);
	print_bus(out, &pio, vm->time_exits);
	print_bus(out, &mmio, vm->time_exits);
	if (vm_latency_print(out, vm) < 0)
		fprintf(out, "ns in Tollgate per exit: no memory to sum them up\n");
	bus_view_free(&pio);
	bus_view_free(&mmio);
}

void stats_kvm_open(struct stats_kvm *kvm, const struct vm *vm)
{
	*kvm = (struct stats_kvm){.vm = kvm_stats_open(vm->kvm.vm_fd)};
	kvm->vcpu = calloc(vm->nr_vcpus, sizeof(*kvm->vcpu));
	if (!kvm->vcpu)
		return;
	kvm->nr_vcpus = vm->nr_vcpus;
	for (unsigned i = 0; i < kvm->nr_vcpus; i++)
		kvm->vcpu[i] = kvm_stats_open(vm->vcpu[i].fd);
}

void stats_kvm_close(struct stats_kvm *kvm)
{
	if (kvm->vm > 0)
		close(kvm->vm);
	for (unsigned i = 0; i < kvm->nr_vcpus; i++)
		if (kvm->vcpu[i] >= 0)
			close(kvm->vcpu[i]);
	free(kvm->vcpu);
	*kvm = (struct stats_kvm){0};
}

/* Adds every vCPU's counters up by name; KVM gives each vCPU the same list. */
static int read_vcpu_stats(const struct stats_kvm *kvm, struct kvm_stat **ret)
{
	struct kvm_stat *sum = NULL;
	int n = 0;

	if (!kvm->vcpu)
		return -ENOMEM;
	for (unsigned i = 0; i < kvm->nr_vcpus; i++) {
		AUTO_FREE struct kvm_stat *one = NULL;
		int got = kvm_stats_read(kvm->vcpu[i], &one);

		if (got < 0 || (sum && got != n)) {
			free(sum);
			return got < 0 ? got : -EPROTO;
		}
		if (!sum) {
			sum = STEAL_PTR(one);
			n = got;
			continue;
		}
		for (int k = 0; k < n; k++)
			sum[k].value += one[k].value;
	}
	*ret = sum;
	return n;
}

static void print_kvm_stats(FILE *out, const char *title, const struct kvm_stat *stat, int n)
{
	if (n < 0) {
		fprintf(out, "%s: not available: %s\n", title, strerror(-n));
		return;
	}
	fprintf(out, "%s:\n", title);
	for (int i = 0; i < n; i++)
		if (stat[i].value)
			fprintf(out, "  %-32s %12" PRIu64 "\n", stat[i].name, stat[i].value);
}

void stats_print_kvm(FILE *out, const struct stats_kvm *kvm)
{
	AUTO_FREE struct kvm_stat *of_vm = NULL;
	AUTO_FREE struct kvm_stat *of_vcpus = NULL;
	int n = kvm_stats_read(kvm->vm, &of_vm);

	print_kvm_stats(out, "KVM's statistics of the VM", of_vm, n);
	n = read_vcpu_stats(kvm, &of_vcpus);
	print_kvm_stats(out, "KVM's statistics of the vCPUs, summed", of_vcpus, n);
}

static struct json_object *json_exits(const struct vm *vm)
{
	struct json_object *obj = json_object_new_object();
	struct stats_exits exits;
	char buf[16];

	stats_exits_sum(vm, &exits);
	json_add_u64(obj, "total", exits.total);
	for (uint32_t i = 0; i < VCPU_EXIT_REASONS; i++)
		if (exits.by_reason[i])
			json_add_u64(obj, vcpu_exit_name(i, buf), exits.by_reason[i]);
	return obj;
}

static struct json_object *json_unclaimed(const struct bus_view *view)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < view->nr_unclaimed; i++) {
		struct json_object *at = json_object_new_object();

		json_add_u64(at, "address", view->unclaimed[i].addr);
		json_add_u64(at, "reads", view->unclaimed[i].reads);
		json_add_u64(at, "writes", view->unclaimed[i].writes);
		json_object_array_add(array, at);
	}
	return array;
}

static struct json_object *json_bus(struct iobus *bus, const struct iobus_reader *collecting,
				    bool timed)
{
	struct bus_view view = bus_view_read(bus, collecting, "");
	struct json_object *obj = json_object_new_object(), *ranges = json_object_new_array();

	json_add_u64(obj, "reads", view.totals.reads);
	json_add_u64(obj, "writes", view.totals.writes);
	json_add_u64(obj, "split", view.totals.split);
	json_add_u64(obj, "unclaimed_reads", view.totals.unclaimed_reads);
	json_add_u64(obj, "unclaimed_writes", view.totals.unclaimed_writes);
	for (size_t i = 0; i < view.n; i++) {
		struct json_object *range = json_object_new_object();

		json_object_object_add(range, "device",
				       json_object_new_string(view.count[i].owner));
		json_add_u64(range, "first", view.count[i].first);
		json_add_u64(range, "len", view.count[i].len);
		json_add_u64(range, "reads", view.count[i].reads);
		json_add_u64(range, "writes", view.count[i].writes);
		json_add_u64(range, "collected", bus_view_collected(&view, i));
		if (timed)
			json_add_u64(range, "ns", view.count[i].ns);
		json_object_array_add(ranges, range);
	}
	json_object_object_add(obj, "ranges", ranges);
	json_object_object_add(obj, "unclaimed", json_unclaimed(&view));
	bus_view_free(&view);
	return obj;
}

static struct json_object *stats_json_devices(struct vm *vm)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		struct json_object *obj = json_object_new_object();
		const struct device_view view = view_device(vm, i);

		json_object_object_add(obj, "device",
				       json_object_new_string(vm->machine.device[i].name));
		json_object_object_add(obj, "plugged", json_object_new_boolean(!vm->unplugged[i]));
		json_add_u64(obj, "guest_errors", view.guest_errors);
		if (view.counter_name)
			json_add_u64(obj, view.counter_name, view.counter);
		json_object_array_add(array, obj);
	}
	return array;
}

static struct json_object *json_register_pages(struct vm *vm)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		struct register_page_counts counts;
		struct json_object *obj;

		if (!vm->register_page[i].page)
			continue;
		counts = register_page_counts(&vm->register_page[i]);
		obj = json_object_new_object();
		json_object_object_add(obj, "device",
				       json_object_new_string(vm->machine.device[i].name));
		json_add_u64(obj, "first", vm->register_page[i].gpa);
		json_add_u64(obj, "unmapped", counts.unmaps);
		json_add_u64(obj, "mapped_again", counts.maps);
		json_object_array_add(array, obj);
	}
	return array;
}

static struct json_object *json_kvm_stats(const struct kvm_stat *stat, int n)
{
	struct json_object *obj = n < 0 ? NULL : json_object_new_object();

	for (int i = 0; i < n; i++)
		json_add_u64(obj, stat[i].name, stat[i].value);
	return obj; /* NULL is JSON's null: the host does not report it */
}

static struct json_object *json_kernel(const struct arch_kernel *kernel)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "name",
			       json_object_new_string(kernel->name ? kernel->name : ""));
	json_object_object_add(obj, "kind", json_object_new_string(kernel->kind));
	json_object_object_add(obj, "entered_by",
			       json_object_new_string(boot_protocol_name(kernel->protocol)));
	json_add_u64(obj, "entry", kernel->entry_gpa);
	return obj;
}

static struct json_object *json_end(const struct vm_end *end)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "kind", json_object_new_string(vm_end_name(end->kind)));
	json_object_object_add(obj, "by", end->by ? json_object_new_string(end->by) : NULL);
	if (end->kind == VM_END_EXIT_CODE)
		json_add_u64(obj, "code", end->code);
	return obj;
}

/* Takes end, and gives the document. */
static struct json_object *json_stats(struct vm *vm, const struct stats_kvm *kvm,
				      struct json_object *end)
{
	AUTO_FREE struct kvm_stat *of_vm = NULL;
	AUTO_FREE struct kvm_stat *of_vcpus = NULL;
	struct json_object *root = json_object_new_object();
	int n;

	json_object_object_add(root, "end", end);
	json_add_u64(root, "resets", vm->reset.count);
	json_object_object_add(root, "kernel", json_kernel(&vm->kernel));
	json_object_object_add(root, "exits", json_exits(vm));
	json_add_u64(root, "coalesced_writes", atomic_load(&vm->coalesced.drained));
	json_object_object_add(root, "pio", json_bus(vm->pio, vm->coalesced.pio, vm->time_exits));
	json_object_object_add(root, "mmio",
			       json_bus(vm->mmio, vm->coalesced.mmio, vm->time_exits));
	json_object_object_add(root, "latency", vm_latency_json(vm));
	json_object_object_add(root, "register_pages", json_register_pages(vm));
	json_object_object_add(root, "devices", stats_json_devices(vm));
	json_object_object_add(root, "virtio", stats_virtio_json(vm));
	n = kvm_stats_read(kvm->vm, &of_vm);
	json_object_object_add(root, "kvm_vm", json_kvm_stats(of_vm, n));
	n = read_vcpu_stats(kvm, &of_vcpus);
	json_object_object_add(root, "kvm_vcpus", json_kvm_stats(of_vcpus, n));
	return root;
}

int stats_write_json(int fd, const char *path, struct vm *vm, const struct stats_kvm *kvm,
		     const struct vm_end *end, int exit_status, struct diag *diag)
{
	struct json_object *json = json_end(end), *root;
	int r = 0;

	json_object_object_add(json, "exit_status", json_object_new_int(exit_status));
	root = json_stats(vm, kvm, json);
	errno = 0;
	if (json_object_to_fd(fd, root, JSON_C_TO_STRING_PRETTY) < 0 || write(fd, "\n", 1) != 1)
		r = diag_set(diag, errno ? -errno : -EIO, "stats-write", "write statistics to '%s'",
			     path);
	json_object_put(root);
	return r;
}

int stats_print_json(FILE *out, struct vm *vm, const struct stats_kvm *kvm, struct diag *diag)
{
	static const struct vm_end running = {.kind = VM_END_NONE};
	struct json_object *root;
	const char *text;

	coalesced_drain(&vm->coalesced); /* so that what KVM has collected by now is counted */
	root = json_stats(vm, kvm, json_end(&running));
	text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY);
	if (text)
		fprintf(out, "%s\n", text);
	json_object_put(root);
	return text ? 0 : diag_set(diag, -ENOMEM, "stats-memory", "statistics");
}
