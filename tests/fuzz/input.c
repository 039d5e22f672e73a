/*
 * The format of an input, in both directions. Anything is an input: what is out of range is brought into it.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define INSNS_MIN 64u
#define INSNS_MAX 6000u
#define EXITS_MIN 16u
#define EXITS_MAX 1500u

bool fuzz_parse(struct fuzz_input *in, const uint8_t *data, size_t n)
{
	size_t at = sizeof(in->h);

	memset(in, 0, sizeof(*in));
	if (n < sizeof(in->h) + 1)
		return false;
	memcpy(&in->h, data, sizeof(in->h));
	in->h.mode %= FUZZ_MODES;
	in->h.n_cpus = (uint8_t)(1 + (in->h.n_cpus - 1u) % 3);
	in->h.max_insns = (uint16_t)(INSNS_MIN + in->h.max_insns % INSNS_MAX);
	in->h.max_exits = (uint16_t)(EXITS_MIN + in->h.max_exits % EXITS_MAX);
	if ((in->h.cpl & 3) != 3)
		in->h.cpl &= 0xfcu;
	in->n_patches = in->h.n_patches % (FUZZ_PATCHES_MAX + 1);
	for (unsigned k = 0; k < in->n_patches; k++) {
		if (n - at < sizeof(in->patch[k])) {
			in->n_patches = k;
			break;
		}
		memcpy(&in->patch[k], data + at, sizeof(in->patch[k]));
		at += sizeof(in->patch[k]);
	}
	in->n_code = n - at < FUZZ_CODE_MAX ? n - at : FUZZ_CODE_MAX;
	memcpy(in->code, data + at, in->n_code);
	return true;
}

size_t fuzz_pack(const struct fuzz_input *in, uint8_t *out, size_t max)
{
	size_t at = sizeof(in->h), patches = in->n_patches * sizeof(in->patch[0]);
	struct fuzz_head h = in->h;

	if (max < at + patches + 1)
		return 0;
	h.n_patches = (uint8_t)in->n_patches;
	h.max_insns = (uint16_t)(h.max_insns - INSNS_MIN);
	h.max_exits = (uint16_t)(h.max_exits - EXITS_MIN);
	memcpy(out, &h, sizeof(h));
	memcpy(out + at, in->patch, patches);
	at += patches;
	size_t n = in->n_code < max - at ? in->n_code : max - at;

	memcpy(out + at, in->code, n);
	return at + n;
}

unsigned fuzz_code_size(const struct fuzz_head *h)
{
	switch ((enum fuzz_mode)h->mode) {
	case FUZZ_PROT32:
	case FUZZ_COMPAT32:
		return 4;
	case FUZZ_LONG64:
		return 8;
	case FUZZ_REAL:
	case FUZZ_V86:
	case FUZZ_PROT16:
	case FUZZ_COMPAT16:
	case FUZZ_RESET:
	case FUZZ_MODEL:
	case FUZZ_MODES:
	default:
		return 2;
	}
}

enum x86_mode fuzz_x86_mode(const struct fuzz_head *h)
{
	static const uint8_t modes[FUZZ_MODES] = {[FUZZ_REAL] = X86_MODE_REAL,
	    [FUZZ_V86] = X86_MODE_V86,
	    [FUZZ_PROT16] = X86_MODE_PROT,
	    [FUZZ_PROT32] = X86_MODE_PROT,
	    [FUZZ_COMPAT16] = X86_MODE_COMPAT,
	    [FUZZ_COMPAT32] = X86_MODE_COMPAT,
	    [FUZZ_LONG64] = X86_MODE_LONG64};

	return (enum x86_mode)modes[h->mode % FUZZ_MODES]; /* a head that is made up may say anything */
}
