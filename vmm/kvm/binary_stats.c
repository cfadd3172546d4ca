#include "kvm/binary_stats.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io_full.h"

enum { DESCS_MAX = 1024, NAME_MAX_BYTES = 256 };

static int read_values(int fd, const struct kvm_stats_header *header,
		       const struct kvm_stats_desc *desc, uint64_t *ret_sum)
{
	uint64_t value[64], sum = 0;
	int r;

	if (desc->size == 0 || desc->size > sizeof(value) / sizeof(value[0]))
		return -EPROTO;
	r = io_pread_full(fd, value, desc->size * sizeof(value[0]),
			  (off_t)header->data_offset + desc->offset);
	for (unsigned i = 0; r == 0 && i < desc->size; i++)
		sum += value[i];
	if (r == 0)
		*ret_sum = sum;
	return r;
}

int kvm_stats_open(int vm_or_vcpu_fd)
{
	const int fd = ioctl(vm_or_vcpu_fd, KVM_GET_STATS_FD, NULL);

	return fd < 0 ? -errno : fd;
}

int kvm_stats_read(int stats_fd, struct kvm_stat **ret)
{
	AUTO_FREE char *descs = NULL;
	AUTO_FREE struct kvm_stat *stat = NULL;
	struct kvm_stats_header header;
	size_t desc_bytes;
	int r;

	if (stats_fd < 0)
		return stats_fd;
	r = io_pread_full(stats_fd, &header, sizeof(header), 0);
	if (r < 0)
		return r;
	if (header.name_size == 0 || header.name_size > NAME_MAX_BYTES ||
	    header.num_desc > DESCS_MAX)
		return -EPROTO;
	desc_bytes = sizeof(struct kvm_stats_desc) + header.name_size;
	descs = malloc(header.num_desc * desc_bytes);
	stat = calloc(header.num_desc ? header.num_desc : 1, sizeof(*stat));
	if (!descs || !stat)
		return -ENOMEM;
	r = io_pread_full(stats_fd, descs, header.num_desc * desc_bytes, header.desc_offset);
	for (uint32_t i = 0; r == 0 && i < header.num_desc; i++) {
		struct kvm_stats_desc desc;
		const char *name = descs + i * desc_bytes + sizeof(desc);

		memcpy(&desc, descs + i * desc_bytes, sizeof(desc));
		snprintf(stat[i].name, sizeof(stat[i].name), "%.*s", (int)header.name_size - 1,
			 name);
		r = read_values(stats_fd, &header, &desc, &stat[i].value);
	}
	if (r < 0)
		return r;
	*ret = STEAL_PTR(stat);
	return (int)header.num_desc;
}
