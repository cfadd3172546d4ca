/*
 * null.c - the back end of a device that is connected to nothing.
 */
#include "backend/char.h"

#include "base/macros.h"

static size_t null_write(struct char_backend *be, const uint8_t *buf, size_t n)
{
	(void)be;
	(void)buf;
	return n;
}

static size_t null_room(const struct char_backend *be)
{
	(void)be;
	return SIZE_MAX;
}

static void null_input_wanted(struct char_backend *be)
{
	(void)be;
}

static bool null_size(const struct char_backend *be, uint16_t *ret_cols, uint16_t *ret_rows)
{
	(void)be;
	(void)ret_cols;
	(void)ret_rows;
	return false;
}

void char_null_init(struct char_backend *be)
{
	*be = (struct char_backend){
		.write = null_write,
		.room = null_room,
		.input_wanted = null_input_wanted,
		.size = null_size,
	};
}

static size_t null_write_watching(struct char_backend *be, const uint8_t *buf, size_t n)
{
	char_panic_feed(&container_of(be, struct char_null, be)->panic, buf, n);
	return n;
}

void char_null_init_watching(struct char_null *null)
{
	*null = (struct char_null){0};
	char_null_init(&null->be);
	null->be.write = null_write_watching;
}
