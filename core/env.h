/*
 * What the VMM gives to the executor of core/x86 (struct x86_env): memory, devices, MSRs, CPUID and time of one vCPU.
 * Shared by the emulate engine, where the guest runs on it, and by the VMM's own executor in every other mode. The
 * environment's arg is the struct vcpu.
 */
#ifndef VMSCOPE_CORE_ENV_H
#define VMSCOPE_CORE_ENV_H

#include "core/vm.h"

extern const struct x86_env vcpu_env_ops;

/* A guest-physical access that cannot be done directly: ROM shadow, dropped ROM write, device, hole. n: 1, 2, 4, 8. */
uint64_t vcpu_mmio_read(struct vcpu *v, gpa_t gpa, unsigned n);
void vcpu_mmio_write(struct vcpu *v, gpa_t gpa, unsigned n, uint64_t value);
/* The VMM, a debugger or a person writes to RAM: mem_write(), and code that an engine has decoded there is dropped. */
enum err vm_write_mem(struct vm *vm, gpa_t gpa, const void *buf, size_t n);
/* What RDMSR and WRMSR do; false: #GP. The first two are for onlookers: they do not count MSRs that nobody knows. */
bool vcpu_get_msr(struct vcpu *v, uint32_t msr, uint64_t *value);
bool vcpu_set_msr(struct vcpu *v, uint32_t msr, uint64_t value);
bool vcpu_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
bool vcpu_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);
uint64_t vcpu_tsc(struct vcpu *v);

#endif
