/* core/wire.c: frames over a line that loses, changes and inserts bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire.h"

#define FRAMES_MAX 400

/* What was sent, and which of it arrived. */
static struct sent {
	uint8_t type, vm;
	uint32_t len;
	size_t at, end; /* where it lies in the clean stream */
	uint8_t *payload;
	unsigned arrived;
} sent[FRAMES_MAX];
static unsigned n_sent, n_arrived, wrong;
static uint32_t last_seq;
static uint8_t *stream;
static size_t stream_len, stream_cap;
static struct wire_tx tx;
static struct wire_rx rx;

static uint64_t rng;
static uint32_t rnd(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 11) % below;
}

static void put(void *arg, const void *p, size_t n)
{
	(void)arg;
	if (stream_len + n > stream_cap) {
		stream_cap = (stream_len + n) * 2;
		stream = realloc(stream, stream_cap);
		assert_non_null(stream);
	}
	memcpy(stream + stream_len, p, n);
	stream_len += n;
}

static void got(void *arg, const struct wire_frame *f)
{
	(void)arg;
	n_arrived++;
	last_seq = f->seq;
	if (f->seq >= n_sent) {
		wrong++;
		return;
	}
	struct sent *s = &sent[f->seq];
	s->arrived++;
	if (((uintptr_t)f->payload & 7) || s->type != f->type || s->vm != f->vm || s->len != f->len ||
	    memcmp(s->payload, f->payload, f->len) != 0)
		wrong++;
}

static void send_random(uint32_t max)
{
	struct sent *s = &sent[n_sent++];
	s->type = (uint8_t)rnd(256);
	s->vm = (uint8_t)rnd(8);
	s->len = rnd(max + 1);
	s->payload = malloc(s->len + 1);
	assert_non_null(s->payload);
	for (uint32_t i = 0; i < s->len; i++) /* sync bytes are common in it */
		s->payload[i] = rnd(8) == 0 ? 0xd5 : rnd(8) == 0 ? 0xaa : (uint8_t)rnd(256);
	s->at = stream_len;
	wire_send(&tx, s->type, s->vm, s->payload, s->len);
	s->end = stream_len;
}

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < n_sent; i++)
		free(sent[i].payload);
	memset(sent, 0, sizeof sent);
	n_sent = n_arrived = wrong = 0;
	stream_len = 0;
	tx = (struct wire_tx){.put = put};
	wire_rx_init(&rx);
	rng = 88172645463325252ull;
	return 0;
}

static int done(void **state)
{
	setup(state);
	free(stream);
	stream = NULL;
	stream_cap = 0;
	return 0;
}

static void feed_in_pieces(const uint8_t *p, size_t n, uint32_t most)
{
	while (n) {
		size_t k = 1 + rnd(most);
		k = k < n ? k : n;
		wire_rx_feed(&rx, p, k, got, NULL);
		p += k;
		n -= k;
	}
}

