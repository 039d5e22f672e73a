/*
 * vmscope doctor: what this machine offers, and the precise reason for what it does not. Every line is measured now, by
 * asking the machine; only kvm-hardware is judged by a name, that of the kernel's module, and says so.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/guest.h"
#include "cli/result.h"
#include "modes/virtualize/kvm.h"
#include "session/session.h"

enum { OPT_JSON = 256 };

static const struct argp_option doctor_options[] = {
    {.name = "json", .key = OPT_JSON, .doc = "one JSON object on stdout"},
    {0},
};

static error_t doctor_parse(int key, char *arg, struct argp_state *state)
{
	if (key == OPT_JSON)
		*(bool *)state->input = true;
	else if (key == ARGP_KEY_ARG)
		return cli_usage("%s: doctor takes no argument", arg);
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static const struct argp doctor_argp = {
    .options = doctor_options, .parser = doctor_parse, .doc = "Say what this machine offers, and why not the rest."};

/* One finding: shown as a line, stored as {name, available, detail}. */
static json_t *finding(const char *name, bool available, const char *detail)
{
	return json_pack("{s:s, s:b, s:o}", "name", name, "available", available, "detail",
	    detail && detail[0] ? json_text((const uint8_t *)detail, strlen(detail)) : json_null());
}

/* The value of "key : value" in /proc/cpuinfo, first CPU; empty when it is not there. */
static void cpuinfo(const char *key, char *buf, size_t n)
{
	static char line[8192];
	FILE *f = fopen("/proc/cpuinfo", "re");
	size_t len = strlen(key);
	buf[0] = 0;
	while (f && !buf[0] && fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');
		if (strncmp(line, key, len) != 0 || !colon || (line[len] != '\t' && line[len] != ' '))
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(buf, n, "%s", colon[1] ? colon + 2 : "");
	}
	if (f)
		fclose(f);
}

