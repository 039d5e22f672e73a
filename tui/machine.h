/*
 * The machine view's inside: panels about one vCPU. A panel is one of two kinds:
 *
 *   rows   it fills a list of struct machine_row (name, value, words); drawing, scrolling, searching and the JSON twin
 *          are the same for all of them (machine_rows.c)
 *   drawn  code, registers and memory, which have a layout of their own
 *
 * collect() fills struct machine_state while the guest stands still, and only for panels that are on the screen (or for
 * all: JSON). Everything read from the guest is bounded here: a wild limit or pointer costs no more than a full panel.
 */
#ifndef VMSCOPE_TUI_MACHINE_H
#define VMSCOPE_TUI_MACHINE_H

#include "session/control.h"
#include "tracer/disasm.h"
#include "tracer/pagewalk.h"
#include "tui/view.h"

enum machine_panel_id {
	PANEL_CODE,
	PANEL_REGISTERS,
	PANEL_STACK,
	PANEL_BYTES, /* memory at RIP */
	PANEL_READ,
	PANEL_WRITE,
	PANEL_MEMORY, /* at an address that the user chose */
	PANEL_SEGMENTS,
	PANEL_TABLES,
	PANEL_CONTROL,
	PANEL_MSRS,
	PANEL_FPU,
	PANEL_WALK,
	PANEL_TLB,
	PANEL_DEVICES,
	PANEL_COUNT
};

struct machine_row {
	char name[20];
	uint64_t value;
	uint8_t digits; /* hexadecimal digits of value; 0: there is none */
	bool changed;	/* since the stop before */
	bool heading;
	bool address;  /* Enter follows value: a linear address */
	bool physical; /* the same, guest-physical */
	char text[128];
};

#define MACHINE_ROWS_MAX 640
struct machine_rows {
	struct machine_row row[MACHINE_ROWS_MAX];
	unsigned n;
	bool cut; /* there was more */
};

#define MACHINE_CODE_MAX 96
struct machine_code_name {
	char symbol[64], source[96]; /* "main+0x12", "hello.c:9"; empty: not known */
	bool begins;		     /* a function begins here: symbol is its name */
};
struct machine_code {
	struct machine_code_name name[MACHINE_CODE_MAX];
	struct disasm_line line[MACHINE_CODE_MAX];
	uint8_t breakpoint[MACHINE_CODE_MAX]; /* id; 0: none */
	bool disabled[MACHINE_CODE_MAX];
	unsigned n, cursor; /* index of the line with the cursor */
	uint64_t at;	    /* its address */
	int row;	    /* screen row on which it should stand */
	bool follow;	    /* it goes to RIP whenever that moves */
	bool asked;	    /* `at` was asked for: the next frame shows it, wherever RIP is */
	char why[160];	    /* n == 0: why there is no code */
};

#define MACHINE_MEMORY_BYTES 1024u
#define MACHINE_STACK_NAMES 64
struct machine_memory {
	bool have; /* an address is known */
	bool physical;
	uint64_t addr; /* first byte shown */
	uint64_t mark; /* the address it is about */
	unsigned mark_len;
	uint8_t bytes[MACHINE_MEMORY_BYTES];
	size_t done; /* bytes that could be read */
	char label[128], why[120];
};

/* A memory access of the instruction that ran last, or of the next one. */
struct machine_touch {
	bool have, past; /* past: it has happened */
	gva_t gva;
	unsigned size;
	uint64_t rip, insns; /* of the instruction, and how many there were before it */
};

struct machine_scroll {
	unsigned top, cursor;
};

struct machine_state {
	/* collected */
	bool have; /* there is a state; else why says why not */
	char why[240];
	bool trace;
	bool traced_rip; /* trace: of the selected exit */
	uint64_t trace_rip, trace_exit;
	char trace_symbol[64];
	char trace_reason[48];
	unsigned vcpu;
	struct x86_state s, before;
	bool has_before;
	unsigned bits; /* width of code */
	gva_t ip;      /* linear */
	uint64_t insns;
	bool counts_insns;
	struct view_cpu cpu;	    /* halted, waits for a start-up message, TLB */
	const struct symbols *syms; /* while collecting only: another guest brings others */
	struct machine_code code;
	bool collected[PANEL_COUNT];		   /* else it was not on the screen */
	struct machine_memory memory[PANEL_COUNT]; /* of the memory panels */
	char stack_name[MACHINE_STACK_NAMES][64];  /* of the values on the stack; empty: no address of anything */
	struct machine_rows *rows[PANEL_COUNT];	   /* of the panels with rows; owned */
	struct pagewalk walk;
	bool show_host; /* host pointers: they differ from run to run, so only where nothing is compared */
	bool remote;	/* devices and TLB are on another machine */

