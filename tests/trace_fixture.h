/*
 * For the tracer's tests: a VM that never runs but can be made to have exits, and files in a directory of their own.
 */
#ifndef VMSCOPE_TESTS_TRACE_FIXTURE_H
#define VMSCOPE_TESTS_TRACE_FIXTURE_H

#include "core/vm.h"
#include "tracer/tracer.h"

/* A VM on virtual time (or host time), n vCPUs, named "hello", with a cost model. */
struct vm *trace_fake_vm(unsigned n_vcpus, enum clock_kind clock);
void trace_fake_vm_free(struct vm *vm);
/* Runs the probes of the VM through n exits of many reasons, on its vCPUs in turn. The same for the same arguments. */
void trace_fake_run(struct vm *vm, unsigned n);

/* A path in a fresh directory; removed with all files by trace_tmp_remove(). */
const char *trace_tmp(const char *name);
void trace_tmp_remove(void);
/* The whole file; malloc'ed. NULL when it cannot be read. */
uint8_t *trace_file_bytes(const char *path, size_t *n);
bool trace_file_write(const char *path, const void *bytes, size_t n);
/* What the command prints on stdout and stderr together; malloc'ed, its exit status in *status. */
char *trace_command(const char *command, int *status);
bool trace_have_command(const char *name);

#endif
