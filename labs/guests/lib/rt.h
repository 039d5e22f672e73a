/*
 * The runtime of the bundled guests: a UART to print on, a port to end by, a command line to read numbers from, and an
 * IDT for those that want one. Freestanding; compiled for 64-bit guests and, without the IDT, for the 32-bit one.
 *
 * What a guest prints is the same in every mode: nothing here depends on time.
 */
#ifndef VMSCOPE_GUESTS_RT_H
#define VMSCOPE_GUESTS_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UART 0x3f8
#define DEBUG_EXIT 0xf4

/* Port numbers always travel in DX: the exits of all guests have one form. */
static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %b0, %w1" : : "a"(v), "d"(port));
}
static inline uint8_t in8(uint16_t port)
{
	uint8_t v;
	__asm__ volatile("inb %w1, %b0" : "=a"(v) : "d"(port));
	return v;
}
static inline void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %w1" : : "a"(v), "d"(port));
}
static inline uint32_t in32(uint16_t port)
{
	uint32_t v;
	__asm__ volatile("inl %w1, %0" : "=a"(v) : "d"(port));
	return v;
}

void guest_main(void); /* the guest itself; returning ends it with 0 */
_Noreturn void guest_exit(uint8_t code);

void put_char(char c);
void put(const char *s);
void put_dec(uint32_t v);
void put_hex(uint32_t v);		      /* 8 digits */
uint32_t arg(const char *name, uint32_t def); /* "name=number" of the command line, decimal */
bool arg_is(const char *name, const char *value);

/* 8259 pair: vectors 0x20.., only the lines of open (bit 0 = IRQ 0) unmasked. 8254: channel 0. */
void pic_init(uint16_t open);
void pic_eoi(void);
void pit_start(unsigned mode, uint16_t count);

#ifdef __x86_64__
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

#define TRAP_VECTORS 48
/* What LGDT and LIDT take. */
struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));
extern struct table_pointer idt_pointer; /* the guest's IDT, after idt_init() */
void idt_init(void);
/* What happens at a vector; without one, the guest says which vector met it and ends with 0x7f. */
void trap_set(unsigned vector, void (*handler)(struct trap_frame *f));
void trap_allow_user(unsigned vector); /* INT n may come from CPL 3 */
extern uint64_t pml4[512];
#endif

#endif
