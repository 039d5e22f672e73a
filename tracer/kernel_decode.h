/*
 * Pages of kvm:* records into counts, by the host's own format files. Private to tracer/kernel.c and its test; one
 * thread at a time.
 */
#ifndef VMSCOPE_TRACER_KERNEL_DECODE_H
#define VMSCOPE_TRACER_KERNEL_DECODE_H

#include "tracer/kernel.h"

#define KERNEL_COUNTS_MAX 256

struct kernel_decoder;

/* root has events/header_page and events/kvm/EVENT/format, as tracefs has them. Counts only records of thread tid. */
enum err kernel_decoder_open(const char *root, pid_t tid, struct kernel_decoder **out, struct errmsg *why) MUST_CHECK;
void kernel_decoder_close(struct kernel_decoder *d);
size_t kernel_decoder_page_size(const struct kernel_decoder *d);
void kernel_decoder_page(struct kernel_decoder *d, void *page);
size_t kernel_decoder_counts(const struct kernel_decoder *d, struct kernel_count *out, size_t max);

uint64_t kernel_decoder_uncertain_cpuid(const struct kernel_decoder *d);
void kernel_decoder_refused(const struct kernel_decoder *d, struct kernel_refused *out);

/* The whole file, terminated; NULL when it cannot be read. The caller frees. */
char *kernel_read_file(const char *dir, const char *name, size_t *n);

#endif
