/*
 * The efficiency verdict as a predicate over measured numbers. Read tracer/verdict.h first.
 */
#include "tracer/efficiency.h"

#include <stdio.h>

static unsigned long long ull(uint64_t v)
{
	return (unsigned long long)v;
}

static double share(uint64_t part, uint64_t whole)
{
	return part >= whole ? 1.0 : (double)part / (double)whole;
}

/* Of nothing no share is known, in whatever mode. */
static bool nothing_has_run(const struct efficiency_input *in, struct efficiency *out)
{
	if (!in->instructions.source || in->instructions.value)
		return false;
	out->verdict.state = PG_UNKNOWN;
	snprintf(out->verdict.evidence, sizeof out->verdict.evidence, "nothing has run yet: 0 instructions (%s)",
	    in->instructions.source);
	return true;
}

static void decide_emulate(const struct efficiency_input *in, struct efficiency *out)
{
	if (in->instructions.source && !in->instructions.value) {
		out->verdict.state = PG_UNKNOWN;
		snprintf(out->verdict.evidence, sizeof out->verdict.evidence, "no instruction has run yet");
		return;
	}
	out->direct_fraction = 0;
	out->guest_time_fraction = 0;
	out->verdict.state = PG_VIOLATED;
	snprintf(out->verdict.evidence, sizeof out->verdict.evidence,
	    "0 %% of %llu instructions ran directly: an interpreter runs none, by definition (%s)",
	    ull(in->instructions.value), in->instructions.source ? in->instructions.source : "not counted");
}

static void add(struct efficiency *out, const char *text)
{
	size_t used = 0;
	while (out->verdict.evidence[used])
		used++;
	snprintf(out->verdict.evidence + used, sizeof out->verdict.evidence - used, "%s", text);
}

/* How many of the guest's instructions did not run directly, and the text that says who counted. */
static void decide_measured(const struct efficiency_input *in, struct efficiency *out)
{
	const struct measured *emulated = &in->kernel_emulated, *exits = &in->interventions;
	uint64_t total = in->instructions.value;
	/* Instructions that the kernel emulated are the larger of two counts of the same thing: exits cause some of
	 * them. On a host that reports no exits, they are all there is. */
	const struct measured *most = emulated->source && emulated->value >= exits->value ? emulated : exits;
	if (!in->instructions.source || !total || !most->source) {
		out->verdict.state = PG_UNKNOWN;
		snprintf(out->verdict.evidence, sizeof out->verdict.evidence, "no source for %s: %s",
		    most->source ? "the number of instructions" : "what the kernel intercepts",
		    most->source		    ? "no reference run counted them: \"vmscope compare\" does"
		    : in->missing && in->missing[0] ? in->missing
						    : "the kernel reported neither exits nor emulated instructions");
		return;
	}
	out->direct_fraction = 1.0 - share(most->value, total);
	out->verdict.state = out->direct_fraction >= in->dominant ? PG_HOLDS : PG_VIOLATED;
	snprintf(out->verdict.evidence, sizeof out->verdict.evidence,
	    "%.4g %% of %llu instructions (%s) ran directly, %.4g %% are asked for: %llu did not (%s)",
	    out->direct_fraction * 100, ull(total), in->instructions.source, in->dominant * 100, ull(most->value),
	    most->source);
}

void efficiency_decide(const struct efficiency_input *in, struct efficiency *out)
{
	*out = (struct efficiency){.direct_fraction = -1, .guest_time_fraction = -1};
	if (in->mode == MODE_SIMULATE) {
		out->verdict.state = PG_NA;
		snprintf(out->verdict.evidence, sizeof out->verdict.evidence,
		    "a model has no instructions: there is nothing that could run directly");
		return;
	}
	if (nothing_has_run(in, out))
		return;
	if (in->mode == MODE_EMULATE) {
		decide_emulate(in, out);
	} else {
		decide_measured(in, out);
		uint64_t both = in->guest_ns.value + in->vmm_ns.value;
		if (in->guest_ns.source && in->vmm_ns.source && both) {
			char text[160];
			out->guest_time_fraction = share(in->guest_ns.value, both);
			snprintf(text, sizeof text, "; %.1f %% of the time in the guest (%s)",
			    out->guest_time_fraction * 100, in->guest_ns.source);
			add(out, text);
		}
	}
	if (in->innocuous.source) {
		char text[160];
		snprintf(text, sizeof text, "; %llu innocuous instructions were emulated (%s)",
		    ull(in->innocuous.value), in->innocuous.source);
		add(out, text);
	}
}
