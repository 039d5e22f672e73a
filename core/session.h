/*
 * A session: the one way that command line, TUI, labs and grader reach a running VM. In process here (Type II); over a
 * framed protocol for Type I with its issue, behind the same table.
 */
#ifndef VMSCOPE_CORE_SESSION_H
#define VMSCOPE_CORE_SESSION_H

#include "core/vm.h"

struct session;

struct session_ops {
	enum err (*run)(struct session *s); /* until end, limit or stop */
	enum err (*step_exit)(struct session *s);
	enum err (*step_insn)(struct session *s);
	void (*stop)(struct session *s); /* any thread, signal handler */
	enum err (*get_state)(struct session *s, unsigned vcpu, struct x86_state *out);
	enum err (*set_state)(struct session *s, unsigned vcpu, const struct x86_state *in);
	enum err (*read_mem)(struct session *s, gpa_t gpa, void *buf, size_t n);
	enum err (*write_mem)(struct session *s, gpa_t gpa, const void *buf, size_t n);
	/* By number, as RDMSR and WRMSR of the guest would see them. ERR_NOENT: there is no such MSR, or not with this
	 * value. Inside of vm_config.user of another machine's guest: ERR_UNSUPPORTED for those that are not part of
	 * struct x86_state. */
	enum err (*rdmsr)(struct session *s, unsigned vcpu, uint32_t msr, uint64_t *value);
	enum err (*wrmsr)(struct session *s, unsigned vcpu, uint32_t msr, uint64_t value);
	enum err (*set_irq)(struct session *s, unsigned line, bool level); /* of the interrupt controllers */
	/* The device that was put on the bus of vm or mirror gets the guest's accesses. */
	enum err (*claim)(struct session *s, bool is_mmio, uint64_t base, uint64_t len);
	/* Inside of vm_config.user alone: the VMM's own handler works now. e has its results; its verdict. */
	enum err (*handle)(struct session *s, struct vcpu *v, struct vm_exit *e, enum verdict *said);
	size_t (*type)(struct session *s, const uint8_t *text, size_t n); /* console input */
	const struct vm_end *(*end)(const struct session *s);		  /* NULL while it can go on */
	void (*close)(struct session *s);
};

struct session {
	const struct session_ops *ops;
	struct vm *vm;	   /* in process; NULL for a remote one */
	struct vm *mirror; /* of a remote one: its probes see what happens there; else NULL */
};

/* Takes a VM that is loaded and owns it from then on. */
enum err session_open_local(struct vm *vm, struct session **out, struct errmsg *why) MUST_CHECK;

#endif
