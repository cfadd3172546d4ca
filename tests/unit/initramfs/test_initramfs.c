/* Unit tests of the initramfs as a whole; cpio(1) takes it apart. */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "diag_rig.h"
#include "initramfs/busybox.h"
#include "initramfs/initramfs.h"
#include "temp_dir.h"

static struct initramfs_opts opts;
static struct initramfs made;
static struct diag diag;

static int setup(void **state)
{
	(void)state;
	diag = (struct diag){0};
	opts = (struct initramfs_opts){
		.busybox = INITRAMFS_BUSYBOX_NONE,
		.init = "the program",
		.init_len = 11,
		.exit_port = 0xf4,
		.max_bytes = 1 << 20,
	};
	return temp_dir_make();
}

static int teardown(void **state)
{
	(void)state;
	initramfs_fini(&made);
	temp_dir_remove();
	return 0;
}

/* Builds it into the file "archive". */
static void build(void)
{
	initramfs_fini(&made);
	assert_int_equal(initramfs_build(&opts, &made, &diag), 0);
	temp_dir_put("archive", made.data, made.len);
}

static void a_command_gets_our_init_and_its_settings(void **state)
{
	(void)state;
	opts.run = "echo 'a b' && false";
	opts.out_port = 0x640;
	opts.env[opts.nr_env++] = "CI=1";
	opts.share[opts.nr_shares++] = (struct initramfs_share){.tag = "src", .read_only = true};
	opts.share[opts.nr_shares++] = (struct initramfs_share){.tag = "out"};
	build();
	assert_string_equal(temp_dir_shell("cpio --quiet -t <archive"),
			    "dev\ndev/console\netc\ninit\nproc\nroot\nrun\nsys\ntmp\ntollgate\n"
			    "tollgate/init.conf\n");
	assert_string_equal(
		temp_dir_shell("cpio --quiet -id init 'tollgate/*' <archive; cat init; echo; "
			       "stat -c %a init; tr '\\0' '\\n' <tollgate/init.conf"),
		"the program\n755\nout=1600\nexit=244\nhostname=tollgate\n"
		"env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
		"env=HOME=/root\nenv=TERM=linux\nenv=CI=1\nshare-ro=src\nshare=out\nrun=echo 'a b' "
		"&& false\n");
}

static void the_hosts_root_needs_no_busybox(void **state)
{
	static const char *const command[] = {"make", "-C", "a b", NULL};

	(void)state;
	opts.host_root = (struct initramfs_host_root){
		.tag = "all",
		.command = command,
		.cwd = "/srv/src",
		.hostname = "builder",
		.uid = 1000,
		.gid = 100,
		.groups = "4,24",
	};
	opts.share[opts.nr_shares++] = (struct initramfs_share){.tag = "rw", .path = "/srv/out"};
	opts.busybox = INITRAMFS_BUSYBOX_AUTO;
	build();
	assert_string_equal(
		temp_dir_shell("cpio --quiet -id 'tollgate/*' <archive; ls tollgate; "
			       "tr '\\0' '\\n' <tollgate/init.conf | grep -v env="),
		"init.conf\nexit=244\nhostname=builder\nshare=rw\nshare-at=/srv/out\n"
		"host-root=all\ncwd=/srv/src\nuid=1000\ngid=100\ngroups=4,24\ninput=frames\n"
		"arg=make\narg=-C\narg=a b\n");
}

static void files_alone_come_without_it(void **state)
{
	(void)state;
	temp_dir_shell("echo content >file");
	opts.copy[opts.nr_copies++] =
		(struct initramfs_copy){temp_dir_at("file"), "/etc/deep/name"};
	build();
	assert_string_equal(temp_dir_shell("cpio --quiet -t <archive"),
			    "etc\netc/deep\netc/deep/name\n");
	assert_string_equal(temp_dir_shell("cpio --quiet -i --to-stdout etc/deep/name <archive"),
			    "content\n");
}

