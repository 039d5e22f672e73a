/*
 * Errors as sentences. errors.def is the one list; this file only makes it readable.
 */
#include "core/err.h"

#include "core/lib.h"

const char *err_sentence(enum err e)
{
	static const char *const sentences[ERR_COUNT] = {
#define ERR(name, sentence) [ERR_##name] = (sentence),
#include "core/errors.def"
#undef ERR
	};
	return (unsigned)e < ERR_COUNT ? sentences[e] : "an unknown error";
}

enum err err_set(struct errmsg *why, enum err e, const char *fmt, ...)
{
	va_list ap;

	if (!why)
		return e;
	va_start(ap, fmt);
	fmt_vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return e;
}
