/* setup.h - what a program expects of a machine before it starts. Each fails by fail(). */
#ifndef INIT_SETUP_H
#define INIT_SETUP_H

#include <stdbool.h>

#include "conf.h"

/* proc, sysfs, devtmpfs and what goes on them; the host's name. */
void setup_system(const struct conf *conf);

/* The modules, in their order. */
void setup_modules(const struct conf *conf);

/* Links to every applet of busybox, where nothing else is. */
void setup_busybox(const struct conf *conf);

/* Waits for a device whose driver may have been loaded a moment ago. False: it does not come in three seconds. */
bool setup_wait_for(const char *path);

/* The shared directories, at /mnt/TAG each, or at their own path. */
void setup_shares(const struct conf *conf);

/*
 * Makes the share conf->host_root the root directory, read-only under a file system in memory that takes all changes,
 * with the mounts of setup_system().
 */
void setup_host_root(const struct conf *conf);

/* Makes conf->root the root directory, with the mounts of setup_system(). */
void setup_root(const struct conf *conf);

#endif
