# vmscope: see "make help".
MODE ?= debug
O    ?= build/$(MODE)
CC   ?= gcc
V    ?= 0
WERROR ?= 1
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' $(1) $(2);)

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
        -Wimplicit-fallthrough -Wcast-qual -Wswitch-enum -Wno-sign-conversion
WARN += $(if $(filter 1,$(WERROR)),-Werror)
OPT_debug   := -O1 -g
OPT_release := -O2 -g -DNDEBUG
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS  = -std=gnu11 -I. -I$(O)/gen $(WARN) $(OPT_$(MODE)) -D_GNU_SOURCE
LDFLAGS = $(filter -fsanitize%,$(OPT_$(MODE)))

PKGS := ncursesw libtraceevent lua5.4 jansson libmd
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lZydis
CFLAGS += $(PKG_CFLAGS)

# One static library a folder.
core_SRC       := $(wildcard core/*.c core/x86/*.c core/dev/*.c)
posix_SRC      := $(wildcard core/posix/*.c)
modes_SRC      := $(wildcard modes/*.c)
simulate_SRC   := $(wildcard modes/simulate/*.c)
emulate_SRC    := $(wildcard modes/emulate/*.c)
virtualize_SRC := $(wildcard modes/virtualize/*.c)
tracer_SRC     := $(wildcard tracer/*.c)
cli_SRC        := $(filter-out cli/main.c,$(wildcard cli/*.c))
testlib_SRC    := $(wildcard tests/*.c)
LIBS := cli modes simulate emulate virtualize tracer core posix testlib
lib = $(O)/lib$(1).a
$(foreach l,$(LIBS),$(eval $(call lib,$(l)): $(patsubst %.c,$(O)/%.o,$($(l)_SRC))))
PROG_LIBS := $(foreach l,$(filter-out testlib,$(LIBS)),$(call lib,$(l)))

$(O)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@
$(O)/lib%.a:
	@mkdir -p $(@D); rm -f $@
	$(call say,AR,$@)ar rcsD $@ $^

$(O)/vmscope: $(O)/cli/main.o $(PROG_LIBS)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(PROG_LIBS) -Wl,--end-group $(PKG_LIBS) -lpthread -lm

all: $(O)/vmscope ## build the program
	@ln -sfn $(MODE)/vmscope build/vmscope

TESTS := $(patsubst tests/unit/%.c,$(O)/tests/unit/%,$(wildcard tests/unit/test_*.c))
$(O)/tests/unit/test_%: $(O)/tests/unit/test_%.o $(foreach l,$(LIBS),$(call lib,$(l)))
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(foreach l,$(LIBS),$(call lib,$(l))) -Wl,--end-group $(PKG_LIBS) -lcmocka -lpthread -lm

unit: $(TESTS) ## build and run the unit tests
	@set -e; for t in $(TESTS); do echo "== $$t"; $$t; done

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

clean: ## remove build/
	rm -rf build

-include $(shell find $(O) -name '*.d' 2>/dev/null)
.PHONY: all unit help clean
