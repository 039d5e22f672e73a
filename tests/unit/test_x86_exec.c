/*
 * Execution in the modes that test_x86_native.c cannot reach: real mode, 16- and 32-bit protected mode, and 64-bit
 * supervisor mode. Every instruction runs through x86_step(), so fetch, decode and restart are under test as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/exec.h"

#define RAM_SIZE (2u << 20)

static uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static struct x86_cpu c;

static uint8_t *env_page(void *arg, gpa_t gpa, bool write)
{
	(void)arg;
	(void)write;
	return gpa < RAM_SIZE ? ram + (gpa & ~0xfffull) : NULL;
}

static uint64_t env_mmio_read(void *arg, gpa_t gpa, unsigned n)
{
	(void)arg;
	(void)gpa;
	(void)n;
	return ~0ull;
}

static void env_mmio_write(void *arg, gpa_t gpa, unsigned n, uint64_t v)
{
	(void)arg;
	(void)gpa;
	(void)n;
	(void)v;
}

static void env_code_written(void *arg, gpa_t gpa, unsigned n)
{
	(void)arg;
	(void)gpa;
	(void)n;
}

static const struct x86_env env = {
    .page = env_page, .mmio_read = env_mmio_read, .mmio_write = env_mmio_write, .code_written = env_code_written};

static void set_seg(unsigned s, uint64_t base, uint32_t limit, uint32_t attr)
{
	c.s.seg[s] = (struct x86_seg){.base = base, .limit = limit, .attr = attr};
}

static void start(void)
{
	memset(ram, 0, sizeof(ram));
	memset(&c, 0, sizeof(c));
	c.env = &env;
	x86_reset(&c);
	c.budget = 1000000;
	c.s.cr0 &= ~(uint64_t)(CR0_CD | CR0_NW);
	x86_flags_write(&c, FLAG_R1);
}

/* Real mode, all segments at 0 except DS at 10000h and ES at 20000h; code at 0:1000h, stack below 0:8000h. */
static void start_real(void)
{
	start();
	for (unsigned s = 0; s < X86_SREG_COUNT; s++)
		set_seg(s, 0, 0xffff, 0x93);
	c.s.seg[X86_DS].base = 0x10000;
	c.s.seg[X86_DS].sel = 0x1000;
	c.s.seg[X86_ES].base = 0x20000;
	c.s.seg[X86_ES].sel = 0x2000;
	c.s.rip = 0x1000;
	c.s.gpr[X86_RSP] = 0x8000;
	x86_state_changed(&c);
}

/* Flat 32-bit protected mode at CPL 0 without paging. */
static void start_32(void)
{
	start();
	for (unsigned s = 0; s < X86_SREG_COUNT; s++)
		set_seg(s, 0, 0xffffffff, 0xc093);
	c.s.seg[X86_CS].attr = 0xc09b;
	c.s.seg[X86_CS].sel = 8;
	c.s.cr0 |= CR0_PE;
	c.s.rip = 0x1000;
	c.s.gpr[X86_RSP] = 0x8000;
	x86_state_changed(&c);
}

static void start_64(void)
{
	static const uint64_t table[3] = {0x101007, 0x102007, 0x83};

	start_32();
	for (unsigned k = 0; k < 3; k++)
		memcpy(ram + 0x100000 + 0x1000 * k, &table[k], 8);
	c.s.seg[X86_CS].attr = 0xa09b;
	c.s.cr3 = 0x100000;
	c.s.cr4 = CR4_PAE;
	c.s.efer = EFER_LME | EFER_LMA;
	c.s.cr0 |= CR0_PG;
	x86_state_changed(&c);
}

/* Places code at cs:rip and steps once. */
static enum x86_rc step_bytes(const char *code, size_t n)
{
	memcpy(ram + c.s.seg[X86_CS].base + c.s.rip, code, n);
	return x86_step(&c);
}
#define STEP(code) step_bytes(code, sizeof(code) - 1)

static uint64_t peek(unsigned at, unsigned n)
{
	uint64_t v = 0;

	memcpy(&v, ram + at, n);
	return v;
}

static void poke(unsigned at, uint64_t v, unsigned n)
{
	memcpy(ram + at, &v, n);
}

static void assert_fault(enum x86_rc rc, unsigned vector, uint64_t rip)
{
	assert_int_equal(rc, X86_FAULT);
	assert_int_equal(c.fault.vector, vector);
	assert_int_equal(c.s.rip, rip);
}

static uint64_t flags(void)
{
	return x86_flags_get(&c);
}

/* ---- addresses and operand sizes ---- */

static void a_16_bit_address_wraps_at_64k(void **state)
{
	(void)state;
	start_real();
	c.s.gpr[X86_RBX] = 0xabcdffff;
	c.s.gpr[X86_RSI] = 0x12340003;
	poke(0x10002, 0x5a, 1);
	assert_int_equal(STEP("\x8a\x00"), X86_OK); /* mov al, [bx+si] */
	assert_int_equal(c.s.gpr[X86_RAX] & 0xff, 0x5a);
	assert_int_equal(c.s.rip, 0x1002);
}