static void an_overlay_arrives_as_it_is(void **state)
{
	(void)state;
	temp_dir_shell(
		"mkdir -p o/bin o/empty o/etc; echo tool >o/bin/tool; chmod 4751 o/bin/tool; "
		"ln -s /etc/passwd o/etc/link; ln -s tool o/bin/sh; mkfifo o/fifo; : >o/none; "
		"chmod 700 o/empty; ln o/bin/tool o/bin/hard");
	opts.overlay[opts.nr_overlays++] = temp_dir_at("o");
	build();
	assert_string_equal(temp_dir_shell("cpio --quiet -tv <archive | tr -s ' ' | "
					   "sed 's/ [0-9]* / /; s/ Jan 1 1970//'"),
			    "drwxr-xr-x root root 0 bin\n"
			    "-rwsr-x--x root root 5 bin/hard\n"
			    "lrwxrwxrwx root root 4 bin/sh -> tool\n"
			    "-rwsr-x--x root root 5 bin/tool\n"
			    "drwx------ root root 0 empty\n"
			    "drwxr-xr-x root root 0 etc\n"
			    "lrwxrwxrwx root root 11 etc/link -> /etc/passwd\n"
			    "prw-r--r-- root root 0 fifo\n"
			    "-rw-r--r-- root root 0 none\n");
}

static void the_later_wins_and_ours_last(void **state)
{
	(void)state;
	temp_dir_shell(
		"mkdir -p 1/tollgate 2; echo 1 >1/a; echo 1 >1/b; echo 1 >1/c; echo theirs "
		">1/init; "
		"echo theirs >1/tollgate/init.conf; echo 2 >2/b; echo 2 >2/c; echo copy >copy");
	opts.run = "true";
	opts.overlay[opts.nr_overlays++] = temp_dir_at("1");
	opts.overlay[opts.nr_overlays++] = temp_dir_at("2");
	opts.copy[opts.nr_copies++] = (struct initramfs_copy){temp_dir_at("copy"), "/c"};
	build();
	assert_string_equal(
		temp_dir_shell("mkdir x; cd x; cpio --quiet -i <../archive; cat a b c init; "
			       "grep -c theirs tollgate/init.conf"),
		"1\n2\ncopy\nthe program0\n");
}

static void directories_are_copied_whole_and_a_link_to_one_is_followed(void **state)
{
	(void)state;
	temp_dir_shell("mkdir -p real/sub; echo x >real/sub/file; ln -s real link");
	opts.copy[opts.nr_copies++] = (struct initramfs_copy){temp_dir_at("link"), "/data/"};
	build();
	assert_string_equal(temp_dir_shell("cpio --quiet -t <archive"),
			    "data\ndata/sub\ndata/sub/file\n");
}

static void slashes_behind_a_directory_make_no_difference(void **state)
{
	(void)state;
	temp_dir_shell("mkdir -p d/sub; echo x >d/file; echo y >d/sub/file");
	opts.copy[opts.nr_copies++] = (struct initramfs_copy){temp_dir_at("d/"), "/data"};
	opts.overlay[opts.nr_overlays++] = temp_dir_at("d//");
	build();
	assert_string_equal(temp_dir_shell("cpio --quiet -t <archive"),
			    "data\ndata/file\ndata/sub\ndata/sub/file\nfile\nsub\nsub/file\n");
}

static void the_same_files_give_the_same_bytes(void **state)
{
	(void)state;
	temp_dir_shell(
		"for d in o p; do mkdir $d; (cd $d; for i in 3 1 2; do echo $i >$i; done); done; "
		"touch -d 2001-01-01 p/*; rm p/2; echo 2 >p/2");
	opts.overlay[opts.nr_overlays++] = temp_dir_at("o");
	build();
	temp_dir_shell("mv archive first");
	opts.overlay[0] = temp_dir_at("p");
	build();
	assert_string_equal(temp_dir_shell("cmp first archive && echo same"), "same\n");
}

static void refused(int err, const char *error)
{
	diag = (struct diag){0};
	assert_int_equal(initramfs_build(&opts, &made, &diag), err);
	assert_diag(&diag, err, error);
	assert_null(made.data);
}

