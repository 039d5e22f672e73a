/*
 * The i8042 keyboard controller at ports 60 and 64, IRQ 1, with a PC/AT keyboard behind it; and port 92.
 *
 *   typed text --> backlog --> keyboard (16 bytes) --> [translation to set 1] --> output buffer (port 60) --> IRQ 1
 *
 * The controller does more than keys: its output port drives the reset line (command fe, or port 92 bit 0). It also
 * drove the A20 gate; here address line 20 is always enabled, whatever is written, and reads back as enabled.
 * There is no mouse port: its disable bit reads as set, its test fails, and a byte for it comes back as a time-out.
 * The keyboard knows scan code sets 1 and 2; typed text needs no typematic repeat.
 */
#include "core/dev/dev.h"

#define KBD_IRQ 1u
#define QUEUE_SIZE 16u /* powers of two */
#define BACKLOG_SIZE 512u

enum { REGION_DATA, REGION_COMMAND, REGION_PORT92 };

#define CMD_IRQ1 0x01u
#define CMD_SYSTEM 0x04u
#define CMD_KBD_OFF 0x10u
#define CMD_AUX_OFF 0x20u
#define CMD_TRANSLATE 0x40u
#define STATUS_FULL 0x01u
#define STATUS_COMMAND 0x08u
#define STATUS_UNLOCKED 0x10u
#define STATUS_AUX 0x20u
#define STATUS_TIMEOUT 0x40u
#define OUT_PORT_RESET 0x01u
#define OUT_PORT_A20 0x02u
#define P92_RESET 0x01u
#define P92_A20 0x02u
#define KBD_ACK 0xfau
#define KBD_RESEND 0xfeu
#define BREAK_PREFIX 0xf0u
#define KEY_SHIFT 0x12u
#define KEY_CTRL 0x14u
#define AUX_STUCK 0x04u /* interface test: the data line never goes low */

struct i8042_state {
	uint8_t ram[32]; /* byte 0 is the command byte */
	uint8_t out;	 /* output buffer */
	uint8_t status;	 /* full, command, aux, time-out */
	uint8_t expect;	 /* controller command that waits for a byte at port 60, or 0 */
	uint8_t port92;
	uint8_t broke;	    /* translation: the byte before was f0 */
	uint8_t kbd_expect; /* keyboard command that waits for its argument, or 0 */
	uint8_t scanning;
	uint8_t set; /* 1 or 2 */
	uint8_t leds, typematic;
	uint8_t last; /* last byte sent, for resend */
	uint8_t pad;
	uint32_t q_in, q_out;
	uint8_t queue[QUEUE_SIZE];
	uint32_t backlog_in, backlog_out;
	uint8_t backlog[BACKLOG_SIZE]; /* ASCII */
};

/* Set 2 to set 1, as the controller translates. */
static const uint8_t translate[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, /* 00 */
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, /* 10 */
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, /* 20 */
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, /* 30 */
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, /* 40 */
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, /* 50 */
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, /* 60 */
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, /* 70 */
};

/* Set 2 make codes of the characters 20..7e on a US keyboard; | SHIFTED with shift. */
#define SHIFTED 0x80u
static const uint8_t keys[95] = {
    0x29, 0x96, 0xd2, 0xa6, 0xa5, 0xae, 0xbd, 0x52, 0xc6, 0xc5, 0xbe, 0xd5, 0x41, 0x4e, 0x49,
    0x4a, /*  !"#$%&'()*+,-./ */
    0x45, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0xcc, 0x4c, 0xc1, 0x55, 0xc9, 0xca, /* 0-9 :;<=>? */
    0x9e, 0x9c, 0xb2, 0xa1, 0xa3, 0xa4, 0xab, 0xb4, 0xb3, 0xc3, 0xbb, 0xc2, 0xcb, 0xba, 0xb1, 0xc4, /* @A-O */
    0xcd, 0x95, 0xad, 0x9b, 0xac, 0xbc, 0xaa, 0x9d, 0xa2, 0xb5, 0x9a, 0x54, 0x5d, 0x5b, 0xb6, 0xce, /* P-Z [\]^_ */
    0x0e, 0x1c, 0x32, 0x21, 0x23, 0x24, 0x2b, 0x34, 0x33, 0x43, 0x3b, 0x42, 0x4b, 0x3a, 0x31, 0x44, /* `a-o */
    0x4d, 0x15, 0x2d, 0x1b, 0x2c, 0x3c, 0x2a, 0x1d, 0x22, 0x35, 0x1a, 0xd4, 0xdd, 0xdb, 0x8e,	    /* p-z {|}~ */
};

static uint8_t translated(uint8_t code)
{
	if (code < 0x80)
		return translate[code];
	return code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}

static void queue_byte(struct i8042_state *s, uint8_t v)
{
	if (s->q_in - s->q_out < QUEUE_SIZE)
		s->queue[s->q_in++ % QUEUE_SIZE] = v;
}

static void queue_key(struct i8042_state *s, uint8_t code, bool release)
{
	if (s->set == 1) {
		queue_byte(s, translated(code) | (release ? 0x80u : 0));
		return;
	}
	if (release)
		queue_byte(s, BREAK_PREFIX);
	queue_byte(s, code);
}