static void bp_addresses_the_stack_segment(void **state)
{
	(void)state;
	start_real();
	c.s.gpr[X86_RBP] = 0x40;
	poke(0x48, 0x1111, 2);
	poke(0x10048, 0x2222, 2);
	assert_int_equal(STEP("\x8b\x46\x08"), X86_OK); /* mov ax, [bp+8] */
	assert_int_equal(c.s.gpr[X86_RAX], 0x1111);
	assert_int_equal(STEP("\x3e\x8b\x46\x08"), X86_OK); /* mov ax, ds:[bp+8] */
	assert_int_equal(c.s.gpr[X86_RAX], 0x2222);
}

static void an_access_beyond_the_segment_limit_is_gp_and_changes_nothing(void **state)
{
	(void)state;
	start_real();
	c.s.gpr[X86_RBX] = 0xffff;
	c.s.gpr[X86_RAX] = 0x1234;
	assert_fault(STEP("\x03\x07"), VEC_GP, 0x1000); /* add ax, [bx] */
	assert_int_equal(c.s.gpr[X86_RAX], 0x1234);
	assert_int_equal(flags(), FLAG_R1);
}

static void address_size_prefix_uses_32_bit_forms_in_real_mode(void **state)
{
	(void)state;
	start_real();
	c.s.gpr[X86_RCX] = 0x100;
	c.s.gpr[X86_RDX] = 4;
	poke(0x10000 + 0x100 + 16 + 8, 0xcafe, 2);
	assert_int_equal(STEP("\x67\x8b\x44\x91\x08"), X86_OK); /* mov ax, [ecx+edx*4+8] */
	assert_int_equal(c.s.gpr[X86_RAX], 0xcafe);
}

static void xlat_takes_a_segment_override(void **state)
{
	(void)state;
	start_real();
	c.s.gpr[X86_RBX] = 0xfff0;
	c.s.gpr[X86_RAX] = 0x20;
	poke(0x20010, 0x77, 1);
	assert_int_equal(STEP("\x26\xd7"), X86_OK); /* es xlat: 16-bit wrap as well */
	assert_int_equal(c.s.gpr[X86_RAX], 0x77);
}

static void moffs_has_the_address_size(void **state)
{
	(void)state;
	start_64();
	poke(0x2345, 0x1122334455667788, 8);
	assert_int_equal(STEP("\x48\xa1\x45\x23\x00\x00\x00\x00\x00\x00"), X86_OK);
	assert_int_equal(c.s.gpr[X86_RAX], 0x1122334455667788);
	assert_int_equal(STEP("\x67\xa0\x46\x23\x00\x00"), X86_OK);
	assert_int_equal(c.s.gpr[X86_RAX] & 0xff, 0x77);
	assert_int_equal(c.s.rip, 0x1000 + 10 + 6);
}

/* ---- stack ---- */

static void push_sp_pushes_the_old_value(void **state)
{
	(void)state;
	start_real();
	assert_int_equal(STEP("\x54"), X86_OK);
	assert_int_equal(c.s.gpr[X86_RSP], 0x7ffe);
	assert_int_equal(peek(0x7ffe, 2), 0x8000);
	assert_int_equal(STEP("\x5c"), X86_OK); /* pop sp */
	assert_int_equal(c.s.gpr[X86_RSP], 0x8000);
}

static void pusha_and_popa_skip_sp(void **state)
{
	(void)state;
	start_real();
	for (unsigned r = 0; r < 8; r++)
		if (r != X86_RSP)
			c.s.gpr[r] = 0xffff0000 | (0x1110 + r);
	assert_int_equal(STEP("\x60"), X86_OK);
	assert_int_equal(c.s.gpr[X86_RSP], 0x8000 - 16);
	assert_int_equal(peek(0x7ffe, 2), 0x1110);
	assert_int_equal(peek(0x7ff6, 2), 0x8000);
	poke(0x7ff6, 0xdead, 2);
	for (unsigned r = 0; r < 8; r++)
		if (r != X86_RSP)
			c.s.gpr[r] = 0xffff0000;
	assert_int_equal(STEP("\x61"), X86_OK);
	assert_int_equal(c.s.gpr[X86_RSP], 0x8000);
	assert_int_equal(c.s.gpr[X86_RDI], 0xffff1117);
	assert_int_equal(c.s.gpr[X86_RAX], 0xffff1110);
}

static void a_16_bit_stack_keeps_the_upper_half_of_esp(void **state)
{
	(void)state;
	start_32();
	c.s.seg[X86_SS].attr = 0x93;
	c.s.seg[X86_SS].limit = 0xffff;
	c.s.gpr[X86_RSP] = 0xabcd0002;
	x86_state_changed(&c);
	assert_int_equal(STEP("\x66\x50"), X86_OK); /* push ax */
	assert_int_equal(c.s.gpr[X86_RSP], 0xabcd0000);
	c.s.gpr[X86_RAX] = 0x12345678;
	assert_int_equal(STEP("\x50"), X86_OK); /* push eax wraps to the top of the 64 KiB */
	assert_int_equal(c.s.gpr[X86_RSP], 0xabcdfffc);
	assert_int_equal(peek(0xfffc, 4), 0x12345678);
}

