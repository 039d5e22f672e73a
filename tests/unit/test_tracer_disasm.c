/* tracer/disasm.c: Intel syntax at three widths, names for addresses, bytes that are no instruction, the way back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tracer/disasm.h"

/* Symbols of this test: one function of 16 bytes, with a name that nobody should obey. */
struct symbols {
	uint64_t addr;
	const char *name;
};

const char *symbols_format(const struct symbols *s, uint64_t addr, char *buf, size_t n)
{
	if (!s || addr < s->addr || addr >= s->addr + 16)
		return "";
	if (addr == s->addr)
		snprintf(buf, n, "%s", s->name);
	else
		snprintf(buf, n, "%s+%#llx", s->name, (unsigned long long)(addr - s->addr));
	return buf;
}

static struct disasm_line line;

static const char *text(unsigned bits, uint64_t addr, const char *bytes, size_t n, const struct symbols *syms)
{
	assert_true(disasm_one(bits, addr, (const uint8_t *)bytes, n, syms, &line));
	assert_int_equal(line.len, n);
	assert_memory_equal(line.bytes, bytes, n);
	assert_true(line.addr == addr);
	return line.text;
}
#define TEXT(bits, addr, bytes) text(bits, addr, bytes, sizeof(bytes) - 1, NULL)

static void intel_syntax_at_each_width(void **state)
{
	(void)state;
	assert_string_equal(TEXT(64, 0x1000, "\x0f\xa2"), "cpuid");
	assert_string_equal(TEXT(64, 0x1000, "\x48\x8b\x43\x08"), "mov rax, [rbx+0x8]");
	assert_string_equal(TEXT(32, 0x1000, "\x8b\x43\x08"), "mov eax, [ebx+0x8]");
	assert_string_equal(TEXT(16, 0x1000, "\xb8\x34\x12"), "mov ax, 0x1234");
	assert_string_equal(TEXT(32, 0x1000, "\xb8\x34\x12\xab\x00"), "mov eax, 0xab1234");
	assert_string_equal(TEXT(64, 0x1000, "\xf3\x6e"), "rep outsb");
	assert_string_equal(TEXT(64, 0x1000, "\x0f\x20\xc0"), "mov rax, cr0");
}

static void branches_say_where_they_go(void **state)
{
	(void)state;
	assert_string_equal(TEXT(64, 0x1000, "\xe8\x0b\x00\x00\x00"), "call 0x1010");
	assert_true(line.call && !line.branch && !line.ret && line.target == 0x1010);
	TEXT(64, 0x1000, "\x75\xfe");
	assert_true(line.branch && !line.call && line.target == 0x1000);
	TEXT(64, 0x1000, "\xc3");
	assert_true(line.ret && !line.branch && line.target == 0);
	TEXT(64, 0x1000, "\xff\xe0"); /* jmp rax: nobody knows */
	assert_true(line.branch && line.target == 0);
	TEXT(16, 0xfff0, "\xeb\x7e"); /* wraps around in 16-bit code */
	assert_true(line.target == 0x70);
	TEXT(64, 0x1000, "\x6a\x10"); /* push 16: an immediate, but no target */
	assert_true(line.target == 0 && !line.branch);
}

static void addresses_have_names(void **state)
{
	static const struct symbols syms = {0x1010, "put_char"};

	(void)state;
	assert_string_equal(text(64, 0x1000, "\xe8\x0b\x00\x00\x00", 5, &syms), "call put_char");
	assert_string_equal(text(64, 0x1000, "\x8b\x05\x0e\x00\x00\x00", 6, &syms), "mov eax, [put_char+0x4]");
	assert_string_equal(text(64, 0x1000, "\xe8\x00\x00\x00\x00", 5, &syms), "call 0x1005");
}

static void a_long_name_is_cut(void **state)
{
	char name[300];
	struct symbols syms = {0x1010, name};

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	text(64, 0x1000, "\xe8\x0b\x00\x00\x00", 5, &syms);
	assert_memory_equal(line.text, "call xxxx", 9);
	assert_true(strlen(line.text) < 60);
}

static void what_is_no_instruction_is_one_bad_byte(void **state)
{
	(void)state;
	assert_false(disasm_one(64, 0x1000, (const uint8_t *)"\x06\x90", 2, NULL, &line)); /* push es */
	assert_string_equal(line.text, "(bad)");
	assert_int_equal(line.len, 1);
	assert_int_equal(line.bytes[0], 6);
	assert_false(disasm_one(64, 0x1000, (const uint8_t *)"\xe8\x00", 2, NULL, &line)); /* cut off */
	assert_int_equal(line.len, 1);
	assert_false(disasm_one(64, 0x1000, NULL, 0, NULL, &line));
	assert_int_equal(line.len, 0);
}

