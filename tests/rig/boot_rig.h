/* boot_rig.h - how the tests of vmm/boot plan an image, and what they expect of a refusal. */
#ifndef TESTS_UNIT_BOOT_RIG_H
#define TESTS_UNIT_BOOT_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/boot.h"
#include "boot_images.h"
#include "diag_rig.h"

/* A plan and what it was made from; a copy of the image's exact length, so tools see overreads. */
struct planned {
	uint8_t *copy;
	struct boot_plan plan;
	struct diag diag;
	int r;
};

static inline void plan_bytes(struct planned *p, const uint8_t *bytes, size_t len,
			      const struct boot_opts *opts)
{
	*p = (struct planned){.copy = malloc(len ? len : 1)};
	assert_non_null(p->copy);
	memcpy(p->copy, bytes, len);
	p->r = boot_plan_init(&p->plan, "k", p->copy, len, opts, &p->diag);
}

static inline void plan_image(struct planned *p, const struct image *img,
			      const struct boot_opts *opts)
{
	plan_bytes(p, img->bytes, img->len, opts);
}

static inline void plan_free(struct planned *p)
{
	boot_plan_fini(&p->plan);
	free(p->copy);
}

/* That the image is planned; the plan is in *p, for plan_free(). */
#define assert_planned(p, img, opts)                                                               \
	do {                                                                                       \
		plan_image(p, img, opts);                                                          \
		assert_string_equal((p)->diag.what, "");                                           \
		assert_int_equal((p)->r, 0);                                                       \
	} while (0)

/* That the image is planned, to be entered that way. */
#define assert_protocol(img, opts, entered)                                                        \
	do {                                                                                       \
		struct planned p_;                                                                 \
		assert_planned(&p_, img, opts);                                                    \
		assert_int_equal(p_.plan.protocol, entered);                                       \
		plan_free(&p_);                                                                    \
	} while (0)

/* error: diag_rig.h */
static inline void check_refused(struct planned *p, int err, const char *error)
{
	assert_int_equal(p->r, err);
	assert_diag(&p->diag, err, error);
	assert_int_equal(p->plan.nr_segments, 0);
	assert_null(p->plan.owned);
	plan_free(p);
}

/* That the image is refused with that error. */
static inline void assert_refused(const struct image *img, const struct boot_opts *opts,
				  const char *error)
{
	struct planned p;

	plan_image(&p, img, opts);
	check_refused(&p, -ENOEXEC, error);
}

static inline const struct boot_opts *mode_opts(enum boot_mode mode)
{
	static struct boot_opts opts;

	opts = (struct boot_opts){.mode = mode};
	return &opts;
}

#endif
