/*
 * Decoding kernel records. A page of the ring buffer begins with the header that events/header_page describes (time
 * stamp, commit length), then come records: a length and a time delta in front of the event's own bytes. libtraceevent
 * knows both layouts and reads each event's fields from its format file, so a kernel with other offsets, or with more
 * fields, is read just as well.
 */
#include "tracer/kernel_decode.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <traceevent/event-parse.h>
#include <traceevent/kbuffer.h>

#include "core/x86/insn.h"

#define EVENTS_MAX 128

/* Which field tells kinds of one event apart, and which SDM reason the event stands for where kvm_exit is silent. */
struct event_rule {
	const char *name, *key;
	uint32_t reason;
};

static const struct event_rule rules[] = {
    {"kvm_exit", "exit_reason", UINT32_MAX},
    {"kvm_userspace_exit", "reason", UINT32_MAX},
    {"kvm_pio", NULL, EXIT_IO_INSTRUCTION},
    {"kvm_mmio", "type", EXIT_EPT_VIOLATION},
    {"kvm_cpuid", NULL, EXIT_CPUID},
    {"kvm_cr", NULL, EXIT_CR_ACCESS},
    {"kvm_msr", "write", EXIT_MSR_READ},
};

struct known_event {
	int id;
	char name[32];
	const struct event_rule *rule; /* NULL: counted by name only */
	struct tep_format_field *key, *isa, *info1;
	struct tep_format_field *leaf, *subleaf; /* kvm_cpuid */
	bool emulate, exception, cpuid;		 /* kvm_emulate_insn, kvm_inj_exception */
};

/* kvm_emulate_insn: the fields that tell what could not be emulated. */
struct insn_fields {
	struct tep_format_field *rip, *len, *insn, *flags, *failed;
};

/* kvm_emulate_insn's flags */
#define EMUL_PE (1u << 0)
#define EMUL_VM (1u << 1)
#define EMUL_CS_D (1u << 2)
#define EMUL_CS_L (1u << 3)

struct kernel_decoder {
	struct tep_handle *tep;
	struct kbuffer *kbuf;
	struct tep_format_field *pid;
	pid_t tid;
	struct known_event events[EVENTS_MAX];
	size_t n_events;
	struct kernel_count counts[KERNEL_COUNTS_MAX];
	size_t n_counts;
	struct insn_fields insn;
	struct tep_format_field *exception;
	bool failed; /* the last event said that an instruction could not be emulated: this one */
	struct kernel_refused last, refused;
	enum kernel_insn now; /* being emulated */
	uint64_t uncertain_cpuid;
};

struct svm_reason {
	uint32_t first, last, reason;
};

/*
 * SVM exit codes by SDM reason, as far as they say the same thing [APM 2 "SVM Intercept Exit Codes"]. MSR and shutdown
 * codes are told apart in kernel_exit_reason().
 */
static const struct svm_reason svm_reasons[] = {
    {0x000, 0x01f, EXIT_CR_ACCESS},
    {0x020, 0x03f, EXIT_DR_ACCESS},
    {0x040, 0x05f, EXIT_EXCEPTION_NMI},
    {0x060, 0x060, EXIT_EXTERNAL_INTERRUPT},
    {0x061, 0x061, EXIT_EXCEPTION_NMI},
    {0x062, 0x062, EXIT_OTHER_SMI},
    {0x063, 0x063, EXIT_INIT_SIGNAL},
    {0x064, 0x064, EXIT_INTERRUPT_WINDOW},
    {0x065, 0x065, EXIT_CR_ACCESS},
    {0x066, 0x067, EXIT_GDTR_IDTR},
    {0x068, 0x069, EXIT_LDTR_TR},
    {0x06a, 0x06b, EXIT_GDTR_IDTR},
    {0x06c, 0x06d, EXIT_LDTR_TR},
    {0x06e, 0x06e, EXIT_RDTSC},
    {0x06f, 0x06f, EXIT_RDPMC},
    {0x072, 0x072, EXIT_CPUID},
    {0x073, 0x073, EXIT_RSM},
    {0x076, 0x076, EXIT_INVD},
    {0x077, 0x077, EXIT_PAUSE_INSTRUCTION},
    {0x078, 0x078, EXIT_HLT},
    {0x079, 0x079, EXIT_INVLPG},
    {0x07b, 0x07b, EXIT_IO_INSTRUCTION},
    {0x07d, 0x07d, EXIT_TASK_SWITCH},
    {0x07f, 0x07f, EXIT_TRIPLE_FAULT},
    {0x081, 0x081, EXIT_VMCALL},
    {0x087, 0x087, EXIT_RDTSCP},
    {0x089, 0x089, EXIT_WBINVD},
    {0x08a, 0x08a, EXIT_MONITOR_INSTRUCTION},
    {0x08b, 0x08c, EXIT_MWAIT_INSTRUCTION},
    {0x08d, 0x08d, EXIT_XSETBV},
    {0x0a2, 0x0a2, EXIT_INVPCID},
    {0x400, 0x400, EXIT_EPT_VIOLATION},
};

