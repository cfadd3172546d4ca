#include "mem.h"

#include <errno.h>
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

int guest_mem_init(struct guest_mem *mem, const struct guest_region *regions, unsigned nr,
		   const struct guest_mem_opts *opts, struct diag *diag)
{
	uint64_t off = 0;

	*mem = (struct guest_mem){.fd = -1};
	for (unsigned i = 0; i < nr; i++)
		mem->bytes += regions[i].len;
	mem->fd = memfd_create("guest-ram", MFD_CLOEXEC | (opts->hugepages ? MFD_HUGETLB : 0U));
	if (mem->fd < 0)
		return mem_fail(mem, diag, -errno, "memfd_create");
	if (ftruncate(mem->fd, (off_t)mem->bytes) < 0)
		return mem_fail(mem, diag, -errno, "size the memfd");
	mem->base =
		mmap(NULL, mem->bytes, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_NORESERVE | (opts->prealloc ? MAP_POPULATE : 0), mem->fd, 0);
	if (mem->base == MAP_FAILED) {
		int err = -errno;

		mem->base = NULL;
		mem_fail(mem, diag, err, opts->hugepages ? "map huge pages" : "map");
		if (opts->hugepages)
			diag_remedy(diag, "reserve them first: sysctl vm.nr_hugepages=%llu",
				    (unsigned long long)(mem->bytes / HUGE_PAGE_BYTES));
		else
			diag_remedy(diag, "ask for less with --mem");
		return err;
	}
	for (unsigned i = 0; i < nr; i++) {
		mem->region[i] = (struct guest_region){
			.gpa = regions[i].gpa,
			.len = regions[i].len,
			.host = (char *)mem->base + off,
		};
		off += regions[i].len;
	}
	mem->nr_regions = nr;
	return 0;
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
