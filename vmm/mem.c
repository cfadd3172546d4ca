#include "mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io_full.h"
#include "base/parse.h"

enum { SMALL_PAGE_BYTES = 4 << 10, HUGE_PAGE_BYTES = 2 << 20, POPULATE_BYTES = 64 << 20 };

static int mem_fail(struct guest_mem *mem, struct diag *diag, int err, const char *diag_id,
		    const char *what)
{
	char size[24];

	diag_set(diag, err, diag_id, "%s of guest memory: %s", format_size(mem->bytes, size), what);
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
	diag_set(diag, -EINVAL, "mem-unavailable",
		 "--prealloc of %s of guest memory: the host has %s available",
		 format_size(mem->bytes, want), format_size(available, have));
	diag_remedy(diag, "ask for less with --mem, or leave --prealloc out");
	return -EINVAL;
}

static int check_huge(const struct guest_mem *mem, struct diag *diag)
{
	char size[24];

	if (mem->bytes % HUGE_PAGE_BYTES == 0)
		return 0;
	diag_set(diag, -EINVAL, "mem-not-huge-pages",
		 "--hugepages: %s of guest memory are not whole pages of 2 MiB",
		 format_size(mem->bytes, size));
	diag_remedy(diag, "give --mem as a multiple of 2M");
	return -EINVAL;
}

/* Piece by piece: no signal acts within the call but one that kills without a handler. -EINVAL before Linux 5.14. */
static int populate(char *from, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes; done += POPULATE_BYTES) {
		const uint64_t n = bytes - done < POPULATE_BYTES ? bytes - done : POPULATE_BYTES;

		if (madvise(from + done, n, MADV_POPULATE_WRITE) < 0)
			return -errno;
	}
	return 0;
}

static int preallocate(struct guest_mem *mem, struct diag *diag)
{
	const int r = populate(mem->base, mem->bytes);

	if (r == 0)
		return 0;
	if (r != -EINVAL)
		return mem_fail(mem, diag, r, "mem-preallocate", "preallocate");
	for (uint64_t off = 0; off < mem->bytes; off += SMALL_PAGE_BYTES) /* before Linux 5.14 */
		((char *)mem->base)[off] = 0;
	return 0;
}

/* Huge pages are reserved here or never: without a reservation the first touch is a SIGBUS. */
static void *map_reserved(uint64_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
}

/*
 * Starts at a multiple of 2 MiB, as every region of RAM does, so that the host can back it with
 * huge pages by itself and KVM can map them as such: fewer faults, and shorter page walks of the
 * guest. Only private memory gets them on a host as its distribution sets it up; a memfd does not.
 */
static void *map_transparent(uint64_t bytes)
{
	const uint64_t mapped = bytes + HUGE_PAGE_BYTES;
	char *base = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t head;

	if (base == MAP_FAILED)
		return MAP_FAILED;
	head = -(uintptr_t)base % HUGE_PAGE_BYTES;
	if (head)
		munmap(base, head);
	munmap(base + head + bytes, mapped - head - bytes);
	madvise(base + head, bytes, MADV_HUGEPAGE); /* advice: a host without it is slower */
	return base + head;
}