static void the_checksum_is_that_of_ieee_802_3(void **state)
{
	(void)state;
	assert_int_equal(wire_crc32(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(wire_crc32(wire_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
	assert_int_equal(wire_crc32(0, NULL, 0), 0);
}

static void any_chunking_gives_every_frame_once(void **state)
{
	static const uint32_t pieces[] = {1, 2, 7, 19, 300, 8192, 100000};
	(void)state;
	for (unsigned i = 0; i < 60; i++)
		send_random(i == 30 ? WIRE_PAYLOAD_MAX : i == 31 ? 0 : 300);
	for (unsigned k = 0; k < ARRAY_LEN(pieces); k++) {
		wire_rx_init(&rx);
		for (unsigned i = 0; i < n_sent; i++)
			sent[i].arrived = 0;
		feed_in_pieces(stream, stream_len, pieces[k]);
		for (unsigned i = 0; i < n_sent; i++)
			assert_int_equal(sent[i].arrived, 1);
		assert_int_equal(rx.lost, 0);
		assert_int_equal(rx.noise_bytes, 0);
	}
	assert_int_equal(wrong, 0);
}

static void the_largest_frame_fits(void **state)
{
	static uint8_t big[WIRE_PAYLOAD_MAX];
	(void)state;
	memset(big, 0xd5, sizeof big);
	sent[0] = (struct sent){.type = 9, .vm = 1, .len = sizeof big, .payload = malloc(sizeof big)};
	memcpy(sent[0].payload, big, sizeof big);
	n_sent = 1;
	wire_send(&tx, 9, 1, big, sizeof big);
	feed_in_pieces(stream, stream_len, 5000);
	assert_int_equal(n_arrived, 1);
	assert_int_equal(wrong, 0);
}

static void a_bogus_length_is_not_believed(void **state)
{
	(void)state;
	send_random(100);
	send_random(100);
	stream[10] ^= 0x1f; /* the first frame now says that it is very long */
	feed_in_pieces(stream, stream_len, 3);
	assert_int_equal(sent[0].arrived, 0);
	assert_int_equal(sent[1].arrived, 1); /* at once: nothing else was needed */
	assert_int_equal(rx.noise_bytes, sent[0].end);
}

static void a_gap_in_the_numbers_is_counted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		send_random(50);
	wire_rx_feed(&rx, stream, sent[2].end, got, NULL);
	wire_rx_feed(&rx, stream + sent[6].at, stream_len - sent[6].at, got, NULL);
	assert_int_equal(rx.lost, 3);
	assert_int_equal(rx.frames, 7);
	assert_int_equal(rx.noise_bytes, 0);
	/* the other end starts anew */
	wire_rx_feed(&rx, stream, sent[0].end, got, NULL);
	assert_int_equal(rx.lost, 3);
}

/* Sends frames, spoils the stream at random, and holds what arrives against what could. */
static void one_noisy_stream(uint64_t seed, unsigned per_mille)
{
	rng = seed * 0x9e3779b97f4a7c15ull + 1;
	for (unsigned i = 0; i < 200; i++)
		send_random(rnd(10) ? 60 : 3000);
	uint8_t *dirty = malloc(stream_len * 3 + 200000);
	assert_non_null(dirty);
	size_t n = 0;
	for (size_t i = 0; i < stream_len; i++) {
		if (rnd(20000) >= per_mille) {
			dirty[n++] = stream[i];
			continue;
		}
		switch (rnd(3)) {
		case 0: /* lost */
			break;
		case 1: /* changed */
			dirty[n++] = stream[i] ^ (uint8_t)(1u << rnd(8));
			break;
		default: /* something before it */
			for (uint32_t k = 1 + rnd(30); k; k--)
				dirty[n++] = rnd(4) ? (uint8_t)rnd(256) : 0xd5;
			dirty[n++] = stream[i];
		}
	}
	memset(dirty + n, 0, WIRE_FRAME_MAX); /* whatever waits for more bytes gets them */
	n += WIRE_FRAME_MAX;
	feed_in_pieces(dirty, n, 500);
	uint64_t missing = 0, first = n_sent;
	for (unsigned i = 0; i < n_sent; i++) {
		bool whole = memmem(dirty, n, stream + sent[i].at, sent[i].end - sent[i].at);
		assert_int_equal(sent[i].arrived, whole);
		if (sent[i].arrived && first == n_sent)
			first = i;
		if (!sent[i].arrived && first != n_sent && i < last_seq)
			missing++;
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(rx.lost, missing);
	free(dirty);
}

static void noise_hurts_only_what_it_touches(void **state)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		setup(state);
		one_noisy_stream(seed, 1 + (unsigned)(seed % 8) * 6);
	}
}

static void pure_noise_gives_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2000000; i++) {
		const uint8_t b = rnd(3) ? (uint8_t)rnd(256) : rnd(2) ? 0xd5 : 0xaa;
		wire_rx_feed(&rx, &b, 1, got, NULL);
	}
	assert_int_equal(n_arrived, 0);
	assert_true(rx.noise_bytes + rx.have == 2000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_checksum_is_that_of_ieee_802_3),
	    cmocka_unit_test_setup(any_chunking_gives_every_frame_once, setup),
	    cmocka_unit_test_setup(the_largest_frame_fits, setup),
	    cmocka_unit_test_setup(a_bogus_length_is_not_believed, setup),
	    cmocka_unit_test_setup(a_gap_in_the_numbers_is_counted, setup),
	    cmocka_unit_test(noise_hurts_only_what_it_touches),
	    cmocka_unit_test_setup_teardown(pure_noise_gives_nothing, setup, done),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
