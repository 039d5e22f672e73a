# vmscope: "make help" lists the targets. Everything is built below build/; nothing else is written, except
# compile_commands.json for editors.
#
#   make MODE=debug|release|asan CC=gcc|clang V=1 WERROR=0
#
# The list of sources is the tree itself: every folder is one static library. A part that needs more than its .c files
# (assembly guests, generated tables) brings a *.mk of its own, which may add to ALL_EXTRA and define rules.

MODES := release debug asan fuzz
# "make O=build/debug" and "make build/debug/tests/unit/test_x" mean that mode.
ifeq ($(origin MODE),undefined)
MODE := $(or $(firstword $(filter $(MODES),$(foreach g,$(if $(filter undefined,$(origin O)),,$(O)) $(MAKECMDGOALS),$(word 2,$(subst /, ,$(g)))))),release)
endif
ifeq ($(filter $(MODE),$(MODES)),)
$(error MODE=$(MODE) is not one of: $(MODES))
endif
ifeq ($(origin CC),default)
CC := gcc
endif
O    ?= build/$(MODE)$(if $(filter gcc,$(CC)),,-$(notdir $(CC)))
V    ?= 0
WERROR ?= 1
PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= 2
N    ?= 20000000
SEED ?= 1

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' $(1) $(2);)

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
        -Wimplicit-fallthrough -Wcast-qual -Wswitch-enum -Wno-sign-conversion -Wno-gnu-variable-sized-type-not-at-end
WARN += $(if $(filter 1,$(WERROR)),-Werror)
OPT_debug   := -O1 -g
# A structure of a hundred bytes is cleared in the loop of exits: "rep stos", which gcc would choose, takes longer.
CLEAR := -mmemset-strategy=unrolled_loop:256:noalign,libcall:-1:noalign
OPT_release := -O2 -g $(shell $(CC) $(CLEAR) -E -x c /dev/null >/dev/null 2>&1 && echo $(CLEAR))
# Coverage for libFuzzer, and clang's sanitizers; -O2: speed is what finds things here.
OPT_fuzz    := -O2 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
INCLUDES := -I. -I$(O)/gen
PKGS := ncursesw libtraceevent libtracefs lua5.4 jansson libmd libdw libelf
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lZydis
CFLAGS  = -std=gnu11 $(INCLUDES) $(WARN) $(OPT_$(MODE)) -D_GNU_SOURCE -DVMSCOPE_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
LDFLAGS = $(filter -fsanitize%,$(OPT_$(MODE)))
VERSION := 0.1

