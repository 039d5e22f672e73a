/*
 * The mode_ops of the engine, the same for both types: it needs nothing of the host but memory. type2.c is the row for
 * a Linux process; on bare metal the image has a row of its own (metal.c).
 */
#include "modes/emulate/emulate.h"

#include "core/x86/event.h"
#include "core/lib.h"
#include "core/x86/access.h"

enum err emulate_probe(const struct host_ops *host, struct errmsg *why)
{
	(void)host;
	(void)why;
	return ERR_OK;
}

static gpa_t top_of_memory(const struct guest_mem *m)
{
	gpa_t top = MEM_HIGH_BASE; /* ROM sits below 4 GiB */

	for (unsigned k = 0; k < m->n_slots; k++)
		if (m->slots[k].gpa + m->slots[k].len > top)
			top = m->slots[k].gpa + m->slots[k].len;
	return top;
}

/* The VMM or the guest wrote to a page that holds decoded code, or held some a short time ago. */
static void emulate_code_written(struct vcpu *v, gpa_t gpa, unsigned n)
{
	struct vm *vm = v->vm;
	struct emulate_vm *em = vm->mode_priv;

	switch (blocks_written(&em->blocks, gpa, n)) {
	case BLOCKS_UNTOUCHED:
		break;
	case BLOCKS_DROPPED:
		v->cpu.block_end = true;
		break;
	case BLOCKS_PAGE_FREE:
		for (unsigned k = 0; k < vm->n_vcpus; k++)
			x86_tlb_unmark_code(&vm->vcpus[k].cpu, gpa);
		break;
	}
}

enum err emulate_vm_init(struct vm *vm, struct errmsg *why)
{
	struct emulate_vm *em = vm->cfg.host->page_alloc(sizeof(*em));

	if (!em)
		return err_set(why, ERR_NOMEM, "emulate: no memory for the engine: free memory on the host");
	vm->mode_priv = em;
	enum err e = blocks_init(&em->blocks, vm->cfg.host, top_of_memory(&vm->mem), why);

	if (e != ERR_OK)
		return e;
	vm->code_written = emulate_code_written;
	return ERR_OK;
}

void emulate_vm_fini(struct vm *vm)
{
	struct emulate_vm *em = vm->mode_priv;

	if (!em)
		return;
	vm->code_written = NULL;
	blocks_fini(&em->blocks);
	vm->cfg.host->page_free(em, sizeof(*em));
	vm->mode_priv = NULL;
}

/* Slots are looked at through mem_page(); the generation tells run() that what it cached is old. */
enum err emulate_map(struct vm *vm, unsigned slot, struct errmsg *why)
{
	(void)vm;
	(void)slot;
	(void)why;
	return ERR_OK;
}

enum err emulate_get_state(struct vcpu *v)
{
	x86_flags_sync(&v->cpu);
	return ERR_OK;
}

enum err emulate_set_state(struct vcpu *v)
{
	if (v->dirty & ~(DIRTY_FPU | DIRTY_MSRS))
		x86_state_changed(&v->cpu);
	return ERR_OK;
}

bool emulate_interruptible(struct vcpu *v)
{
	const struct x86_state *s = &v->cpu.s;

	return (s->rflags & FLAG_IF) && !(s->intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS)) &&
	       !s->pending_event && !s->pending_dbg;
}

enum err emulate_inject(struct vcpu *v, const struct x86_event *ev)
{
	struct x86_state *s = &v->cpu.s;

	s->pending_event = INTR_INFO_VALID | (uint32_t)ev->type << INTR_INFO_TYPE_SHIFT | ev->vector |
			   (ev->has_error ? INTR_INFO_ERROR : 0);
	s->pending_error = ev->error;
	s->pending_len = ev->insn_len;
	if (ev->type == INTR_TYPE_HW_EXCEPTION && ev->vector == VEC_PF)
		s->cr2 = ev->cr2;
	if (ev->type == INTR_TYPE_HW_EXCEPTION && ev->vector == VEC_DB) {
		s->dr6 = x86_dr6_with(s->dr6, ev->dr6);
		s->dr7 &= ~(uint64_t)(1u << 13); /* general detect: its handler may use the debug registers */
	}
	return ERR_OK;
}

enum err emulate_complete(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	(void)e;
	return ERR_OK; /* the core completes instructions: MODE_CAP_COMPLETES is not set */
}

void emulate_kick(struct vcpu *v)
{
	struct emulate_vm *em = v->vm->mode_priv;

	if (em)
		em->kicked = 1;
}

static size_t list_entries(const struct x86_cpu *c, const struct x86_tlb_entry *array, bool write,
    struct mode_mapping *out, size_t n, size_t max)
{
	for (size_t k = 0; k < 2 * X86_TLB_ENTRIES; k++) {
		const struct x86_tlb_entry *t = &array[k];

		if (!x86_tlb_can_hit(c, t))
			continue;
		if (n < max)
			out[n] = (struct mode_mapping){t->gpa, PAGE_SIZE_4K, t->host, write};
		n++;
	}
	return n;
}

/* What guest code reaches without the VMM: exactly the TLB entries that a lookup finds. */
size_t emulate_mappings(struct vm *vm, struct mode_mapping *out, size_t max)
{
	size_t n = 0;

	for (unsigned k = 0; k < vm->n_vcpus; k++) {
		const struct x86_cpu *c = &vm->vcpus[k].cpu;

		n = list_entries(c, &c->tlb.read[0][0], false, out, n, max);
		n = list_entries(c, &c->tlb.write[0][0], true, out, n, max);
		n = list_entries(c, &c->tlb.fetch[0][0], false, out, n, max);
	}
	return n;
}
