#include "print.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cpu.h"
#include "serial.h"

struct spec {
	bool left, zeros;
	int width, precision; /* precision -1: none given */
	unsigned longs;       /* size of an integer: 0 for int, else 64 bits */
	char conversion;
};

static struct spinlock print_lock;

void spin_lock(struct spinlock *lock)
{
	while (atomic_exchange_explicit(&lock->taken, true, memory_order_acquire))
		cpu_relax();
}

void spin_unlock(struct spinlock *lock)
{
	atomic_store_explicit(&lock->taken, false, memory_order_release);
}

static void put_fill(char c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		serial_write(&c, 1);
}

static void put_padded(const struct spec *spec, const char *s, size_t n)
{
	size_t pad = spec->width > 0 && (size_t)spec->width > n ? (size_t)spec->width - n : 0;

	if (!spec->left)
		put_fill(spec->zeros ? '0' : ' ', pad);
	serial_write(s, n);
	if (spec->left)
		put_fill(' ', pad);
}

static void put_number(const struct spec *spec, uint64_t val, bool negative)
{
	const unsigned base = spec->conversion == 'd' || spec->conversion == 'u' ? 10 : 16;
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[val % base];
		val /= base;
	} while (val);
	if (spec->conversion == 'p') {
		digits[--at] = 'x';
		digits[--at] = '0';
	}
	if (negative)
		digits[--at] = '-';
	put_padded(spec, digits + at, sizeof(digits) - at);
}

/* Reads digits or *; both advance. */
static int number_or_star(const char **fmt, int star)
{
	int val = 0;

	if (**fmt == '*') {
		(*fmt)++;
		return star;
	}
	for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++)
		val = val * 10 + (**fmt - '0');
	return val;
}

static void put_signed(const struct spec *spec, int64_t val)
{
	put_number(spec, val < 0 ? -(uint64_t)val : (uint64_t)val, val < 0);
}

static void put_string(const struct spec *spec, const char *s)
{
	put_padded(spec, s, spec->precision < 0 ? strlen(s) : strnlen(s, (size_t)spec->precision));
}

/* clang 14's analyzer loses sight of a va_start() two calls up. */
/* NOLINTBEGIN(clang-analyzer-valist.Uninitialized) */
static void print_args(const char *fmt, va_list ap)
{
	for (;;) {
		struct spec spec = {.precision = -1};
		const char *start = fmt;
		char c;

		while (*fmt && *fmt != '%')
			fmt++;
		serial_write(start, (size_t)(fmt - start));
		if (!*fmt)
			return;
		start = fmt++;
		for (; *fmt == '-' || *fmt == '0'; fmt++) {
			spec.left |= *fmt == '-';
			spec.zeros |= *fmt == '0';
		}
		spec.width = number_or_star(&fmt, *fmt == '*' ? va_arg(ap, int) : 0);
		if (*fmt == '.') {
			fmt++;
			spec.precision = number_or_star(&fmt, *fmt == '*' ? va_arg(ap, int) : 0);
		}
		for (; *fmt == 'l' || *fmt == 'z'; fmt++)
			spec.longs++;
		spec.conversion = *fmt ? *fmt++ : '\0';
		switch (spec.conversion) {
		case 'd': put_signed(&spec, spec.longs ? va_arg(ap, long) : va_arg(ap, int)); break;
		case 'u':
		case 'x':
			put_number(&spec,
				   spec.longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned),
				   false);
			break;
		case 'p': put_number(&spec, (uintptr_t)va_arg(ap, void *), false); break;
		case 's': put_string(&spec, va_arg(ap, const char *)); break;
		case 'c':
			c = (char)va_arg(ap, int);
			put_padded(&spec, &c, 1);
			break;
		case '%': serial_write("%", 1); break;
		default: serial_write(start, (size_t)(fmt - start)); break;
		}
	}
}
/* NOLINTEND(clang-analyzer-valist.Uninitialized) */

void vprint(const char *fmt, va_list ap)
{
	spin_lock(&print_lock);
	print_args(fmt, ap);
	spin_unlock(&print_lock);
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}