static void pop_to_memory_addresses_with_the_incremented_pointer(void **state)
{
	(void)state;
	start_32();
	poke(0x8000, 0xfeedface, 4);
	assert_int_equal(STEP("\x8f\x44\x24\x10"), X86_OK); /* pop dword [esp+16] */
	assert_int_equal(c.s.gpr[X86_RSP], 0x8004);
	assert_int_equal(peek(0x8014, 4), 0xfeedface);
}

static void pop_to_memory_restarts_when_the_store_faults(void **state)
{
	(void)state;
	start_32();
	set_seg(X86_DS, 0, 0xfff, 0x4093);
	x86_state_changed(&c);
	assert_fault(STEP("\x8f\x05\x00\x20\x00\x00"), VEC_GP, 0x1000); /* pop dword [2000h] */
	assert_int_equal(c.s.gpr[X86_RSP], 0x8000);
}

static void enter_copies_the_display(void **state)
{
	(void)state;
	start_32();
	c.s.gpr[X86_RBP] = 0x9000;
	poke(0x8ffc, 0x11111111, 4);
	poke(0x8ff8, 0x22222222, 4);
	assert_int_equal(STEP("\xc8\x20\x00\x03"), X86_OK); /* enter 32, 3 */
	assert_int_equal(peek(0x7ffc, 4), 0x9000);
	assert_int_equal(peek(0x7ff8, 4), 0x11111111);
	assert_int_equal(peek(0x7ff4, 4), 0x22222222);
	assert_int_equal(peek(0x7ff0, 4), 0x7ffc);
	assert_int_equal(c.s.gpr[X86_RBP], 0x7ffc);
	assert_int_equal(c.s.gpr[X86_RSP], 0x7ff0 - 32);
	assert_int_equal(STEP("\xc9"), X86_OK); /* leave */
	assert_int_equal(c.s.gpr[X86_RSP], 0x8000);
	assert_int_equal(c.s.gpr[X86_RBP], 0x9000);
}

/* ---- branches ---- */

static void a_call_pushes_the_next_instruction_and_ret_n_drops_arguments(void **state)
{
	(void)state;
	start_real();
	assert_int_equal(STEP("\xe8\x00\x02"), X86_OK);
	assert_int_equal(c.s.rip, 0x1203);
	assert_int_equal(peek(0x7ffe, 2), 0x1003);
	assert_int_equal(STEP("\xc2\x06\x00"), X86_OK); /* ret 6 */
	assert_int_equal(c.s.rip, 0x1003);
	assert_int_equal(c.s.gpr[X86_RSP], 0x8006);
}

static void a_jump_beyond_the_limit_is_gp_at_the_jump(void **state)
{
	(void)state;
	start_32();
	c.s.seg[X86_CS].limit = 0x1fff;
	c.s.seg[X86_CS].attr = 0x409b;
	x86_state_changed(&c);
	assert_fault(STEP("\xe9\x00\x10\x00\x00"), VEC_GP, 0x1000);
	assert_fault(STEP("\xe8\x00\x10\x00\x00"), VEC_GP, 0x1000);
	assert_int_equal(c.s.gpr[X86_RSP], 0x8000);
}

/* A runner subtracts the length from s.rip, so a handler that fails must leave it at the next instruction. */
static void a_call_whose_push_faults_does_not_move_rip(void **state)
{
	static const uint8_t code[] = {0xe8, 0x00, 0x01, 0x00, 0x00};
	struct x86_insn i;

	(void)state;
	start_32();
	set_seg(X86_SS, 0, 0xfff, 0x4093);
	x86_state_changed(&c);
	assert_int_equal(x86_decode(code, sizeof(code), 4, X86_MODE_PROT, &i), DECODE_OK);
	c.s.rip = 0x1005;
	assert_int_equal(i.fn(&c, &i), X86_FAULT);
	assert_int_equal(c.fault.vector, VEC_SS);
	assert_int_equal(c.s.rip, 0x1005);
	assert_int_equal(c.s.gpr[X86_RSP], 0x8000);
}

static void operand_size_16_cuts_the_target(void **state)
{
	(void)state;
	start_32();
	c.s.rip = 0x11000;
	assert_int_equal(STEP("\x66\xeb\x10"), X86_OK);
	assert_int_equal(c.s.rip, 0x1013);
}

static void a_non_canonical_return_is_gp(void **state)
{
	(void)state;
	start_64();
	poke(0x8000, 0x800000000000, 8);
	assert_fault(STEP("\xc3"), VEC_GP, 0x1000);
	assert_int_equal(c.s.gpr[X86_RSP], 0x8000);
}

