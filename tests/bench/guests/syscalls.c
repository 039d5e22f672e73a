/*
 * syscalls: from CPL 3 to CPL 0 and back, by SYSCALL and SYSRET and by INT n and IRET with a stack switch.
 */
#include "bench.h"

#define STAR 0xc0000081
#define LSTAR 0xc0000082
#define FMASK 0xc0000084
#define EFER 0xc0000080

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, io_map;
} __attribute__((packed));

static struct tss tss;
static uint64_t gdt[8];
static uint8_t kernel_stack[4096], interrupt_stack[4096], user_stack[4096];
uint64_t syscall_rsp, syscall_kernel_rsp, syscall_sum;

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

void syscall_entry(void);
__asm__(".globl syscall_entry\nsyscall_entry:\n"
	"movq %rsp, syscall_rsp\n"
	"movq syscall_kernel_rsp, %rsp\n"
	"pushq %rcx\n"
	"pushq %r11\n"
	"addq %rdi, syscall_sum\n"
	"rolq $3, syscall_sum\n"
	"popq %r11\n"
	"popq %rcx\n"
	"movq syscall_rsp, %rsp\n"
	"sysretq\n");

static void on_int(struct trap_frame *f)
{
	if (f->rax == 1) { /* the end: stay in ring 0 */
		result((uint32_t)(syscall_sum ^ syscall_sum >> 32));
		guest_exit(0);
	}
	syscall_sum += f->rdi;
}

static void user(void)
{
	for (uint32_t i = arg("n", 3000000); i; i--) {
		uint64_t number = i;
		__asm__ volatile("syscall" : "+D"(number) : : "rcx", "r11", "memory");
		if (i % 4 == 0)
			__asm__ volatile("int $0x2f" : : "a"(0ul), "D"(number) : "memory");
	}
	__asm__ volatile("int $0x2f" : : "a"(1ul));
}

static void tables(void)
{
	uint64_t base = (uint64_t)&tss;
	struct table_pointer p = {sizeof(gdt) - 1, (uint64_t)gdt};

	gdt[1] = 0x00af9b000000ffff; /* 08: kernel code; SYSCALL takes 08 and 10 */
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = 0x00cffb000000ffff; /* 18: 32-bit user code; SYSRET takes 20 and 28 */
	gdt[4] = 0x00cff3000000ffff;
	gdt[5] = 0x00affb000000ffff;
	gdt[6] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
	gdt[7] = base >> 32;
	tss.rsp[0] = (uint64_t)(interrupt_stack + sizeof(interrupt_stack));
	tss.io_map = sizeof(tss);
	__asm__ volatile("lgdt %0; ltr %w1" : : "m"(p), "r"(0x30));
	wrmsr(STAR, 0x08ul << 32 | 0x18ul << 48);
	wrmsr(LSTAR, (uint64_t)syscall_entry);
	wrmsr(FMASK, 0x200);
	wrmsr(EFER, 0x501); /* SCE LME LMA */
}

void guest_main(void)
{
	idt_init();
	trap_set(0x2f, on_int);
	trap_allow_user(0x2f);
	tables();
	syscall_kernel_rsp = (uint64_t)(kernel_stack + sizeof(kernel_stack));
	__asm__ volatile("pushq $0x23; pushq %0; pushq $2; pushq $0x2b; pushq %1; iretq"
			 :
			 : "r"(user_stack + sizeof(user_stack) - 8), "r"(user)
			 : "memory");
}
