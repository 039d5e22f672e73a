/*
 * Descriptors and segment registers [SDM 3A "Protected-Mode Memory Management"]. Everything that goes wrong raises the
 * fault with the selector as error code (c->ext supplies the EXT bit) and changes nothing but accessed bits.
 */
#ifndef VMSCOPE_CORE_X86_SEGMENT_H
#define VMSCOPE_CORE_X86_SEGMENT_H

#include "core/controls.h"
#include "core/x86/access.h"

/* A descriptor as read from a table. Segments use base, limit, attr; gates use offset, gate_sel, count. */
struct x86_desc {
	uint16_t sel, gate_sel;
	uint32_t attr; /* as struct x86_seg, without the unusable bit */
	uint32_t limit;
	uint64_t base, offset;
	uint8_t count;	/* parameters, call gates; IST in interrupt gates */
	gva_t at;	/* linear address of the descriptor */
	bool malformed; /* 16-byte descriptor whose upper type field is not 0 */
};

/* System descriptor types */
#define DESC_TSS16 1u
#define DESC_LDT 2u
#define DESC_TSS16_BUSY 3u
#define DESC_CALL16 4u
#define DESC_TASK 5u
#define DESC_INT16 6u
#define DESC_TRAP16 7u
#define DESC_TSS32 9u
#define DESC_TSS32_BUSY 11u
#define DESC_CALL32 12u
#define DESC_INT32 14u
#define DESC_TRAP32 15u
#define DESC_NONE 0x1fu

static inline unsigned x86_dpl(uint32_t attr)
{
	return attr >> SEG_DPL_SHIFT & 3;
}

static inline bool x86_is_code(uint32_t attr)
{
	return (attr & SEG_S) && (attr & 8);
}

static inline bool x86_is_conforming(uint32_t attr)
{
	return (attr & (SEG_S | 0xc)) == (SEG_S | 0xc);
}

/* Type of a system descriptor, or DESC_NONE for a code or data segment. */
static inline unsigned x86_systype(uint32_t attr)
{
	return attr & SEG_S ? DESC_NONE : attr & SEG_TYPE;
}

static inline bool x86_is_null(uint16_t sel)
{
	return (sel & 0xfffc) == 0;
}

static inline bool x86_lma(const struct x86_cpu *c)
{
	return (c->s.efer & EFER_LMA) != 0;
}

/* Does the guest run by classic trap-and-emulate: really at CPL 3, with IOPL 0 and interrupts on? */
static inline bool x86_depriv(const struct x86_cpu *c)
{
	return c->ctl && c->ctl->ring != RING_HW;
}

/* The CPL that the hardware has: 3 under trap-and-emulate. */
static inline unsigned x86_hw_cpl(const struct x86_cpu *c)
{
	return x86_depriv(c) ? 3 : c->cpl;
}

/* A fault whose error code is a selector. */
enum x86_rc x86_fault_sel(struct x86_cpu *c, uint8_t vector, uint16_t sel);

/* Reads the descriptor of sel from GDT or LDT; beyond the limit: the fault vector(sel). In IA-32e mode the upper half
 * of system descriptors is read too. */
enum x86_rc x86_desc_read(struct x86_cpu *c, uint16_t sel, uint8_t vector, struct x86_desc *d);
/* Takes 8 (hi8 == 0) or 16 bytes apart: also for IDT gates. */
void x86_desc_parse(uint64_t lo8, uint64_t hi8, bool wide, struct x86_desc *d);
/* Sets the accessed bit in the table and in d. */
enum x86_rc x86_desc_accessed(struct x86_cpu *c, struct x86_desc *d);
/* The same by a segment that was checked and is not null. */
enum x86_rc x86_seg_accessed(struct x86_cpu *c, const struct x86_seg *s);
/* Sets or clears the busy bit of a TSS descriptor in the table. */
enum x86_rc x86_desc_busy(struct x86_cpu *c, const struct x86_desc *d, bool busy);
struct x86_seg x86_desc_seg(const struct x86_desc *d, uint16_t sel);

/* MOV, POP, LDS to ES, SS, DS, FS, GS, in any mode. SS sets no shadow here. */
enum x86_rc x86_load_sreg(struct x86_cpu *c, unsigned sreg, uint16_t sel);
/* SS for a stack at CPL cpl; bad is the vector for a bad selector or type (#GP or #TS). Result in *out, nothing loaded;
 * the accessed bit is left to x86_seg_accessed(), after everything else that can fault. */
enum x86_rc x86_check_ss(struct x86_cpu *c, uint16_t sel, unsigned cpl, uint8_t bad, struct x86_seg *out);
struct x86_seg x86_null_seg(uint16_t sel, unsigned dpl);
/* Real or virtual-8086 mode: what loading sel leaves in a segment register that was old. */
struct x86_seg x86_real_seg(const struct x86_cpu *c, const struct x86_seg *old, uint16_t sel, bool is_cs);
/* After a return to an outer ring: data segments that the new CPL may not use become null. */
void x86_drop_inner_segs(struct x86_cpu *c, unsigned cpl);

/* A control transfer that may change CS, SS and SP: install, push, and go back if a push faults. */
struct x86_transfer {
	unsigned cpl;
	struct x86_seg cs, ss;
	uint64_t rsp, rflags;
};
void x86_transfer_begin(struct x86_cpu *c, struct x86_transfer *t);
/* Puts everything back and returns rc; a stack fault without a selector gets that of the new stack. */
enum x86_rc x86_transfer_abort(struct x86_cpu *c, const struct x86_transfer *t, enum x86_rc rc, uint16_t new_ss);

#endif
