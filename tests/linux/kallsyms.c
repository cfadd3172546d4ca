/*
 * kallsyms BZIMAGE - the names in a distribution's kernel, without booting it: what two of them are known to name is at
 * their addresses, and how long it took is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "boot/boot.h"
#include "symbols.h"

static int kallsyms_fail(const char *what)
{
	printf("FAILED: %s\n", what);
	return 1;
}

/* The kernel as it lies in memory, from its first segment on. */
static uint8_t *place(const struct boot_plan *plan)
{
	const uint64_t first = plan->segment[0].gpa;
	uint8_t *image = calloc(1, plan->end_gpa - first);

	for (unsigned i = 0; image && i < plan->nr_segments; i++)
		memcpy(image + (plan->segment[i].gpa - first), plan->segment[i].data,
		       plan->segment[i].data_len);
	return image;
}

static int check_names(const struct boot_plan *plan, const uint8_t *image)
{
	static const char banner[] = "Linux version ";
	const uint64_t first = plan->segment[0].gpa, len = plan->end_gpa - first;
	const int64_t begun_ns = clock_monotonic_ns();
	struct symbols *symbols = NULL;
	char text[SYMBOL_TEXT_MAX];
	uint64_t at = 0;
	const int r = symbols_parse_kallsyms(image, len, first + plan->linear_offset, &symbols);
	const double ms = (double)(clock_monotonic_ns() - begun_ns) / NS_PER_MS;
	int failed = 0;

	if (r < 0)
		return kallsyms_fail("no tables");
	printf("%zu names in %.1f ms\n", symbols_count(symbols), ms);
	if (symbols_count(symbols) < 50000)
		failed = kallsyms_fail("too few names");
	if (!symbols_address(symbols, "linux_banner", &at) ||
	    at - plan->linear_offset - first > len - sizeof(banner) ||
	    memcmp(image + (at - plan->linear_offset - first), banner, sizeof(banner) - 1) != 0)
		failed = kallsyms_fail("linux_banner is not there");
	symbols_format(symbols, plan->entry_gpa + plan->linear_offset, text);
	if (strncmp(text, "pvh_start_xen+0x0/", strlen("pvh_start_xen+0x0/")) != 0)
		failed = kallsyms_fail("the PVH entry is not pvh_start_xen");
	symbols_free(symbols);
	return failed;
}

int main(int argc, char *argv[])
{
	struct boot_opts opts = {.mode = BOOT_MODE_PVH};
	struct boot_plan plan;
	struct file_map map = {0};
	struct diag diag = {0};
	uint8_t *image;
	int failed;

	if (argc != 2 || file_map_open(&map, "kernel", argv[1], &diag) < 0 ||
	    boot_plan_init(&plan, argv[1], map.data, map.len, &opts, &diag) < 0)
		return kallsyms_fail(diag.what);
	image = place(&plan);
	failed = image ? check_names(&plan, image) : kallsyms_fail("no memory");
	free(image);
	boot_plan_fini(&plan);
	file_map_close(&map);
	return failed;
}