static void loop_counts_in_the_address_size(void **state)
{
	(void)state;
	start_real();
	c.s.gpr[X86_RCX] = 0x10000;
	assert_int_equal(STEP("\xe2\x10"), X86_OK); /* cx 0 -> ffff: taken */
	assert_int_equal(c.s.rip, 0x1012);
	assert_int_equal(c.s.gpr[X86_RCX], 0x1ffff);
	c.s.gpr[X86_RCX] = 0x10000;
	assert_int_equal(STEP("\xe3\x10"), X86_OK); /* jcxz: taken */
	assert_int_equal(c.s.rip, 0x1024);
	assert_int_equal(STEP("\x67\xe3\x10"), X86_OK); /* jecxz: not */
	assert_int_equal(c.s.rip, 0x1027);
}

static void loopz_looks_at_zf_and_leaves_it(void **state)
{
	(void)state;
	start_32();
	c.s.gpr[X86_RCX] = 5;
	x86_flags_write(&c, FLAG_R1 | FLAG_ZF);
	assert_int_equal(STEP("\xe1\x10"), X86_OK);
	assert_int_equal(c.s.rip, 0x1012);
	assert_int_equal(STEP("\xe0\x10"), X86_OK); /* loopne: not taken, counted */
	assert_int_equal(c.s.rip, 0x1014);
	assert_int_equal(c.s.gpr[X86_RCX], 3);
	assert_int_equal(flags(), FLAG_R1 | FLAG_ZF);
}

static void every_condition_agrees_with_setcc_and_with_its_definition(void **state)
{
	(void)state;
	start_32();
	for (unsigned f = 0; f < 32; f++) {
		bool cf = f & 1, pf = f & 2, zf = f & 4, sf = f & 8, of = f & 16;
		const bool want[8] = {of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of};

		for (unsigned cc = 0; cc < 16; cc++) {
			char jcc[2] = {(char)(0x70 + cc), 0x20}, setcc[3] = {0x0f, (char)(0x90 + cc), (char)0xc0};
			bool taken = want[cc >> 1] != (cc & 1);

			c.s.rip = 0x1000;
			x86_flags_write(&c, FLAG_R1 | (cf ? FLAG_CF : 0) | (pf ? FLAG_PF : 0) | (zf ? FLAG_ZF : 0) |
						(sf ? FLAG_SF : 0) | (of ? FLAG_OF : 0));
			assert_int_equal(step_bytes(jcc, 2), X86_OK);
			assert_int_equal(c.s.rip, taken ? 0x1022 : 0x1002);
			assert_int_equal(step_bytes(setcc, 3), X86_OK);
			assert_int_equal(c.s.gpr[X86_RAX] & 0xff, taken);
		}
	}
}

/* ---- decimal arithmetic ---- */

static unsigned bcd(unsigned n)
{
	return (n / 10 % 10) << 4 | n % 10;
}

static void packed_decimal_sums_and_differences_are_right(void **state)
{
	(void)state;
	start_32();
	for (unsigned a = 0; a < 100; a++) {
		for (unsigned b = 0; b < 100; b++) {
			c.s.rip = 0x1000;
			c.s.gpr[X86_RAX] = bcd(a);
			c.s.gpr[X86_RCX] = bcd(b);
			assert_int_equal(STEP("\x00\xc8"), X86_OK); /* add al, cl */
			assert_int_equal(STEP("\x27"), X86_OK);	    /* daa */
			assert_int_equal(c.s.gpr[X86_RAX], bcd((a + b) % 100));
			assert_int_equal(!!(flags() & FLAG_CF), a + b >= 100);
			assert_int_equal(!!(flags() & FLAG_ZF), (a + b) % 100 == 0);
			c.s.gpr[X86_RAX] = bcd(a);
			assert_int_equal(STEP("\x28\xc8"), X86_OK); /* sub al, cl */
			assert_int_equal(STEP("\x2f"), X86_OK);	    /* das */
			assert_int_equal(c.s.gpr[X86_RAX], bcd((100 + a - b) % 100));
			assert_int_equal(!!(flags() & FLAG_CF), a < b);
		}
	}
}

static void unpacked_decimal_digits_are_right(void **state)
{
	(void)state;
	start_32();
	for (unsigned a = 0; a < 10; a++) {
		for (unsigned b = 0; b < 10; b++) {
			unsigned sum = a + b, diff = 10 + a - b;

			c.s.rip = 0x1000;
			c.s.gpr[X86_RAX] = 0x300 | a;
			c.s.gpr[X86_RCX] = b;
			STEP("\x00\xc8");			/* add al, cl */
			assert_int_equal(STEP("\x37"), X86_OK); /* aaa */
			assert_int_equal(c.s.gpr[X86_RAX], (3 + sum / 10) << 8 | sum % 10);
			assert_int_equal(flags() & (FLAG_CF | FLAG_AF), sum > 9 ? FLAG_CF | FLAG_AF : 0);
			c.s.gpr[X86_RAX] = 0x300 | a;
			STEP("\x28\xc8");			/* sub al, cl */
			assert_int_equal(STEP("\x3f"), X86_OK); /* aas */
			assert_int_equal(c.s.gpr[X86_RAX], (a < b ? 2 : 3) << 8 | diff % 10);
			assert_int_equal(flags() & (FLAG_CF | FLAG_AF), a < b ? FLAG_CF | FLAG_AF : 0);
			c.s.gpr[X86_RAX] = a * b;
			assert_int_equal(STEP("\xd4\x0a"), X86_OK); /* aam */
			assert_int_equal(c.s.gpr[X86_RAX], (a * b / 10) << 8 | a * b % 10);
			assert_int_equal(STEP("\xd5\x0a"), X86_OK); /* aad */
			assert_int_equal(c.s.gpr[X86_RAX], a * b);
		}
	}
	assert_fault(STEP("\xd4\x00"), VEC_DE, c.s.rip); /* aam 0 */
}

