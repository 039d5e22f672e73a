/*
 * The line and the record disk of a Type I session, on each machine that is here: how fast bytes go in both directions,
 * how long a command takes, how fast records come, and how many exits a second a traced guest makes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modes/modes.h"
#include "session/session.h"

#define PIECES 32u
#define CALLS 50u
#define FILLS 8u

/* again: segments 1000h to 8000h are filled with bx; out 0xe0, al; inc bx; jmp again */
static const uint8_t filler[] = {0xbb, 0x01, 0x00, 0xba, 0x00, 0x10, 0x8e, 0xc2, 0x31, 0xff, 0x89, 0xd8, 0xb9, 0x00,
    0x80, 0xfc, 0xf3, 0xab, 0x81, 0xc2, 0x00, 0x10, 0x81, 0xfa, 0x00, 0x90, 0x72, 0xea, 0xe6, 0xe0, 0x43, 0xeb, 0xe2};
/* mov ecx, 50000; again: out 0xe0, al; dec ecx; jnz again; mov al, 0; out 0xf4, al */
static const uint8_t talker[] = {
    0x66, 0xb9, 0x50, 0xc3, 0x00, 0x00, 0xe6, 0xe0, 0x66, 0x49, 0x75, 0xfa, 0xb0, 0x00, 0xe6, 0xf4};

static struct remote *remote;
static struct session *session;
static uint8_t buf[PIECES * 4096];

static double now(void)
{
	return (double)host_posix_ops.now_ns() / 1e9;
}

static void die(const char *what, const char *text)
{
	fprintf(stderr, "bench_session: %s: %s\n", what, text);
	exit(1);
}

/* False: this machine is not here. */
static bool open_guest(const char *machine, const uint8_t *image, size_t n, bool pages)
{
	struct errmsg why = {""};
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = &mode_virtualize_type1_ops,
	    .guest = "bench",
	    .mem_size = 1 << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_HOST};
	struct remote_request q = {.n = 1, .machine = machine, .pages = pages, .regs = pages};
	struct remote_guest *g = &q.guests[0];
	if (vm_create(&cfg, &g->vm, &why) != ERR_OK)
		die(machine, why.text);
	g->load = (struct load_request){.image = image, .len = n, .name = "bench"};
	double t = now();
	if (image_load(g->vm, &g->load, &why) != ERR_OK || remote_open(&q, &remote, &why) != ERR_OK) {
		printf("%-6s %s\n", machine, why.text);
		vm_destroy(g->vm);
		return false;
	}
	printf("%-6s %7.2f s from the start to the guest's first instruction\n", machine, now() - t);
	if (session_open_remote(remote, 0, &session, &why) != ERR_OK)
		die(machine, why.text);
	return true;
}

static void close_guest(void)
{
	session->ops->close(session);
	remote_close(remote);
}

static void must(enum err e, const char *what)
{
	if (e != ERR_OK)
		die(what, err_sentence(e));
}

static void line_rates(const char *machine)
{
	struct x86_state s;
	double t = now();
	must(session->ops->read_mem(session, 0x10000, buf, sizeof buf), "reading");
	printf("%-6s %7.0f KB/s over the line to us\n", machine, sizeof buf / 1e3 / (now() - t));
	t = now();
	must(session->ops->write_mem(session, 0x10000, buf, sizeof buf), "writing");
	printf("%-6s %7.0f KB/s over the line from us\n", machine, sizeof buf / 1e3 / (now() - t));
	t = now();
	for (unsigned i = 0; i < CALLS; i++)
		must(session->ops->get_state(session, 0, &s), "registers");
	printf("%-6s %7.2f ms for the registers of the guest\n", machine, (now() - t) * 1e3 / CALLS);
}

static void record_rate(const char *machine)
{
	double spent = 0;
	struct remote_facts before, after;
	remote_facts(remote, &before);
	for (unsigned i = 0; i < FILLS; i++) {
		must(session->ops->step_exit(session), "a step");
		double t = now();
		must(remote_checkpoint(remote, 0), "a checkpoint");
		spent += now() - t;
	}
	remote_facts(remote, &after);
	printf("%-6s %7.1f MB/s of records through the second disk (finding the changed pages included)\n", machine,
	    (double)(after.record_bytes - before.record_bytes) / 1e6 / spent);
}

static void exit_rate(const char *machine)
{
	double t = now();
	must(session->ops->run(session), "a run");
	t = now() - t;
	const struct msg_end *m = remote_end(remote, 0);
	if (!m || m->lost)
		die(machine, "records are missing");
	printf("%-6s %7.0f exits a second, each with its record (%llu bytes an exit)\n", machine,
	    (double)m->counts.exits / t, (unsigned long long)(m->record_bytes / m->counts.exits));
}

int main(void)
{
	static const char *const machines[] = {"bochs", "qemu"};
	puts("type I sessions:");
	for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
		if (!open_guest(machines[i], filler, sizeof filler, true))
			continue;
		line_rates(machines[i]);
		record_rate(machines[i]);
		close_guest();
		if (!open_guest(machines[i], talker, sizeof talker, false))
			continue;
		exit_rate(machines[i]);
		close_guest();
	}
	return 0;
}