# --- What is built -------------------------------------------------------------------------------------------------
# core/metal is for the image, but for what is plain computation: that has unit tests.
core_SRC       := $(wildcard core/*.c core/x86/*.c core/dev/*.c) core/metal/alloc.c
metal_SRC      := $(filter-out metal/main.c metal/engines.c,$(wildcard metal/*.c))
posix_SRC      := $(wildcard core/posix/*.c)
modes_SRC      := $(wildcard modes/*.c)
simulate_SRC   := $(wildcard modes/simulate/*.c)
emulate_SRC    := $(wildcard modes/emulate/*.c)
virtualize_SRC := $(wildcard modes/virtualize/*.c)
tracer_SRC     := $(wildcard tracer/*.c)
session_SRC    := $(wildcard session/*.c)
tui_SRC        := $(wildcard tui/*.c)
script_SRC     := $(wildcard script/*.c)
labs_SRC       := $(wildcard labs/*.c)
cli_SRC        := $(filter-out cli/main.c,$(wildcard cli/*.c))
testlib_SRC    := $(wildcard tests/*.c)
LIBS := cli tui labs modes session metal simulate emulate virtualize tracer script core posix testlib
lib = $(O)/lib$(1).a
ALL_LIBS  := $(foreach l,$(LIBS),$(call lib,$(l)))
PROG_LIBS := $(filter-out $(call lib,testlib) $(call lib,metal),$(ALL_LIBS))
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
BENCH_SRC := $(wildcard tests/bench/*.c)
TOOL_SRC  := $(wildcard tests/programs/*.c)
ORACLE_SRC := $(wildcard tests/oracle/*.c)
UNIT  := $(UNIT_SRC:%.c=$(O)/%)
TOOLS := $(TOOL_SRC:%.c=$(O)/%)
BENCH := $(BENCH_SRC:%.c=$(O)/%)
ORACLE := $(O)/tests/oracle/oracle
E2E   := $(filter-out tests/e2e/lib.sh,$(wildcard tests/e2e/*.sh))
# The slowest first, so that none of them is left alone at the end.
E2E   := $(filter %type1_compare.sh %grade_hostile.sh %guests.sh %labs_verify.sh %control.sh %type1.sh,$(E2E)) \
         $(filter-out %type1_compare.sh %grade_hostile.sh %guests.sh %labs_verify.sh %control.sh %type1.sh,$(E2E))
LONG  := $(wildcard tests/long/*.sh)
C_SRC := $(sort $(foreach l,$(LIBS),$($(l)_SRC)) cli/main.c $(UNIT_SRC) $(BENCH_SRC) $(TOOL_SRC) $(ORACLE_SRC))
HEADERS := $(sort $(wildcard script/*.h labs/*.h core/*.h core/*/*.h modes/*.h modes/*/*.h metal/*.h tracer/*.h session/*.h tui/*.h cli/*.h tests/*.h tests/oracle/*.h))

ALL_EXTRA :=
all: program ## build the program (build/vmscope) and the bundled guests

include $(wildcard core/*.mk core/*/*.mk labs/guests/*.mk modes/*/*.mk tracer/*.mk tests/*.mk)

all: $(ALL_EXTRA)

# --- Rules ---------------------------------------------------------------------------------------------------------
# Objects depend on the compiler and its flags, by a file that is rewritten only when they change.
FLAGS_NOW = $(CC) $(CFLAGS)
$(O)/.flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' >$@
FORCE:

$(O)/%.o: %.c $(O)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

# rm first: ar would keep the members of sources that are gone.
$(foreach l,$(LIBS),$(eval $(call lib,$(l)): $(patsubst %.c,$(O)/%.o,$($(l)_SRC))))
$(O)/lib%.a:
	@mkdir -p $(@D); rm -f $@
	$(call say,AR,$@)ar rcsD $@ $^

link = $(CC) $(LDFLAGS) -o $@ $(1) -Wl,--start-group $(2) -Wl,--end-group $(PKG_LIBS) $(3) -lpthread -lm
# Its own libraries, where "vmscope lab bundle" has put them.
OWN_LIBS := -Wl,--disable-new-dtags '-Wl,-rpath,$$ORIGIN/../lib/vmscope/lib'
$(O)/vmscope: $(O)/cli/main.o $(PROG_LIBS)
	$(call say,LD,$@)$(call link,$<,$(PROG_LIBS),$(OWN_LIBS))
# Only the tests of the command line, and those of views on real guests, need the command line.
UNIT_CLI  := $(filter $(O)/tests/unit/test_cli_% $(O)/tests/unit/test_tui_view_%,$(UNIT))
UNIT_LIBS := $(filter-out $(call lib,cli),$(ALL_LIBS))
$(UNIT_CLI): $(O)/%: $(O)/%.o $(ALL_LIBS)
	$(call say,LD,$@)$(call link,$<,$(ALL_LIBS),-lcmocka)
$(filter-out $(UNIT_CLI),$(UNIT)): $(O)/%: $(O)/%.o $(UNIT_LIBS)
	$(call say,LD,$@)$(call link,$<,$(UNIT_LIBS),-lcmocka)
$(BENCH) $(TOOLS): $(O)/%: $(O)/%.o $(ALL_LIBS)
	$(call say,LD,$@)$(call link,$<,$(ALL_LIBS))

$(ORACLE): $(ORACLE_SRC:%.c=$(O)/%.o) $(UNIT_LIBS)
	$(call say,LD,$@)$(call link,$(ORACLE_SRC:%.c=$(O)/%.o),$(UNIT_LIBS))

program: $(O)/vmscope compile_commands.json
	@ln -sfn $(patsubst build/%,%,$(O))/vmscope build/vmscope

compile_commands.json: Makefile $(O)/.flags
	@printf '[\n' >$@; sep=; for f in $(C_SRC); do \
	  printf '%s{"directory": "%s", "file": "%s", "arguments": [%s"-c", "%s"]}' "$$sep" "$(CURDIR)" "$$f" \
	    "$$(for w in $(CC) $(filter-out -D% $(CLEAR),$(CFLAGS)) -D_GNU_SOURCE '-DVMSCOPE_VERSION=\"$(VERSION)\"'; do printf '"%s", ' "$$w"; done)" "$$f"; \
	  sep=',\n'; done | sed 's/\\n/\n/g' >>$@; printf '\n]\n' >>$@

# --- For people ----------------------------------------------------------------------------------------------------
setup: ## install the packages that building needs (only what is missing)
	@tools/setup

setup-tests: ## the same, with the packages that the tests use
	@tools/setup --tests

demo: ## install what is missing, build, and compare every backend on one guest
	@tools/setup --demo
	@$(MAKE) --no-print-directory -j$(JOBS) all
	build/vmscope compare hello
	@echo; echo 'Next: build/vmscope tui modes, then e and 2 (README.md, "Five minutes to your first exit")'

unit: $(UNIT) $(ALL_EXTRA) ## build and run the unit tests
	@tools/run-tests -j $(JOBS) -o $(O)/logs $(UNIT)

tests: all $(UNIT) $(BENCH) $(TOOLS) $(ORACLE) $(FUZZ)

check: ## install what is missing, build, and run every test
	@tools/setup --tests
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=$(MODE) tests
	@VMSCOPE=$(O)/vmscope tools/run-tests -j $(JOBS) -o $(O)/logs $(UNIT) $(E2E)

check-long: $(O)/tests/bench/bench_back ## what takes longer: nested VT-x in Bochs, a full memory test, going back in it, 100000 privileged cases, transcendentals
	@tools/setup --tests
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=$(MODE) tests
	@VMSCOPE=$(O)/vmscope tools/run-tests -t 3000 -j 1 -o $(O)/logs $(LONG)

asan: ## the unit and end-to-end tests under AddressSanitizer and UBSan
	@tools/setup --tests
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=asan tests
	@VMSCOPE=build/asan/vmscope ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0 \
	  tools/run-tests -t 1200 -j $(JOBS) -o build/asan/logs $(UNIT_SRC:%.c=build/asan/%) $(E2E)

oracle: ## random instructions, our CPU against the processor of this machine: make oracle N=20000000 SEED=1
	@tools/setup --tests
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=$(MODE) $(ORACLE)
	@$(ORACLE) --n $(N) --seed $(SEED) --jobs $(JOBS)

bench: ## speed, as ratios measured in one run
	@tools/setup --tests
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=$(MODE) all $(BENCH) bench-guests
	@VMSCOPE=$(O)/vmscope tools/bench $(BENCH)

sizes: ## files of more than 600 lines, functions of more than 60
	@tools/sizes

# --- Lint ----------------------------------------------------------------------------------------------------------
LINT_C := $(sort $(C_SRC) $(METAL_SRC) $(HEADERS) $(wildcard labs/guests/*.c tests/guests/*.c tests/metal/*.c))
SHELL_FILES := .ci/run $(shell grep -lE '^\#!/bin/(ba)?sh' tools/* 2>/dev/null) $(wildcard tests/*/*.sh)
LUA_FILES := $(wildcard labs/guests/*.lua labs/guests/*/*.lua labs/[0-9]*/*.lua labs/[0-9]*/*/*.lua labs/new/*/*.lua labs/new/*/*/*.lua \
	labs/solutions/*/*.lua modes/simulate/costs/*.lua modes/simulate/*.lua docs/*.lua)

lint: lint-layers lint-format lint-headers lint-titles lint-tables lint-readme lint-shell lint-lua metal-check lint-cppcheck lint-tidy lint-analyze ## all static checks

lint-layers: ## who may include whom
	@tools/lint-layers
lint-format: ## clang-format has nothing to change
	@clang-format --dry-run -Werror $(LINT_C)
lint-headers: $(HEADERS:%=$(O)/%.ok) ## every header compiles alone
lint-titles: ## every SDM title that a comment cites is in docs/REFERENCES.md
	@tools/lint-titles
lint-tables: ## the constants of the transcendental functions are those that integer arithmetic gives
	@tools/x87-tables | diff -u core/x86/x87_tables.h -
lint-readme: all ## the screens and keys in README.md and docs/tui.md are what the program shows
	@tools/readme-screens --check $(O)/vmscope
lint-shell:
	@shellcheck -x $(SHELL_FILES)
lint-lua:
	@$(if $(LUA_FILES),luacheck --quiet --no-color $(LUA_FILES),true)
lint-cppcheck: ## cppcheck, warnings and portability
	@cppcheck --quiet --std=c11 --language=c --error-exitcode=1 --inline-suppr --enable=warning,portability \
	  --suppress=missingIncludeSystem --suppress=syntaxError:*.def -I. -D_GNU_SOURCE -DVMSCOPE_VERSION='""' -D__x86_64__ -j $(JOBS) $(filter-out tests/%,$(C_SRC))
lint-analyze: $(patsubst %.c,$(O)/analyze/%.ok,$(filter-out tests/%,$(C_SRC))) ## gcc -fanalyzer: paths that leak, or dereference NULL
lint-tidy: compile_commands.json ## clang-tidy: its bugprone checks
	@printf '%s\n' $(filter-out tests/%,$(C_SRC)) | xargs -P $(JOBS) -n 4 tools/tidy

$(O)/%.h.ok: %.h $(O)/.flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -MF $(O)/$*.h.d -MT $@ -fsyntax-only -x c $< && touch $@

$(O)/analyze/%.ok: %.c $(O)/.flags
	@mkdir -p $(@D)
	$(Q)gcc $(CFLAGS) -O1 -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-use-of-uninitialized-value -MMD -MP -MF $(@:.ok=.d) -MT $@ -c $< -o /dev/null && touch $@

# --- Install -------------------------------------------------------------------------------------------------------
install: all ## install into $(DESTDIR)$(PREFIX)
	@tools/install-tree "$(O)/vmscope" "$(DESTDIR)$(PREFIX)"

clean: ## remove everything that was built
	rm -rf build compile_commands.json

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(filter Makefile %.mk,$(MAKEFILE_LIST))

-include $(shell find $(O) -name '*.d' 2>/dev/null)
.PHONY: all program setup setup-tests demo unit tests check check-long asan oracle bench sizes lint lint-layers lint-format \
        lint-headers lint-titles lint-tables lint-readme lint-shell lint-lua lint-cppcheck lint-tidy lint-analyze install clean help FORCE
