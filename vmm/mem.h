/*
 * mem.h - guest RAM: the only place where a guest physical address becomes a pointer.
 *
 * RAM is one private anonymous mapping, and guest physical RAM regions are slices of it, in address
 * order. It begins at a multiple of 2 MiB: a slice whose guest address and whose predecessors'
 * lengths are such multiples too can be mapped by huge pages on both sides.
 */
#ifndef VMM_MEM_H
#define VMM_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum { GUEST_MEM_REGIONS_MAX = 4 };

struct guest_region {
	uint64_t gpa, len; /* bytes, page multiples */
	void *host;        /* the mapping of gpa */
};

struct guest_mem {
	struct guest_region region[GUEST_MEM_REGIONS_MAX];
	unsigned nr_regions;
	void *base;     /* the whole mapping */
	uint64_t bytes; /* its length */
	bool keeps; /* pages of huge size or that were touched beforehand: the host gets none back */
};

struct guest_mem_opts {
	bool hugepages; /* of hugetlbfs's reserve; else the host's transparent ones where it can */
	bool prealloc;  /* every page is touched before the guest runs */
};

/*
 * Makes and maps RAM for the given regions (gpa and len filled in, ascending, disjoint). Copies the
 * regions. -ENOMEM and friends with diag. mem may be uninitialised; on failure it is safe to fini.
 */
int guest_mem_init(struct guest_mem *mem, const struct guest_region *regions, unsigned nr,
		   const struct guest_mem_opts *opts, struct diag *diag);
void guest_mem_fini(struct guest_mem *mem);

/*
 * [gpa, gpa + len) as a host pointer when it lies inside one region, else NULL; len 0 gives NULL.
 * The guest may change the bytes at any time: fetch a field once into a local, then check it.
 */
void *guest_mem_ptr(const struct guest_mem *mem, uint64_t gpa, uint64_t len);

/* The guest's address of a byte of RAM; false when host is not an address of RAM. Fit for a signal handler. */
bool guest_mem_gpa(const struct guest_mem *mem, uintptr_t host, uint64_t *ret);

/* Copies; -EFAULT when any byte is outside RAM, and nothing is copied then. len 0 succeeds. */
int guest_mem_read(const struct guest_mem *mem, uint64_t gpa, void *buf, size_t len);
int guest_mem_write(const struct guest_mem *mem, uint64_t gpa, const void *buf, size_t len);

/*
 * Gives the pages of [host, host + len) back to the host; touched again they are zeroed. host comes from
 * guest_mem_ptr() or from a virtqueue; both are multiples of 4 KiB. -errno when the host refuses, as it
 * does for part of a reserved huge page. Any thread.
 */
int guest_mem_discard(const struct guest_mem *mem, void *host, uint64_t len);

/*
 * Makes KVM forget how it maps the page of gpa, so that the guest's next access there faults into the host; content and
 * access stay. False when gpa is not RAM, or when the host refuses. Any thread.
 */
bool guest_mem_remap_page(const struct guest_mem *mem, uint64_t gpa);

/*
 * All of RAM reads as zeros, and its pages are the host's again. Where the options promise that pages are there, they
 * stay. New ones replace those that a memory error of the host has taken; -errno when the host has none.
 */
int guest_mem_clear(const struct guest_mem *mem);

enum { GUEST_PAGE_BYTES = 4096 };

/* Where the host keeps a page of RAM. */
enum guest_page {
	GUEST_PAGE_UNTOUCHED, /* zeros, and nothing of the host's */
	GUEST_PAGE_RESIDENT,
	GUEST_PAGE_ELSEWHERE, /* in swap, or lost: a memory error takes a page away so; guest_mem_copy_page() knows */
};

/*
 * Looks at nr pages from host on, of one region, and touches none. Pages are resident where the host does not say,
 * and reads of untouched ones are zeros.
 */
void guest_mem_pages(const void *host, size_t nr, enum guest_page *ret);

/* Copies a page; false when its content is lost. Never a SIGBUS. */
bool guest_mem_copy_page(const void *host, uint8_t buf[GUEST_PAGE_BYTES]);

/*
 * Whether the host is to back RAM with small pages from now on: around discarded ones it would otherwise
 * make huge pages anew. Those that are there stay. Advice, so nothing fails.
 */
void guest_mem_prefer_small(const struct guest_mem *mem, bool small);

#endif
