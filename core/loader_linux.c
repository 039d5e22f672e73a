/*
 * Linux bzImage: a real-mode setup part with a header, then the protected-mode kernel. The setup code's work (asking
 * the BIOS) is done here, and what it would have found is written into the "zero page". The kernel is entered in 64-bit
 * mode when it offers that, else in 32-bit mode. memtest86+ comes in the same format.
 */
#include "core/lib.h"
#include "core/loader_priv.h"

#define H_SETUP_SECTS 0x1f1u
#define H_SYSSIZE 0x1f4u
#define H_HEADER_END 0x201u /* this byte + 202 is where the header ends */
#define H_VERSION 0x206u
#define H_LOADER 0x210u
#define H_LOADFLAGS 0x211u
#define H_CODE32_START 0x214u
#define H_RAMDISK 0x218u
#define H_RAMDISK_SIZE 0x21cu
#define H_HEAP_END 0x224u
#define H_CMDLINE 0x228u
#define H_INITRD_MAX 0x22cu
#define H_XLOADFLAGS 0x236u
#define H_CMDLINE_SIZE 0x238u
#define H_PREF_ADDRESS 0x258u
#define H_INIT_SIZE 0x260u

#define LOADED_HIGH 0x01u
#define CAN_USE_HEAP 0x80u
#define XLF_KERNEL_64 0x01u
#define LOADER_UNDEFINED 0xffu

#define ZP_SCREEN_MODE 0x06u
#define ZP_E820_COUNT 0x1e8u
#define ZP_ALT_MEM_K 0x1e0u
#define ZP_E820 0x2d0u

struct kernel {
	unsigned version;
	uint64_t offset, size; /* of the protected-mode part in the file */
	uint64_t load;	       /* where it goes */
	uint64_t need_end;     /* memory that it uses while it unpacks itself */
	uint32_t initrd_max;
	bool entry64;
};

static enum err parse(const struct image *im, struct kernel *k, struct errmsg *why)
{
	if (!image_has(im, 0, 0x268))
		return err_set(why, ERR_FORMAT, "%s: truncated inside the Linux boot header", im->name);
	k->version = image_u16(im, H_VERSION);
	if (k->version < 0x0202)
		return err_set(why, ERR_UNSUPPORTED, "%s: Linux boot protocol %u.%02u; 2.02 is the oldest known here",
		    im->name, k->version >> 8, k->version & 0xff);
	if (!(im->p[H_LOADFLAGS] & LOADED_HIGH))
		return err_set(why, ERR_UNSUPPORTED, "%s: a zImage, loaded low; only bzImage is known here", im->name);
	unsigned sects = im->p[H_SETUP_SECTS] ? im->p[H_SETUP_SECTS] : 4;
	k->offset = (sects + 1ull) * 512;
	if (k->offset >= im->len)
		return err_set(why, ERR_FORMAT, "%s: truncated: the kernel starts at %#llx, the file has %zu bytes",
		    im->name, (unsigned long long)k->offset, im->len);
	k->size = im->len - k->offset;
	/* syssize counts paragraphs of 16 bytes, rounded up; it is 32 bits wide since 2.04 */
	uint64_t promised = 16ull * (k->version >= 0x0204 ? image_u32(im, H_SYSSIZE) : image_u16(im, H_SYSSIZE));
	if (k->size + 15 < promised)
		return err_set(why, ERR_FORMAT, "%s: truncated: %llu of %llu bytes of the kernel are missing", im->name,
		    (unsigned long long)(promised - k->size), (unsigned long long)promised);
	k->load = image_u32(im, H_CODE32_START);
	k->initrd_max = k->version >= 0x0203 ? image_u32(im, H_INITRD_MAX) : 0x37ffffff;
	k->entry64 = k->version >= 0x020c && image_u16(im, H_XLOADFLAGS) & XLF_KERNEL_64;
	k->need_end = k->load + k->size;
	if (k->version >= 0x020a) {
		uint64_t pref = image_get(im, H_PREF_ADDRESS, 8), init = image_u32(im, H_INIT_SIZE);
		uint64_t end = (pref > k->load ? pref : k->load) + init;
		if (pref < MEM_HIGH_BASE && end > k->need_end)
			k->need_end = end;
	}
	return ERR_OK;
}

static enum err place_initrd(
    struct vm *vm, const struct load_request *r, const struct kernel *k, uint64_t *where, struct errmsg *why)
{
	*where = 0;
	if (r->n_modules == 0)
		return ERR_OK;
	if (r->n_modules > 1)
		return err_set(
		    why, ERR_UNSUPPORTED, "%s: Linux takes one initrd, not %zu modules", r->name, r->n_modules);
	uint64_t len = r->modules[0].len, top = loader_low_end(vm);
	if (top > (uint64_t)k->initrd_max + 1)
		top = (uint64_t)k->initrd_max + 1;
	if (len > top || ((top - len) & ~(uint64_t)(PAGE_SIZE_4K - 1)) < k->need_end)
		return err_set(why, ERR_RANGE,
		    "the initrd of %llu bytes does not fit behind the kernel: give the guest more memory",
		    (unsigned long long)len);
	*where = (top - len) & ~(uint64_t)(PAGE_SIZE_4K - 1);
	return loader_put(vm, *where, r->modules[0].data, (size_t)len, "initrd", why);
}

