/*
 * A VGA as far as text mode 80x25 needs it: 32 KiB of text memory at B8000 (character and attribute by turns) and the
 * registers around it, which hold what is written.
 *
 * It comes up as a video BIOS would have left it: mode 3, screen blank. What counts afterwards: the start address, the
 * row offset and the cursor of the CRT controller, and the graphics bits that say that this is no text mode any more.
 * Not offered: graphics modes, planes and fonts, the window at A0000..B7FFF, and the monochrome ports 3b4 and 3b5.
 * Input status 1 (3da) follows guest time: 70 frames a second of 449 lines, 400 of them visible.
 */
#include "core/dev/dev.h"

#define TEXT_SIZE 0x8000u
#define COLUMNS 80u
#define ROWS 25u
#define N_ATTR 21u
#define N_SEQ 5u
#define N_GFX 9u
#define N_CRTC 25u

#define LINE_NS 31778u
#define LINE_VISIBLE_NS 25422u
#define FRAME_LINES 449u
#define VISIBLE_LINES 400u
#define RETRACE_FIRST 412u
#define RETRACE_LINES 2u

enum { REGION_REGS, REGION_CRTC, REGION_STATUS };

struct vga_state {
	uint8_t misc, feature, enable;
	uint8_t attr_index, attr_data; /* attr_data: the next write to 3c0 is data */
	uint8_t seq_index, gfx_index, crtc_index;
	uint8_t dac_mask, dac_read, dac_write, dac_part, dac_state;
	uint8_t attr[N_ATTR], seq[N_SEQ], gfx[N_GFX], crtc[N_CRTC];
	uint8_t pad[7];
	uint8_t dac[768];
	uint8_t text[TEXT_SIZE];
};

/* The registers of mode 3, 720x400 */
static const uint8_t mode3_seq[N_SEQ] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t mode3_gfx[N_GFX] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
static const uint8_t mode3_attr[N_ATTR] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c,
    0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
static const uint8_t mode3_crtc[N_CRTC] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
    0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};

#define CRTC_START_HIGH 0x0cu
#define CRTC_PROTECT 0x11u /* bit 7 protects registers 0..7 */
#define CRTC_OFFSET 0x13u
#define CRTC_OVERFLOW 0x07u
#define GFX_MISC 6u
#define ATTR_MODE 0x10u

/* Input status 1: bit 0 not displaying now, bit 3 vertical retrace. */
static uint8_t input_status(const struct device *d)
{
	uint64_t ns = clock_now_ns(&d->vm->clock), line = ns / LINE_NS % FRAME_LINES;
	bool blank = line >= VISIBLE_LINES || ns % LINE_NS >= LINE_VISIBLE_NS;

	return (uint8_t)((blank ? 1u : 0) | (line - RETRACE_FIRST < RETRACE_LINES ? 8u : 0));
}

static uint8_t dac_read(struct vga_state *s)
{
	uint8_t v = s->dac[s->dac_read * 3u + s->dac_part];

	s->dac_part = (uint8_t)((s->dac_part + 1) % 3);
	s->dac_read = (uint8_t)(s->dac_read + (s->dac_part == 0));
	return v;
}

static void dac_write(struct vga_state *s, uint8_t v)
{
	s->dac[s->dac_write * 3u + s->dac_part] = v & 0x3fu;
	s->dac_part = (uint8_t)((s->dac_part + 1) % 3);
	s->dac_write = (uint8_t)(s->dac_write + (s->dac_part == 0));
}

static uint8_t indexed(const uint8_t *regs, unsigned n, unsigned index)
{
	return index < n ? regs[index] : 0;
}

static uint8_t read_reg(struct vga_state *s, uint32_t off)
{
	switch (off) {
	case 0x0:
		return s->attr_index;
	case 0x1:
		return indexed(s->attr, N_ATTR, s->attr_index & 0x1fu);
	case 0x2:
		return 0x10; /* input status 0: a monitor is attached */
	case 0x3:
		return s->enable;
	case 0x4:
		return s->seq_index;
	case 0x5:
		return indexed(s->seq, N_SEQ, s->seq_index);
	case 0x6:
		return s->dac_mask;
	case 0x7:
		return s->dac_state;
	case 0x8:
		return s->dac_write;
	case 0x9:
		return dac_read(s);
	case 0xa:
		return s->feature;
	case 0xc:
		return s->misc;
	case 0xe:
		return s->gfx_index;
	case 0xf:
		return indexed(s->gfx, N_GFX, s->gfx_index);
	default:
		return 0xff;
	}
}

static void write_attr(struct vga_state *s, uint8_t v)
{
	if (!s->attr_data)
		s->attr_index = v & 0x3fu;
	else if ((s->attr_index & 0x1fu) < N_ATTR)
		s->attr[s->attr_index & 0x1fu] = v;
	s->attr_data = !s->attr_data;
}

