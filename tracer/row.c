/*
 * Names of exits in the numbering they were recorded in. VT-x reasons are the project's own vocabulary; SVM codes and
 * KVM_EXIT_* numbers appear in traces that were made elsewhere, and keep their names.
 */
#include "tracer/row.h"

#include <stdio.h>
#include <string.h>

#include "tracer/events.h"

/* One row a code; the ranges are written out, so that a search in either direction is the same loop. */
static const struct {
	uint32_t code;
	const char *name;
} svm_exits[] = {
#define SVM_EXIT(code_, name_) {code_, name_},
#include "tracer/svm_exits.def"
#undef SVM_EXIT
#define CR(n) {0x000 + n, "read_cr" #n}, {0x010 + n, "write_cr" #n}, {0x090 + n, "write_cr" #n "_trap"},
    CR(0) CR(1) CR(2) CR(3) CR(4) CR(5) CR(6) CR(7) CR(8)
#undef CR
#define DR(n) {0x020 + n, "read_dr" #n}, {0x030 + n, "write_dr" #n},
	DR(0) DR(1) DR(2) DR(3) DR(4) DR(5) DR(6) DR(7)
#undef DR
	    {0x040, "DE excp"},
    {0x041, "DB excp"},
    {0x042, "NMI excp"},
    {0x043, "BP excp"},
    {0x044, "OF excp"},
    {0x045, "BR excp"},
    {0x046, "UD excp"},
    {0x047, "NM excp"},
    {0x048, "DF excp"},
    {0x04a, "TS excp"},
    {0x04b, "NP excp"},
    {0x04c, "SS excp"},
    {0x04d, "GP excp"},
    {0x04e, "PF excp"},
    {0x050, "MF excp"},
    {0x051, "AC excp"},
    {0x052, "MC excp"},
    {0x053, "XF excp"},
};

const char *svm_exit_name(uint32_t code)
{
	for (size_t i = 0; i < ARRAY_LEN(svm_exits); i++)
		if (svm_exits[i].code == code)
			return svm_exits[i].name;
	return NULL;
}

int64_t svm_exit_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(svm_exits); i++)
		if (strcmp(svm_exits[i].name, name) == 0)
			return svm_exits[i].code;
	return -1;
}

const char *exit_row_name(const struct exit_row *r, char *buf, size_t n)
{
	/* Bit 31 of a VT-x reason: the VM entry failed; the low half says why. */
	bool failed = r->isa == ISA_VMX && r->reason >> 31;
	uint32_t reason = failed ? r->reason & 0xffffu : r->reason;
	const char *name = NULL;

	switch ((enum exit_isa)r->isa) {
	case ISA_VMX:
		name = exit_desc(reason) ? exit_name(reason) : NULL;
		break;
	case ISA_SVM:
		name = svm_exit_name(reason);
		break;
	case ISA_KVM_USER:
		name = kvm_user_exit_name(reason);
		if (name)
			snprintf(buf, n, "KVM_EXIT_%s", name);
		else
			snprintf(buf, n, "KVM_EXIT_%u", reason);
		return buf;
	}
	if (!name) {
		snprintf(buf, n, "0x%x", r->reason);
		return buf;
	}
	if (failed) {
		snprintf(buf, n, "%s FAILED_VMENTRY", name);
		return buf;
	}
	return name;
}
