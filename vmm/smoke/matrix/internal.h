/*
 * internal.h - what reads the nodes of a --config file (matrix/yaml.c), for matrix.c. Errors are -errno with the
 * reader's diag, which names the file and the line.
 */
#ifndef VMM_SMOKE_MATRIX_INTERNAL_H
#define VMM_SMOKE_MATRIX_INTERNAL_H

#include <stddef.h>
#include <yaml.h>

#include "smoke/matrix.h"

/* A file while it is read. */
struct matrix_reader {
	yaml_document_t *doc;
	const char *path;
	const struct config_smoke_settings *cli;
	char *const *kernel; /* of the command line */
	unsigned nr_kernels;
	struct smoke_suite *suite;
	struct config_smoke_settings common; /* of the file, for all boots */
	struct diag *diag;
};

/* -EINVAL: what is wrong at a node; or, with its key, with a value. */
int matrix_complain(const struct matrix_reader *reader, const yaml_node_t *node,
		    const char *diag_id, const char *what);
int matrix_complain_of(const struct matrix_reader *reader, const yaml_node_t *node, const char *key,
		       const char *diag_id, const char *what);
/* -ENOMEM. */
int matrix_no_memory(const struct matrix_reader *reader);

/* A node's text, borrowed from the document; NULL when it is none or holds a NUL. */
const char *matrix_scalar(const yaml_node_t *node);

/* Of a list. */
size_t matrix_nr_items(const yaml_node_t *node);
const yaml_node_t *matrix_item_at(const struct matrix_reader *reader, const yaml_node_t *node,
				  size_t i);

/* Calls take for each pair of a mapping until one fails. */
int matrix_each_pair(const struct matrix_reader *reader, const yaml_node_t *node,
		     int (*take)(const struct matrix_reader *reader, const char *key,
				 const yaml_node_t *value, void *arg),
		     void *arg);

/* A text that is not empty. */
int matrix_take_text(const struct matrix_reader *reader, const char *key, const yaml_node_t *value,
		     const char **ret);

/* Adds an option to settings. */
int matrix_add_setting(const struct matrix_reader *reader, struct config_smoke_settings *settings,
		       int opt, const char *arg);

/* Adds a key and its value to settings. With a list the option is given several times. */
int matrix_take_option(const struct matrix_reader *reader, const char *key,
		       const yaml_node_t *value, struct config_smoke_settings *settings);

/* The same for a boot, whose settings may not be the run's. */
int matrix_take_boot_setting(const struct matrix_reader *reader, const char *key,
			     const yaml_node_t *value, struct config_smoke_settings *settings);

#endif
