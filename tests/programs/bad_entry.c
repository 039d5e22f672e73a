/*
 * Guests in states that a processor does not take: VM entry fails, and the VMM says in words which check of which field
 * it was. bad_entry MACHINE ENGINE CASE... writes one line for each case: its name, a tab, how the run ended. Status
 * 77: this machine is not here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modes/modes.h"
#include "session/session.h"

static const uint8_t endless[] = {0xeb, 0xfe}; /* jmp . */

static void spoil_flags(struct x86_state *s)
{
	s->rflags |= FLAG_VM | FLAG_TF; /* virtual-8086 mode without protection */
}

static void spoil_segment(struct x86_state *s)
{
	s->cr0 |= CR0_PE;
	s->seg[X86_CS].attr = (s->seg[X86_CS].attr & ~SEG_TYPE) | 1; /* data, read-only: no code segment */
}

static void spoil_efer(struct x86_state *s)
{
	s->efer |= EFER_LMA | EFER_LME; /* paging is off */
	s->cr0 |= CR0_PE | CR0_PG;	/* and on, without PAE */
}

static void spoil_event(struct x86_state *s)
{
	s->pending_event = 0x80000000u | 1u << 8 | 14; /* type 1 is reserved */
}

static const struct {
	const char *name;
	void (*spoil)(struct x86_state *s);
} cases[] = {{"flags", spoil_flags}, {"cs", spoil_segment}, {"efer", spoil_efer}, {"event", spoil_event}};

/* False: this machine is not here. */
static bool try_one(const char *machine, enum machine_engine engine, size_t k)
{
	struct errmsg why = {""};
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = &mode_virtualize_type1_ops,
	    .guest = "bad_entry",
	    .mem_size = 1 << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_HOST,
	    .max_exits = 20}; /* of its time slices, where the processor takes the state */
	struct remote_request q = {.n = 1, .machine = machine, .engine = engine};
	struct remote *remote = NULL;
	struct session *session = NULL;
	struct x86_state s;

	if (vm_create(&cfg, &q.guests[0].vm, &why) != ERR_OK)
		return false;
	q.guests[0].load = (struct load_request){.image = endless, .len = sizeof endless, .name = "endless"};
	if (image_load(q.guests[0].vm, &q.guests[0].load, &why) != ERR_OK || remote_open(&q, &remote, &why) != ERR_OK ||
	    session_open_remote(remote, 0, &session, &why) != ERR_OK) {
		printf("%s: %s\n", machine, why.text);
		return false;
	}
	enum err e = session->ops->get_state(session, 0, &s);
	cases[k].spoil(&s);
	if (e == ERR_OK)
		e = session->ops->set_state(session, 0, &s);
	if (e == ERR_OK)
		e = session->ops->run(session);
	printf("%s\t%s\n", cases[k].name,
	    q.guests[0].vm->ended ? q.guests[0].vm->end.detail
	    : e			  ? err_sentence(e)
				  : "the processor took it");
	session->ops->close(session);
	remote_close(remote);
	return true;
}

int main(int argc, char **argv)
{
	for (int a = 3; a < argc; a++) {
		size_t k = 0;
		while (k < ARRAY_LEN(cases) && strcmp(cases[k].name, argv[a]) != 0)
			k++;
		if (k == ARRAY_LEN(cases))
			return 2;
		if (!try_one(argv[1], strcmp(argv[2], "svm") == 0 ? ENGINE_SVM : ENGINE_VMX, k))
			return 77;
	}
	return argc > 3 ? 0 : 2;
}
