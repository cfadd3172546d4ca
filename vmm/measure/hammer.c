#include "measure/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "config/builtin.h"
#include "vm/report.h"

static struct iobus *hammered_bus(const struct hammer *h)
{
	return h->opts->space == IOBUS_PIO ? h->vm.pio : h->vm.mmio;
}

static void remedy_address(const struct hammer_opts *o, struct diag *diag)
{
	if (o->space == IOBUS_PIO)
		diag_remedy(diag, "--port 0xa00 is free");
	else
		diag_remedy(diag, "--mmio %#" PRIx64 " is free", arch_platform.mmio_end);
}

static int add_ranges(struct hammer *h, struct diag *diag)
{
	const struct hammer_opts *o = h->opts;
	int r = target_add(hammered_bus(h), o->space, h->target, o->addr, o->width, o->ranges,
			   diag);

	if (r == -EEXIST)
		remedy_address(o, diag);
	else if (r < 0 && o->ranges)
		diag_remedy(diag, "give fewer --ranges; there is more room for them with --mmio");
	return r;
}

static int add_ioeventfds(struct hammer *h, struct diag *diag)
{
	const struct hammer_opts *o = h->opts;
	const struct ioeventfd first = {
		.space = o->space,
		.addr = o->addr + (o->same_byte ? 0 : HAMMER_OTHER_OFFSET),
		.len = o->ioeventfd_width,
		.has_data = true,
		.data = 1,
	};

	return ioeventfd_set_init(&h->ioeventfds, o->ioeventfds, &first, 0, &h->vm.kvm, diag);
}

/* The value that the guest writes: the datamatch of the one it shall hit, else 0, which none has. */
static uint64_t guest_value(const struct hammer_opts *o)
{
	switch (o->hit) {
	case HAMMER_HIT_NONE: return 0;
	case HAMMER_HIT_FIRST: return 1;
	case HAMMER_HIT_MIDDLE: return o->ioeventfds / 2 + 1;
	case HAMMER_HIT_LAST: return o->ioeventfds;
	}
	return 0;
}

uint64_t hammer_count_dispatched(const struct hammer *h)
{
	const struct hammer_opts *o = h->opts;
	struct iobus *bus = hammered_bus(h);
	size_t n = iobus_counts(bus, NULL, 0, NULL);
	AUTO_FREE struct iobus_count *count = calloc(n ? n : 1, sizeof(*count));

	if (!count)
		return 0;
	iobus_counts(bus, count, n, NULL);
	for (size_t i = 0; i < n; i++)
		if (count[i].first == o->addr)
			return count[i].reads + count[i].writes;
	return 0;
}

static void sum_up(struct hammer *h)
{
	struct hammer_result *res = h->result;
	unsigned pairs = HAMMER_PAIRS;

	res->dispatched = hammer_count_dispatched(h);
	for (unsigned i = 0; i < h->vm.nr_vcpus; i++) {
		const struct hammer_vcpu *hv = &h->vcpu[i];

		res->guest_count += h->ctl->cpu[i].count;
		res->bare += hv->bare;
		if (hv->nr_pairs < pairs)
			pairs = hv->nr_pairs;
		for (unsigned p = 0; p < hv->nr_pairs; p++) {
			res->rate[p] += hv->rate[p];
			res->rate_other[p] += hv->rate_other[p];
			res->rate_floor[p] += hv->rate_floor[p];
		}
	}
	if (h->opts->hit == HAMMER_HIT_NONE)
		res->nr_pairs = pairs;
	res->hits += ioeventfd_set_read(&h->ioeventfds);
}

/* -EINVAL for the sentence, which needs no strerror() after it; the caller's error says which. */
int hammer_check(const struct hammer_result *res, struct diag *diag)
{
	if (res->end.kind == VM_END_KILLED) {
		diag_set(diag, -EINVAL, "hammer-ended", "hammer ended by %s", res->end.by);
		return -EINTR;
	}
	if (res->end.kind != VM_END_EXIT_CODE || res->end.code != 0) {
		diag_set(diag, -EINVAL, "hammer-kernel-end",
			 "the hammer kernel ended with %s (%s) instead of its own exit",
			 vm_end_name(res->end.kind), res->end.by ? res->end.by : "?");
		return -EPROTO;
	}
	if (res->dispatched + res->bare + res->hits != res->guest_count) {
		diag_set(diag, -EINVAL, "hammer-count",
			 "counted %" PRIu64 " dispatched, %" PRIu64 " bare exits and %" PRIu64
			 " hits, but the guest made %" PRIu64 " accesses",
			 res->dispatched, res->bare, res->hits, res->guest_count);
		return -EPROTO;
	}
	return 0;
}

