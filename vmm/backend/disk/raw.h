/* raw.h - for disk*.c: a disk on one file descriptor, and opening one. */
#ifndef VMM_BACKEND_DISK_RAW_H
#define VMM_BACKEND_DISK_RAW_H

#include "backend/disk.h"

/* A descriptor's requirements on reads and writes. */
struct disk_file {
	int fd;
	struct disk_geometry geo;
	uint64_t file_bytes; /* as the host sees it; not always whole sectors */
	bool block_device;
	bool direct;
	uint32_t dio_mem_align; /* of buffers; powers of two */
	uint32_t dio_off_align; /* of offsets and lengths, with direct */
};

/* Opens, locks and measures path; opts->cow is not looked at. The caller closes ret->fd. */
int disk_file_open(const struct disk_opts *opts, struct disk_file *ret, struct diag *diag);
/*
 * A nameless file of that many bytes, all of them holes, for the writes of a ,cow disk: in $TMPDIR, or in
 * /var/tmp; in memory, with opts->warning, where neither takes one.
 */
int disk_file_make_sparse(const struct disk_opts *opts, uint64_t bytes, struct disk_file *ret,
			  struct diag *diag);

/* Alignments that O_DIRECT requires: of buffers, and of offsets and lengths, never below a sector. */
void disk_dio_alignment(int fd, uint32_t *ret_mem, uint32_t *ret_off);

/*
 * A disk on file, whose descriptor becomes its own, also on failure. engine is borrowed and
 * must have been made for as many calls as there are requests. -ENOMEM.
 */
int disk_raw_create(const struct disk_file *file, struct disk_engine *engine, struct disk **ret);

/* An overlay on base. Both become its own, base also on failure. -errno with diag. */
int disk_cow_create(struct disk *base, const struct disk_opts *opts, struct disk **ret,
		    struct diag *diag);

/* Staging (disk_stage.c): transfers that the host does not take as the guest gives them. */

/* Whether O_DIRECT refuses the rest of rq as it is. */
bool disk_stage_needed(const struct disk_file *file, const struct disk_request *rq);
/*
 * Starts on the next part of rq by way of an aligned buffer; then part_done(rq, res) has the bytes of
 * the request that were done, or -errno. DISK_ZERO writes zeros.
 */
void disk_stage_start(const struct disk_file *file, struct disk_request *rq,
		      void (*part_done)(struct disk_request *rq, ssize_t res));

#endif
