#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "virtio/mmio.h"

/* A list, the latest first. */
struct config_memory {
	struct config_memory *next;
	_Alignas(max_align_t) uint8_t bytes[];
};

void *config_alloc(struct config *config, size_t bytes, struct diag *diag)
{
	struct config_memory *memory = calloc(1, sizeof(*memory) + bytes);

	if (!memory) {
		diag_set(diag, -ENOMEM, "options-memory", "options");
		return NULL;
	}
	memory->next = config->memory;
	config->memory = memory;
	return memory->bytes;
}

void config_fini(struct config *config)
{
	while (config->memory) {
		struct config_memory *memory = config->memory;

		config->memory = memory->next;
		free(memory);
	}
}

int config_row_add(struct config *config, const struct machine_row *row, struct diag *diag)
{
	if (config->vm.machine.nr_extra == CONFIG_ROWS_MAX)
		return diag_set(diag, -EINVAL, "device-rows-count",
				"no room for %s: options add at most %d devices", row->name,
				CONFIG_ROWS_MAX);
	config->row[config->vm.machine.nr_extra++] = *row;
	config->vm.machine.extra = config->row;
	return 0;
}

static unsigned count_of(const struct config *config, const struct virtio_class *cls)
{
	unsigned n = 0;

	for (unsigned i = 0; i < config->nr_virtio; i++)
		n += config->virtio[i].conf.cls == cls;
	return n;
}

int config_virtio_add(struct config *config, const char *kind, const struct virtio_class *cls,
		      const void *conf, struct diag *diag)
{
	struct config_virtio *virtio = &config->virtio[config->nr_virtio];
	int r;

	if (config->nr_virtio == CONFIG_VIRTIO_MAX)
		return diag_set(diag, -EINVAL, "virtio-count", "more than %d virtio devices",
				CONFIG_VIRTIO_MAX);
	snprintf(virtio->name, sizeof(virtio->name), "%s%u", kind, count_of(config, cls));
	snprintf(virtio->part, sizeof(virtio->part), "virtio %s", cls->name);
	virtio->conf = (struct virtio_conf){.cls = cls, .conf = conf, .name = virtio->name};
	r = config_row_add(config,
			   &(struct machine_row){
				   .name = virtio->name,
				   .fdt_name = "virtio",
				   .cls = &virtio_mmio_class,
				   .range = {{IOBUS_MMIO, MACHINE_FIRST_AUTO, VIRTIO_MMIO_BYTES}},
				   .gsi = MACHINE_GSI_AUTO,
				   .conf = &virtio->conf,
				   .part = virtio->part,
			   },
			   diag);
	if (r == 0)
		config->nr_virtio++;
	return r;
}