static int map_memory(struct guest_mem *mem, bool hugepages, struct diag *diag)
{
	void *base = hugepages ? map_reserved(mem->bytes) : map_transparent(mem->bytes);
	int err;

	if (base != MAP_FAILED) {
		mem->base = base;
		madvise(base, mem->bytes, MADV_DONTDUMP); /* the guest's secrets, and gigabytes */
		return 0;
	}
	err = -errno;
	mem_fail(mem, diag, err, "mem-map", hugepages ? "map huge pages" : "map");
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

	*mem = (struct guest_mem){.keeps = opts->hugepages || opts->prealloc};
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
	*mem = (struct guest_mem){.bytes = mem->bytes};
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

bool guest_mem_gpa(const struct guest_mem *mem, uintptr_t host, uint64_t *ret)
{
	for (unsigned i = 0; i < mem->nr_regions; i++) {
		const struct guest_region *r = &mem->region[i];
		const uintptr_t first = (uintptr_t)r->host;

		if (host >= first && host - first < r->len) {
			*ret = r->gpa + (host - first);
			return true;
		}
	}
	return false;
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

int guest_mem_discard(const struct guest_mem *mem, void *host, uint64_t len)
{
	assert((char *)host >= (char *)mem->base &&
	       u64_range_within((uint64_t)((char *)host - (char *)mem->base), len, mem->bytes));
	return madvise(host, len, MADV_DONTNEED) < 0 ? -errno : 0;
}

/* The piece of so many bytes around off gets new pages: the end of it, or -errno. */
static int64_t renew(const struct guest_mem *mem, uint64_t off, uint64_t bytes)
{
	const uint64_t first = off - off % bytes;
	const uint64_t n = mem->bytes - first < bytes ? mem->bytes - first : bytes;
	char *from = (char *)mem->base + first;
	int r = guest_mem_discard(mem, from, n);

	if (r == 0)
		r = populate(from, n);
	return r < 0 ? r : (int64_t)(first + n);
}

/*
 * By the kernel, which reports a page that a memory error has taken where a store of ours would be a SIGBUS. Faster than
 * new pages for all: the host has to find and clear those, and KVM to map them.
 */
static int clear_in_place(const struct guest_mem *mem)
{
	AUTO_CLOSE const int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int64_t done = 0;

	if (fd < 0)
		memset(mem->base, 0, mem->bytes);
	while (fd >= 0 && (uint64_t)done < mem->bytes) {
		const ssize_t n = read(fd, (char *)mem->base + done, mem->bytes - (uint64_t)done);
		int64_t end = done + n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			end = renew(mem, (uint64_t)done, SMALL_PAGE_BYTES);
		if (end < 0)
			end = renew(mem, (uint64_t)done, HUGE_PAGE_BYTES);
		if (end < 0)
			return (int)end;
		done = end;
	}
	return 0;
}

/*
 * KVM drops its mapping when the host's page changes its protection. To take access away for a moment, as QEMU does,
 * would be seen by other vCPUs and by I/O threads. So one that nobody uses is added, and taken away.
 */
static bool change_protection(const struct guest_mem *mem, uint64_t off, uint64_t page_bytes)
{
	char *page = (char *)mem->base + (off & ~(page_bytes - 1));

	return mprotect(page, page_bytes, PROT_READ | PROT_WRITE | PROT_EXEC) == 0 &&
	       mprotect(page, page_bytes, PROT_READ | PROT_WRITE) == 0;
}

bool guest_mem_remap_page(const struct guest_mem *mem, uint64_t gpa)
{
	const char *host = guest_mem_ptr(mem, gpa, 1);
	uint64_t off;

	if (!host)
		return false;
	off = (uint64_t)(host - (const char *)mem->base);
	/* Of a reserved huge page no part changes alone. */
	return change_protection(mem, off, SMALL_PAGE_BYTES) ||
	       (mem->bytes % HUGE_PAGE_BYTES == 0 && change_protection(mem, off, HUGE_PAGE_BYTES));
}

/* Memory that the process has locked cannot be discarded. */
int guest_mem_clear(const struct guest_mem *mem)
{
	if (mem->keeps || guest_mem_discard(mem, mem->base, mem->bytes) < 0)
		return clear_in_place(mem);
	return 0;
}

/* Documentation/admin-guide/mm/pagemap.rst: an entry of 8 bytes per page. */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
enum { PAGEMAP_ENTRIES = 512 };

static enum guest_page page_of_entry(uint64_t entry)
{
	if (entry & PAGEMAP_PRESENT)
		return GUEST_PAGE_RESIDENT;
	return entry & PAGEMAP_SWAPPED ? GUEST_PAGE_ELSEWHERE : GUEST_PAGE_UNTOUCHED;
}

void guest_mem_pages(const void *host, size_t nr, enum guest_page *ret)
{
	AUTO_CLOSE const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	const uint64_t first = (uintptr_t)host / GUEST_PAGE_BYTES;
	uint64_t entry[PAGEMAP_ENTRIES];

	for (size_t i = 0; i < nr; i += PAGEMAP_ENTRIES) {
		const size_t n = nr - i < PAGEMAP_ENTRIES ? nr - i : PAGEMAP_ENTRIES;
		const off_t off = (off_t)((first + i) * sizeof(entry[0]));
		const bool known =
			fd >= 0 && io_pread_full(fd, entry, n * sizeof(entry[0]), off) == 0;

		for (size_t k = 0; k < n; k++)
			ret[i + k] = known ? page_of_entry(entry[k]) : GUEST_PAGE_RESIDENT;
	}
}

/* The kernel's copy answers with an error where a load of ours would be a SIGBUS. */
bool guest_mem_copy_page(const void *host, uint8_t buf[GUEST_PAGE_BYTES])
{
	const struct iovec from = {(void *)(uintptr_t)host, GUEST_PAGE_BYTES};
	const struct iovec to = {buf, GUEST_PAGE_BYTES};

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == GUEST_PAGE_BYTES;
}

void guest_mem_prefer_small(const struct guest_mem *mem, bool small)
{
	madvise(mem->base, mem->bytes, small ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
}