static void the_width_comes_from_the_state(void **state)
{
	struct x86_state s;

	(void)state;
	memset(&s, 0, sizeof(s));
	assert_int_equal(disasm_code_bits(&s), 16);
	s.seg[X86_CS].attr = SEG_DB;
	assert_int_equal(disasm_code_bits(&s), 32);
	s.rflags = FLAG_VM;
	assert_int_equal(disasm_code_bits(&s), 16);
	s.rflags = 0;
	s.seg[X86_CS].attr = SEG_L; /* not in IA-32e mode: the bit means nothing */
	assert_int_equal(disasm_code_bits(&s), 16);
	s.efer = EFER_LMA;
	assert_int_equal(disasm_code_bits(&s), 64);
}

static void the_way_back_ends_at_the_address(void **state)
{
	/* nop; mov eax, imm32, whose bytes are instructions, too; cpuid; add; mov [rdi+8], eax */
	static const uint8_t code[] = {
	    0x90, 0xb8, 0x90, 0x50, 0xc3, 0x00, 0x0f, 0xa2, 0x48, 0x01, 0xd8, 0x89, 0x47, 0x08};
	static const uint64_t want[] = {0x1000, 0x1001, 0x1006, 0x1008, 0x100b};
	uint64_t got[8];
	size_t n = disasm_before(64, 0x100e, code, sizeof(code), got, 8);

	(void)state;
	assert_int_equal(n, 5);
	for (size_t i = 0; i < n; i++)
		assert_true(got[i] == want[i]);
	n = disasm_before(64, 0x100e, code, sizeof(code), got, 2);
	assert_int_equal(n, 2);
	assert_true(got[0] == 0x1008 && got[1] == 0x100b);
	assert_int_equal(disasm_before(64, 0x100e, code, 0, got, 2), 0);
	assert_int_equal(disasm_before(64, 0x100e, code, sizeof(code), got, 0), 0);
}

/* The code of this program itself, decoded forward from the beginning of a function, is the truth. */
static void the_way_back_agrees_with_the_way_forward(void **state)
{
	const uint8_t *code = (const uint8_t *)(uintptr_t)the_way_back_ends_at_the_address;
	uint64_t bound[400], got[5];
	size_t n = 0, at = 0, agree = 0, tried = 0;

	(void)state;
	for (; n < 400; n++, at += line.len) {
		bound[n] = at;
		assert_true(disasm_one(64, at, code + at, 15, NULL, &line));
	}
	for (size_t i = 40; i < n; i++, tried++) {
		size_t behind = bound[i] < 64 ? bound[i] : 64;
		size_t k = disasm_before(64, bound[i], code + bound[i] - behind, behind, got, 5);
		agree += k == 5 && !memcmp(got, bound + i - 5, sizeof(got));
	}
	assert_true(agree * 100 >= tried * 90);
}

static uint32_t rnd(void)
{
	static uint32_t x = 12345;

	x ^= x << 13;
	x ^= x >> 17;
	return x ^= x << 5;
}

static void random_bytes_always_give_a_line(void **state)
{
	static const unsigned widths[] = {16, 32, 64};
	uint8_t bytes[300];
	uint64_t before[16];

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		unsigned bits = widths[round % 3];
		size_t n = 1 + rnd() % 20;
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)rnd();
		disasm_one(bits, rnd(), bytes, n, NULL, &line);
		assert_true(line.len >= 1 && line.len <= 15 && line.len <= n);
		assert_non_null(memchr(line.text, 0, sizeof(line.text)));
		assert_true(line.text[0]);
		if (round % 20)
			continue;
		size_t k = disasm_before(bits, 0x10000, bytes, rnd() % sizeof(bytes), before, 16);
		for (size_t i = 0; i < k; i++) {
			uint64_t next = i + 1 < k ? before[i + 1] : 0x10000;
			assert_true(before[i] < next && next - before[i] <= 15);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(intel_syntax_at_each_width),
	    cmocka_unit_test(branches_say_where_they_go),
	    cmocka_unit_test(addresses_have_names),
	    cmocka_unit_test(a_long_name_is_cut),
	    cmocka_unit_test(what_is_no_instruction_is_one_bad_byte),
	    cmocka_unit_test(the_width_comes_from_the_state),
	    cmocka_unit_test(the_way_back_ends_at_the_address),
	    cmocka_unit_test(the_way_back_agrees_with_the_way_forward),
	    cmocka_unit_test(random_bytes_always_give_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
