/*
 * The IDT of the 64-bit guests [SDM 3A "64-Bit Mode IDT"]: 48 interrupt gates to the stubs of start64.S.
 */
#include "rt.h"

struct gate {
	uint16_t offset_low, selector, type, offset_mid;
	uint32_t offset_high, reserved;
};

extern const uint8_t trap_stubs[]; /* 16 bytes each */
void trap_dispatch(struct trap_frame *f);

static struct gate idt[TRAP_VECTORS];
struct table_pointer idt_pointer;
static void (*handlers[TRAP_VECTORS])(struct trap_frame *f);

void idt_init(void)
{
	for (unsigned v = 0; v < TRAP_VECTORS; v++) {
		uintptr_t stub = (uintptr_t)(trap_stubs + 16 * v);
		idt[v] = (struct gate){(uint16_t)stub, 0x08, 0x8e00, (uint16_t)(stub >> 16), 0, 0};
	}
	idt_pointer = (struct table_pointer){sizeof(idt) - 1, (uintptr_t)idt};
	__asm__ volatile("lidt %0" : : "m"(idt_pointer));
}

void trap_set(unsigned vector, void (*handler)(struct trap_frame *f))
{
	handlers[vector] = handler;
}

void trap_allow_user(unsigned vector)
{
	idt[vector].type |= 3 << 13; /* DPL */
}

void trap_dispatch(struct trap_frame *f)
{
	if (handlers[f->vector]) {
		handlers[f->vector](f);
		return;
	}
	put("unexpected vector ");
	put_dec((uint32_t)f->vector);
	put(" at ");
	put_hex((uint32_t)f->rip);
	put_char('\n');
	guest_exit(0x7f);
}
