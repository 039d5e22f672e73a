/*
 * The end of the VMM: it says where it was and what its guests did last, and stops. Nothing here allocates, and nothing
 * trusts a structure further than it can see: the panic may be about that structure.
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"
#include "core/vm.h"

#define TRACE_DEPTH 24u
#define TEXT_MAX 8000u

static char text[TEXT_MAX];
static size_t used;
static bool panicking;
static void (*session_hook)(const char *text, size_t n);

void metal_set_panic_hook(void (*hook)(const char *text, size_t n))
{
	session_hook = hook;
}

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = fmt_vsnprintf(text + used, sizeof(text) - used, fmt, ap);
	va_end(ap);
	used = (size_t)n < sizeof(text) - used ? used + (size_t)n : sizeof(text) - 1;
}

static bool on_a_stack(const uint64_t *p)
{
	const uint8_t *b = (const uint8_t *)p;

	for (unsigned i = 0; i < STACK_COUNT; i++)
		if (b >= metal_stacks[i].guard + PAGE_SIZE_4K && b + 8 <= metal_stacks[i].top)
			return true;
	return false;
}

static bool is_code(uint64_t a)
{
	return a >= metal_hpa(metal_text_start) && a < metal_hpa(metal_text_end);
}

/* The image has no frame pointers: every word above the stack pointer that points into code may be a return address.
 * "nm vmscope-metal.elf" names them. */
static void stack_trace(uint64_t rsp)
{
	const uint64_t *p = (const uint64_t *)(uintptr_t)(rsp & ~7ull);
	unsigned n = 0;

	say("code addresses on the stack:");
	for (; n < TRACE_DEPTH && on_a_stack(p); p++)
		if (is_code(*p)) {
			say("%s%llx", n % 8 ? " " : "\n  ", (unsigned long long)*p);
			n++;
		}
	say("\n");
}

static void history(const struct vm *vm)
{
	const struct vcpu *v = vm->vcpus;
	uint64_t last = v ? v->counts.exits : 0;
	uint64_t from = last > VM_HISTORY ? last - VM_HISTORY : 0;

	say("last exits of %s:\n", vm->cfg.guest ? vm->cfg.guest : "a guest");
	for (uint64_t i = from; i < last; i++) {
		const struct vm_exit *e = &v->history[i % VM_HISTORY];
		say("  %llu %s rip %llx qual %llx\n", (unsigned long long)e->index, exit_name(e->reason),
		    (unsigned long long)e->rip, (unsigned long long)e->qual);
	}
}

static void finish(void) __attribute__((noreturn));
static void finish(void)
{
	struct vm *const *vms;
	unsigned n = memory_vms(&vms);

	for (unsigned i = 0; i < n; i++)
		history(vms[i]);
	/* The frame first: the text behind it also fills up a frame that the panic interrupted. */
	if (session_hook)
		session_hook(text, used);
	serial_text("\n", 1);
	serial_text(text, used);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

static void begin(void)
{
	static const char again[] = "\nvmscope-metal: panic inside the panic\n";

	__asm__ volatile("cli");
	if (panicking) {
		serial_text(again, sizeof(again) - 1);
		for (;;)
			__asm__ volatile("cli\n\thlt");
	}
	panicking = true;
	used = 0;
	say("vmscope-metal: panic: ");
}

void metal_panic(const char *fmt, ...)
{
	va_list ap;

	begin();
	va_start(ap, fmt);
	int n = fmt_vsnprintf(text + used, sizeof(text) - used, fmt, ap);
	va_end(ap);
	used = (size_t)n < sizeof(text) - used ? used + (size_t)n : sizeof(text) - 1;
	say("\n");
	stack_trace(metal_hpa(__builtin_frame_address(0)));
	finish();
}

static const char *guard_hit(uint64_t address)
{
	for (unsigned i = 0; i < STACK_COUNT; i++)
		if (address - metal_hpa(metal_stacks[i].guard) < PAGE_SIZE_4K)
			return metal_stacks[i].name;
	return NULL;
}

void panic_trap(const struct trap_frame *f)
{
	static const char *const names[32] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS",
	    "#NP", "#SS", "#GP", "#PF", "", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
	const char *name = f->vector < 32 && names[f->vector] ? names[f->vector] : "";
	const uint64_t cr2 = cpu_read_cr2();

	begin();
	say("exception %llu %s in the VMM, error code %llx\n", (unsigned long long)f->vector, name,
	    (unsigned long long)f->error);
	if (f->vector == 14 && guard_hit(cr2))
		say("the %s stack is full: its guard page was touched\n", guard_hit(cr2));
	say("rip %016llx rsp %016llx rflags %llx cs %llx ss %llx\n", (unsigned long long)f->rip,
	    (unsigned long long)f->rsp, (unsigned long long)f->rflags, (unsigned long long)f->cs,
	    (unsigned long long)f->ss);
	say("rax %016llx rbx %016llx rcx %016llx rdx %016llx\n", (unsigned long long)f->rax, (unsigned long long)f->rbx,
	    (unsigned long long)f->rcx, (unsigned long long)f->rdx);
	say("rsi %016llx rdi %016llx rbp %016llx r8  %016llx\n", (unsigned long long)f->rsi, (unsigned long long)f->rdi,
	    (unsigned long long)f->rbp, (unsigned long long)f->r8);
	say("r9  %016llx r10 %016llx r11 %016llx r12 %016llx\n", (unsigned long long)f->r9, (unsigned long long)f->r10,
	    (unsigned long long)f->r11, (unsigned long long)f->r12);
	say("r13 %016llx r14 %016llx r15 %016llx\n", (unsigned long long)f->r13, (unsigned long long)f->r14,
	    (unsigned long long)f->r15);
	say("cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx\n", (unsigned long long)cpu_read_cr0(),
	    (unsigned long long)cr2, (unsigned long long)cpu_read_cr3(), (unsigned long long)cpu_read_cr4(),
	    (unsigned long long)cpu_rdmsr(MSR_EFER));
	stack_trace(f->rsp);
	finish();
}
