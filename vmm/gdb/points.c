#include "gdb/internal.h"

static int point_fd(const struct gdb *gdb)
{
	return gdb->vm->vcpu[gdb->current].fd;
}

/* By guest physical address, because page tables change. */
static struct gdb_breakpoint *find_gpa(struct gdb *gdb, uint64_t gpa)
{
	for (unsigned i = 0; i < GDB_BREAKPOINTS_MAX; i++)
		if (gdb->breakpoint[i].is_set && gdb->breakpoint[i].gpa == gpa)
			return &gdb->breakpoint[i];
	return NULL;
}

static struct gdb_breakpoint *find_free(struct gdb *gdb)
{
	for (unsigned i = 0; i < GDB_BREAKPOINTS_MAX; i++)
		if (!gdb->breakpoint[i].is_set)
			return &gdb->breakpoint[i];
	return NULL;
}

bool gdb_breakpoint_set(struct gdb *gdb, uint64_t linear)
{
	struct gdb_breakpoint *bp = find_free(gdb);
	uint64_t gpa;

	if (!arch_translate(point_fd(gdb), linear, &gpa))
		return false;
	if (find_gpa(gdb, gpa))
		return true; /* the protocol: setting it twice is as once */
	if (!bp || guest_mem_read(&gdb->vm->mem, gpa, &bp->original, 1) < 0 ||
	    guest_mem_write(&gdb->vm->mem, gpa, arch_breakpoint, arch_breakpoint_bytes) < 0)
		return false;
	bp->linear = linear;
	bp->gpa = gpa;
	bp->is_set = true;
	gdb->nr_breakpoints++;
	return true;
}

/* A byte that the guest has written over it stays. */
static void take_out(struct gdb *gdb, struct gdb_breakpoint *bp)
{
	uint8_t now;

	if (guest_mem_read(&gdb->vm->mem, bp->gpa, &now, 1) == 0 && now == arch_breakpoint[0])
		guest_mem_write(&gdb->vm->mem, bp->gpa, &bp->original, 1);
	bp->is_set = false;
	gdb->nr_breakpoints--;
}

bool gdb_breakpoint_clear(struct gdb *gdb, uint64_t linear)
{
	for (unsigned i = 0; i < GDB_BREAKPOINTS_MAX; i++)
		if (gdb->breakpoint[i].is_set && gdb->breakpoint[i].linear == linear)
			take_out(gdb, &gdb->breakpoint[i]);
	return true;
}

bool gdb_is_breakpoint(const struct gdb *gdb, unsigned vcpu, uint64_t linear)
{
	uint64_t gpa;

	if (!arch_translate(gdb->vm->vcpu[vcpu].fd, linear, &gpa))
		return false;
	for (unsigned i = 0; i < GDB_BREAKPOINTS_MAX; i++)
		if (gdb->breakpoint[i].is_set && gdb->breakpoint[i].gpa == gpa)
			return true;
	return false;
}

static bool point_is_same(const struct arch_debug_point *a, const struct arch_debug_point *b)
{
	return a->kind == b->kind && a->addr == b->addr && a->len == b->len;
}

bool gdb_point_set(struct gdb *gdb, const struct arch_debug_point *point)
{
	struct arch_debug_point *free = NULL;

	if ((point->len != 1 && point->len != 2 && point->len != 4 && point->len != 8) ||
	    point->addr % point->len)
		return false;
	for (unsigned i = 0; i < ARCH_DEBUG_POINTS; i++) {
		if (point_is_same(&gdb->point[i], point))
			return true;
		if (gdb->point[i].kind == ARCH_DEBUG_NONE)
			free = &gdb->point[i];
	}
	if (!free)
		return false;
	*free = *point;
	return true;
}

bool gdb_point_clear(struct gdb *gdb, const struct arch_debug_point *point)
{
	for (unsigned i = 0; i < ARCH_DEBUG_POINTS; i++)
		if (point_is_same(&gdb->point[i], point))
			gdb->point[i] = (struct arch_debug_point){0};
	return true;
}

void gdb_clear_all(struct gdb *gdb)
{
	for (unsigned i = 0; i < GDB_BREAKPOINTS_MAX; i++)
		if (gdb->breakpoint[i].is_set)
			take_out(gdb, &gdb->breakpoint[i]);
	for (unsigned i = 0; i < ARCH_DEBUG_POINTS; i++)
		gdb->point[i] = (struct arch_debug_point){0};
}

/* False: memory at it now holds something else than the instruction. */
static bool set_again(struct gdb *gdb, const struct gdb_breakpoint *bp)
{
	uint8_t now;

	return guest_mem_read(&gdb->vm->mem, bp->gpa, &now, 1) == 0 && now == bp->original &&
	       guest_mem_write(&gdb->vm->mem, bp->gpa, arch_breakpoint, arch_breakpoint_bytes) == 0;
}

/*
 * Only where the instruction is there again. A kernel that decompresses itself has its compressed image there at first,
 * which a byte of ours would spoil.
 */
void gdb_set_again(struct gdb *gdb)
{
	for (unsigned i = 0; i < GDB_BREAKPOINTS_MAX; i++) {
		struct gdb_breakpoint *bp = &gdb->breakpoint[i];

		if (!bp->is_set || set_again(gdb, bp))
			continue;
		bp->is_set = false;
		gdb->nr_breakpoints--;
	}
}

/* The byte that a breakpoint of ours covers at linear; NULL: none does. */
static struct gdb_breakpoint *covering(struct gdb *gdb, uint64_t linear)
{
	uint64_t gpa;

	if (!gdb->nr_breakpoints || !arch_translate(point_fd(gdb), linear, &gpa))
		return NULL;
	return find_gpa(gdb, gpa);
}

size_t gdb_memory_read(struct gdb *gdb, uint64_t linear, uint8_t *buf, size_t len)
{
	const size_t n = arch_linear_read(point_fd(gdb), &gdb->vm->mem, linear, buf, len);

	for (size_t i = 0; gdb->nr_breakpoints && i < n; i++) {
		const struct gdb_breakpoint *bp = covering(gdb, linear + i);

		if (bp && buf[i] == arch_breakpoint[0])
			buf[i] = bp->original;
	}
	return n;
}

size_t gdb_memory_write(struct gdb *gdb, uint64_t linear, const uint8_t *buf, size_t len)
{
	const size_t n = arch_linear_write(point_fd(gdb), &gdb->vm->mem, linear, buf, len);

	for (size_t i = 0; gdb->nr_breakpoints && i < n; i++) {
		struct gdb_breakpoint *bp = covering(gdb, linear + i);

		if (!bp)
			continue;
		bp->original = buf[i];
		guest_mem_write(&gdb->vm->mem, bp->gpa, arch_breakpoint, arch_breakpoint_bytes);
	}
	return n;
}
