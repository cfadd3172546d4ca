/* selftest.h - the parts of the self-test. Each prints its lines through check.h. */
#ifndef SELFTEST_SELFTEST_H
#define SELFTEST_SELFTEST_H

#include <stdint.h>

/* Where a device on ports is. */
struct place {
	uint16_t port, port2; /* port2: the second range's first port, 0 when there is none */
	int gsi;              /* -1: no interrupt */
};

void test_devices(void);
void test_serial(const char *name, const struct place *at);

/* The date is read at once; what takes up to a second waits until test_rtc_update(). */
void test_rtc(const char *name, const struct place *at);
void test_rtc_update(void);

#endif
