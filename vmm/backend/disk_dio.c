/*
 * disk_dio.c - what O_DIRECT asks for. A file of its own: glibc 2.36's struct statx lacks these fields,
 * and the kernel's cannot be seen beside it.
 */
#include <fcntl.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/disk_raw.h"

enum { DIO_ALIGN_MAX = 4096 };

/* Before Linux 6.1: what the file takes is tried. */
static uint32_t try_alignments(int fd)
{
	uint32_t align = DISK_SECTOR_BYTES;
	void *buf = aligned_alloc(DIO_ALIGN_MAX, DIO_ALIGN_MAX);

	while (buf && align < DIO_ALIGN_MAX && pread(fd, buf, align, 0) < 0)
		align *= 2;
	free(buf);
	return buf ? align : DIO_ALIGN_MAX;
}

void disk_dio_alignment(int fd, uint32_t *ret_mem, uint32_t *ret_off)
{
	struct statx st = {0};
	uint32_t align;

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 &&
	    st.stx_mask & STATX_DIOALIGN && st.stx_dio_offset_align != 0) {
		*ret_mem = st.stx_dio_mem_align;
		*ret_off = st.stx_dio_offset_align < DISK_SECTOR_BYTES ? DISK_SECTOR_BYTES
								       : st.stx_dio_offset_align;
		return;
	}
	align = try_alignments(fd);
	*ret_mem = align;
	*ret_off = align;
}
