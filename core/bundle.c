/*
 * Bundles: nothing in them is believed before it was checked, because they may come over a noisy line. Read first:
 * bundle.h.
 */
#include "core/bundle.h"

#include "core/cost.h"
#include "core/lib.h"
#include "core/wire.h"

#define CRC_FROM (offsetof(struct bundle, crc) + sizeof(uint32_t))

const char *bundle_fault_name(enum bundle_fault f)
{
	static const char *const names[FAULT_COUNT] = {"none", "ept", "msr", "cr8", "root", "own", "idt"};

	return (unsigned)f < FAULT_COUNT ? names[f] : "unknown";
}

static bool inside(const struct bundle *b, const struct bundle_part *p)
{
	return p->len == 0 || (p->off >= sizeof(*b) && p->off <= b->len && p->len <= b->len - p->off);
}

static bool is_text(const struct bundle *b, const struct bundle_part *p)
{
	return inside(b, p) && (p->len == 0 || ((const char *)b)[p->off + p->len - 1] == '\0');
}

static bool terminated(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!s[i])
			return true;
	return false;
}

static enum err check_vm(const struct bundle *b, const struct bundle_vm *v, unsigned i, struct errmsg *why)
{
	const struct bundle_part *const plain[] = {&v->image, &v->firmware, &v->keys, &v->cost};

	if (!terminated(v->name, sizeof(v->name)) || !terminated(v->controls, sizeof(v->controls)) ||
	    !terminated(v->image_name, sizeof(v->image_name)))
		return err_set(why, ERR_FORMAT, "bundle: guest %u: a name without an end", i);
	for (size_t k = 0; k < ARRAY_LEN(plain); k++)
		if (!inside(b, plain[k]))
			return err_set(why, ERR_FORMAT, "bundle: guest %u: a part lies outside the bundle", i);
	if (v->cost.len && (v->cost.len != sizeof(struct cost_model) || v->cost.off % _Alignof(struct cost_model)))
		return err_set(why, ERR_FORMAT, "bundle: guest %u: the cost model has another format", i);
	if (!is_text(b, &v->cmdline))
		return err_set(why, ERR_FORMAT, "bundle: guest %u: the command line is not a text in the bundle", i);
	if (v->n_modules > BUNDLE_MODULES_MAX)
		return err_set(
		    why, ERR_RANGE, "bundle: guest %u: %u modules; at most %u", i, v->n_modules, BUNDLE_MODULES_MAX);
	for (unsigned k = 0; k < v->n_modules; k++)
		if (!inside(b, &v->modules[k]) || !is_text(b, &v->module_args[k]))
			return err_set(why, ERR_FORMAT, "bundle: guest %u: module %u lies outside the bundle", i, k);
	if (v->image.len == 0 && v->firmware.len == 0)
		return err_set(why, ERR_FORMAT, "bundle: guest %u: neither an image nor a firmware", i);
	if (v->fault >= FAULT_COUNT)
		return err_set(why, ERR_RANGE, "bundle: guest %u: fault %u is not known", i, v->fault);
	return ERR_OK;
}

enum err bundle_check(const void *p, uint64_t len, struct errmsg *why)
{
	const struct bundle *b = p;

	if (len < sizeof(*b))
		return err_set(
		    why, ERR_FORMAT, "bundle: %llu bytes are less than its head has", (unsigned long long)len);
	if ((uintptr_t)p % _Alignof(struct bundle))
		return err_set(why, ERR_INVAL, "bundle: it is not at a multiple of %zu bytes", _Alignof(struct bundle));
	if (memcmp(b->magic, BUNDLE_MAGIC, sizeof(b->magic)) != 0)
		return err_set(why, ERR_FORMAT, "bundle: it does not begin with " BUNDLE_MAGIC);
	if (b->version != BUNDLE_VERSION)
		return err_set(
		    why, ERR_FORMAT, "bundle: version %u; this VMM reads version %u", b->version, BUNDLE_VERSION);
	if (b->len < sizeof(*b) || b->len > len)
		return err_set(why, ERR_FORMAT, "bundle: it says %llu bytes, and %llu are here",
		    (unsigned long long)b->len, (unsigned long long)len);
	uint32_t crc = wire_crc32(0, (const uint8_t *)p + CRC_FROM, (size_t)(b->len - CRC_FROM));
	if (crc != b->crc)
		return err_set(why, ERR_FORMAT, "bundle: damaged (CRC-32 %08x instead of %08x)", crc, b->crc);
	if (b->n_vms < 1 || b->n_vms > BUNDLE_VMS_MAX)
		return err_set(why, ERR_RANGE, "bundle: %u guests; 1 to %u", b->n_vms, BUNDLE_VMS_MAX);
	for (unsigned i = 0; i < b->n_vms; i++) {
		enum err e = check_vm(b, &b->vms[i], i, why);

		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

const void *bundle_part(const struct bundle *b, const struct bundle_part *p)
{
	return p->len ? (const uint8_t *)b + p->off : NULL;
}