static void salc_copies_carry_to_al(void **state)
{
	(void)state;
	start_real();
	x86_flags_write(&c, FLAG_R1 | FLAG_CF);
	c.s.gpr[X86_RAX] = 0x1200;
	assert_int_equal(STEP("\xd6"), X86_OK);
	assert_int_equal(c.s.gpr[X86_RAX], 0x12ff);
	assert_int_equal(flags(), FLAG_R1 | FLAG_CF);
}

/* ---- faults ---- */

static void a_division_that_overflows_is_de_and_changes_nothing(void **state)
{
	(void)state;
	start_32();
	c.s.gpr[X86_RAX] = 0x80000000;
	c.s.gpr[X86_RDX] = 0xffffffff;
	c.s.gpr[X86_RCX] = 0xffffffff;
	assert_fault(STEP("\xf7\xf9"), VEC_DE, 0x1000); /* idiv ecx: 2^31 does not fit */
	assert_int_equal(c.s.gpr[X86_RAX], 0x80000000);
	assert_int_equal(c.s.gpr[X86_RDX], 0xffffffff);
	c.s.gpr[X86_RCX] = 1;
	assert_int_equal(STEP("\xf7\xf9"), X86_OK); /* -2^31 does */
	assert_int_equal(c.s.gpr[X86_RAX], 0x80000000);
	assert_int_equal(c.s.gpr[X86_RDX], 0);
}

static void bound_is_br_outside_the_range(void **state)
{
	(void)state;
	start_32();
	poke(0x3000, (uint32_t)-5, 4);
	poke(0x3004, 7, 4);
	c.s.gpr[X86_RAX] = (uint32_t)-5;
	assert_int_equal(STEP("\x62\x05\x00\x30\x00\x00"), X86_OK);
	c.s.gpr[X86_RAX] = 8;
	assert_fault(STEP("\x62\x05\x00\x30\x00\x00"), VEC_BR, 0x1006);
	c.s.gpr[X86_RAX] = (uint32_t)-6;
	assert_fault(STEP("\x62\x05\x00\x30\x00\x00"), VEC_BR, 0x1006);
}

static void lock_is_ud_where_it_is_not_allowed(void **state)
{
	(void)state;
	start_32();
	c.s.gpr[X86_RBX] = 0x3000;
	assert_int_equal(STEP("\xf0\x01\x03"), X86_OK);	    /* lock add [ebx], eax */
	assert_fault(STEP("\xf0\x01\xc3"), VEC_UD, 0x1003); /* register destination */
	assert_fault(STEP("\xf0\x03\x03"), VEC_UD, 0x1003); /* memory is the source */
	assert_fault(STEP("\xf0\x39\x03"), VEC_UD, 0x1003); /* cmp */
	assert_fault(STEP("\xf0\x90"), VEC_UD, 0x1003);
}

static void opcodes_that_left_64_bit_mode_are_ud_there_only(void **state)
{
	static const char gone[][2] = {
	    "\x06", "\x27", "\x2f", "\x37", "\x3f", "\x60", "\x61", "\x82", "\x9a", "\xce", "\xd4", "\xd6", "\xea"};

	(void)state;
	start_64();
	for (unsigned k = 0; k < ARRAY_LEN(gone); k++)
		assert_fault(step_bytes(gone[k], 1), VEC_UD, 0x1000);
	start_32();
	assert_int_equal(STEP("\x37"), X86_OK);
	assert_int_equal(STEP("\x40"), X86_OK); /* inc eax, a REX prefix there */
	assert_int_equal(c.s.rip, 0x1002);
}

static void instructions_of_protection_are_ud_in_real_mode(void **state)
{
	static const char code[][4] = {"\x0f\x00\xc0", "\x0f\x00\xc8", "\x0f\x00\xd0", "\x0f\x00\xd8", "\x0f\x00\xe0",
	    "\x0f\x00\xe8", "\x0f\x02\xc0", "\x0f\x03\xc0", "\x63\xc0"};

	(void)state;
	start_real();
	for (unsigned k = 0; k < ARRAY_LEN(code); k++)
		assert_fault(step_bytes(code[k], 3), VEC_UD, 0x1000);
}

static void an_instruction_longer_than_15_bytes_is_gp(void **state)
{
	(void)state;
	start_32();
	assert_int_equal(STEP("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"), X86_OK);
	assert_int_equal(c.s.rip, 0x100f);
	assert_fault(STEP("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"), VEC_GP, 0x100f);
}