uint32_t kernel_exit_reason(uint32_t isa, uint32_t raw, uint64_t info1)
{
	if (isa == 1) {
		raw &= 0xffffu; /* basic exit reason; bit 31 says that the entry failed */
		return exit_desc(raw) ? raw : UINT32_MAX;
	}
	if (isa != 2)
		return UINT32_MAX;
	if (raw == 0x07c)
		return info1 & 1 ? EXIT_MSR_WRITE : EXIT_MSR_READ;
	for (size_t i = 0; i < ARRAY_LEN(svm_reasons); i++)
		if (raw >= svm_reasons[i].first && raw <= svm_reasons[i].last)
			return svm_reasons[i].reason;
	return UINT32_MAX;
}

/* The bytes are those of one instruction, and no more: 40..4f can only be REX. */
bool kernel_insn_is_cpuid(const uint8_t *bytes, size_t n)
{
	static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3};

	while (n > 2 && (memchr(prefixes, bytes[0], sizeof prefixes) || (bytes[0] & 0xf0) == 0x40)) {
		bytes++;
		n--;
	}
	return n == 2 && bytes[0] == 0x0f && bytes[1] == 0xa2;
}

bool kernel_cpuid_counts(enum kernel_insn *insn, bool leaf0, uint64_t *uncertain)
{
	if (*insn == KERNEL_INSN_OTHER)
		return false;
	if (*insn == KERNEL_INSN_CPUID)
		*insn = KERNEL_INSN_OTHER;
	else
		*uncertain += leaf0;
	return true;
}

static const struct event_rule *rule_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (strcmp(rules[i].name, name) == 0)
			return &rules[i];
	return NULL;
}

static void add_event(struct kernel_decoder *d, const char *root, const char *name)
{
	struct known_event *k = &d->events[d->n_events];
	char file[320];
	struct tep_event *e;
	size_t n;
	char *text;

	if (d->n_events == EVENTS_MAX)
		return;
	snprintf(file, sizeof file, "events/kvm/%s/format", name);
	text = kernel_read_file(root, file, &n);
	if (!text)
		return;
	/* A print format that the library cannot parse still leaves the fields. */
	(void)tep_parse_event(d->tep, text, n, "kvm");
	free(text);
	e = tep_find_event_by_name(d->tep, "kvm", name);
	if (!e)
		return;
	k->id = e->id;
	snprintf(k->name, sizeof k->name, "%.31s", name);
	k->rule = rule_of(name);
	if (k->rule && k->rule->key)
		k->key = tep_find_field(e, k->rule->key);
	k->emulate = strcmp(name, "kvm_emulate_insn") == 0;
	k->cpuid = strcmp(name, "kvm_cpuid") == 0;
	k->leaf = tep_find_field(e, "function");
	k->subleaf = tep_find_field(e, "index");
	k->exception = strcmp(name, "kvm_inj_exception") == 0;
	if (k->emulate)
		d->insn = (struct insn_fields){tep_find_field(e, "rip"), tep_find_field(e, "len"),
		    tep_find_field(e, "insn"), tep_find_field(e, "flags"), tep_find_field(e, "failed")};
	if (k->exception)
		d->exception = tep_find_field(e, "exception");
	k->isa = tep_find_field(e, "isa");
	k->info1 = tep_find_field(e, "info1");
	if (!d->pid)
		d->pid = tep_find_common_field(e, "common_pid");
	d->n_events++;
}