/* The key of an ASCII character, and the one to hold with it (0: none); 0: not on the keyboard. */
static uint8_t key_of(uint8_t c, uint8_t *hold)
{
	uint8_t key;

	*hold = 0;
	switch (c) {
	case '\b':
	case 0x7f:
		return 0x66;
	case '\t':
		return 0x0d;
	case '\n':
	case '\r':
		return 0x5a;
	case 0x1b:
		return 0x76;
	default:
		break;
	}
	if (c >= 1 && c <= 26) {
		*hold = KEY_CTRL;
		return keys['a' - ' ' + c - 1];
	}
	if (c < ' ' || c > '~')
		return 0;
	key = keys[c - ' '];
	if (key & SHIFTED)
		*hold = KEY_SHIFT;
	return key & 0x7fu;
}

/* Somebody presses and releases the next key of the backlog, once the keyboard has sent everything before it. */
static void press_next(struct i8042_state *s)
{
	uint8_t hold, key;

	if (s->q_in != s->q_out || !s->scanning || s->kbd_expect || s->backlog_in == s->backlog_out)
		return;
	key = key_of(s->backlog[s->backlog_out++ % BACKLOG_SIZE], &hold);
	if (!key)
		return;
	if (hold)
		queue_key(s, hold, false);
	queue_key(s, key, false);
	queue_key(s, key, true);
	if (hold)
		queue_key(s, hold, true);
}

static void put_out(struct i8042_state *s, uint8_t v, uint8_t status)
{
	s->out = v;
	s->status = (uint8_t)((s->status & STATUS_COMMAND) | STATUS_FULL | status);
}

/* Moves the keyboard's next byte into the output buffer when that is free; then the interrupt line. */
static void update(struct device *d)
{
	struct i8042_state *s = d->state;

	while (!(s->status & STATUS_FULL) && !(s->ram[0] & CMD_KBD_OFF)) {
		uint8_t v;

		while (s->q_in == s->q_out && s->scanning && !s->kbd_expect && s->backlog_in != s->backlog_out)
			press_next(s);
		if (s->q_in == s->q_out)
			break;
		s->last = v = s->queue[s->q_out++ % QUEUE_SIZE];
		if (!(s->ram[0] & CMD_TRANSLATE)) {
			put_out(s, v, 0);
		} else if (v == BREAK_PREFIX) {
			s->broke = 1; /* f0 is swallowed: it becomes bit 7 of the next code */
		} else {
			put_out(s, translated(v) | (s->broke ? 0x80u : 0), 0);
			s->broke = 0;
		}
	}
	irq_set_line(d->vm, KBD_IRQ, (s->status & STATUS_FULL) && !(s->status & STATUS_AUX) && (s->ram[0] & CMD_IRQ1));
}

bool i8042_type(struct device *d, uint8_t byte)
{
	struct i8042_state *s = d->state;

	if (s->backlog_in - s->backlog_out >= BACKLOG_SIZE)
		return false;
	s->backlog[s->backlog_in++ % BACKLOG_SIZE] = byte;
	update(d);
	return true;
}

static void kbd_defaults(struct i8042_state *s)
{
	s->set = 2;
	s->leds = 0;
	s->typematic = 0x2b; /* 10.9 a second after half a second */
}

static void kbd_argument(struct i8042_state *s, uint8_t v)
{
	uint8_t command = s->kbd_expect;

	s->kbd_expect = 0;
	if (command == 0xed)
		s->leds = v & 7u;
	else if (command == 0xf3)
		s->typematic = v & 0x7fu;
	else if (v > 2) { /* scan code set 3 is not offered */
		queue_byte(s, KBD_RESEND);
		return;
	} else if (v)
		s->set = v;
	queue_byte(s, KBD_ACK);
	if (command == 0xf0 && v == 0)
		queue_byte(s, s->set);
}

static void kbd_command(struct i8042_state *s, uint8_t v)
{
	if (v == KBD_RESEND) {
		queue_byte(s, s->last);
		return;
	}
	s->q_out = s->q_in; /* a command empties the keyboard's buffer */
	s->broke = 0;
	if (s->kbd_expect && v < 0xed) {
		kbd_argument(s, v);
		return;
	}
	s->kbd_expect = 0;
	switch (v) {
	case 0xed: /* LEDs */
	case 0xf0: /* scan code set */
	case 0xf3: /* typematic rate */
		s->kbd_expect = v;
		queue_byte(s, KBD_ACK);
		break;
	case 0xee: /* echo */
		queue_byte(s, 0xee);
		break;
	case 0xf2: /* identify */
		queue_byte(s, KBD_ACK);
		queue_byte(s, 0xab);
		queue_byte(s, 0x83);
		break;
	case 0xf4:
	case 0xf5:
	case 0xf6:
		if (v != 0xf4)
			kbd_defaults(s);
		s->scanning = v == 0xf4 || (v == 0xf6 && s->scanning);
		queue_byte(s, KBD_ACK);
		break;
	case 0xff: /* reset, and the result of its self test */
		kbd_defaults(s);
		s->scanning = 1;
		queue_byte(s, KBD_ACK);
		queue_byte(s, 0xaa);
		break;
	default:
		queue_byte(s, KBD_RESEND);
		break;
	}
}

