/*
 * Numbers as people read them. See screen.h.
 */
#include <math.h>
#include <stdio.h>

#include "tui/screen.h"

/* v with a unit, in three significant digits: "1.23us", "12.3us", "123us". */
static const char *three_digits(double v, double base, const char *const *units, char buf[16])
{
	/* What would be rounded to 1000 (or 1024) is one of the next unit. */
	while (units[1] && v >= base - 0.5) {
		v /= base;
		units++;
	}
	/* 9.995 would be printed as "10.00". */
	snprintf(buf, 16, "%.*f%s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, *units);
	return buf;
}

const char *fmt_count(uint64_t n, char buf[16])
{
	static const char *const units[] = {"", "k", "M", "G", "T", "P", "E", NULL};

	if (n < 10000) {
		snprintf(buf, 16, "%u", (unsigned)n);
		return buf;
	}
	return three_digits((double)n, 1000, units, buf);
}

const char *fmt_rate(double n, char buf[16])
{
	static const char *const units[] = {"", "k", "M", "G", "T", "P", "E", NULL};

	if (!isfinite(n) || n < 0) {
		snprintf(buf, 16, "-");
		return buf;
	}
	if (n == 0)
		return fmt_count(0, buf);
	return three_digits(n, 1000, units, buf);
}

const char *fmt_ns(uint64_t ns, char buf[16])
{
	static const char *const units[] = {"ns", "us", "ms", "s", NULL};

	if (ns < 1000) {
		snprintf(buf, 16, "%uns", (unsigned)ns);
	} else if (ns < 1000000000000ull) {
		return three_digits((double)ns, 1000, units, buf);
	} else {
		uint64_t min = ns / 60000000000ull;

		if (min < 1000)
			snprintf(buf, 16, "%um%02us", (unsigned)min, (unsigned)(ns / 1000000000 % 60));
		else if (min >= 60000)
			snprintf(buf, 16, "%ud", (unsigned)(min / 1440));
		else
			snprintf(buf, 16, "%uh%02um", (unsigned)(min / 60), (unsigned)(min % 60));
	}
	return buf;
}

const char *fmt_bytes(uint64_t n, char buf[16])
{
	static const char units[] = "\0KMGTPE";
	unsigned u = 0;
	double v = (double)n;

	while (v >= 1023.5 && u + 2 < sizeof(units)) {
		v /= 1024;
		u++;
	}
	/* Sizes are mostly whole: "64M", not "64.0M". */
	snprintf(buf, 16, "%.*f%.1s", v == floor(v) || v >= 99.95 ? 0 : v < 9.995 ? 2 : 1, v, units + u);
	return buf;
}
