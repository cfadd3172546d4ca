/* Packets of gdb's remote protocol, as they come and as they are sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gdb/packet.h"

static struct gdb_input in;

/* The last event that is not GDB_NONE. */
static enum gdb_event feed(const char *bytes, size_t n)
{
	enum gdb_event last = GDB_NONE;

	for (size_t i = 0; i < n; i++) {
		const enum gdb_event event = gdb_input_feed(&in, (uint8_t)bytes[i]);

		if (event != GDB_NONE)
			last = event;
	}
	return last;
}

static int setup(void **state)
{
	(void)state;
	memset(&in, 0, sizeof(in));
	return 0;
}

#define FEED(s) feed((s), sizeof(s) - 1)

/* gdb's manual, "Overview": $packet-data#checksum, modulo 256. */
static void a_packet(void **state)
{
	(void)state;
	assert_int_equal(FEED("$m0,4#fd"), GDB_PACKET);
	assert_int_equal(in.len, 4);
	assert_string_equal((char *)in.content, "m0,4");
	assert_int_equal(FEED("noise between$#00"), GDB_PACKET);
	assert_int_equal(in.len, 0);
	assert_int_equal(FEED("$OK#9A"), GDB_PACKET);
}

static void what_is_no_packet(void **state)
{
	(void)state;
	assert_int_equal(FEED("+"), GDB_ACK);
	assert_int_equal(FEED("-"), GDB_NAK);
	assert_int_equal(FEED("\003"), GDB_INTERRUPT);
	assert_int_equal(FEED("$m0,4#fe"), GDB_BAD);
	assert_int_equal(FEED("$m0,4#zz"), GDB_BAD);
	assert_int_equal(FEED("$a\003#64"), GDB_PACKET); /* inside, it is content */
	assert_int_equal(FEED("$?#"), GDB_NONE);
}

/* "Binary Data": 0x7d, then the byte XOR 0x20; the checksum is of what was sent. */
static void escapes(void **state)
{
	(void)state;
	assert_int_equal(FEED("$X}\003}\004}]}\x0a#ba"), GDB_PACKET);
	assert_int_equal(in.len, 5);
	assert_memory_equal(in.content, "X#$}*", 5);
}

static void one_that_is_too_long(void **state)
{
	char sum[4];

	(void)state;
	assert_int_equal(FEED("$"), GDB_NONE);
	for (unsigned i = 0; i < GDB_PACKET_BYTES + 1; i++)
		assert_int_equal(FEED("a"), GDB_NONE);
	snprintf(sum, sizeof(sum), "#%02x", 'a' * (GDB_PACKET_BYTES + 1) % 256);
	assert_int_equal(feed(sum, 3), GDB_BAD);
	assert_int_equal(FEED("$?#3f"), GDB_PACKET);
}

static void what_we_send(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(gdb_frame("OK", 2, out), 6);
	assert_string_equal(out, "$OK#9a");
	assert_int_equal(gdb_frame("", 0, out), 4);
	assert_string_equal(out, "$#00");
}

static void numbers(void **state)
{
	const char *at = "1aF,rest";
	uint64_t val = 0;

	(void)state;
	assert_true(gdb_take_number(&at, &val));
	assert_int_equal(val, 0x1af);
	assert_false(gdb_take(&at, ':'));
	assert_true(gdb_take(&at, ','));
	assert_string_equal(at, "rest");
	assert_false(gdb_take_number(&at, &val));
	at = "ffffffffffffffff";
	assert_true(gdb_take_number(&at, &val));
	assert_true(val == UINT64_MAX);
	at = "10000000000000000";
	assert_false(gdb_take_number(&at, &val));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_packet, setup),
		cmocka_unit_test_setup(what_is_no_packet, setup),
		cmocka_unit_test_setup(escapes, setup),
		cmocka_unit_test_setup(one_that_is_too_long, setup),
		cmocka_unit_test_setup(what_we_send, setup),
		cmocka_unit_test_setup(numbers, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
