/* macros.h - from a member to its struct, and the length of an array. */
#ifndef VMM_BASE_MACROS_H
#define VMM_BASE_MACROS_H

#include <stddef.h>

/* The object of the given type whose member p points to. */
#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* Elements of an array; not for pointers. */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
