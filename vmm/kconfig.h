/*
 * kconfig.h - the configuration of a Linux kernel, and which of its options each feature of ours needs. Pure: bytes to
 * answers. The bytes may be hostile: a text of more than KCONFIG_TEXT_MAX bytes is refused.
 *
 * Threads: none.
 */
#ifndef VMM_KCONFIG_H
#define VMM_KCONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum {
	KCONFIG_TEXT_MAX = 4 << 20, /* a distribution's has 300 KiB */
	KCONFIG_NEEDS_MAX = 10,     /* of a feature */
	KCONFIG_AFTER_MAX = 3,
};

/* In ascending order of use. */
enum kconfig_value {
	KCONFIG_UNKNOWN, /* this kernel has no such option, or its menu is off */
	KCONFIG_NO,
	KCONFIG_MODULE,
	KCONFIG_YES, /* also for a text or a number */
};

struct kconfig {
	const char *text; /* borrowed from the bytes, or in owned */
	size_t len;
	char *owned;
	char title[64]; /* "Linux/x86 6.1.192"; empty where the text does not say it */
};

/*
 * Reads a .config, as it is or compressed, or the copy in a kernel's image (CONFIG_IKCONFIG). name is for messages.
 * -EINVAL with diag for another file, and for a kernel without a copy; errors of boot_plan_init() and unpack_run().
 * bytes must outlive *ret, which is untouched on failure.
 */
int kconfig_read(struct kconfig *ret, const char *name, const uint8_t *bytes, size_t len,
		 struct diag *diag);
void kconfig_fini(struct kconfig *config); /* takes a zeroed one, too */

/* Of an option by its name without CONFIG_. Of several lines the last counts, as for Linux's conf. */
enum kconfig_value kconfig_get(const struct kconfig *config, const char *option);

struct kconfig_need {
	const char *
		option; /* "ACPI", or "ACPI|OF": one of them is enough, and the first is the usual one */
	const char *use;    /* "drives the serial port" */
	const char *set_by; /* the option that a user sets for it; NULL: the first of these */
	const char
		*before; /* the name where the option is unknown: that of an older Linux, or NULL */
	bool built_in;   /* a module comes too late */
	bool always_before; /* where it is unknown, Linux is older and always has it */
};

struct kconfig_feature {
	const char *name;
	const char *used_by; /* our option or command; NULL: nothing has to ask for it */
	bool every_run;      /* `run` without options needs it */
	const char
		*after[KCONFIG_AFTER_MAX]; /* names of features that this one needs; NULL: none */
	struct kconfig_need need[KCONFIG_NEEDS_MAX]; /* ended by one without option */
};

/* Each after those that it needs; ended by one without name. */
extern const struct kconfig_feature kconfig_features[];

const struct kconfig_feature *kconfig_feature_find(const char *name); /* NULL: none */

enum { KCONFIG_OPTION_MAX = 64 };

/* The value of the best of a need's options, and its name; of several equals the first. */
enum kconfig_value kconfig_need_value(const struct kconfig *config, const struct kconfig_need *need,
				      char ret_option[KCONFIG_OPTION_MAX]);

/* The name of the option that a user sets to satisfy the need. */
void kconfig_need_set_by(const struct kconfig_need *need, char ret_option[KCONFIG_OPTION_MAX]);

/* Whether that value satisfies the need. */
bool kconfig_need_is_met(const struct kconfig_need *need, enum kconfig_value value);

/*
 * KCONFIG_YES, KCONFIG_MODULE when it is there once modules are loaded, else KCONFIG_NO. Features that it needs
 * count.
 */
enum kconfig_value kconfig_feature_value(const struct kconfig *config,
					 const struct kconfig_feature *feature);

#endif