static uint8_t output_port(const struct i8042_state *s)
{
	return (uint8_t)(0xc0u | OUT_PORT_RESET | OUT_PORT_A20 | (s->status & STATUS_FULL ? 0x10u : 0));
}

static void controller_command(struct device *d, uint8_t v)
{
	struct i8042_state *s = d->state;

	s->expect = 0;
	s->status |= STATUS_COMMAND;
	if (v >= 0x20 && v < 0x40) {
		put_out(s, s->ram[v & 0x1fu], 0);
		return;
	}
	if (v >= 0x60 && v < 0x80) {
		s->expect = v;
		return;
	}
	if (v >= 0xf0) { /* pulse the output port's low bits: bit 0 is the reset line */
		if (!(v & OUT_PORT_RESET))
			dev_request_reset(d->vm);
		return;
	}
	switch (v) {
	case 0xa9: /* test the mouse port */
		put_out(s, AUX_STUCK, 0);
		break;
	case 0xaa: /* self test */
		s->ram[0] |= CMD_SYSTEM;
		put_out(s, 0x55, 0);
		break;
	case 0xab: /* test the keyboard port */
		put_out(s, 0, 0);
		break;
	case 0xad:
		s->ram[0] |= CMD_KBD_OFF;
		break;
	case 0xae:
		s->ram[0] &= (uint8_t)~CMD_KBD_OFF;
		break;
	case 0xc0: /* input port: keyboard not locked */
		put_out(s, 0x80, 0);
		break;
	case 0xd0:
		put_out(s, output_port(s), 0);
		break;
	case 0xd1: /* output port */
	case 0xd2: /* as from the keyboard */
	case 0xd3: /* as from the mouse */
	case 0xd4: /* to the mouse */
		s->expect = v;
		break;
	case 0xe0: /* test inputs: clock and data of the keyboard are high */
		put_out(s, 0x03, 0);
		break;
	default: /* a7, a8: the mouse port stays disabled; dd, df: A20 stays enabled; the rest is unknown */
		break;
	}
}

static void controller_argument(struct device *d, uint8_t v)
{
	struct i8042_state *s = d->state;
	uint8_t command = s->expect;

	s->expect = 0;
	switch (command) {
	case 0xd1:
		if (!(v & OUT_PORT_RESET))
			dev_request_reset(d->vm);
		break;
	case 0xd2:
		put_out(s, v, 0);
		break;
	case 0xd3: /* nothing to loop back through */
		break;
	case 0xd4:
		put_out(s, KBD_RESEND, STATUS_AUX | STATUS_TIMEOUT);
		break;
	default:
		s->ram[command & 0x1fu] = command == 0x60 ? v | CMD_AUX_OFF : v;
		break;
	}
}

static uint64_t i8042_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct i8042_state *s = d->state;
	uint8_t v;

	(void)off, (void)len;
	if (region == REGION_PORT92)
		return s->port92 | P92_A20;
	if (region == REGION_COMMAND)
		return s->status | (s->ram[0] & CMD_SYSTEM) | STATUS_UNLOCKED;
	v = s->out; /* an empty buffer still gives its last byte */
	if (s->status & STATUS_FULL) {
		s->status &= STATUS_COMMAND;
		irq_set_line(d->vm, KBD_IRQ, false); /* so that the next byte is an edge */
	}
	update(d);
	return v;
}

static void i8042_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct i8042_state *s = d->state;
	uint8_t v = (uint8_t)value;

	(void)off, (void)len;
	if (region == REGION_PORT92) {
		if ((v & P92_RESET) && !(s->port92 & P92_RESET))
			dev_request_reset(d->vm);
		s->port92 = v & (uint8_t)~P92_A20;
		return;
	}
	if (region == REGION_COMMAND) {
		controller_command(d, v);
	} else {
		s->status &= (uint8_t)~STATUS_COMMAND;
		if (s->expect) {
			controller_argument(d, v);
		} else {
			s->ram[0] &= (uint8_t)~CMD_KBD_OFF; /* sending to the keyboard enables its port */
			kbd_command(s, v);
		}
	}
	update(d);
}

static enum err i8042_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

/* What was typed stays typed. */
static void i8042_reset(struct device *d)
{
	struct i8042_state *s = d->state;

	memset(s, 0, offsetof(struct i8042_state, backlog_in));
	s->ram[0] = CMD_AUX_OFF | CMD_KBD_OFF; /* until firmware or a driver enables it */
	s->scanning = 1;
	kbd_defaults(s);
	update(d);
}

const struct device_ops i8042_ops = {
    .name = "i8042",
    .state_version = 1,
    .state_size = sizeof(struct i8042_state),
    .init = i8042_init,
    .reset = i8042_reset,
    .read = i8042_read,
    .write = i8042_write,
    .max_access = 1,
};
