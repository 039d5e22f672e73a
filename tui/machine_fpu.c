/* x87, MMX and SSE registers, from the FXSAVE image. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/machine.h"

#define ST_AT 32
#define XMM_AT 160

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static void st_words(uint64_t mantissa, unsigned se, bool empty, char *buf, size_t n)
{
	unsigned exponent = se & 0x7fff;

	if (empty)
		snprintf(buf, n, "empty");
	else if (exponent == 0x7fff)
		snprintf(buf, n, "%s", mantissa << 1 ? "NaN" : se >> 15 ? "-infinity" : "infinity");
	else
		snprintf(
		    buf, n, "%.18Lg", (se >> 15 ? -1.0L : 1.0L) * ldexpl((long double)mantissa, (int)exponent - 16446));
}

static void fill_x87(const struct machine_state *m, struct machine_rows *out)
{
	const uint8_t *f = m->s.fxsave;
	unsigned status = get16(f + 2), top = status >> 11 & 7;
	static const char *const status_bits[] = {"IE", "DE", "ZE", "OE", "UE", "PE", "SF", "ES", "C0", "C1", "C2"};
	static const char *const precision[] = {"single", "?", "double", "extended"};
	static const char *const rounding[] = {"nearest", "down", "up", "zero"};
	struct machine_row *row = machine_row_add(out, "FCW", get16(f), 4);
	char words[80];

	machine_row_text(row, "precision %s, round to %s, masked %02x", precision[get16(f) >> 8 & 3],
	    rounding[get16(f) >> 10 & 3], get16(f) & 0x3f);
	row = machine_row_add(out, "FSW", status, 4);
	machine_bit_names(status & 0x7ff, status_bits, ARRAY_LEN(status_bits), words, sizeof words);
	machine_row_text(row, "top %u%s%s%s", top, words[0] ? ", " : "", words, status & 0x4000 ? " C3" : "");
	row = machine_row_add(out, "FTW", f[4], 2);
	machine_row_text(row, "one bit a register that is not empty");
	for (unsigned i = 0; i < 8; i++) {
		const uint8_t *p = f + ST_AT + 16 * i;
		char name[20];

		snprintf(name, sizeof name, "ST(%u)", i);
		row = machine_row_add(out, name, get64(p), 16);
		row->changed = m->has_before && memcmp(p, m->before.fxsave + ST_AT + 16 * i, 10) != 0;
		st_words(get64(p), get16(p + 8), !(f[4] >> ((top + i) & 7) & 1), words, sizeof words);
		machine_row_text(row, "%04x %s", get16(p + 8), words);
	}
}

static void fill_sse(const struct machine_state *m, struct machine_rows *out)
{
	static const char *const bits[] = {
	    "IE", "DE", "ZE", "OE", "UE", "PE", "DAZ", "IM", "DM", "ZM", "OM", "UM", "PM", "RC0", "RC1", "FZ"};
	const uint8_t *f = m->s.fxsave;
	uint32_t mxcsr = get16(f + 24) | (uint32_t)get16(f + 26) << 16;
	struct machine_row *row = machine_row_add(out, "MXCSR", mxcsr, 8);
	bool wide = m->bits == 64;

	machine_bit_names(mxcsr, bits, ARRAY_LEN(bits), row->text, sizeof row->text);
	for (unsigned i = 0; i < (wide ? 16u : 8u); i++) {
		const uint8_t *p = f + XMM_AT + 16 * i;
		char name[20];
		float single[4];
		double pair[2];

		memcpy(single, p, 16);
		memcpy(pair, p, 16);
		snprintf(name, sizeof name, "XMM%u", i);
		row = machine_row_add(out, name, get64(p + 8), 16);
		row->changed = m->has_before && memcmp(p, m->before.fxsave + XMM_AT + 16 * i, 16) != 0;
		machine_row_text(row, "%016llx  low double %.6g, single %.4g", (unsigned long long)get64(p), pair[0],
		    (double)single[0]);
	}
}

void machine_fill_fpu(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out)
{
	(void)vm, (void)model;
	if (m->s.cr0 & (CR0_EM | CR0_TS))
		machine_row_heading(out, "%s: the guest's next floating-point instruction traps (#NM)",
		    m->s.cr0 & CR0_EM ? "CR0.EM is 1" : "CR0.TS is 1");
	machine_row_heading(out, "x87");
	fill_x87(m, out);
	machine_row_heading(out, "SSE (high half, low half)");
	fill_sse(m, out);
}