static void code_runs_across_a_page_and_not_across_the_limit(void **state)
{
	(void)state;
	start_32();
	c.s.rip = 0x1ffd;
	assert_int_equal(STEP("\xb8\x78\x56\x34\x12"), X86_OK); /* mov eax, imm32 */
	assert_int_equal(c.s.gpr[X86_RAX], 0x12345678);
	c.s.rip = 0x1ffd;
	c.s.seg[X86_CS].limit = 0x2000;
	c.s.seg[X86_CS].attr = 0x409b;
	x86_state_changed(&c);
	assert_fault(x86_step(&c), VEC_GP, 0x1ffd);
	c.s.rip = 0x2001;
	assert_fault(x86_step(&c), VEC_GP, 0x2001);
}

/* ---- strings ---- */

static void rep_movs_propagates_when_it_overlaps_upward(void **state)
{
	(void)state;
	start_32();
	poke(0x3000, 0x0201, 2);
	c.s.gpr[X86_RSI] = 0x3000;
	c.s.gpr[X86_RDI] = 0x3002;
	c.s.gpr[X86_RCX] = 5000;
	assert_int_equal(STEP("\xf3\xa4"), X86_OK);
	while (c.s.gpr[X86_RCX])
		assert_int_equal(x86_step(&c), X86_OK);
	assert_int_equal(c.s.rip, 0x1002);
	for (unsigned k = 0; k < 5002; k++)
		assert_int_equal(ram[0x3000 + k], 1 + (k & 1));
	assert_int_equal(ram[0x3000 + 5002], 0);
	assert_int_equal(c.s.gpr[X86_RSI], 0x3000 + 5000);
	assert_int_equal(c.insns, 5000);
}

static void rep_stops_at_the_budget_with_rip_on_itself(void **state)
{
	(void)state;
	start_32();
	c.s.gpr[X86_RDI] = 0x3000;
	c.s.gpr[X86_RCX] = 100;
	c.s.gpr[X86_RAX] = 0xa5a5a5a5;
	c.budget = 40;
	assert_int_equal(STEP("\xf3\xab"), X86_OK);
	assert_int_equal(c.s.rip, 0x1000);
	assert_int_equal(c.s.gpr[X86_RCX], 60);
	assert_int_equal(c.s.gpr[X86_RDI], 0x3000 + 160);
	assert_int_equal(c.insns, 40);
	assert_int_equal(c.budget, 0);
	c.budget = 1000;
	assert_int_equal(x86_step(&c), X86_OK);
	assert_int_equal(c.s.rip, 0x1002);
	assert_int_equal(c.insns, 100);
	assert_int_equal(c.budget, 940);
	assert_int_equal(peek(0x3000 + 396, 8), 0xa5a5a5a5);
}

static void rep_with_count_zero_is_one_instruction(void **state)
{
	(void)state;
	start_32();
	assert_int_equal(STEP("\xf3\xa4"), X86_OK);
	assert_int_equal(c.s.rip, 0x1002);
	assert_int_equal(c.insns, 1);
}

static void rep_that_faults_keeps_what_is_done(void **state)
{
	(void)state;
	start_32();
	set_seg(X86_ES, 0, 0x300f, 0x4093);
	x86_state_changed(&c);
	c.s.gpr[X86_RDI] = 0x3000;
	c.s.gpr[X86_RCX] = 10;
	assert_fault(STEP("\xf3\xab"), VEC_GP, 0x1000);
	assert_int_equal(c.s.gpr[X86_RCX], 6);
	assert_int_equal(c.s.gpr[X86_RDI], 0x3010);
	assert_int_equal(c.insns, 4);
}

static void string_addresses_wrap_at_64k_in_real_mode(void **state)
{
	(void)state;
	start_real();
	c.s.gpr[X86_RDI] = 0x5555fffc;
	c.s.gpr[X86_RCX] = 8;
	c.s.gpr[X86_RAX] = 0x99;
	assert_int_equal(STEP("\xf3\xaa"), X86_OK);
	assert_int_equal(c.s.gpr[X86_RDI], 0x55550004);
	assert_int_equal(peek(0x2fffc, 4), 0x99999999);
	assert_int_equal(peek(0x20000, 4), 0x99999999);
	assert_int_equal(peek(0x30000, 4), 0);
}

static void repe_cmps_and_repne_scas_stop_at_the_difference(void **state)
{
	(void)state;
	start_32();
	memcpy(ram + 0x3000, "virtual machine", 16);
	memcpy(ram + 0x4000, "virtual monitor", 16);
	c.s.gpr[X86_RSI] = 0x3000;
	c.s.gpr[X86_RDI] = 0x4000;
	c.s.gpr[X86_RCX] = 15;
	assert_int_equal(STEP("\xf3\xa6"), X86_OK);
	assert_int_equal(c.s.gpr[X86_RCX], 5);
	assert_int_equal(flags() & (FLAG_ZF | FLAG_CF), FLAG_CF); /* 'a' < 'o' */
	c.s.gpr[X86_RAX] = ' ';
	c.s.gpr[X86_RDI] = 0x4000;
	c.s.gpr[X86_RCX] = (uint32_t)-1;
	assert_int_equal(STEP("\xf2\xae"), X86_OK);
	assert_int_equal(c.s.gpr[X86_RDI], 0x4008);
	assert_int_equal(flags() & FLAG_ZF, FLAG_ZF);
	assert_int_equal(c.s.gpr[X86_RCX], (uint32_t)-9);
}

