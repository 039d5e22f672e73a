/*
 * The few library functions of core that are the same hosted and on bare metal: formatting without allocation, locale
 * or floating point, and the checkpoint hash.
 */
#include "core/lib.h"

/* Where formatted text goes. len counts what was wanted, also past the end of the buffer (as snprintf does). */
struct sink {
	char *buf;
	size_t size, len;
};

/* In a struct, so that it can be passed by address. */
struct args {
	va_list ap;
};

struct spec {
	bool left, zero, alt, plus;
	unsigned width;
	int precision; /* -1: none */
};

static void put(struct sink *s, char c)
{
	if (s->len + 1 < s->size)
		s->buf[s->len] = c;
	s->len++;
}

static void pad(struct sink *s, char c, size_t n)
{
	while (n-- > 0)
		put(s, c);
}

static void put_field(struct sink *s, const struct spec *f, const char *prefix, const char *text, size_t n)
{
	size_t prefix_len = strlen(prefix), total = prefix_len + n;
	size_t fill = f->width > total ? f->width - total : 0;
	bool zero = f->zero && !f->left;

	if (!f->left && !zero)
		pad(s, ' ', fill);
	for (size_t i = 0; i < prefix_len; i++)
		put(s, prefix[i]);
	if (zero)
		pad(s, '0', fill);
	for (size_t i = 0; i < n; i++)
		put(s, text[i]);
	if (f->left)
		pad(s, ' ', fill);
}

static void put_number(struct sink *s, struct spec f, uint64_t v, unsigned base, bool upper, const char *prefix)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[64];
	size_t at = sizeof(text);

	do {
		text[--at] = digits[v % base];
		v /= base;
	} while (v);
	while (f.precision > 0 && sizeof(text) - at < (size_t)f.precision && at > 0)
		text[--at] = '0';
	if (f.precision >= 0)
		f.zero = false;
	put_field(s, &f, prefix, text + at, sizeof(text) - at);
}

static unsigned parse_number(const char **p)
{
	unsigned n = 0;

	while (**p >= '0' && **p <= '9')
		n = n * 10 + (unsigned)(*(*p)++ - '0');
	return n;
}

static void parse_flags(const char **p, struct spec *f)
{
	for (;; (*p)++) {
		if (**p == '-')
			f->left = true;
		else if (**p == '0')
			f->zero = true;
		else if (**p == '#')
			f->alt = true;
		else if (**p == '+')
			f->plus = true;
		else
			return;
	}
}

/* Length modifiers as bytes of the argument; h and hh are promoted to int by the caller anyway. */
static unsigned parse_length(const char **p)
{
	unsigned size = sizeof(int);

	for (;; (*p)++) {
		if (**p == 'l')
			size = sizeof(long);
		else if (**p == 'z' || **p == 'j' || **p == 't')
			size = sizeof(size_t);
		else if (**p == 'h')
			size = size == sizeof(short) ? sizeof(char) : sizeof(short);
		else
			return size;
	}
}

static uint64_t arg_unsigned(struct args *a, unsigned size)
{
	if (size == sizeof(uint64_t))
		return va_arg(a->ap, uint64_t);
	unsigned v = va_arg(a->ap, unsigned);
	return size == 4 ? v : size == 2 ? (uint16_t)v : (uint8_t)v;
}

static int64_t arg_signed(struct args *a, unsigned size)
{
	if (size == sizeof(int64_t))
		return va_arg(a->ap, int64_t);
	int v = va_arg(a->ap, int);
	return size == 4 ? v : size == 2 ? (int16_t)v : (int8_t)v;
}

static void put_string(struct sink *s, const struct spec *f, const char *text)
{
	size_t n = 0;

	if (!text)
		text = "(null)";
	while ((f->precision < 0 || n < (size_t)f->precision) && text[n])
		n++;
	struct spec plain = *f;
	plain.zero = false;
	put_field(s, &plain, "", text, n);
}

static void put_signed(struct sink *s, const struct spec *f, int64_t v)
{
	uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	put_number(s, *f, magnitude, 10, false, v < 0 ? "-" : f->plus ? "+" : "");
}

static void put_conversion(struct sink *s, const struct spec *f, char conv, unsigned size, struct args *a)
{
	uint64_t v;
	char c;

	switch (conv) {
	case 'd':
	case 'i':
		put_signed(s, f, arg_signed(a, size));
		break;
	case 'u':
		put_number(s, *f, arg_unsigned(a, size), 10, false, "");
		break;
	case 'x':
	case 'X':
		v = arg_unsigned(a, size);
		put_number(s, *f, v, 16, conv == 'X', f->alt && v ? (conv == 'X' ? "0X" : "0x") : "");
		break;
	case 'p':
		put_number(s, *f, (uintptr_t)va_arg(a->ap, void *), 16, false, "0x");
		break;
	case 'c':
		c = (char)va_arg(a->ap, int);
		put_field(s, f, "", &c, 1);
		break;
	case 's':
		put_string(s, f, va_arg(a->ap, const char *));
		break;
	case '%':
		put(s, '%');
		break;
	default: /* not in the subset: show it, so that it is noticed */
		put(s, '%');
		put(s, conv);
	}
}

int fmt_vsnprintf(char *buf, size_t n, const char *fmt, va_list args)
{
	struct sink s = {buf, n, 0};
	struct args a;

	va_copy(a.ap, args);
	while (*fmt) {
		if (*fmt != '%') {
			put(&s, *fmt++);
			continue;
		}
		struct spec f = {.precision = -1};
		fmt++;
		parse_flags(&fmt, &f);
		if (*fmt == '*') {
			int w = va_arg(a.ap, int);
			f.left |= w < 0;
			f.width = (unsigned)(w < 0 ? -w : w);
			fmt++;
		} else {
			f.width = parse_number(&fmt);
		}
		if (*fmt == '.') {
			fmt++;
			if (*fmt == '*') {
				f.precision = va_arg(a.ap, int);
				fmt++;
			} else {
				f.precision = (int)parse_number(&fmt);
			}
		}
		unsigned size = parse_length(&fmt);
		if (!*fmt)
			break;
		put_conversion(&s, &f, *fmt++, size, &a);
	}
	va_end(a.ap);
	if (n > 0)
		buf[s.len < n ? s.len : n - 1] = '\0';
	return (int)s.len;
}

int fmt_snprintf(char *buf, size_t n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int len = fmt_vsnprintf(buf, n, fmt, ap);
	va_end(ap);
	return len;
}

uint64_t fnv64(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 0x100000001b3ull;
	return h;
}
