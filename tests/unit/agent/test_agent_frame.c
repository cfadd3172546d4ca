/* Unit tests of agent/frame.c: frames in any pieces, lengths that lie, records, and the checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/frame.h"

static struct agent_stream here, there;

static int setup(void **state)
{
	int fd[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return -1;
	agent_stream_init(&here, fd[0]);
	agent_stream_init(&there, fd[1]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(here.fd);
	close(there.fd);
	return 0;
}

static void frames_arrive_as_they_were_sent(void **state)
{
	static uint8_t big[AGENT_DATA_MAX];
	struct agent_frame f;

	(void)state;
	memset(big, 'b', sizeof(big));
	assert_true(agent_stream_put(&here, AGENT_PING, NULL, 0));
	assert_true(agent_stream_put32(&here, AGENT_EXIT, 0x01020304));
	assert_true(agent_stream_put(&here, AGENT_DATA, big, sizeof(big)));
	for (unsigned n = 0; n < 3;) {
		assert_int_equal(agent_stream_flush(&here), 0);
		assert_int_equal(agent_stream_fill(&there), 0);
		while (agent_stream_next(&there, &f) == 1) {
			if (n == 0)
				assert_true(f.type == AGENT_PING && f.len == 0);
			if (n == 1)
				assert_true(f.type == AGENT_EXIT &&
					    agent_get32(f.data) == 0x01020304);
			if (n == 2)
				assert_true(f.type == AGENT_DATA && f.len == sizeof(big) &&
					    memcmp(f.data, big, sizeof(big)) == 0);
			n++;
		}
	}
	assert_int_equal(agent_stream_next(&there, &f), 0);
}

static void a_frame_may_come_byte_by_byte(void **state)
{
	static const uint8_t bytes[] = {3, 0, 0, 0, 17, 0, 0, 0, 'a', 'b', 'c'};
	struct agent_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(agent_stream_next(&there, &f), 0);
		assert_int_equal(send(here.fd, &bytes[i], 1, 0), 1);
		assert_int_equal(agent_stream_fill(&there), 0);
	}
	assert_int_equal(agent_stream_next(&there, &f), 1);
	assert_int_equal(f.type, AGENT_STDOUT);
	assert_memory_equal(f.data, "abc", 3);
}

static void a_length_that_lies_ends_the_stream(void **state)
{
	static const uint8_t one_too_many[] = {1, 0, 1, 0, 17, 0, 0, 0};
	static const uint8_t all_ones[] = {255, 255, 255, 255, 255, 255, 255, 255};
	struct agent_frame f;

	(void)state;
	assert_int_equal(send(here.fd, one_too_many, 8, 0), 8);
	assert_int_equal(agent_stream_fill(&there), 0);
	assert_int_equal(agent_stream_next(&there, &f), -EPROTO);
	assert_int_equal(agent_stream_next(&there, &f), -EPROTO);
	agent_stream_init(&there, there.fd);
	assert_int_equal(send(here.fd, all_ones, 8, 0), 8);
	assert_int_equal(agent_stream_fill(&there), 0);
	assert_int_equal(agent_stream_next(&there, &f), -EPROTO);
}

static void a_queue_has_an_end(void **state)
{
	static uint8_t big[AGENT_DATA_MAX + 1];

	(void)state;
	assert_false(agent_stream_put(&here, AGENT_DATA, big, AGENT_DATA_MAX + 1));
	assert_true(agent_stream_put(&here, AGENT_DATA, big, AGENT_DATA_MAX));
	assert_true(agent_stream_put(&here, AGENT_DATA, big, AGENT_DATA_MAX));
	assert_false(agent_stream_put(&here, AGENT_PING, NULL, 0));
	while (here.out_len > 0) {
		assert_int_equal(agent_stream_flush(&here), 0);
		there.in_len = there.used = 0;
		assert_int_equal(agent_stream_fill(&there), 0);
	}
	assert_true(agent_stream_put(&here, AGENT_PING, NULL, 0));
}

static void the_end_and_its_kind_are_seen(void **state)
{
	(void)state;
	assert_int_equal(agent_stream_fill(&there), 0);
	assert_false(there.ended);
	shutdown(here.fd, SHUT_WR);
	assert_int_equal(agent_stream_fill(&there), 0);
	assert_true(there.ended);
	assert_true(agent_stream_put(&here, AGENT_PING, NULL, 0));
	assert_int_equal(agent_stream_flush(&here), -EPIPE);
}

static struct agent_frame frame_of(const char *bytes, size_t len)
{
	return (struct agent_frame){.data = (const uint8_t *)bytes, .len = len};
}

static void records_are_pairs(void **state)
{
	static struct agent_records r;
	const char *value;
	struct agent_frame f;
	char key[16];
	size_t at = 0;

	(void)state;
	r.len = 0;
	assert_true(agent_record_add(&r, "arg", "a=b"));
	assert_true(agent_record_add(&r, "arg", ""));
	assert_true(agent_record_add_u32(&r, "mode", UINT32_MAX));
	f = frame_of(r.buf, r.len);
	assert_int_equal(agent_record_next(&f, &at, key, &value), 1);
	assert_string_equal(key, "arg");
	assert_string_equal(value, "a=b");
	assert_int_equal(agent_record_next(&f, &at, key, &value), 1);
	assert_string_equal(value, "");
	assert_int_equal(agent_record_next(&f, &at, key, &value), 1);
	assert_string_equal(value, "4294967295");
	assert_int_equal(agent_record_next(&f, &at, key, &value), 0);
}

static void other_bytes_are_no_records(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"arg=x", 5},               /* no end */
		{"argx", 5},                /* no value */
		{"=x", 3},                  /* no key */
		{"\0", 1},                  /* nothing */
		{"sixteen-letters-=x", 19}, /* a long key */
	};
	const char *value;
	char key[16];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct agent_frame f = frame_of(bad[i].bytes, bad[i].len);
		size_t at = 0;

		assert_int_equal(agent_record_next(&f, &at, key, &value), -EPROTO);
	}
}