static void fill_e820(const struct vm *vm, uint8_t *zp)
{
	struct map_entry map[MAP_MAX];
	size_t n = loader_map(vm, map);

	zp[ZP_E820_COUNT] = (uint8_t)n;
	for (size_t i = 0; i < n; i++) {
		put_le(zp + ZP_E820 + 20 * i, 8, map[i].base);
		put_le(zp + ZP_E820 + 20 * i + 8, 8, map[i].len);
		put_le(zp + ZP_E820 + 20 * i + 16, 4, map[i].type);
	}
}

/* What the setup code would have asked the BIOS for; text mode 3, 80 x 25, on a VGA. */
static void fill_screen(uint8_t *zp)
{
	zp[ZP_SCREEN_MODE] = 3;
	zp[0x07] = 80;
	zp[0x0e] = 25;
	zp[0x0f] = 1;
	put_le(zp + 0x10, 2, 16);
}

static enum err put_zero_page(struct vm *vm, const struct image *im, const struct load_request *r,
    const struct kernel *k, uint64_t initrd, struct errmsg *why)
{
	uint8_t zp[PAGE_SIZE_4K];
	uint64_t header_end = 0x202u + im->p[H_HEADER_END], kib = (loader_low_end(vm) - MIB) >> 10;

	memset(zp, 0, sizeof(zp));
	if (header_end > ZP_E820 || !image_has(im, 0, header_end))
		return err_set(why, ERR_FORMAT, "%s: the Linux boot header is %llu bytes long, which cannot be",
		    im->name, (unsigned long long)(header_end - H_SETUP_SECTS));
	memcpy(zp + H_SETUP_SECTS, im->p + H_SETUP_SECTS, (size_t)header_end - H_SETUP_SECTS);
	fill_screen(zp);
	fill_e820(vm, zp);
	put_le(zp + 0x02, 2, kib > 0xffff ? 0xffff : kib);
	put_le(zp + ZP_ALT_MEM_K, 4, kib);
	zp[H_LOADER] = LOADER_UNDEFINED;
	zp[H_LOADFLAGS] |= CAN_USE_HEAP;
	put_le(zp + H_HEAP_END, 2, 0xfe00);
	put_le(zp + H_CODE32_START, 4, k->load);
	put_le(zp + H_CMDLINE, 4, BOOT_CMDLINE);
	if (initrd) {
		put_le(zp + H_RAMDISK, 4, initrd);
		put_le(zp + H_RAMDISK_SIZE, 4, r->modules[0].len);
	}
	return loader_put(vm, BOOT_INFO, zp, sizeof(zp), "zero page", why);
}

static enum err check_cmdline(
    const struct image *im, const struct load_request *r, unsigned version, struct errmsg *why)
{
	size_t n = r->cmdline ? strlen(r->cmdline) : 0, max = version >= 0x0206 ? image_u32(im, H_CMDLINE_SIZE) : 255;

	if (n > max)
		return err_set(
		    why, ERR_RANGE, "%s: the command line has %zu bytes; this kernel takes %zu", im->name, n, max);
	return ERR_OK;
}

enum err load_linux(struct vm *vm, const struct image *im, const struct load_request *r, struct errmsg *why)
{
	struct x86_state *s = NULL;
	uint64_t initrd = 0;
	struct kernel k = {0};
	enum err e = parse(im, &k, why);

	if (e == ERR_OK)
		e = check_cmdline(im, r, k.version, why);
	if (e == ERR_OK && !loader_is_free(vm, k.load, k.need_end - k.load))
		e = err_set(why, ERR_RANGE, "%s: the kernel needs memory from %#llx to %#llx; give the guest more",
		    im->name, (unsigned long long)k.load, (unsigned long long)k.need_end);
	if (e == ERR_OK)
		e = place_initrd(vm, r, &k, &initrd, why);
	if (e == ERR_OK)
		e = loader_put(vm, k.load, im->p + k.offset, (size_t)k.size, im->name, why);
	if (e == ERR_OK)
		e = loader_cmdline(vm, NULL, r->cmdline, why);
	if (e == ERR_OK)
		e = put_zero_page(vm, im, r, &k, initrd, why);
	if (e == ERR_OK)
		e = k.entry64 ? loader_enter64(vm, k.load + 0x200, &s, why) : loader_enter32(vm, k.load, &s, why);
	if (e == ERR_OK)
		s->gpr[X86_RSI] = BOOT_INFO;
	return e;
}