static enum err load_formats(struct kernel_decoder *d, const char *root, struct errmsg *why)
{
	char dir[256];
	struct dirent *e;
	size_t n;
	char *text = kernel_read_file(root, "events/header_page", &n);
	DIR *events;

	if (!text || tep_parse_header_page(d->tep, text, n, (int)sizeof(long)) != 0) {
		free(text);
		return err_set(why, ERR_FORMAT, "kernel events: %s/events/header_page cannot be read", root);
	}
	free(text);
	snprintf(dir, sizeof dir, "%s/events/kvm", root);
	events = opendir(dir);
	if (!events)
		return err_set(why, ERR_NODEV,
		    "kernel events: no events/kvm in tracefs (the kvm module is not loaded, or was built without "
		    "tracepoints)");
	while ((e = readdir(events)) != NULL)
		if (strncmp(e->d_name, "kvm_", 4) == 0)
			add_event(d, root, e->d_name);
	closedir(events);
	if (!d->n_events || !d->pid)
		return err_set(why, ERR_FORMAT, "kernel events: no format file under %s can be understood", dir);
	return ERR_OK;
}

enum err kernel_decoder_open(const char *root, pid_t tid, struct kernel_decoder **out, struct errmsg *why)
{
	struct kernel_decoder *d = calloc(1, sizeof *d);
	enum err e;

	*out = NULL;
	if (!d)
		return err_set(why, ERR_NOMEM, "kernel events: no memory");
	d->tid = tid;
	d->tep = tep_alloc();
	d->kbuf = kbuffer_alloc(KBUFFER_LSIZE_SAME_AS_HOST, KBUFFER_ENDIAN_SAME_AS_HOST);
	if (d->tep && d->kbuf) {
		tep_set_long_size(d->tep, (int)sizeof(long));
		tep_set_local_bigendian(d->tep, TEP_LITTLE_ENDIAN);
		tep_set_file_bigendian(d->tep, TEP_LITTLE_ENDIAN);
		e = load_formats(d, root, why);
	} else {
		e = err_set(why, ERR_NOMEM, "kernel events: no memory");
	}
	if (e != ERR_OK) {
		kernel_decoder_close(d);
		return e;
	}
	*out = d;
	return ERR_OK;
}

void kernel_decoder_close(struct kernel_decoder *d)
{
	if (!d)
		return;
	if (d->kbuf)
		kbuffer_free(d->kbuf);
	if (d->tep)
		tep_free(d->tep);
	free(d);
}

size_t kernel_decoder_page_size(const struct kernel_decoder *d)
{
	int n = tep_get_sub_buffer_size(d->tep);

	return n > 0 ? (size_t)n : 4096;
}

static uint64_t number(struct tep_format_field *f, const void *data)
{
	unsigned long long v = 0;

	if (f)
		(void)tep_read_number_field(f, data, &v);
	return v;
}

static void count(struct kernel_decoder *d, const struct known_event *k, uint32_t raw, uint32_t isa, uint32_t reason)
{
	struct kernel_count *c;

	for (size_t i = 0; i < d->n_counts; i++) {
		c = &d->counts[i];
		if (c->raw == raw && c->isa == isa && c->reason == reason && strcmp(c->event, k->name) == 0) {
			c->count++;
			return;
		}
	}
	if (d->n_counts == KERNEL_COUNTS_MAX)
		return;
	c = &d->counts[d->n_counts++];
	memcpy(c->event, k->name, sizeof c->event);
	c->raw = raw;
	c->isa = isa;
	c->reason = reason;
	c->count = 1;
}

static void classify(struct kernel_decoder *d, const struct known_event *k, const void *data)
{
	uint32_t raw = (uint32_t)number(k->key, data), isa = 0;
	uint32_t reason = k->rule ? k->rule->reason : UINT32_MAX;

	if (k->rule && strcmp(k->name, "kvm_exit") == 0) {
		isa = (uint32_t)number(k->isa, data);
		reason = kernel_exit_reason(isa, raw, number(k->info1, data));
	} else if (reason == EXIT_MSR_READ && raw) {
		reason = EXIT_MSR_WRITE;
	} else if (reason == EXIT_EPT_VIOLATION && raw == 0) {
		reason = UINT32_MAX; /* kvm_mmio type 0: a read that user space is still to answer; it comes again */
	} else if (k->cpuid) {
		bool leaf0 = k->subleaf && number(k->leaf, data) == 0 && number(k->subleaf, data) == 0;

		if (!kernel_cpuid_counts(&d->now, leaf0, &d->uncertain_cpuid))
			reason = UINT32_MAX;
	}
	count(d, k, raw, isa, reason);
}

