#include "config/builtin.h"

/* builtin.S */
extern const uint8_t builtin_selftest_start[], builtin_selftest_end[];
extern const uint8_t builtin_hammer_start[], builtin_hammer_end[];
extern const uint8_t builtin_init_start[], builtin_init_end[];

static struct boot_file blob(const char *name, const uint8_t *start, const uint8_t *end)
{
	return (struct boot_file){.name = name, .data = start, .len = (size_t)(end - start)};
}

struct boot_file builtin_selftest(void)
{
	return blob("built-in test kernel", builtin_selftest_start, builtin_selftest_end);
}

struct boot_file builtin_hammer(void)
{
	return blob("built-in hammer kernel", builtin_hammer_start, builtin_hammer_end);
}

struct boot_file builtin_init(void)
{
	return blob("built-in init program", builtin_init_start, builtin_init_end);
}
