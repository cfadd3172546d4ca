#include "boot/kernel_version.h"

#include <ctype.h>
#include <string.h>

enum {
	/* Offsets in a bzImage, boot.rst "The Real-Mode Kernel Header". */
	HEADER_MAGIC = 0x202,
	HEADER_KERNEL_VERSION = 0x20e, /* 2 bytes: where the string is, less 0x200 */
	HEADER_VERSION_BASE = 0x200,
	HEADER_END = 0x210,
};

/* The word at at; only what versions are made of, so that it is a file's name and nothing else. */
static bool version_take(const uint8_t *image, size_t len, size_t at, char *ret)
{
	size_t n = 0;

	while (at < len && n < KERNEL_VERSION_MAX - 1 &&
	       (isalnum(image[at]) || strchr("._+~-", image[at])) && image[at])
		ret[n++] = (char)image[at++];
	ret[n] = '\0';
	return n > 0 && isdigit((unsigned char)ret[0]);
}

static bool is_bzimage(const uint8_t *image, size_t len)
{
	return len >= HEADER_END && memcmp(image + HEADER_MAGIC, "HdrS", 4) == 0;
}

bool kernel_version_find(const uint8_t *image, size_t len, char ret[KERNEL_VERSION_MAX])
{
	static const char banner[] = "Linux version ";
	const uint8_t *at = image, *end = image + len;

	if (is_bzimage(image, len)) {
		const size_t offset = (size_t)(image[HEADER_KERNEL_VERSION] |
					       image[HEADER_KERNEL_VERSION + 1] << 8);

		return offset && version_take(image, len, offset + HEADER_VERSION_BASE, ret);
	}
	/* The first may be a format: "Linux version %s". */
	while ((at = memmem(at, (size_t)(end - at), banner, sizeof(banner) - 1))) {
		at += sizeof(banner) - 1;
		if (version_take(image, len, (size_t)(at - image), ret))
			return true;
	}
	return false;
}