/* False: no CPU has it, and #UD is the right answer. */
static bool decode_failed_insn(struct kernel_refused *r, uint32_t flags)
{
	enum x86_mode mode = flags & EMUL_VM	  ? X86_MODE_V86
			     : !(flags & EMUL_PE) ? X86_MODE_REAL
			     : flags & EMUL_CS_L  ? X86_MODE_LONG64
						  : X86_MODE_PROT;
	struct x86_insn i;

	if (x86_decode(r->bytes, r->n_bytes,
		flags & EMUL_CS_L   ? 8
		: flags & EMUL_CS_D ? 4
				    : 2,
		mode, &i) != DECODE_OK ||
	    i.class == INSN_CLASS_INVALID)
		return false;
	snprintf(r->mnemonic, sizeof r->mnemonic, "%s", x86_insn_name(i.id));
	return true;
}

static void note_emulated(struct kernel_decoder *d, const void *data)
{
	const struct insn_fields *f = &d->insn;
	struct kernel_refused *r = &d->last;
	size_t n;

	d->failed = false;
	if (!f->insn || !f->failed)
		return;
	n = (size_t)number(f->len, data);
	if (n > sizeof r->bytes)
		n = sizeof r->bytes;
	if (n > (size_t)f->insn->size)
		n = (size_t)f->insn->size;
	d->failed = number(f->failed, data) != 0;
	if (!d->failed) {
		bool cpuid = kernel_insn_is_cpuid((const uint8_t *)data + f->insn->offset, n);

		d->now = cpuid ? KERNEL_INSN_CPUID : KERNEL_INSN_OTHER;
		return;
	}
	memset(r, 0, sizeof *r);
	memcpy(r->bytes, (const char *)data + f->insn->offset, n);
	r->n_bytes = (uint8_t)n;
	r->rip = number(f->rip, data);
	d->failed = decode_failed_insn(r, (uint32_t)number(f->flags, data));
}

/* #UD right after an instruction that could not be emulated: the kernel gave it to the guest. */
static void note_refused(struct kernel_decoder *d, const struct known_event *k, const void *data)
{
	if (k->emulate) {
		note_emulated(d, data);
		return;
	}
	if (d->failed && k->exception && number(d->exception, data) == 6) {
		uint64_t before = d->refused.count;

		if (!before)
			d->refused = d->last;
		d->refused.count = before + 1;
	}
	d->failed = false;
}

void kernel_decoder_refused(const struct kernel_decoder *d, struct kernel_refused *out)
{
	*out = d->refused;
}

uint64_t kernel_decoder_uncertain_cpuid(const struct kernel_decoder *d)
{
	return d->uncertain_cpuid;
}

void kernel_decoder_page(struct kernel_decoder *d, void *page)
{
	unsigned long long ts;
	void *data;

	if (kbuffer_load_subbuffer(d->kbuf, page) != 0)
		return;
	for (data = kbuffer_read_event(d->kbuf, &ts); data; data = kbuffer_next_event(d->kbuf, &ts)) {
		struct tep_record rec = {.data = data, .size = kbuffer_event_size(d->kbuf), .ts = ts};
		int id = tep_data_type(d->tep, &rec);

		if ((pid_t)number(d->pid, data) != d->tid)
			continue;
		for (size_t i = 0; i < d->n_events; i++) {
			if (d->events[i].id != id)
				continue;
			classify(d, &d->events[i], data);
			note_refused(d, &d->events[i], data);
			break;
		}
	}
}

size_t kernel_decoder_counts(const struct kernel_decoder *d, struct kernel_count *out, size_t max)
{
	size_t n = d->n_counts < max ? d->n_counts : max;

	memcpy(out, d->counts, n * sizeof *out);
	return n;
}
