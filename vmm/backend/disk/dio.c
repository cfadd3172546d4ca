/*
 * dio.c - what O_DIRECT asks for. A file of its own: glibc 2.36's struct statx lacks these fields,
 * and the kernel's cannot be used alongside it.
 */
#include <fcntl.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/disk/raw.h"

enum { DIO_ALIGN_MAX = 4096 };

/* Otherwise what the file takes is tried. */
static uint32_t try_alignments(int fd)
{
	uint32_t align = DISK_SECTOR_BYTES;
	void *buf = aligned_alloc(DIO_ALIGN_MAX, DIO_ALIGN_MAX);

	while (buf && align < DIO_ALIGN_MAX && pread(fd, buf, align, 0) < 0)
		align *= 2;
	free(buf);
	return buf ? align : DIO_ALIGN_MAX;
}

#ifdef STATX_DIOALIGN

/* Linux 6.1 reports it, for file systems that know. */
static bool ask_alignment(int fd, uint32_t *ret_mem, uint32_t *ret_off)
{
	struct statx st = {0};

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 &&
	    st.stx_mask & STATX_DIOALIGN && st.stx_dio_offset_align != 0) {
		*ret_mem = st.stx_dio_mem_align;
		*ret_off = st.stx_dio_offset_align;
		return true;
	}
	return false;
}

#else

static bool ask_alignment(int fd, uint32_t *ret_mem, uint32_t *ret_off)
{
	(void)fd;
	(void)ret_mem;
	(void)ret_off;
	return false;
}

#endif

void disk_dio_alignment(int fd, uint32_t *ret_mem, uint32_t *ret_off)
{
	if (!ask_alignment(fd, ret_mem, ret_off))
		*ret_mem = *ret_off = try_alignments(fd);
	if (*ret_off < DISK_SECTOR_BYTES)
		*ret_off = DISK_SECTOR_BYTES;
}