static void strings_go_down_when_df_is_set(void **state)
{
	(void)state;
	start_32();
	assert_int_equal(STEP("\xfd"), X86_OK);
	poke(0x3000, 0x1111111122222222, 8);
	c.s.gpr[X86_RSI] = 0x3004;
	c.s.gpr[X86_RDI] = 0x3008;
	c.s.gpr[X86_RCX] = 2;
	assert_int_equal(STEP("\xf3\xa5"), X86_OK);
	assert_int_equal(peek(0x3008, 4), 0x11111111);
	assert_int_equal(peek(0x3004, 4), 0x22222222);
	assert_int_equal(c.s.gpr[X86_RSI], 0x2ffc);
	assert_int_equal(c.s.gpr[X86_RDI], 0x3000);
}

/* ---- x87 and SSE ---- */

static void fninit_and_the_control_word_work(void **state)
{
	(void)state;
	start_32();
	memset(c.s.fxsave, 0xff, 24);
	assert_int_equal(STEP("\xdb\xe3"), X86_OK); /* fninit */
	assert_int_equal(STEP("\xd9\x3d\x00\x30\x00\x00"), X86_OK);
	assert_int_equal(peek(0x3000, 2), 0x37f);
	poke(0x3000, 0x27f, 2);
	assert_int_equal(STEP("\xd9\x2d\x00\x30\x00\x00"), X86_OK); /* fldcw */
	c.s.gpr[X86_RAX] = 0xffffffff;
	assert_int_equal(STEP("\xdf\xe0"), X86_OK); /* fnstsw ax */
	assert_int_equal(c.s.gpr[X86_RAX], 0xffff0000);
	assert_int_equal(STEP("\xd9\x3d\x04\x30\x00\x00"), X86_OK);
	assert_int_equal(peek(0x3004, 2), 0x27f | 0x40);
}

static void cr0_and_cr4_decide_who_may_compute(void **state)
{
	static const char addps[] = "\x0f\x58\xc1", fadd[] = "\xd8\xc1", paddb[] = "\x0f\xfc\xc1";

	(void)state;
	start_32();
	assert_int_equal(STEP("\xd8\xc1"), X86_OK);
	c.s.rip = 0x1000;
	assert_fault(step_bytes(addps, 3), VEC_UD, 0x1000); /* CR4.OSFXSR clear */
	c.s.cr4 |= CR4_OSFXSR;
	assert_int_equal(step_bytes(addps, 3), X86_OK);
	c.s.cr0 |= CR0_TS;
	assert_fault(step_bytes(addps, 3), VEC_NM, 0x1003);
	assert_fault(step_bytes(paddb, 3), VEC_NM, 0x1003);
	assert_fault(step_bytes(fadd, 2), VEC_NM, 0x1003);
	assert_int_equal(STEP("\x9b"), X86_OK); /* fwait: CR0.MP is clear */
	c.s.cr0 |= CR0_MP;
	assert_fault(STEP("\x9b"), VEC_NM, 0x1004);
	c.s.cr0 |= CR0_EM;
	assert_fault(step_bytes(addps, 3), VEC_UD, 0x1004);
	assert_fault(step_bytes(paddb, 3), VEC_UD, 0x1004);
	assert_fault(step_bytes(fadd, 2), VEC_NM, 0x1004);
}

static void fxsave_and_fxrstor_carry_the_state(void **state)
{
	(void)state;
	start_64();
	c.s.cr4 |= CR4_OSFXSR;
	for (unsigned k = 0; k < sizeof(c.s.fxsave); k++)
		c.s.fxsave[k] = (uint8_t)(k * 7);
	memset(c.s.fxsave + 24, 0, 8);
	for (unsigned r = 0; r < 8; r++) /* what is no part of a register */
		memset(c.s.fxsave + 32 + 16 * r + 10, 0, 6);
	memset(ram + 0x3000, 0xee, 512);
	assert_int_equal(STEP("\x48\x0f\xae\x04\x25\x00\x30\x00\x00"), X86_OK);
	assert_memory_equal(ram + 0x3000, c.s.fxsave, 24);
	assert_memory_equal(ram + 0x3000 + 32, c.s.fxsave + 32, 416 - 32);
	assert_int_equal(peek(0x3000 + 28, 4), 0xffff); /* MXCSR_MASK */
	assert_int_equal(ram[0x3000 + 464], 0xee);	/* for software */
	memset(c.s.fxsave, 0, sizeof(c.s.fxsave));
	assert_int_equal(STEP("\x48\x0f\xae\x0c\x25\x00\x30\x00\x00"), X86_OK);
	assert_memory_equal(ram + 0x3000 + 32, c.s.fxsave + 32, 416 - 32);
	assert_fault(STEP("\x0f\xae\x04\x25\x08\x30\x00\x00"), VEC_GP, 0x1012); /* not on 16 bytes */
	poke(0x3000 + 24, 0x10000, 4);
	assert_fault(STEP("\x0f\xae\x0c\x25\x00\x30\x00\x00"), VEC_GP, 0x1012); /* reserved MXCSR bit */
}

