# The guests of "make bench": built like the bundled ones, with their runtime. Two of them compute with floating point.
BENCH_GUESTS := $(patsubst tests/bench/guests/%.c,%,$(wildcard tests/bench/guests/*.c))
BENCH_GUEST_DIR := $(GUEST_DIR)/bench
BENCH_GUEST_OBJ := $(O)/tests/bench/guests

$(BENCH_GUEST_OBJ)/sse2.64.o: GUEST_FP := -msse2
$(BENCH_GUEST_OBJ)/x87.64.o: GUEST_FP := -mno-sse -m80387
$(BENCH_GUEST_OBJ)/%.64.o: tests/bench/guests/%.c labs/guests/guests.mk tests/bench.mk
	@mkdir -p $(@D)
	$(call say,GCC64,$<)$(GUEST_CC) -m64 $(if $(GUEST_FP),$(filter-out -mgeneral-regs-only,$(GUEST_CFLAGS)) $(GUEST_FP),$(GUEST_CFLAGS)) \
		-MMD -MP -c $< -o $@
$(BENCH_GUESTS:%=$(BENCH_GUEST_DIR)/%.elf): $(BENCH_GUEST_DIR)/%.elf: $(BENCH_GUEST_OBJ)/%.64.o $(GUEST_LIB64) labs/guests/lib/guest.ld
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(GUEST_LD) -m elf_x86_64 -n --no-warn-rwx-segments -T labs/guests/lib/guest.ld -o $(BENCH_GUEST_OBJ)/$*.elf64 $(filter %.o,$^) && \
		$(GUEST_OBJCOPY) -g -O elf32-i386 $(BENCH_GUEST_OBJ)/$*.elf64 $@

bench-guests: $(BENCH_GUESTS:%=$(BENCH_GUEST_DIR)/%.elf)
.PHONY: bench-guests
