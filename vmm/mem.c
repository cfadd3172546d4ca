#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/parse.h"

enum { HUGE_PAGE_BYTES = 2 << 20 };

static int mem_fail(struct guest_mem *mem, struct diag *diag, int err, const char *what)
{
	char size[24];

	diag_set(diag, err, "%s of guest memory: %s", format_size(mem->bytes, size), what);
	guest_mem_fini(mem);
	return err;
}

/* MemAvailable of /proc/meminfo in bytes, or UINT64_MAX when it cannot be read. */
static uint64_t host_available_bytes(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	static const char key[] = "MemAvailable:";
	uint64_t kib = UINT64_MAX / 1024;

	if (!f)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			kib = strtoull(line + sizeof(key) - 1, NULL, 10);
	fclose(f);
	return kib * 1024;
}

/* Asks before anything is touched: the host would rather kill a process than say no. */
static int check_available(struct guest_mem *mem, struct diag *diag)
{
	uint64_t available = host_available_bytes();
	char have[24], want[24];

	if (mem->bytes <= available)
		return 0;
	diag_set(diag, -EINVAL, "--prealloc of %s of guest memory: the host has %s available",
		 format_size(mem->bytes, want), format_size(available, have));
	diag_remedy(diag, "ask for less with --mem, or leave --prealloc out");
	return -EINVAL;
}

static int check_huge(const struct guest_mem *mem, struct diag *diag)
{
	char size[24];

	if (mem->bytes % HUGE_PAGE_BYTES == 0)
		return 0;
	diag_set(diag, -EINVAL, "--hugepages: %s of guest memory are not whole pages of 2 MiB",
		 format_size(mem->bytes, size));
	diag_remedy(diag, "give --mem as a multiple of 2M");
	return -EINVAL;
}

static int preallocate(struct guest_mem *mem, struct diag *diag)
{
	if (fallocate(mem->fd, 0, 0, (off_t)mem->bytes) < 0)
		return mem_fail(mem, diag, -errno, "preallocate");
	/* Page tables too; an older kernel (before 5.14) fills them at the first touch instead. */
	madvise(mem->base, mem->bytes, MADV_POPULATE_WRITE);
	return 0;
}

/*
 * Huge pages are reserved here or never: without a reservation the first touch of a page that is
 * not to be had is a SIGBUS.
 */
static int map_memory(struct guest_mem *mem, bool hugepages, struct diag *diag)
{
	const unsigned huge_flags = MFD_HUGETLB | MFD_HUGE_2MB;
	int err;

	mem->fd = memfd_create("guest-ram", MFD_CLOEXEC | (hugepages ? huge_flags : 0U));
	if (mem->fd < 0)
		return mem_fail(mem, diag, -errno, "memfd_create");
	if (ftruncate(mem->fd, (off_t)mem->bytes) < 0)
		return mem_fail(mem, diag, -errno, "size the memfd");
	mem->base = mmap(NULL, mem->bytes, PROT_READ | PROT_WRITE,
			 MAP_SHARED | (hugepages ? 0 : MAP_NORESERVE), mem->fd, 0);
	if (mem->base != MAP_FAILED)
		return 0;
	err = -errno;
	mem->base = NULL;
	mem_fail(mem, diag, err, hugepages ? "map huge pages" : "map");
	if (hugepages)
		diag_remedy(diag, "reserve them first: sysctl vm.nr_hugepages=%" PRIu64,
			    mem->bytes / HUGE_PAGE_BYTES);
	else
		diag_remedy(diag, "ask for less with --mem");
	return err;
}

int guest_mem_init(struct guest_mem *mem, const struct guest_region *regions, unsigned nr,
		   const struct guest_mem_opts *opts, struct diag *diag)
{
	uint64_t off = 0;
	int r = 0;

	*mem = (struct guest_mem){.fd = -1};
	for (unsigned i = 0; i < nr; i++)
		mem->bytes += regions[i].len;
	if (opts->hugepages)
		r = check_huge(mem, diag);
	else if (opts->prealloc)
		r = check_available(mem, diag);
	if (r == 0)
		r = map_memory(mem, opts->hugepages, diag);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < nr; i++) {
		mem->region[i] = (struct guest_region){
			.gpa = regions[i].gpa,
			.len = regions[i].len,
			.host = (char *)mem->base + off,
		};
		off += regions[i].len;
	}
	mem->nr_regions = nr;
	return opts->prealloc ? preallocate(mem, diag) : 0;
}

void guest_mem_fini(struct guest_mem *mem)
{
	if (mem->base)
		munmap(mem->base, mem->bytes);
	if (mem->fd >= 0)
		close(mem->fd);
	*mem = (struct guest_mem){.fd = -1, .bytes = mem->bytes};
}

void *guest_mem_ptr(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	if (len == 0)
		return NULL;
	for (unsigned i = 0; i < mem->nr_regions; i++) {
		const struct guest_region *r = &mem->region[i];

		if (gpa >= r->gpa && u64_range_within(gpa - r->gpa, len, r->len))
			return (char *)r->host + (gpa - r->gpa);
	}
	return NULL;
}

int guest_mem_read(const struct guest_mem *mem, uint64_t gpa, void *buf, size_t len)
{
	const void *p = guest_mem_ptr(mem, gpa, len);

	if (len == 0)
		return 0;
	if (!p)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

int guest_mem_write(const struct guest_mem *mem, uint64_t gpa, const void *buf, size_t len)
{
	void *p = guest_mem_ptr(mem, gpa, len);

	if (len == 0)
		return 0;
	if (!p)
		return -EFAULT;
	memcpy(p, buf, len);
	return 0;
}
