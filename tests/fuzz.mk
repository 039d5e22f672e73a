# Random bytes as code (tests/fuzz/fuzz.h). tests/fuzz/fuzz is a program of its own, built in every mode; libfuzzer is
# the same target under libFuzzer, which needs clang: "make fuzz" builds and runs it in a mode of its own.
FUZZ_SRC := $(filter-out tests/fuzz/main.c tests/fuzz/mutator.c,$(wildcard tests/fuzz/*.c))
FUZZ := $(O)/tests/fuzz/fuzz
LIBFUZZER := $(O)/tests/fuzz/libfuzzer
FUZZ_LIBS := $(filter-out $(call lib,cli) $(call lib,testlib),$(ALL_LIBS))
SECONDS ?= 60
FUZZ_CORPUS ?= build/fuzz-corpus
FUZZ_FOUND ?= build/fuzz-found
C_SRC += $(wildcard tests/fuzz/*.c)
HEADERS += $(wildcard tests/fuzz/*.h)

$(FUZZ): $(O)/tests/fuzz/main.o $(FUZZ_SRC:%.c=$(O)/%.o) $(FUZZ_LIBS)
	$(call say,LD,$@)$(call link,$(O)/tests/fuzz/main.o $(FUZZ_SRC:%.c=$(O)/%.o),$(FUZZ_LIBS))
$(LIBFUZZER): $(O)/tests/fuzz/mutator.o $(FUZZ_SRC:%.c=$(O)/%.o) $(FUZZ_LIBS)
	$(call say,LD,$@)$(call link,-fsanitize=fuzzer $(O)/tests/fuzz/mutator.o $(FUZZ_SRC:%.c=$(O)/%.o),$(FUZZ_LIBS))

fuzz: ## random bytes as code, libFuzzer and sanitizers: make fuzz SECONDS=3600 SEED=1
	@tools/setup --tests
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=fuzz CC=clang O=build/fuzz build/fuzz/tests/fuzz/libfuzzer \
		build/fuzz/tests/fuzz/fuzz guests
	@tools/fuzz build/fuzz $(FUZZ_CORPUS) $(FUZZ_FOUND) $(SECONDS) $(SEED)

tui-fuzz: ## random keys, lines and sizes for the terminal UI, under ASan: make tui-fuzz SECONDS=600 SEED=1
	@tools/setup --tests
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=asan O=build/asan build/asan/vmscope build/asan/tests/programs/tui_fuzz guests
	@export VMSCOPE_GUESTS=$(CURDIR)/build/asan/guests LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0; \
	  build/asan/tests/programs/tui_fuzz $(SEED) $$(($(SECONDS) / 2)) && \
	  build/asan/tests/programs/tui_fuzz $(SEED) $$(($(SECONDS) / 2)) --terminal $(CURDIR)/build/asan/vmscope
.PHONY: fuzz tui-fuzz