static void records_have_room_for_a_frame(void **state)
{
	static struct agent_records r;
	static char text[AGENT_DATA_MAX];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	r.len = 0;
	assert_false(agent_record_add(&r, "arg", text));
	assert_int_equal(r.len, 0);
	text[AGENT_DATA_MAX - 5] = '\0';
	assert_true(agent_record_add(&r, "arg", text));
	assert_int_equal(r.len, AGENT_DATA_MAX);
	assert_false(agent_record_add(&r, "", ""));
}

static void numbers_are_whole(void **state)
{
	static const char *const bad[] = {"",   "-1",  "4294967296",
					  "1 ", "0x1", "99999999999999999999999"};
	uint32_t n = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(agent_record_u32(bad[i], &n));
	assert_int_equal(n, 7);
	assert_true(agent_record_u32("4294967295", &n));
	assert_true(n == UINT32_MAX);
}

/* RFC 3720, B.4, and the usual check value. */
static void the_checksum_is_crc32c(void **state)
{
	uint8_t bytes[32] = {0};

	(void)state;
	assert_true(agent_crc32c(0, "", 0) == 0);
	assert_true(agent_crc32c(0, "123456789", 9) == 0xe3069283);
	assert_true(agent_crc32c(0, bytes, 32) == 0x8a9136aa);
	memset(bytes, 255, sizeof(bytes));
	assert_true(agent_crc32c(0, bytes, 32) == 0x62a8ab43);
	assert_true(agent_crc32c(agent_crc32c(0, "1234", 4), "56789", 5) == 0xe3069283);
}

int main(void)
{
#define FRAME_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		FRAME_TEST(frames_arrive_as_they_were_sent),
		FRAME_TEST(a_frame_may_come_byte_by_byte),
		FRAME_TEST(a_length_that_lies_ends_the_stream),
		FRAME_TEST(a_queue_has_an_end),
		FRAME_TEST(the_end_and_its_kind_are_seen),
		FRAME_TEST(records_are_pairs),
		FRAME_TEST(other_bytes_are_no_records),
		FRAME_TEST(records_have_room_for_a_frame),
		FRAME_TEST(numbers_are_whole),
		FRAME_TEST(the_checksum_is_crc32c),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
