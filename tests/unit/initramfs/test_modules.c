/* Unit tests of how modules are found, on a tree that module_tree.sh (argv[1]) makes with depmod. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diag_rig.h"
#include "initramfs/modules.h"

#define MAX_BYTES (UINT64_C(1) << 20)

static const char *script;
static char root[] = "/tmp/tollgate-modules.XXXXXX";
static char dir[64];
static struct modules modules;
static struct diag diag;
static bool sockets;

static int make_tree(void **state)
{
	char command[512];

	(void)state;
	if (!mkdtemp(root))
		return -1;
	snprintf(dir, sizeof(dir), "%s/lib/modules/9.9", root);
	snprintf(command, sizeof(command), "'%s' %s", script, root);
	return system(command); /* NOLINT(cert-env33-c): our script, a name of mkdtemp() */
}

static int remove_tree(void **state)
{
	char command[512];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command); /* NOLINT(cert-env33-c): a name of mkdtemp() */
}

static int setup(void **state)
{
	(void)state;
	modules = (struct modules){0};
	diag = (struct diag){0};
	sockets = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	modules_fini(&modules);
	return 0;
}

/* "virtio virtio_ring ext9!": their names in order, with a mark for those that are needed. */
static const char *names(void)
{
	static char buf[256];

	buf[0] = '\0';
	for (size_t i = 0; i < modules.nr; i++) {
		const size_t n = strlen(buf);

		snprintf(buf + n, sizeof(buf) - n, "%s%s%s", n ? " " : "", modules.file[i].name,
			 modules.file[i].needed ? "!" : "");
	}
	return buf;
}

static int read_named(const char *name)
{
	return modules_read(&modules, dir, sockets, &name, name ? 1 : 0, MAX_BYTES, &diag);
}

static void the_virtio_ones_come_in_order_unpacked(void **state)
{
	(void)state;
	assert_int_equal(read_named(NULL), 0);
	assert_string_equal(names(), "virtio virtio_ring virtio_mmio virtio_blk virtio_rng");
	for (size_t i = 0; i < modules.nr; i++) {
		assert_true(modules.file[i].len > 64);
		assert_memory_equal(modules.file[i].data, "\177ELF", 4);
	}
	/* virtio_net is built in, which is as good. */
	assert_string_equal(modules.missing, "virtio_console virtio_balloon");
}

/* With all that it needs. */
static void a_machine_with_sockets_gets_their_driver(void **state)
{
	(void)state;
	sockets = true;
	assert_int_equal(read_named(NULL), 0);
	assert_string_equal(names(), "virtio virtio_ring virtio_mmio virtio_blk virtio_rng vsock "
				     "vmw_vsock_virtio_transport");
}

static void what_is_compressed_is_what_it_was(void **state)
{
	const uint8_t *at;

	(void)state;
	assert_int_equal(read_named(NULL), 0);
	/* Each has its own name in its .modinfo. */
	for (size_t i = 0; i < 4; i++) {
		char info[64];

		snprintf(info, sizeof(info), "name=%s", modules.file[i].name);
		at = memmem(modules.file[i].data, modules.file[i].len, info, strlen(info) + 1);
		assert_non_null(at);
	}
}

static void a_named_one_brings_what_it_needs_softly(void **state)
{
	(void)state;
	assert_int_equal(read_named("ext9"), 0);
	assert_string_equal(names(), "virtio virtio_ring virtio_mmio virtio_blk virtio_rng "
				     "crc9_lib! crc9_sw! ext9!");
}

static void an_alias_and_either_dash_will_do(void **state)
{
	(void)state;
	assert_int_equal(read_named("fs-ext9"), 0);
	assert_non_null(strstr(names(), "ext9!"));
	modules_fini(&modules);
	assert_int_equal(read_named("crc9_lib"), 0);
	assert_non_null(strstr(names(), "crc9_lib!"));
	modules_fini(&modules);
	assert_int_equal(read_named("crc9-lib"), 0);
	assert_non_null(strstr(names(), "crc9_lib!"));
}

static void naming_a_default_makes_it_and_all_below_it_needed(void **state)
{
	(void)state;
	assert_int_equal(read_named("virtio_blk"), 0);
	assert_string_equal(names(), "virtio! virtio_ring! virtio_mmio virtio_blk! virtio_rng");
}

static void a_built_in_one_can_be_named(void **state)
{
	(void)state;
	assert_int_equal(read_named("virtio_net"), 0);
	assert_string_equal(names(), "virtio virtio_ring virtio_mmio virtio_blk virtio_rng");
}

static void a_missing_one_is_named(void **state)
{
	(void)state;
	assert_int_equal(read_named("ext10"), -ENOENT);
	assert_diag(&diag, -ENOENT, "module-missing 'ext10'");
	assert_non_null(strstr(diag.what, dir));
	assert_remedy(&diag, "");
}

static void what_is_no_module_is_refused(void **state)
{
	(void)state;
	assert_int_equal(read_named("broken"), -EINVAL);
	assert_diag(&diag, -EINVAL, "module-not-elf broken.ko");
	modules_fini(&modules);
	diag = (struct diag){0};
	assert_int_equal(read_named("truncated"), -ENODATA);
	assert_diag(&diag, -ENODATA, "module-unpack truncated.ko");
}

static void no_more_is_read_than_there_is_room_for(void **state)
{
	(void)state;
	assert_int_equal(modules_read(&modules, dir, false, NULL, 0, 400, &diag), -EFBIG);
}

static void a_directory_without_indexes_is_refused(void **state)
{
	(void)state;
	assert_int_equal(modules_read(&modules, root, false, NULL, 0, MAX_BYTES, &diag), -ENOENT);
	assert_diag(&diag, -ENOENT, "modules-index modules.dep.bin");
	assert_remedy(&diag, "depmod");
	diag = (struct diag){0};
	assert_int_equal(modules_read(&modules, "/nonexistent", false, NULL, 0, MAX_BYTES, &diag),
			 -ENOENT);
	assert_diag(&diag, -ENOENT, "modules-directory-stat '/nonexistent'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		TEST(the_virtio_ones_come_in_order_unpacked),
		TEST(a_machine_with_sockets_gets_their_driver),
		TEST(what_is_compressed_is_what_it_was),
		TEST(a_named_one_brings_what_it_needs_softly),
		TEST(an_alias_and_either_dash_will_do),
		TEST(naming_a_default_makes_it_and_all_below_it_needed),
		TEST(a_built_in_one_can_be_named),
		TEST(a_missing_one_is_named),
		TEST(what_is_no_module_is_refused),
		TEST(no_more_is_read_than_there_is_room_for),
		TEST(a_directory_without_indexes_is_refused),
	};

	if (argc != 2)
		return 2;
	script = argv[1];
	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
