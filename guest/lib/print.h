/*
 * print.h - formatted output on the serial port.
 *
 * Conversions: %c %s %d %u %x %% and %p, with the flags - and 0, a width (also *), a precision for
 * %s (also .*), and the lengths l, ll and z. Anything else prints as it stands.
 */
#ifndef GUEST_PRINT_H
#define GUEST_PRINT_H

#include <stdarg.h>
#include <stdatomic.h>

struct spinlock {
	atomic_bool taken;
};

void spin_lock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);

/* One call's output is never mixed with another CPU's. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void vprint(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

#endif