static void what_cannot_be_read_is_named(void **state)
{
	(void)state;
	temp_dir_shell("echo file >file; mkfifo fifo; mkdir -p o/lib/x; echo y >o/lib/x/y");
	opts.overlay[opts.nr_overlays++] = temp_dir_at("nothing");
	refused(-ENOENT, "host-tree-read nothing'");
	opts.overlay[0] = temp_dir_at("file");
	refused(-EINVAL, "host-tree-kind file'");
	opts.nr_overlays = 0;
	opts.copy[opts.nr_copies++] = (struct initramfs_copy){temp_dir_at("missing"), "/x"};
	refused(-ENOENT, "host-tree-read missing'");
	opts.copy[0] = (struct initramfs_copy){temp_dir_at("file"), "/a/../b"};
	refused(-EINVAL, "archive-path '/a/../b'");
	/* Below a file of another's. */
	opts.copy[0] = (struct initramfs_copy){temp_dir_at("file"), "/lib"};
	opts.copy[opts.nr_copies++] = (struct initramfs_copy){temp_dir_at("o/lib"), "/lib/sub"};
	refused(-ENOTDIR, "archive-not-directory '/lib'");
}

static void no_more_is_read_than_the_guest_has_memory(void **state)
{
	(void)state;
	temp_dir_shell("mkdir o; head -c 600 /dev/zero >o/a; head -c 600 /dev/zero >o/b");
	opts.overlay[opts.nr_overlays++] = temp_dir_at("o");
	opts.max_bytes = 1199;
	refused(-EFBIG, "host-file-size o/");
	assert_remedy(&diag, "");
	opts.max_bytes = 1200;
	build();
}

static void write_elf(const char *name, uint32_t segment)
{
	struct {
		Elf64_Ehdr ehdr;
		Elf64_Phdr phdr[2];
	} elf = {
		.ehdr = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64},
			 .e_machine = EM_X86_64,
			 .e_phoff = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 2},
		.phdr = {{.p_type = PT_LOAD}, {.p_type = segment}},
	};

	temp_dir_put(name, &elf, sizeof(elf));
	assert_int_equal(busybox_is_static(&elf, sizeof(elf)), segment != PT_INTERP);
	assert_false(busybox_is_static(&elf, sizeof(elf) - 1));
	assert_false(busybox_is_static(&elf, sizeof(Elf64_Ehdr) - 1));
	elf.ehdr.e_phoff = UINT64_MAX;
	assert_false(busybox_is_static(&elf, sizeof(elf)));
	elf.ehdr.e_machine = EM_AARCH64;
	assert_false(busybox_is_static(&elf, sizeof(elf)));
}

static void a_busybox_must_be_static(void **state)
{
	(void)state;
	write_elf("static", PT_NOTE);
	write_elf("dynamic", PT_INTERP);
	opts.run = "true";
	opts.busybox = INITRAMFS_BUSYBOX_FILE;
	opts.busybox_file = temp_dir_at("static");
	build();
	assert_string_equal(
		temp_dir_shell("cpio --quiet -t tollgate/busybox <archive; "
			       "cpio --quiet -i --to-stdout tollgate/init.conf <archive | "
			       "tr '\\0' '\\n' | grep busybox"),
		"tollgate/busybox\nbusybox=/tollgate/busybox\n");
	initramfs_fini(&made);
	opts.busybox_file = temp_dir_at("dynamic");
	refused(-EINVAL, "busybox-not-static dynamic'");
}

static void an_overlay_with_a_shell_needs_none(void **state)
{
	(void)state;
	temp_dir_shell("mkdir -p o/bin; ln -s dash o/bin/sh");
	opts.run = "true";
	opts.busybox = INITRAMFS_BUSYBOX_AUTO;
	opts.overlay[opts.nr_overlays++] = temp_dir_at("o");
	build();
	assert_string_equal(temp_dir_shell("cpio --quiet -t <archive | grep busybox"), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_command_gets_our_init_and_its_settings),
		TEST(the_hosts_root_needs_no_busybox),
		TEST(files_alone_come_without_it),
		TEST(an_overlay_arrives_as_it_is),
		TEST(the_later_wins_and_ours_last),
		TEST(directories_are_copied_whole_and_a_link_to_one_is_followed),
		TEST(slashes_behind_a_directory_make_no_difference),
		TEST(the_same_files_give_the_same_bytes),
		TEST(what_cannot_be_read_is_named),
		TEST(no_more_is_read_than_the_guest_has_memory),
		TEST(a_busybox_must_be_static),
		TEST(an_overlay_with_a_shell_needs_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
