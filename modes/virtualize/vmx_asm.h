/*
 * The instructions of VMX, one function each. All but VMXON need VMX root operation; VMREAD and VMWRITE work on the
 * current VMCS, which VMPTRLD made so [SDM 3C "VMX Instruction Reference"].
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_VMX_ASM_H
#define VMSCOPE_MODES_VIRTUALIZE_VMX_ASM_H

#include "core/metal/cpu.h"

/* CF or ZF after a VMX instruction: it failed. */
static inline bool vmx_on(uint64_t region)
{
	bool failed;

	__asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region) : "memory");
	return !failed;
}

static inline void vmx_off(void)
{
	__asm__ volatile("vmxoff" ::: "cc", "memory");
}

static inline bool vmx_clear(uint64_t vmcs)
{
	bool failed;

	__asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vmcs) : "memory");
	return !failed;
}

static inline bool vmx_ptrld(uint64_t vmcs)
{
	bool failed;

	__asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(vmcs) : "memory");
	return !failed;
}

/* Reading a field that exists, of a current VMCS, cannot fail: no check, this is the hot path. */
static inline uint64_t vmread(uint64_t field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
	return value;
}

static inline uint32_t vmread32(uint64_t field)
{
	return (uint32_t)vmread(field);
}

static inline bool vmread_checked(uint64_t field, uint64_t *value)
{
	bool failed;

	__asm__ volatile("vmread %2, %1" : "=@ccbe"(failed), "=r"(*value) : "r"(field));
	return !failed;
}

static inline bool vmwrite_checked(uint64_t field, uint64_t value)
{
	bool failed;

	__asm__ volatile("vmwrite %2, %1" : "=@ccbe"(failed) : "r"(field), "r"(value));
	return !failed;
}

static inline void vmwrite(uint64_t field, uint64_t value)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc");
}

struct vmx_descriptor {
	uint64_t low, high;
};

enum { INV_SINGLE_CONTEXT = 1, INV_ALL_CONTEXTS = 2 };

static inline void vmx_invept(uint64_t type, uint64_t eptp)
{
	struct vmx_descriptor d = {eptp, 0};

	__asm__ volatile("invept %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

static inline void vmx_invvpid(uint64_t type, uint16_t vpid)
{
	struct vmx_descriptor d = {vpid, 0};

	__asm__ volatile("invvpid %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

/* --- What a VMM switches by hand --------------------------------------------------------------------------------- */

#define VMX_REGISTER(name, reg)                                           \
	static inline uint64_t vmx_read_##name(void)                      \
	{                                                                 \
		uint64_t v;                                               \
		__asm__ volatile("mov %%" reg ", %0" : "=r"(v));          \
		return v;                                                 \
	}                                                                 \
	static inline void vmx_write_##name(uint64_t v)                   \
	{                                                                 \
		__asm__ volatile("mov %0, %%" reg : : "r"(v) : "memory"); \
	}
VMX_REGISTER(dr0, "dr0")
VMX_REGISTER(dr1, "dr1")
VMX_REGISTER(dr2, "dr2")
VMX_REGISTER(dr3, "dr3")
VMX_REGISTER(dr6, "dr6")
#undef VMX_REGISTER

#define VMX_SELECTOR(name)                                         \
	static inline uint16_t vmx_sel_##name(void)                \
	{                                                          \
		uint16_t v;                                        \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(v)); \
		return v;                                          \
	}
VMX_SELECTOR(es)
VMX_SELECTOR(cs)
VMX_SELECTOR(ss)
VMX_SELECTOR(ds)
VMX_SELECTOR(fs)
VMX_SELECTOR(gs)
#undef VMX_SELECTOR

static inline uint16_t vmx_sel_tr(void)
{
	uint16_t v;

	__asm__ volatile("str %0" : "=r"(v));
	return v;
}

struct vmx_table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static inline uint64_t vmx_gdt_base(void)
{
	struct vmx_table_register t;

	__asm__ volatile("sgdt %0" : "=m"(t));
	return t.base;
}

static inline uint64_t vmx_idt_base(void)
{
	struct vmx_table_register t;

	__asm__ volatile("sidt %0" : "=m"(t));
	return t.base;
}

static inline void vmx_xsetbv(uint64_t xcr0)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)xcr0), "d"((uint32_t)(xcr0 >> 32)));
}

/* p: 512 bytes, 16-byte aligned. */
static inline void vmx_fxsave(void *p)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(p) : "memory");
}

static inline void vmx_fxrstor(const void *p)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r"(p) : "memory");
}

#endif
