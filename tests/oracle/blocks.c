/*
 * The second engine of our side: the same case as a guest of the emulate mode, through decoded blocks and their go
 * handlers. It ends at the HLT of an exception's handler; a case that ends at the next instruction meets a jump there.
 */
#include <stdlib.h>
#include <string.h>

#include "modes/emulate/emulate.h"
#include "tests/oracle/ours.h"

#define INSNS_MAX (1u << 20) /* iterations of REP are instructions too */

static struct vm *vm;
static uint8_t *ram; /* P_END bytes of the guest's memory */
static bool stale;

bool orc_blocks_setup(void)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "oracle",
	    .controls = "vtx-ept",
	    .mem_size = 1u << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL};
	struct errmsg why = {""};

	if (vm_create(&cfg, &vm, &why) != ERR_OK) {
		fprintf(stderr, "oracle: %s\n", why.text);
		return false;
	}
	vm->controls.exceptions = 0; /* the guest gets them all */
	ram = mem_page(&vm->mem, 0, true);
	orc_kernel_setup(vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL), ram);
	return ram != NULL;
}

void orc_blocks_break(void)
{
	stale = true;
}

/* The code of one case is not that of the last: the engine hears of it as of a device that writes. */
static void code_written(const struct orc_case *c)
{
	uint32_t at = P_CODE + (c->slot - ORC_CODE);

	for (unsigned n = 0, k; !stale && n < ORC_SLOT; n += k) {
		k = 0x1000 - ((at + n) & 0xfff);
		k = k < ORC_SLOT - n ? k : ORC_SLOT - n;
		vm->code_written(&vm->vcpus[0], at + n, k);
	}
}

/* A case that ends at the instruction after it has met the jump there, to where nothing is: back to before it. */
static void undo_jump(const struct orc_case *c, struct orc_result *out)
{
	if (c->ends_by_trap || out->vector != VEC_PF + 1 || out->s.rip != ORC_PAD || out->cr2 != ORC_PAD)
		return;
	out->vector = 0;
	out->error = 0;
	out->cr2 = 0;
	out->s.rip = c->in.rip + c->insn_len;
	out->s.sel[X86_CS] = c->in.sel[X86_CS];
	out->s.flags &= ~(uint64_t)FLAG_RF; /* of a fault's frame */
}

bool orc_blocks_run(const struct orc_case *c, const uint8_t *base, struct orc_result *out, uint32_t *reason)
{
	const struct run_bounds b = {.max_insns = INSNS_MAX, .deadline_ns = CLOCK_NEVER};
	struct vcpu *v = &vm->vcpus[0];
	uint8_t *slot = ram + P_CODE + (c->slot - ORC_CODE);
	struct vm_exit e = {0};
	bool done;

	memset(out, 0, sizeof(*out));
	orc_load_memory(ram, c, base);
	memcpy(slot, c->code, c->n);
	code_written(c);
	orc_load_state(&v->cpu, c);
	if (vm->cfg.mode->run(v, &b, &e) != ERR_OK)
		abort();
	*reason = e.reason;
	done = e.reason == EXIT_HLT && v->cpu.cpl == 0;
	orc_read_state(&v->cpu, ram, base, done, out);
	undo_jump(c, out);
	memset(slot, 0xcc, c->n);
	code_written(c);
	return done;
}

/* What exits under vtx-ept at CPL 3, before anything else is looked at (core/x86/intercepts.def); all other
 * instructions of a user that could exit fault first. */
static const struct {
	uint16_t id;
	uint32_t reason;
} exits[] = {
    {INSN_CPUID, EXIT_CPUID},
    {INSN_VMLAUNCH, EXIT_VMLAUNCH},
    {INSN_VMRESUME, EXIT_VMRESUME},
    {INSN_VMXOFF, EXIT_VMXOFF},
    {INSN_VMXON, EXIT_VMXON},
    {INSN_VMPTRLD, EXIT_VMPTRLD},
    {INSN_VMPTRST, EXIT_VMPTRST},
    {INSN_VMCLEAR, EXIT_VMCLEAR},
    {INSN_VMREAD, EXIT_VMREAD},
    {INSN_VMWRITE, EXIT_VMWRITE},
    {INSN_INVEPT, EXIT_INVEPT},
    {INSN_INVVPID, EXIT_INVVPID},
    {INSN_MOV_DR, EXIT_DR_ACCESS},
};

bool orc_exit_is_right(const struct orc_gen *g, const uint8_t *base, const struct orc_result *out, uint32_t reason)
{
	static struct orc_result before;
	struct vcpu *v = &vm->vcpus[0];

	memset(&before, 0, sizeof(before));
	orc_load_memory(ram, g->c, base);
	orc_load_state(&v->cpu, g->c);
	orc_read_state(&v->cpu, ram, base, false, &before);
	if (memcmp(&before, out, sizeof(before)) != 0)
		return false;
	for (unsigned k = 0; g->valid && k < sizeof(exits) / sizeof(exits[0]); k++)
		if (exits[k].id == g->i.id)
			return exits[k].reason == reason;
	return false;
}
