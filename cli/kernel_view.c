/*
 * The kernel's view of a run. One exit may be seen twice, by the kernel and by the process: it is counted once, where
 * it was seen closest to the hardware.
 */
#include "cli/kernel_view.h"

#include <dirent.h>
#include <kbuffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tracer/events.h"
#include "tracer/row.h"

#define ROWS_MAX 128

/* A sub-buffer of the kernel's ring, record by record, into the lane of its CPU. Only what this vCPU's thread did. */
static void on_page(void *arg, unsigned cpu, const void *page, size_t n)
{
	struct kernel_view *k = arg;
	unsigned long long ts;
	(void)n;
	if (!k->tracer || kbuffer_load_subbuffer(k->pages, (void *)(uintptr_t)page))
		return;
	int lost = kbuffer_missed_events(k->pages);
	for (void *rec = kbuffer_read_event(k->pages, &ts); rec; rec = kbuffer_next_event(k->pages, &ts)) {
		struct event_common common;
		memcpy(&common, rec, sizeof common);
		if (common.pid != k->tid)
			continue;
		tracer_raw(
		    k->tracer, cpu, ts, rec, (size_t)kbuffer_event_size(k->pages), lost > 0 ? (uint64_t)lost : 0);
		lost = 0;
	}
}

static char *read_text(const char *path)
{
	char *text = NULL;
	size_t n = 0, room = 0;
	FILE *f = fopen(path, "re");
	if (!f)
		return NULL;
	do {
		room += 4096;
		char *more = realloc(text, room);
		if (!more)
			break;
		text = more;
		n += fread(text + n, 1, room - 1 - n, f);
		text[n] = 0;
	} while (n == room - 1);
	fclose(f);
	return text;
}

static void read_formats(struct kernel_view *k)
{
	char path[512];
	snprintf(path, sizeof path, "%s/events/kvm", kernel_trace_dir(k->trace));
	DIR *dir = opendir(path);
	for (struct dirent *d = dir ? readdir(dir) : NULL; d && k->n_formats < KERNEL_FORMATS_MAX; d = readdir(dir)) {
		snprintf(path, sizeof path, "%s/events/kvm/%.100s/format", kernel_trace_dir(k->trace), d->d_name);
		char *text = d->d_name[0] == '.' ? NULL : read_text(path);
		if (text)
			k->formats[k->n_formats++] = (struct trace_dat_format){"kvm", text};
	}
	if (dir)
		closedir(dir);
}

void kernel_view_open(struct kernel_view *k, const struct mode_ops *ops, struct tracer_config *cfg)
{
	*k = (struct kernel_view){.tid = gettid()};
	struct kernel_trace_config trace = {.tid = k->tid, .on_page = on_page, .on_page_arg = k};
	if (ops->mode != MODE_VIRTUALIZE || ops->type != VMM_TYPE_II)
		return;
	if (kernel_trace_open(&trace, &k->trace, &k->why)) {
		k->trace = NULL;
		return;
	}
	const char *note = kernel_trace_note(k->trace);
	if (note[0])
		fprintf(stderr, "vmscope: %s\n", note);
	if (!cfg->path)
		return;
	k->pages = kbuffer_alloc(KBUFFER_LSIZE_8, KBUFFER_ENDIAN_LITTLE);
	if (!k->pages)
		return;
	read_formats(k);
	snprintf(k->cmdline, sizeof k->cmdline, "%d vmscope\n", (int)k->tid);
	cfg->formats = k->formats;
	cfg->n_formats = k->n_formats;
	cfg->host_lanes = (unsigned)sysconf(_SC_NPROCESSORS_CONF);
	cfg->cmdlines = k->cmdline;
}

void kernel_view_start(struct kernel_view *k, struct tracer *t)
{
	if (k->n_formats)
		k->tracer = t;
	if (k->trace && kernel_trace_start(k->trace, &k->why))
		kernel_view_close(k);
}

void kernel_view_stop(struct kernel_view *k)
{
	if (!k->trace)
		return;
	kernel_trace_stop(k->trace);
	kernel_trace_totals(k->trace, &k->totals);
}

void kernel_view_merge(struct kernel_view *k, struct exit_stats *s)
{
	struct kernel_row rows[ROWS_MAX];
	/* Beside kernel events, the tracer takes all that the process saw for seen twice. It was, where a row says so.
	 */
	stats_promote(s);
	stats_sort(s);
	if (!k->trace)
		return;
	size_t n = kernel_trace_rows(k->trace, rows, ROWS_MAX);
	for (size_t i = 0; i < n; i++)
		stats_demote(s, rows[i].reason);
	for (size_t i = 0; i < n; i++) {
		const struct exit_row row = {
		    .reason = rows[i].reason, .isa = ISA_VMX, .observed = (uint8_t)rows[i].observed};
		for (uint64_t c = 0; c < rows[i].count; c++)
			stats_add(s, &row);
	}
	s->emulated = k->totals.emulated_insns;
	s->uncertain_cpuid = k->totals.uncertain_cpuid;
	s->lost += k->totals.lost;
	stats_sort(s);
}

bool kernel_view_refused(const struct kernel_view *k, struct vm_end *end)
{
	const struct kernel_refused *r = &k->totals.refused;
	char bytes[3 * sizeof r->bytes + 1] = "";
	if (!k->trace || !r->count)
		return false;
	for (unsigned i = 0; i < r->n_bytes; i++)
		snprintf(bytes + 3 * i, sizeof bytes - 3 * i, " %02x", r->bytes[i]);
	end->kind = END_HOST_KVM;
	end->code = 0;
	snprintf(end->detail, sizeof end->detail,
	    "the host's KVM cannot run this instruction, and gave the guest #UD instead: rip %#llx, bytes%s, %s",
	    (unsigned long long)r->rip, bytes, r->mnemonic);
	return true;
}

void kernel_view_efficiency(const struct kernel_view *k, struct efficiency_input *in)
{
	if (!k->trace)
		return;
	const struct kernel_totals *t = &k->totals;
	if (t->hardware_exits)
		in->interventions = (struct measured){t->hardware_exits, "kvm:kvm_exit, counted by the kernel"};
	if (t->emulated_insns)
		in->kernel_emulated =
		    (struct measured){t->emulated_insns, "kvm:kvm_emulate_insn, counted by the kernel"};
	if (!t->emulates)
		return;
	/* The CPU was never entered for the guest's kernel code, so what was emulated is all that this run is known to
	 * have executed: on host time, a guest that waits for a timer executes other numbers than the reference. User
	 * code that such a host lets the CPU run leaves no trace, and the evidence says so. */
	in->instructions = (struct measured){
	    t->emulated_insns, "kvm:kvm_emulate_insn, a REP counted once, user code not seen; kvm_exit never fired"};
	in->vmm_ns.value += in->guest_ns.value;
	in->guest_ns = (struct measured){0, "all of KVM_RUN was the kernel's emulator"};
}

void kernel_view_close(struct kernel_view *k)
{
	if (k->trace)
		kernel_trace_close(k->trace);
	k->trace = NULL;
	k->tracer = NULL;
	for (size_t i = 0; i < k->n_formats; i++)
		free((void *)(uintptr_t)k->formats[i].text);
	k->n_formats = 0;
	if (k->pages)
		kbuffer_free(k->pages);
	k->pages = NULL;
}