static bool has_flag(const char *flags, const char *flag)
{
	size_t n = strlen(flag);
	for (const char *p = strstr(flags, flag); p; p = strstr(p + n, flag))
		if ((p == flags || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
			return true;
	return false;
}

static void check_cpu(json_t *list)
{
	static char flags[8192];
	char model[128], vendor[64], text[320];
	cpuinfo("model name", model, sizeof model);
	cpuinfo("vendor_id", vendor, sizeof vendor);
	cpuinfo("flags", flags, sizeof flags);
	snprintf(text, sizeof text, "%s (%s)%s", model[0] ? model : "unknown", vendor[0] ? vendor : "unknown",
	    has_flag(flags, "hypervisor") ? ", itself inside a virtual machine" : "");
	json_array_append_new(list, finding("cpu", true, text));
	bool vmx = has_flag(flags, "vmx"), svm = has_flag(flags, "svm");
	json_array_append_new(list, finding("vt-x", vmx,
					vmx ? "flag vmx"
					    : "the CPU shows no flag vmx: not Intel, off in the firmware, or a cloud "
					      "machine without nesting"));
	json_array_append_new(list, finding("amd-v", svm,
					svm ? "flag svm"
					    : "the CPU shows no flag svm: not AMD, off in the firmware, or a cloud "
					      "machine without nesting"));
}

static void check_kvm(json_t *list)
{
	struct kvm_facts k = {0};
	char text[320];
	kvm_facts_read(&k);
	if (!k.present)
		snprintf(text, sizeof text, "/dev/kvm does not exist: the kernel has no KVM module loaded");
	else if (!k.permitted)
		snprintf(text, sizeof text, "/dev/kvm cannot be opened by this user: add it to the group kvm");
	else
		snprintf(text, sizeof text, "API %d, module %s, %d memory slots%s%s%s", k.api,
		    k.module[0] ? k.module : "unknown", k.memory_slots, k.sync_regs ? ", synchronous registers" : "",
		    k.msr_filter ? ", MSR filter" : "", k.pcid ? "" : ", no PCID or INVPCID for guests");
	json_array_append_new(list, finding("kvm", k.present && k.permitted, text));
	bool hardware = k.present && k.permitted && !k.emulates;
	json_array_append_new(list,
	    finding("kvm-hardware", hardware,
		!k.permitted ? "no /dev/kvm for this user"
		: k.emulates
		    ? "this KVM has no hardware under it: the kernel's emulator runs the guest's instructions (judged "
		      "by the kernel module's name; a run measures it)"
		    : "guest code runs on the processor (judged by the kernel module's name; a run measures it)"));
}

static void check_tracefs(json_t *list)
{
	static const char root[] = "/sys/kernel/tracing";
	static const char *const events[] = {"kvm_exit", "kvm_emulate_insn", "kvm_pio"};
	char path[256], text[320];
	size_t used = 0;
	snprintf(path, sizeof path, "%s/instances", root);
	if (access(path, F_OK)) {
		snprintf(text, sizeof text, "%s",
		    errno == EACCES ? "/sys/kernel/tracing is for root only"
				    : "tracefs is not mounted: mount -t tracefs tracefs "
				      "/sys/kernel/tracing (as root)");
		json_array_append_new(list, finding("tracefs", false, text));
		return;
	}
	bool writable = access(path, W_OK) == 0;
	json_array_append_new(list, finding("tracefs", writable,
					writable ? "private instances can be made" : "only root may make an instance"));
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		snprintf(path, sizeof path, "%s/events/kvm/%s/format", root, events[i]);
		if (access(path, F_OK) == 0)
			used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", events[i]);
	}
	json_array_append_new(
	    list, finding("kvm-events", used > 0,
		      used ? text : "this kernel offers no kvm events (that they exist does not say that they fire)"));
}

static bool in_path(const char *name, char *full, size_t n)
{
	const char *path = getenv("PATH");
	for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
		size_t len = strcspn(p, ":");
		if (snprintf(full, n, "%.*s/%s", (int)len, p, name) < (int)n && access(full, X_OK) == 0)
			return true;
		p += len + (p[len] == ':');
	}
	return false;
}

/* The first line of "command" that holds a digit: where programs say their version. */
static void version_line(const char *command, char *buf, size_t n)
{
	char line[256];
	FILE *f = popen(command, "re");
	buf[0] = 0;
	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		if (!buf[0] && strpbrk(line, "0123456789"))
			snprintf(buf, n, "%s", line + strspn(line, " \t="));
	}
	if (f)
		pclose(f);
}

static void check_tools(json_t *list)
{
	static const struct {
		const char *name, *version, *missing;
	} tools[] = {
	    {"bochs", NULL, "not installed (Debian: bochs): a machine for type 1 runs"},
	    {"qemu-system-x86_64", "qemu-system-x86_64 --version 2>&1 </dev/null",
		"not installed (Debian: qemu-system-x86): a machine for type 1 runs and for nested tests"},
	    {"trace-cmd", "trace-cmd --version 2>&1 </dev/null",
		"not installed (Debian: trace-cmd): reads the traces that vmscope writes"},
	};
	char full[320], text[320];
	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		bool there = in_path(tools[i].name, full, sizeof full);
		snprintf(text, sizeof text, "%s", full);
		if (there && tools[i].version)
			version_line(tools[i].version, text, sizeof text);
		json_array_append_new(list, finding(tools[i].name, there, there ? text : tools[i].missing));
	}
	static const char seabios[] = "/usr/share/seabios/bios-256k.bin";
	bool there = access(seabios, R_OK) == 0;
	json_array_append_new(list,
	    finding("seabios", there, there ? seabios : "not installed (Debian: seabios): a firmware for --firmware"));
}