static void write_reg(struct vga_state *s, uint32_t off, uint8_t v)
{
	switch (off) {
	case 0x0:
		write_attr(s, v);
		break;
	case 0x2:
		s->misc = v;
		break;
	case 0x3:
		s->enable = v;
		break;
	case 0x4:
		s->seq_index = v & 7u;
		break;
	case 0x5:
		if (s->seq_index < N_SEQ)
			s->seq[s->seq_index] = v;
		break;
	case 0x6:
		s->dac_mask = v;
		break;
	case 0x7:
		s->dac_read = v;
		s->dac_part = 0;
		s->dac_state = 3;
		break;
	case 0x8:
		s->dac_write = v;
		s->dac_part = 0;
		s->dac_state = 0;
		break;
	case 0x9:
		dac_write(s, v);
		break;
	case 0xe:
		s->gfx_index = v & 15u;
		break;
	case 0xf:
		if (s->gfx_index < N_GFX)
			s->gfx[s->gfx_index] = v;
		break;
	default: /* read-only or not there */
		break;
	}
}

static void write_crtc(struct vga_state *s, uint8_t v)
{
	unsigned i = s->crtc_index;

	if (i >= N_CRTC)
		return;
	if (i <= 7 && (s->crtc[CRTC_PROTECT] & 0x80u)) {
		if (i == CRTC_OVERFLOW) /* one bit of it, the line compare, stays writable */
			s->crtc[i] = (uint8_t)((s->crtc[i] & ~0x10u) | (v & 0x10u));
		return;
	}
	s->crtc[i] = v;
}

static uint64_t text_read(const struct vga_state *s, uint32_t off, unsigned len)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < len; i++)
		v |= (uint64_t)s->text[off + i] << (8 * i);
	return v;
}

static uint64_t vga_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct vga_state *s = d->state;

	if (region == DEV_REGION_MMIO)
		return text_read(s, off, len);
	if (len == 2) /* index and data in one access */
		return vga_read(d, region, off, 1) | vga_read(d, region, off + 1, 1) << 8;
	if (len > 2)
		return vga_read(d, region, off, 2) | vga_read(d, region, off + 2, 2) << 16;
	if (region == REGION_REGS)
		return read_reg(s, off);
	if (region == REGION_CRTC)
		return off == 0 ? s->crtc_index : indexed(s->crtc, N_CRTC, s->crtc_index);
	s->attr_data = 0; /* reading the status makes the next write to 3c0 an index */
	return input_status(d);
}

static void vga_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct vga_state *s = d->state;

	if (region == DEV_REGION_MMIO) {
		for (unsigned i = 0; i < len; i++)
			s->text[off + i] = (uint8_t)(value >> (8 * i));
		return;
	}
	if (len > 1) {
		for (unsigned i = 0; i < len; i++)
			vga_write(d, region, off + i, 1, value >> (8 * i));
		return;
	}
	if (region == REGION_REGS)
		write_reg(s, off, (uint8_t)value);
	else if (region == REGION_CRTC && off == 0)
		s->crtc_index = value & 0x1fu;
	else if (region == REGION_CRTC)
		write_crtc(s, (uint8_t)value);
	else
		s->feature = (uint8_t)value;
}

bool vga_screen(const struct device *d, char lines[25][81])
{
	const struct vga_state *s = d->state;
	unsigned start = (unsigned)(s->crtc[CRTC_START_HIGH] << 8 | s->crtc[CRTC_START_HIGH + 1]) * 2;
	unsigned pitch = s->crtc[CRTC_OFFSET] * 4u;

	if ((s->gfx[GFX_MISC] & 1u) || (s->attr[ATTR_MODE] & 1u))
		return false;
	for (unsigned y = 0; y < ROWS; y++) {
		for (unsigned x = 0; x < COLUMNS; x++) {
			uint8_t c = s->text[(start + y * pitch + x * 2) % TEXT_SIZE];

			lines[y][x] = c == 0 ? ' ' : c >= ' ' && c <= '~' ? (char)c : '.';
		}
		lines[y][COLUMNS] = '\0';
	}
	return true;
}

static enum err vga_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

/* The 64 colours of the EGA: two bits a component, 2/3 and 1/3 of full intensity. */
static void default_palette(struct vga_state *s)
{
	for (unsigned i = 0; i < 64; i++)
		for (unsigned c = 0; c < 3; c++)
			s->dac[i * 3 + c] = (uint8_t)((i >> (2 - c) & 1u) * 0x2a + (i >> (5 - c) & 1u) * 0x15);
}

static void vga_reset(struct device *d)
{
	struct vga_state *s = d->state;

	memset(s, 0, sizeof(*s));
	s->misc = 0x67;
	s->enable = 1;
	s->dac_mask = 0xff;
	s->attr_index = 0x20; /* palette in use */
	memcpy(s->seq, mode3_seq, sizeof(s->seq));
	memcpy(s->gfx, mode3_gfx, sizeof(s->gfx));
	memcpy(s->attr, mode3_attr, sizeof(s->attr));
	memcpy(s->crtc, mode3_crtc, sizeof(s->crtc));
	default_palette(s);
	for (unsigned i = 0; i < TEXT_SIZE; i += 2) {
		s->text[i] = ' ';
		s->text[i + 1] = 0x07;
	}
}

const struct device_ops vga_ops = {
    .name = "vga",
    .state_version = 1,
    .state_size = sizeof(struct vga_state),
    .init = vga_init,
    .reset = vga_reset,
    .read = vga_read,
    .write = vga_write,
    .max_access = 8,
};
