/*
 * The first C function of the bare-metal image, and its table of contents: the hardware, step by step, then the agent.
 * Concept: a Type I VMM is its own operating system, as far as it needs one. Read before: core/metal/boot.S; after:
 * core/metal/paging.c and idt.c, then agent.c.
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"
#include "core/wire.h"
#include "metal/agent.h"
#include "metal/engines.h"

#define SECOND_DISK 1u

void metal_main(uint32_t magic, uint32_t info); /* called by boot.S */

static struct boot_info boot_info;
static struct agent_boot agent;

static bool is_session(void)
{
	return !agent.bundle || (agent.bundle->flags & BUNDLE_SESSION);
}

static enum err write_second_disk(uint64_t lba, const void *p, unsigned sectors)
{
	return ata_write(SECOND_DISK, lba, p, sectors);
}

/* Without a session the bundle says whether the machine is to go off; a person may want to read the screen. */
static void off(void)
{
	if (is_session() || (agent.bundle->flags & BUNDLE_POWEROFF))
		metal_power_off();
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

static void put_frame(void *arg, const void *p, size_t n)
{
	(void)arg;
	serial_put(p, n);
}

static void panic_to_session(const char *text, size_t n)
{
	struct wire_tx tx = {.put = put_frame};

	if (is_session())
		wire_send(&tx, MSG_PANIC, 0, text, n < WIRE_PAYLOAD_MAX ? n : WIRE_PAYLOAD_MAX);
}

static void find_bundle(void)
{
	struct errmsg why;
	const void *p = (const void *)(uintptr_t)boot_info.bundle;

	if (boot_info.bundle_len == 0)
		return;
	if (bundle_check(p, boot_info.bundle_len, &why) == ERR_OK)
		agent.bundle = p;
	else
		host_metal_ops.log(LOG_ERROR, why.text);
}

static void fill_facts(struct msg_hello *m)
{
	const struct metal_cpu_facts *f = metal_cpu_facts();

	memcpy(m->cpu_vendor, f->vendor, sizeof(m->cpu_vendor));
	fmt_snprintf(m->cpu_model, sizeof(m->cpu_model), "%s", f->model);
	m->has_vmx = f->has_vmx;
	m->has_svm = f->has_svm;
	m->has_pcid = f->has_pcid;
	m->memory = host_metal_ops.mem_limit();
	fmt_snprintf(m->no_vmx, sizeof(m->no_vmx), "%s", f->no_vmx);
	fmt_snprintf(m->no_svm, sizeof(m->no_svm), "%s", f->no_svm);
	fmt_snprintf(m->boot, sizeof(m->boot), "%s", boot_info.loader);
	fmt_snprintf(m->machine, sizeof(m->machine), "%s", f->hypervisor);
}

static void run_agent(void)
{
	agent.host = &host_metal_ops;
	agent.put = serial_put;
	agent.get = serial_get;
	agent.line_wakes = true;
	agent.disk_write = ata_identify(SECOND_DISK)->present ? write_second_disk : NULL;
	agent.engine = engine_find;
	agent.seed_fault = engine_seed_fault;
	agent.memory_owner = metal_owner;
	agent.set_tick_rate = metal_set_tsc_hz;
	agent.register_vm = metal_register_vm;
	agent.set_log = metal_set_log;
	agent.off = off;
	agent.fixed_hash = metal_fixed_hash;
	fill_facts(&agent.facts);
	agent_main(&agent);
}

void metal_main(uint32_t magic, uint32_t info)
{
	serial_init();
	idt_init(); /* from here on a mistake has a name */
	if (!boot_info_read(&boot_info, magic, info))
		metal_panic("no boot loader that is known here: EAX is %x", magic);
	memory_set_bundle(boot_info.bundle, boot_info.bundle_len);
	memory_init(&boot_info, false); /* the heap below 4 GiB, which the first page tables reach */
	paging_init(&boot_info);
	memory_init(&boot_info, true); /* and the rest */
	find_bundle();
	clock_metal_init(agent.bundle ? agent.bundle->tsc_hz : 0);
	metal_idle_init();
	metal_set_panic_hook(panic_to_session);
	run_agent();
	off();
}