static void ldmxcsr_refuses_reserved_bits(void **state)
{
	(void)state;
	start_32();
	c.s.cr4 |= CR4_OSFXSR;
	poke(0x3000, 0x1fa0, 4);
	assert_int_equal(STEP("\x0f\xae\x15\x00\x30\x00\x00"), X86_OK);
	assert_int_equal(STEP("\x0f\xae\x1d\x04\x30\x00\x00"), X86_OK);
	assert_int_equal(peek(0x3004, 4), 0x1fa0);
	poke(0x3000, 0x80001f80, 4);
	assert_fault(STEP("\x0f\xae\x15\x00\x30\x00\x00"), VEC_GP, 0x100e);
}

/* ---- single step ---- */

static void tf_traps_after_the_instruction_and_after_each_iteration(void **state)
{
	(void)state;
	start_32();
	x86_flags_write(&c, FLAG_R1 | FLAG_TF);
	assert_fault(STEP("\x90"), VEC_DB, 0x1001);
	assert_int_equal(c.insns, 1);
	c.s.gpr[X86_RDI] = 0x3000;
	c.s.gpr[X86_RCX] = 2;
	assert_fault(STEP("\xf3\xaa"), VEC_DB, 0x1001);
	assert_int_equal(c.s.gpr[X86_RCX], 1);
	assert_fault(STEP("\xf3\xaa"), VEC_DB, 0x1003);
	assert_int_equal(c.s.gpr[X86_RCX], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_16_bit_address_wraps_at_64k),
	    cmocka_unit_test(bp_addresses_the_stack_segment),
	    cmocka_unit_test(an_access_beyond_the_segment_limit_is_gp_and_changes_nothing),
	    cmocka_unit_test(address_size_prefix_uses_32_bit_forms_in_real_mode),
	    cmocka_unit_test(xlat_takes_a_segment_override),
	    cmocka_unit_test(moffs_has_the_address_size),
	    cmocka_unit_test(push_sp_pushes_the_old_value),
	    cmocka_unit_test(pusha_and_popa_skip_sp),
	    cmocka_unit_test(a_16_bit_stack_keeps_the_upper_half_of_esp),
	    cmocka_unit_test(pop_to_memory_addresses_with_the_incremented_pointer),
	    cmocka_unit_test(pop_to_memory_restarts_when_the_store_faults),
	    cmocka_unit_test(enter_copies_the_display),
	    cmocka_unit_test(a_call_pushes_the_next_instruction_and_ret_n_drops_arguments),
	    cmocka_unit_test(a_jump_beyond_the_limit_is_gp_at_the_jump),
	    cmocka_unit_test(a_call_whose_push_faults_does_not_move_rip),
	    cmocka_unit_test(operand_size_16_cuts_the_target),
	    cmocka_unit_test(a_non_canonical_return_is_gp),
	    cmocka_unit_test(loop_counts_in_the_address_size),
	    cmocka_unit_test(loopz_looks_at_zf_and_leaves_it),
	    cmocka_unit_test(every_condition_agrees_with_setcc_and_with_its_definition),
	    cmocka_unit_test(packed_decimal_sums_and_differences_are_right),
	    cmocka_unit_test(unpacked_decimal_digits_are_right),
	    cmocka_unit_test(salc_copies_carry_to_al),
	    cmocka_unit_test(a_division_that_overflows_is_de_and_changes_nothing),
	    cmocka_unit_test(bound_is_br_outside_the_range),
	    cmocka_unit_test(lock_is_ud_where_it_is_not_allowed),
	    cmocka_unit_test(opcodes_that_left_64_bit_mode_are_ud_there_only),
	    cmocka_unit_test(instructions_of_protection_are_ud_in_real_mode),
	    cmocka_unit_test(an_instruction_longer_than_15_bytes_is_gp),
	    cmocka_unit_test(code_runs_across_a_page_and_not_across_the_limit),
	    cmocka_unit_test(rep_movs_propagates_when_it_overlaps_upward),
	    cmocka_unit_test(rep_stops_at_the_budget_with_rip_on_itself),
	    cmocka_unit_test(rep_with_count_zero_is_one_instruction),
	    cmocka_unit_test(rep_that_faults_keeps_what_is_done),
	    cmocka_unit_test(string_addresses_wrap_at_64k_in_real_mode),
	    cmocka_unit_test(repe_cmps_and_repne_scas_stop_at_the_difference),
	    cmocka_unit_test(strings_go_down_when_df_is_set),
	    cmocka_unit_test(fninit_and_the_control_word_work),
	    cmocka_unit_test(cr0_and_cr4_decide_who_may_compute),
	    cmocka_unit_test(fxsave_and_fxrstor_carry_the_state),
	    cmocka_unit_test(ldmxcsr_refuses_reserved_bits),
	    cmocka_unit_test(tf_traps_after_the_instruction_and_after_each_iteration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
