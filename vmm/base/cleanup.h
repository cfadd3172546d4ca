/* cleanup.h - locals that release themselves (gcc's and clang's cleanup attribute). */
#ifndef VMM_BASE_CLEANUP_H
#define VMM_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define AUTO_FREE  __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close)))

/* Hands the value of an AUTO_FREE pointer to the caller; the local is NULL afterwards. */
#define STEAL_PTR(p)                                                                               \
	__extension__({                                                                            \
		__typeof__(p) stolen_ = (p);                                                       \
		(p) = NULL;                                                                        \
		stolen_;                                                                           \
	})

/* Hands the value of an AUTO_CLOSE descriptor to the caller; the local is -1 afterwards. */
#define STEAL_FD(fd)                                                                               \
	__extension__({                                                                            \
		int stolen_ = (fd);                                                                \
		(fd) = -1;                                                                         \
		stolen_;                                                                           \
	})

#endif
