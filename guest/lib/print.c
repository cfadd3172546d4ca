#include "print.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cpu.h"
#include "serial.h"

/* Where formatted text goes: a buffer, or the serial port when buf is NULL. */
struct sink {
	char *buf;
	size_t size, len;
};

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

static void sink_put(struct sink *sink, const char *s, size_t n)
{
	if (!sink->buf) {
		serial_write(s, n);
	} else if (sink->len < sink->size) {
		size_t room = sink->size - sink->len;

		memcpy(sink->buf + sink->len, s, n < room ? n : room);
	}
	sink->len += n;
}

static void sink_fill(struct sink *sink, char c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sink_put(sink, &c, 1);
}

static void put_padded(struct sink *sink, const struct spec *spec, const char *s, size_t n)
{
	size_t pad = spec->width > 0 && (size_t)spec->width > n ? (size_t)spec->width - n : 0;

	if (!spec->left)
		sink_fill(sink, spec->zeros ? '0' : ' ', pad);
	sink_put(sink, s, n);
	if (spec->left)
		sink_fill(sink, ' ', pad);
}

static void put_number(struct sink *sink, const struct spec *spec, uint64_t val, bool negative)
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
	put_padded(sink, spec, digits + at, sizeof(digits) - at);
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

static void put_signed(struct sink *sink, const struct spec *spec, int64_t val)
{
	put_number(sink, spec, val < 0 ? -(uint64_t)val : (uint64_t)val, val < 0);
}

static void put_string(struct sink *sink, const struct spec *spec, const char *s)
{
	put_padded(sink, spec, s,
		   spec->precision < 0 ? strlen(s) : strnlen(s, (size_t)spec->precision));
}

static void format_to(struct sink *sink, const char *fmt, va_list ap)
{
	for (;;) {
		struct spec spec = {.precision = -1};
		const char *start = fmt;
		char c;

		while (*fmt && *fmt != '%')
			fmt++;
		sink_put(sink, start, (size_t)(fmt - start));
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
		case 'd':
			put_signed(sink, &spec, spec.longs ? va_arg(ap, long) : va_arg(ap, int));
			break;
		case 'u':
		case 'x':
			put_number(sink, &spec,
				   spec.longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned),
				   false);
			break;
		case 'p': put_number(sink, &spec, (uintptr_t)va_arg(ap, void *), false); break;
		case 's': put_string(sink, &spec, va_arg(ap, const char *)); break;
		case 'c':
			c = (char)va_arg(ap, int);
			put_padded(sink, &spec, &c, 1);
			break;
		case '%': sink_put(sink, "%", 1); break;
		default: sink_put(sink, start, (size_t)(fmt - start)); break;
		}
	}
}

void vprint(const char *fmt, va_list ap)
{
	struct sink sink = {0};

	spin_lock(&print_lock);
	format_to(&sink, fmt, ap);
	spin_unlock(&print_lock);
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}

size_t vformat(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct sink sink = {.buf = buf, .size = size - 1};

	format_to(&sink, fmt, ap);
	buf[sink.len < sink.size ? sink.len : sink.size] = '\0';
	return sink.len;
}

size_t format(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = vformat(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