/* What would run a guest on bare metal here, and which of them is taken. */
static void check_machines(json_t *list)
{
	static const struct {
		const char *name, *machine;
		enum vmm_mode mode;
		enum machine_engine engine;
	} ways[] = {
	    {"metal: VT-x, qemu", "qemu", MODE_VIRTUALIZE, ENGINE_VMX},
	    {"metal: VT-x, bochs", "bochs", MODE_VIRTUALIZE, ENGINE_VMX},
	    {"metal: AMD-V, qemu", "qemu", MODE_VIRTUALIZE, ENGINE_SVM},
	    {"metal: AMD-V, bochs", "bochs", MODE_VIRTUALIZE, ENGINE_SVM},
	    {"metal: emulate", NULL, MODE_EMULATE, ENGINE_ANY},
	};
	char text[320];
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct machine_facts f = {0};
		struct errmsg why = {{0}};
		enum err e = remote_probe(ways[i].mode, ways[i].machine, ways[i].engine, &f, &why);
		if (e)
			snprintf(text, sizeof text, "%s", why.text[0] ? why.text : err_sentence(e));
		else
			snprintf(text, sizeof text, "%s, CPU %s", f.name, f.cpu);
		json_array_append_new(list, finding(ways[i].name, !e, text));
	}
}

/* On bare metal the engine is the chosen machine's. */
static const char *engine_here(const struct mode_ops *ops)
{
	struct machine_facts f = {0};
	struct errmsg why;
	if (!(ops->caps & MODE_CAP_REMOTE) || ops->mode != MODE_VIRTUALIZE ||
	    remote_probe(ops->mode, NULL, ENGINE_ANY, &f, &why))
		return ops->engine;
	return f.vmx ? "vmx" : "svm";
}

static void check_backends(json_t *list)
{
	size_t n;
	const struct mode_ops *const *all = modes_all(&n);
	char label[32];
	for (size_t i = 0; i < n; i++) {
		struct errmsg why = {{0}};
		enum err e = all[i]->probe(&host_posix_ops, &why);
		backend_label(all[i]->mode, all[i]->type, label, sizeof label);
		json_array_append_new(list, finding(label, !e,
						!e	      ? engine_here(all[i])
						: why.text[0] ? why.text
							      : err_sentence(e)));
	}
}

static void check_guests(json_t *list)
{
	char dir[GUEST_PATH_MAX];
	struct stat st;
	for (unsigned i = 0; guest_dir(i, dir, sizeof dir); i++) {
		if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode)) {
			json_array_append_new(list, finding("guests", true, dir));
			return;
		}
	}
	json_array_append_new(
	    list, finding("guests", false, "no folder of bundled guests: run make, or set VMSCOPE_GUESTS"));
}

static void print_findings(const char *title, json_t *list)
{
	size_t i;
	json_t *f;
	printf("%s\n", title);
	json_array_foreach(list, i, f)
	{
		const char *detail = json_string_value(json_object_get(f, "detail"));
		int n = printf("  %-20s %-4s", json_string_value(json_object_get(f, "name")),
		    json_is_true(json_object_get(f, "available")) ? "yes" : "no");
		print_wrapped(stdout, detail ? detail : "", (unsigned)n, 26, 80);
	}
}

int cmd_doctor(int argc, char **argv)
{
	bool json = false;
	int bad = cli_parse(&doctor_argp, argc, argv, &json);
	if (bad)
		return bad;
	json_t *backends = json_array(), *machine = json_array();
	check_backends(backends);
	check_cpu(machine);
	check_kvm(machine);
	check_tracefs(machine);
	check_tools(machine);
	check_machines(machine);
	check_guests(machine);
	if (json)
		return json_print(
		    json_pack("{s:s, s:o, s:o}", "version", VMSCOPE_VERSION, "backends", backends, "machine", machine));
	printf("vmscope %s\n", VMSCOPE_VERSION);
	print_findings("backends", backends);
	print_findings("this machine", machine);
	json_decref(backends);
	json_decref(machine);
	return CLI_OK;
}
