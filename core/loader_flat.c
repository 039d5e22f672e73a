/*
 * A flat 16-bit image: a boot sector, or anything that wants to be at 0000:7C00 in real mode. The machine is left as a
 * BIOS would: the drive number in DL, interrupts on, an interrupt table whose entries return, and the few words of the
 * BIOS data area that programs look at.
 */
#include "core/lib.h"
#include "core/loader_priv.h"

#define FLAT_ADDRESS 0x7c00u
#define DUMMY_IRET 0xfff53u /* where the first PC's BIOS had it: F000:FF53 */
#define BDA_COM1 0x400u
#define BDA_EQUIPMENT 0x410u

static enum err put_bios_traces(struct vm *vm, struct errmsg *why)
{
	uint8_t ivt[1024], iret = 0xcf, word[2];
	enum err e;

	for (unsigned i = 0; i < 256; i++)
		put_le(ivt + 4 * i, 4, 0xf000ff53u);
	e = loader_put(vm, 0, ivt, sizeof(ivt), "interrupt table", why);
	if (e == ERR_OK)
		e = loader_put(vm, DUMMY_IRET, &iret, 1, "dummy interrupt handler", why);
	put_le(word, 2, 0x3f8);
	if (e == ERR_OK)
		e = loader_put(vm, BDA_COM1, word, 2, "BIOS data area", why);
	put_le(word, 2, 0x0222); /* one serial port, 80x25 colour, mathematics coprocessor */
	if (e == ERR_OK)
		e = loader_put(vm, BDA_EQUIPMENT, word, 2, "BIOS data area", why);
	put_le(word, 2, LOW_END >> 10);
	return e == ERR_OK ? loader_put(vm, BDA_MEMORY_KIB, word, 2, "BIOS data area", why) : e;
}

enum err load_flat16(struct vm *vm, const struct image *im, const struct load_request *r, struct errmsg *why)
{
	const struct x86_seg data = {.limit = 0xffff, .attr = 0x3u | SEG_S | SEG_P};
	enum err e;

	if (r->n_modules)
		return err_set(why, ERR_UNSUPPORTED, "%s: a flat 16-bit image takes no modules", im->name);
	e = put_bios_traces(vm, why);
	if (e == ERR_OK)
		e = loader_put(vm, FLAT_ADDRESS, im->p, im->len, im->name, why);
	if (e != ERR_OK)
		return e;
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);
	if (!s)
		return err_set(why, ERR_IO, "%s", vm->end.detail);
	memset(s->gpr, 0, sizeof(s->gpr));
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		s->seg[i] = data;
	s->seg[X86_CS].attr = 0xbu | SEG_S | SEG_P;
	s->gpr[X86_RDX] = 0x80; /* the first hard disk */
	s->gpr[X86_RSP] = FLAT_ADDRESS;
	s->rip = FLAT_ADDRESS;
	s->rflags = FLAG_R1 | FLAG_IF;
	s->cr0 = CR0_ET;
	x86_state_changed(&vm->vcpus[0].cpu);
	return ERR_OK;
}
