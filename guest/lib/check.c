#include "check.h"

#include <stdarg.h>

#include "power.h"
#include "print.h"

static struct {
	unsigned passed, failed;
} checks;

static __attribute__((format(printf, 2, 0))) void fail(const char *name, const char *why,
						       va_list ap)
{
	checks.failed++;
	print("FAIL %s: ", name);
	vprint(why, ap);
	print("\n");
}

void check_ok(const char *name)
{
	checks.passed++;
	print("PASS %s\n", name);
}

bool check(const char *name, bool ok, const char *why, ...)
{
	va_list ap;

	if (ok) {
		check_ok(name);
		return true;
	}
	va_start(ap, why);
	fail(name, why, ap);
	va_end(ap);
	return false;
}

void check_pass(const char *name, const char *what, ...)
{
	va_list ap;

	checks.passed++;
	print("PASS %-12s ", name);
	va_start(ap, what);
	vprint(what, ap);
	va_end(ap);
	print("\n");
}

void check_fail(const char *name, const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	fail(name, why, ap);
	va_end(ap);
}

void check_finish(void)
{
	print("%u passed, %u failed\n", checks.passed, checks.failed);
	guest_exit(checks.passed && !checks.failed ? GUEST_EXIT_OK : GUEST_EXIT_FAILED);
}
