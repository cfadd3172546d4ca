/*
 * fw_cfg (QEMU, docs/specs/fw_cfg): named and numbered items that a guest reads, a byte at a time.
 * Modelled: the selector and the data register on ports, without the DMA interface. The items: signature, revision,
 * RAM size, number of CPUs present and possible, file directory, and the files. Range 0: two ports, 0x510 by custom;
 * the selector is 16 bits wide at the first, data is 8 bits wide at the second.
 * An item that does not exist is empty, and reads past the end of one give 0. Writes of data are ignored, as the
 * specification has it. Accesses of other widths or places are guest errors.
 * Not modelled: DMA, which revision does not advertise, and items that a guest writes.
 * Environment: conf, a struct fw_cfg_conf. Threads: any vCPU; iobus holds the device's lock around each op.
 */
#include <assert.h>
#include <string.h>

#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"

enum { /* selectors */
       KEY_SIGNATURE = 0x00,
       KEY_ID = 0x01,
       KEY_RAM_SIZE = 0x03,
       KEY_NB_CPUS = 0x05,
       KEY_MAX_CPUS = 0x0f,
       KEY_FILE_DIR = 0x19,
       KEY_FILE_FIRST = 0x20,
       KEY_WRITE = 1 << 14, /* the item is to be written: as reading here */
};

enum {
	SELECTOR_OFF = 0,
	DATA_OFF = 1,
	ID_TRADITIONAL = 1 << 0, /* the registers above; bit 1 would be DMA */
	DIR_ENTRY_BYTES = 64,
	DIR_COUNT_BYTES = 4,
	DIR_SELECT = 4, /* offsets in an entry */
	DIR_NAME = 8,
	DIR_BYTES = DIR_COUNT_BYTES + FW_CFG_FILES_MAX * DIR_ENTRY_BYTES,
};
_Static_assert(DIR_NAME + FW_CFG_NAME_MAX + 1 == DIR_ENTRY_BYTES,
	       "a name and its NUL fill an entry");

struct fw_cfg {
	struct device dev;
	const struct fw_cfg_conf *conf; /* borrowed */
	const uint8_t *data;            /* of the item, from the offset on */
	uint32_t left;                  /* bytes there */
	uint8_t number[8];              /* the item, when it is a number */
	uint8_t dir[DIR_BYTES];
};

static void put_be(uint8_t *to, unsigned bytes, uint32_t val)
{
	for (unsigned i = 0; i < bytes; i++)
		to[i] = (uint8_t)(val >> 8 * (bytes - 1 - i));
}

static void dir_make(struct fw_cfg *fw)
{
	const struct fw_cfg_conf *conf = fw->conf;

	put_be(fw->dir, DIR_COUNT_BYTES, conf->nr_files);
	for (unsigned i = 0; i < conf->nr_files; i++) {
		uint8_t *entry = &fw->dir[DIR_COUNT_BYTES + i * DIR_ENTRY_BYTES];
		const size_t len = strlen(conf->file[i].name);

		assert(len <= FW_CFG_NAME_MAX);
		put_be(entry, 4, conf->file[i].len);
		put_be(entry + DIR_SELECT, 2, KEY_FILE_FIRST + i);
		memcpy(entry + DIR_NAME, conf->file[i].name, len);
	}
}

static void item_set(struct fw_cfg *fw, const uint8_t *data, uint32_t len)
{
	fw->data = data;
	fw->left = len;
}

static void item_set_number(struct fw_cfg *fw, uint64_t val, uint8_t bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		fw->number[i] = (uint8_t)(val >> 8 * i);
	item_set(fw, fw->number, bytes);
}

static void item_select(struct fw_cfg *fw, unsigned selector)
{
	static const uint8_t signature[] = {'Q', 'E', 'M', 'U'};
	const struct fw_cfg_conf *conf = fw->conf;
	const unsigned key = selector & ~(unsigned)KEY_WRITE;

	switch (key) {
	case KEY_SIGNATURE: item_set(fw, signature, sizeof(signature)); break;
	case KEY_ID: item_set_number(fw, ID_TRADITIONAL, 4); break;
	case KEY_RAM_SIZE: item_set_number(fw, conf->mem_bytes, 8); break;
	case KEY_NB_CPUS:
	case KEY_MAX_CPUS: item_set_number(fw, conf->cpus, 2); break;
	case KEY_FILE_DIR:
		item_set(fw, fw->dir, DIR_COUNT_BYTES + conf->nr_files * DIR_ENTRY_BYTES);
		break;
	default:
		if (key >= KEY_FILE_FIRST && key - KEY_FILE_FIRST < conf->nr_files) {
			const struct fw_cfg_file *file = &conf->file[key - KEY_FILE_FIRST];

			item_set(fw, file->data, file->len);
		} else {
			item_set(fw, NULL, 0);
		}
		break;
	}
}

static uint64_t fw_cfg_read(struct device *dev, struct io_at at)
{
	struct fw_cfg *fw = container_of(dev, struct fw_cfg, dev);

	if (at.off != DATA_OFF)
		return device_guest_error(dev, at); /* the selector is write-only */
	if (fw->left == 0)
		return 0;
	fw->left--;
	return *fw->data++;
}

static void fw_cfg_write(struct device *dev, struct io_at at, uint64_t val)
{
	if (at.off == SELECTOR_OFF && at.size == 2)
		item_select(container_of(dev, struct fw_cfg, dev), (unsigned)val & 0xffff);
	else if (at.off != DATA_OFF)
		device_guest_error(dev, at);
}

static void fw_cfg_reset(struct device *dev)
{
	item_select(container_of(dev, struct fw_cfg, dev), KEY_SIGNATURE);
}

static int fw_cfg_init(struct device *dev, const struct device_env *env)
{
	struct fw_cfg *fw = container_of(dev, struct fw_cfg, dev);

	fw->conf = env->conf;
	assert(fw->conf->nr_files <= FW_CFG_FILES_MAX);
	dir_make(fw);
	fw_cfg_reset(dev);
	return 0;
}

const struct device_class fw_cfg_class = {
	.name = "fw_cfg",
	.fdt_compatible = "tollgate,fw-cfg",
	.acpi_hid = "QEMU0002",
	.state_size = sizeof(struct fw_cfg),
	.max_access = 2,
	.init = fw_cfg_init,
	.reset = fw_cfg_reset,
	.read = fw_cfg_read,
	.write = fw_cfg_write,
};
