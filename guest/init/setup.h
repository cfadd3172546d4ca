/* setup.h - what a program expects of a machine before it starts. Each fails by fail(). */
#ifndef INIT_SETUP_H
#define INIT_SETUP_H

#include "conf.h"

/* proc, sysfs, devtmpfs and what goes on them; the host's name. */
void setup_system(const struct conf *conf);

/* The modules, in their order. */
void setup_modules(const struct conf *conf);

/* Links to every applet of busybox, where nothing else is. */
void setup_busybox(const struct conf *conf);

/* The shared directories, at /mnt/TAG each. */
void setup_shares(const struct conf *conf);

/* Makes conf->root the root directory, with the mounts of setup_system(). */
void setup_root(const struct conf *conf);

#endif
