/*
 * string.c - the C library functions that the compiler, libfdt and the kernels call.
 *
 * Repeated string instructions rather than loops: where kernel code is emulated, one repetition
 * costs a fraction of the three or four instructions of a loop. Copies and comparisons repeat by eight bytes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As in <string.h>, whose parameter names are not for us to use. */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	size_t words = n / 8, rest = n % 8;
	void *d = dst;

	__asm__ volatile("rep movsq" : "+D"(d), "+S"(src), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(rest) : : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	char *d = (char *)dst + n - 1;
	const char *s = (const char *)src + n - 1;

	if ((uintptr_t)dst - (uintptr_t)src >= n)
		return memcpy(dst, src, n);
	__asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;
	size_t words = n / 8;
	bool differ = false;

	if (words)
		__asm__ volatile("repe cmpsq"
				 : "+S"(p), "+D"(q), "+c"(words), "=@ccne"(differ)
				 :
				 : "memory");
	p -= differ ? 8 : 0;
	q -= differ ? 8 : 0;
	n = differ ? 8 : n % 8;
	if (n == 0)
		return 0;
	__asm__ volatile("repe cmpsb" : "+S"(p), "+D"(q), "+c"(n), "=@ccne"(differ) : : "memory");
	return differ ? p[-1] - q[-1] : 0;
}

void *memchr(const void *s, int c, size_t n)
{
	uintptr_t p = (uintptr_t)s;
	bool found;

	if (n == 0)
		return NULL;
	__asm__ volatile("repne scasb" : "+D"(p), "+c"(n), "=@cce"(found) : "a"(c) : "memory");
	return found ? (void *)(p - 1) : NULL;
}

size_t strlen(const char *s)
{
	return strnlen(s, SIZE_MAX);
}

size_t strnlen(const char *s, size_t max)
{
	const char *end = memchr(s, 0, max);

	return end ? (size_t)(end - s) : max;
}

/* Most strings that differ do so at once. */
int strcmp(const char *a, const char *b)
{
	if (*a != *b)
		return (unsigned char)*a - (unsigned char)*b;
	return memcmp(a, b, strlen(a) + 1);
}

char *strchr(const char *s, int c)
{
	return memchr(s, c, strlen(s) + 1);
}

char *strrchr(const char *s, int c)
{
	char *last = NULL;

	for (char *p = strchr(s, c); p; p = *p ? strchr(p + 1, c) : NULL)
		last = p;
	return last;
}