	/* chosen by the user */
	enum machine_panel_id focus;
	unsigned page;
	bool zoom; /* the focus fills the view */
	struct machine_scroll scroll[PANEL_COUNT];
	int64_t shift[PANEL_COUNT]; /* of the memory panels: bytes from where they would be */
	bool user_memory, user_physical;
	uint64_t user_addr;
	bool user_walk;
	uint64_t walk_addr;
	unsigned walk_how; /* X86_ACCESS_* */
	bool walk_user;

	/* what the next instruction will touch, to know afterwards what it did */
	struct machine_touch read, write, next_read, next_write;
	uint64_t next_insns;
	uint64_t seen_ip, seen_insns;
	bool seen;
	unsigned seen_vcpu;
};

struct machine_panel {
	const char *name, *title;
	/* rows */
	void (*fill)(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out);
	/* drawn */
	void (*draw)(struct machine_state *m, struct screen *s, const struct rect *r, bool focus);
	json_t *(*json)(const struct machine_state *m, enum machine_panel_id id);
	const char *(*subtitle)(const struct machine_state *m, char *buf, size_t n); /* after the title; may be NULL */
};
extern const struct machine_panel machine_panels[PANEL_COUNT];

/* machine_rows.c */
struct machine_row *machine_row_add(struct machine_rows *rows, const char *name, uint64_t value, unsigned digits);
void machine_row_text(struct machine_row *row, const char *fmt, ...) PRINTF_LIKE(2, 3);
void machine_row_heading(struct machine_rows *rows, const char *fmt, ...) PRINTF_LIKE(2, 3);
void machine_rows_draw(
    struct machine_state *m, enum machine_panel_id id, struct screen *s, const struct rect *r, bool focus);
json_t *machine_rows_json(const struct machine_rows *rows);
/* Names of the bits that are set: "PE ET PG". names: one a bit, from bit 0; NULL: no name (shown as bit number). */
void machine_bit_names(uint64_t v, const char *const names[], unsigned n, char *buf, size_t len);
/* v as JSON: numbers above 2^53 do not survive in every reader, so addresses are strings "0x...". */
json_t *machine_hex(uint64_t v);

/* machine_cpu.c, machine_tables.c, machine_fpu.c, machine_paging.c, machine_devices.c: fill() of their panels */
void machine_fill_control(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out);
void machine_fill_msrs(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out);
void machine_fill_segments(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out);
void machine_fill_tables(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out);
void machine_fill_fpu(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out);
void machine_fill_walk(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out);
void machine_fill_tlb(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out);
void machine_fill_devices(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out);

/* machine_registers.c */
void machine_draw_registers(struct machine_state *m, struct screen *s, const struct rect *r, bool focus);
const char *machine_registers_subtitle(const struct machine_state *m, char *buf, size_t n);
json_t *machine_json_registers(const struct machine_state *m, enum machine_panel_id id);
const char *machine_mode_text(const struct machine_state *m, char *buf, size_t n); /* "64-bit CPL 0" */
/* "RAX", "sp", "cr3": a register by name, at the width it is named with. */
bool machine_register(const struct x86_state *s, const char *name, uint64_t *v);

/* machine_code.c */
/* Has RIP moved? Then the cursor goes there, in a panel of h rows. */
void machine_code_follow(struct machine_state *m, int h);
void machine_collect_code(struct machine_state *m, struct app *a, struct view_model *model, int h);
void machine_draw_code(struct machine_state *m, struct screen *s, const struct rect *r, bool focus);
json_t *machine_json_code(const struct machine_state *m, enum machine_panel_id id);
const char *machine_code_subtitle(const struct machine_state *m, char *buf, size_t n);
void machine_code_move(struct machine_state *m, int lines);
void machine_code_click(struct machine_state *m, int row, int h); /* row of a panel that has h rows */

/* machine_memory.c */
void machine_collect_touches(struct machine_state *m, struct view_model *model);
void machine_collect_memory(struct machine_state *m, struct view_model *model, enum machine_panel_id id);
void machine_draw_memory(
    struct machine_state *m, enum machine_panel_id id, struct screen *s, const struct rect *r, bool focus);
void machine_draw_stack(struct machine_state *m, struct screen *s, const struct rect *r, bool focus);
json_t *machine_json_memory(const struct machine_state *m, enum machine_panel_id id);
uint32_t machine_cp437(uint8_t byte); /* Unicode */

/* machine_layout.c: where panels are */
#define MACHINE_PANES_MAX 12
struct machine_pane {
	enum machine_panel_id id;
	struct rect r;
};
/* The panes of the current page in a view of w x h. Returns how many. */
unsigned machine_layout(const struct machine_state *m, int w, int h, struct machine_pane out[MACHINE_PANES_MAX]);
unsigned machine_pages(int w, int h);
const char *machine_page_name(int w, int h, unsigned page);
/* The first page that shows the panel. */
unsigned machine_page_of(enum machine_panel_id id, int w, int h);

#endif
