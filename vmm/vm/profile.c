#include "vm/profile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "vcpu/profile.h"
#include "vm.h"
#include "vm/internal.h"

enum { TABLE_ROWS = 40, EXIT_BYTES = 64 };

/* All notes with one function, one reason and one range of a device. */
struct profile_row {
	const char *function; /* the table of symbols'; NULL: it has no name */
	uint64_t pc;          /* without a name */
	const char *device;   /* the machine's; NULL: none */
	uint64_t addr;        /* without a device */
	uint32_t reason;
	bool is_write, is_access;
	uint64_t count;
};

struct profile_sum {
	struct profile_row *row;
	size_t nr;
	uint64_t noted, no_room;
};

int vm_profile_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	for (unsigned i = 0; opts->profile && i < vm->nr_vcpus; i++) {
		vm->vcpu[i].profile = vcpu_profile_create(arch_sample_is_cheap(&vm->kvm));
		if (!vm->vcpu[i].profile) {
			vm_profile_unmake(vm);
			return diag_set(diag, -ENOMEM, "profile-memory", "the profile of vCPU %u",
					i);
		}
	}
	return 0;
}

void vm_profile_unmake(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		free(vm->vcpu[i].profile);
		vm->vcpu[i].profile = NULL;
	}
}

static const char *profile_device(const struct vm *vm, enum iobus_space space, uint64_t addr)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		const struct machine_device *dev = &vm->machine.device[i];

		for (unsigned k = 0; k < machine_device_nr_ranges(dev); k++)
			if (dev->range[k].space == space && addr >= dev->range[k].first &&
			    addr - dev->range[k].first < dev->range[k].len)
				return dev->name;
	}
	return NULL;
}

static struct profile_row profile_row_of(const struct vm *vm, const struct symbols *symbols,
					 const struct vcpu_profile_note *note)
{
	struct profile_row row = {
		.reason = note->reason, .is_write = note->is_write, .count = note->count};
	enum iobus_space space = IOBUS_PIO;
	struct symbol symbol;

	if (symbols_find(symbols, note->pc, &symbol))
		row.function = symbol.name;
	else
		row.pc = note->pc;
	row.is_access = vcpu_exit_is_access(note->reason, &space);
	if (row.is_access)
		row.device = profile_device(vm, space, note->addr);
	if (!row.device)
		row.addr = note->addr;
	return row;
}

/* Equal ones are neighbours. */
static int by_content(const void *a, const void *b)
{
	const struct profile_row *x = a, *y = b;

#define COMPARE(member)                                                                            \
	if (x->member != y->member)                                                                \
	return x->member < y->member ? -1 : 1
	COMPARE(function);
	COMPARE(pc);
	COMPARE(device);
	COMPARE(addr);
	COMPARE(reason);
	COMPARE(is_write);
#undef COMPARE
	return 0;
}

static int by_count(const void *a, const void *b)
{
	const struct profile_row *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return by_content(a, b);
}

static void merge_rows(struct profile_sum *sum)
{
	size_t kept = 0;

	qsort(sum->row, sum->nr, sizeof(sum->row[0]), by_content);
	for (size_t i = 0; i < sum->nr; i++) {
		if (kept > 0 && by_content(&sum->row[kept - 1], &sum->row[i]) == 0)
			sum->row[kept - 1].count += sum->row[i].count;
		else
			sum->row[kept++] = sum->row[i];
	}
	sum->nr = kept;
	qsort(sum->row, sum->nr, sizeof(sum->row[0]), by_count);
}

/* The caller frees row. */
static int sum_notes(struct vm *vm, struct profile_sum *ret)
{
	const struct symbols *symbols = vm_symbols(vm);
	struct profile_sum sum = {0};

	sum.row = malloc((size_t)vm->nr_vcpus * VCPU_PROFILE_ROOM * sizeof(sum.row[0]));
	if (!sum.row)
		return -ENOMEM;
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		const struct vcpu_profile *profile = vm->vcpu[i].profile;

		sum.noted += profile->noted;
		sum.no_room += profile->no_room;
		for (size_t k = 0; k < VCPU_PROFILE_ROOM; k++)
			if (profile->note[k].count > 0)
				sum.row[sum.nr++] = profile_row_of(vm, symbols, &profile->note[k]);
	}
	merge_rows(&sum);
	*ret = sum;
	return 0;
}

static const char *row_exit(const struct profile_row *row, char text[EXIT_BYTES])
{
	char buf[16];
	const char *reason = vcpu_exit_name(row->reason, buf);
	const char *dir = row->is_write ? "write" : "read";

	if (!row->is_access)
		snprintf(text, EXIT_BYTES, "%s", reason);
	else if (row->device)
		snprintf(text, EXIT_BYTES, "%s %s %s", reason, dir, row->device);
	else
		snprintf(text, EXIT_BYTES, "%s %s unclaimed %#" PRIx64, reason, dir, row->addr);
	return text;
}

static const char *row_function(const struct profile_row *row, char text[24])
{
	if (row->function)
		return row->function;
	snprintf(text, 24, "%#" PRIx64, row->pc);
	return text;
}

int vm_profile_print_end(struct vm *vm, FILE *out)
{
	struct profile_sum sum;
	AUTO_FREE struct profile_row *rows = NULL;
	char exit[EXIT_BYTES], function[24];
	const int r = sum_notes(vm, &sum);

	if (r < 0)
		return r;
	rows = sum.row;
	fprintf(out, "exits noted: %" PRIu64 ", one in %d on average\n", sum.noted,
		VCPU_PROFILE_EVERY);
	fprintf(out, "%10s  %6s  %-36s %s\n", "noted", "share", "exit", "function");
	for (size_t i = 0; i < sum.nr && i < TABLE_ROWS; i++)
		fprintf(out, "%10" PRIu64 "  %5.1f%%  %-36s %s\n", rows[i].count,
			100.0 * (double)rows[i].count / (double)sum.noted, row_exit(&rows[i], exit),
			row_function(&rows[i], function));
	if (sum.nr > TABLE_ROWS)
		fprintf(out, "and %zu more rows\n", sum.nr - TABLE_ROWS);
	if (sum.no_room > 0)
		fprintf(out, "%" PRIu64 " of them had no room\n", sum.no_room);
	return 0;
}

int vm_profile_write_folded(struct vm *vm, FILE *out)
{
	struct profile_sum sum;
	AUTO_FREE struct profile_row *rows = NULL;
	char exit[EXIT_BYTES], function[24];
	const int r = sum_notes(vm, &sum);

	if (r < 0)
		return r;
	rows = sum.row;
	for (size_t i = 0; i < sum.nr; i++)
		fprintf(out, "%s;%s %" PRIu64 "\n", row_function(&rows[i], function),
			row_exit(&rows[i], exit), rows[i].count);
	return 0;
}

int vm_profile_print(struct vm *vm, FILE *out, struct diag *diag)
{
	int r;

	if (!vm->vcpu[0].profile) {
		diag_set(diag, -EINVAL, "profile-off", "this VM's exits are not profiled");
		diag_remedy(diag, "start it with --profile FILE");
		return -EINVAL;
	}
	r = vm_hold(vm, diag);
	if (r < 0)
		return r;
	r = vm_profile_print_end(vm, out);
	vm_let_go(vm);
	return r < 0 ? diag_set(diag, r, "profile-print", "the profile") : 0;
}
