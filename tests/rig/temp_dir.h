/*
 * temp_dir.h - a directory of the test's own, what it writes there, and what the tools of the host say to
 * that. One at a time.
 */
#ifndef TESTS_UNIT_TEMP_DIR_H
#define TESTS_UNIT_TEMP_DIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEMP_DIR_OUT_MAX = 8192 };

#define TEMP_DIR_TEMPLATE "/tmp/tollgate-XXXXXX"

static char temp_dir[sizeof(TEMP_DIR_TEMPLATE)]; /* its name */

static inline int temp_dir_make(void)
{
	memcpy(temp_dir, TEMP_DIR_TEMPLATE, sizeof(TEMP_DIR_TEMPLATE));
	return mkdtemp(temp_dir) ? 0 : -1;
}

/* Runs a command there; what it prints, which stays until the next one. */
static inline const char *temp_dir_shell(const char *command)
{
	static char out[TEMP_DIR_OUT_MAX];
	char line[2048];
	size_t n;
	FILE *f;

	snprintf(line, sizeof(line), "export LC_ALL=C; umask 022; cd %s && { %s; } 2>&1", temp_dir,
		 command);
	f = popen(line, "r"); /* NOLINT(cert-env33-c): ours, a name of mkdtemp() */
	assert_non_null(f);
	n = fread(out, 1, sizeof(out) - 1, f);
	out[n] = '\0';
	pclose(f);
	return out;
}

static inline void temp_dir_remove(void)
{
	temp_dir_shell("rm -rf \"$PWD\"");
}

/* The whole name of a file there; up to eight at a time. */
static inline const char *temp_dir_at(const char *name)
{
	static char buf[8][256];
	static unsigned next;
	char *path = buf[next++ % 8];

	snprintf(path, sizeof(buf[0]), "%s/%s", temp_dir, name);
	return path;
}

/* A file there, in a directory that is. */
static inline void temp_dir_put(const char *name, const void *bytes, size_t len)
{
	FILE *f = fopen(temp_dir_at(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

#endif
