/*
 * Console, command line, end, interrupt controller and timer for the bundled guests. Read start64.S first.
 */
#include "rt.h"

void rt_main(const uint32_t *info);
void *memset(void *dst, int c, size_t n);
void *memcpy(void *restrict dst, const void *restrict src, size_t n);

static const char *command_line = "";

void *memset(void *dst, int c, size_t n)
{
	for (uint8_t *p = dst; n; n--)
		*p++ = (uint8_t)c;
	return dst;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	const uint8_t *s = src;
	for (uint8_t *p = dst; n; n--)
		*p++ = *s++;
	return dst;
}

/* 115200 baud, 8N1, no interrupts. */
static void uart_init(void)
{
	out8(UART + 1, 0x00);
	out8(UART + 3, 0x80); /* divisor latch */
	out8(UART + 0, 0x01);
	out8(UART + 1, 0x00);
	out8(UART + 3, 0x03);
	out8(UART + 2, 0x07);
	out8(UART + 4, 0x03);
}

void put_char(char c)
{
	while (!(in8(UART + 5) & 0x20))
		; /* transmitter holding register still full */
	out8(UART, (uint8_t)c);
}

void put(const char *s)
{
	for (; *s; s++)
		put_char(*s);
}

void put_dec(uint32_t v)
{
	char buf[11];
	unsigned i = sizeof(buf);
	buf[--i] = 0;
	do
		buf[--i] = (char)('0' + v % 10);
	while (v /= 10);
	put(buf + i);
}

void put_hex(uint32_t v)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		put_char("0123456789abcdef"[v >> shift & 15]);
}

/* The text after "name=" of the command line, or NULL. */
static const char *arg_find(const char *name)
{
	for (const char *p = command_line; *p;) {
		const char *n = name;
		const char *q = p;
		while (*n && *q == *n)
			n++, q++;
		if (!*n && *q == '=')
			return q + 1;
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return NULL;
}

uint32_t arg(const char *name, uint32_t def)
{
	const char *p = arg_find(name);
	if (!p || *p < '0' || *p > '9')
		return def;
	uint32_t v = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (uint32_t)(*p - '0');
	return v;
}

bool arg_is(const char *name, const char *value)
{
	const char *p = arg_find(name);
	if (!p)
		return false;
	while (*value && *p == *value)
		p++, value++;
	return !*value && (!*p || *p == ' ');
}

void guest_exit(uint8_t code)
{
	/* Bochs has no debug-exit device: there, this word written to port 0x8900 switches the machine off, at once, so
	 * the UART's shift register has to be empty first. */
	if (arg_is("machine", "bochs")) {
		while (!(in8(UART + 5) & 0x40))
			;
		for (const char *p = "Shutdown"; *p; p++)
			out8(0x8900, (uint8_t)*p);
	}
	out8(DEBUG_EXIT, code);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void rt_main(const uint32_t *info)
{
	if (info[0] & 1u << 2) /* multiboot: the command line is valid */
		command_line = (const char *)(uintptr_t)info[4];
	uart_init();
	guest_main();
	guest_exit(0);
}

void pic_init(uint16_t open)
{
	static const uint8_t sequence[][3] = {
	    /* port of the master, value; port of the slave is 0x80 higher */
	    {0x20, 0x11, 0x11}, /* ICW1: edge, cascade, ICW4 follows */
	    {0x21, 0x20, 0x28}, /* ICW2: vectors */
	    {0x21, 0x04, 0x02}, /* ICW3: the slave is at IRQ 2 */
	    {0x21, 0x01, 0x01}, /* ICW4: 8086 mode */
	};
	for (unsigned i = 0; i < sizeof(sequence) / sizeof(sequence[0]); i++) {
		out8(sequence[i][0], sequence[i][1]);
		out8((uint16_t)(sequence[i][0] + 0x80), sequence[i][2]);
	}
	out8(0x21, (uint8_t)~open);
	out8(0xa1, (uint8_t)(~open >> 8));
}

void pic_eoi(void)
{
	out8(0x20, 0x20);
}

void pit_start(unsigned mode, uint16_t count)
{
	out8(0x43, (uint8_t)(0x30 | mode << 1)); /* channel 0, low byte then high byte, binary */
	out8(0x40, (uint8_t)count);
	out8(0x40, (uint8_t)(count >> 8));
}