/* The chip inside KVM that takes the access before it could exit, or NULL. */
static const char *chip_at(const struct hammer *h)
{
	const struct hammer_opts *o = h->opts;
	const struct machine *m = &h->vm.machine;

	for (unsigned i = 0; i < m->nr_chips; i++) {
		for (unsigned k = 0; k < m->chip[i].nr_ranges; k++) {
			const struct machine_range *r = &m->chip[i].range[k];

			if (r->space == o->space && o->addr < r->first + r->len &&
			    r->first < o->addr + o->width)
				return m->chip[i].name;
		}
	}
	return NULL;
}

/* Devices of ours are refused by the bus, which names them. */
static int check_address(const struct hammer *h, struct diag *diag)
{
	const struct hammer_opts *o = h->opts;
	const char *option = o->space == IOBUS_PIO ? "--port" : "--mmio";
	const char *chip = chip_at(h);

	if (chip) {
		diag_set(diag, -EINVAL, "hammer-address-taken",
			 "%s %#" PRIx64 " is taken by %s inside KVM: no access there exits", option,
			 o->addr, chip);
	} else if (o->space == IOBUS_MMIO &&
		   (guest_mem_ptr(&h->vm.mem, o->addr, 1) ||
		    guest_mem_ptr(&h->vm.mem, o->addr + o->width - 1, 1))) {
		diag_set(diag, -EINVAL, "hammer-address-memory",
			 "--mmio %#" PRIx64 " is guest memory: no access there exits", o->addr);
	} else {
		return 0;
	}
	remedy_address(o, diag);
	return -EINVAL;
}

static int hammer_build(struct hammer *h, char *cmdline, size_t cmdline_len, struct diag *diag)
{
	const struct hammer_opts *o = h->opts;
	struct vm_opts *vm_opts = &h->vm_opts;
	int r;

	snprintf(cmdline, cmdline_len,
		 "%s=%#" PRIx64 " dir=%s width=%u value=%" PRIu64 " count=%" PRIu64
		 " ctl=%#" PRIx64,
		 o->space == IOBUS_PIO ? "port" : "mmio", o->addr, o->in ? "in" : "out", o->width,
		 guest_value(o), o->count, HAMMER_CTL_GPA);
	*vm_opts = o->config.vm;
	vm_opts->kernel = builtin_hammer();
	vm_opts->machine.cmdline = cmdline;
	vm_opts->input = vm_opts->to_stdout = false; /* the guest says nothing */
	r = target_raise_open_files(o->ioeventfds, diag);
	if (r == 0)
		r = vm_init(&h->vm, vm_opts, diag);
	if (r < 0)
		return r;
	r = check_address(h, diag);
	if (r < 0)
		return r;
	h->ctl = guest_mem_ptr(&h->vm.mem, HAMMER_CTL_GPA, sizeof(*h->ctl));
	h->ctl->magic = HAMMER_MAGIC;
	h->ctl->go = 1;
	h->vcpu = aligned_alloc(_Alignof(struct hammer_vcpu), h->vm.nr_vcpus * sizeof(*h->vcpu));
	if (!h->vcpu)
		return diag_set(diag, -ENOMEM, "hammer-memory", "start");
	memset(h->vcpu, 0, h->vm.nr_vcpus * sizeof(*h->vcpu));
	r = target_create(&h->target, diag);
	if (r == 0)
		r = add_ranges(h, diag);
	if (r == 0)
		r = add_ioeventfds(h, diag);
	if (r == 0 && o->hit == HAMMER_HIT_NONE)
		r = hammer_floor_init(&h->floor, &h->vm, diag);
	for (unsigned i = 0; i < h->vm.nr_vcpus && o->hit == HAMMER_HIT_NONE; i++) {
		h->vm.vcpu[i].loop = hammer_vcpu_loop;
		h->vm.vcpu[i].loop_arg = h;
	}
	return r;
}

int hammer_run(const struct hammer_opts *opts, FILE *log, struct hammer_result *ret,
	       struct diag *diag)
{
	AUTO_FREE struct hammer *h = calloc(1, sizeof(*h));
	char cmdline[160];
	int r;

	memset(ret, 0, sizeof(*ret));
	if (!h)
		return diag_set(diag, -ENOMEM, "hammer-memory", "start");
	h->opts = opts;
	h->result = ret;
	r = hammer_build(h, cmdline, sizeof(cmdline), diag);
	if (r == 0)
		r = hammer_control_start(h, diag);
	if (r == 0)
		r = vm_run(&h->vm, &ret->end, diag);
	if (h->has_control)
		pthread_join(h->control, NULL);
	if (r == 0) {
		sum_up(h);
		r = hammer_check(ret, diag);
	}
	ioeventfd_set_fini(&h->ioeventfds, &h->vm.kvm);
	hammer_floor_fini(&h->floor);
	report_stuck(log, &h->vm);
	ret->config_in_use = !vm_fini(&h->vm);
	device_destroy(h->target);
	free(h->vcpu);
	if (ret->config_in_use)
		(void)STEAL_PTR(h); /* a thread may use its VM until this process has ended */
	return r;
}
