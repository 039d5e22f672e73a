# The bundled guests: small systems for a machine without an operating system, built with the compiler's freestanding
# half only. Images, models and expected results end up side by side in $(O)/guests. NAME.debug beside an image is the
# ELF file that it was made from, with names and source lines: images stay as small as what is loaded.
GUESTS64 := hello primes exits timer paging sensitive
GUESTS16 := boot16 modes
GUEST_CC ?= gcc
GUEST_LD ?= ld
GUEST_OBJCOPY ?= objcopy
GUEST_DIR := $(O)/guests
GUEST_OBJ := $(O)/labs/guests

GUEST_CFLAGS := -std=gnu11 -O2 -ffreestanding -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fcf-protection=none -fno-tree-loop-distribute-patterns -mgeneral-regs-only -mno-red-zone \
	-g -fdebug-prefix-map=$(CURDIR)=. \
	-Ilabs/guests -I. -Wall -Wextra -Werror

$(GUEST_OBJ)/%.64.o: labs/guests/%.c labs/guests/guests.mk
	@mkdir -p $(@D)
	$(call say,GCC64,$<)$(GUEST_CC) -m64 $(GUEST_CFLAGS) -MMD -MP -c $< -o $@
$(GUEST_OBJ)/%.64.o: labs/guests/%.S labs/guests/guests.mk
	@mkdir -p $(@D)
	$(call say,AS64,$<)$(GUEST_CC) -m64 $(GUEST_CFLAGS) -MMD -MP -c $< -o $@
$(GUEST_OBJ)/%.32.o: labs/guests/%.c labs/guests/guests.mk
	@mkdir -p $(@D)
	$(call say,GCC32,$<)$(GUEST_CC) -m32 $(GUEST_CFLAGS) -MMD -MP -c $< -o $@
$(GUEST_OBJ)/%.32.o: labs/guests/%.S labs/guests/guests.mk
	@mkdir -p $(@D)
	$(call say,AS32,$<)$(GUEST_CC) -m32 $(GUEST_CFLAGS) -MMD -MP -c $< -o $@

# 64-bit code in an ELF32 container: what multiboot loaders expect.
GUEST_LIB64 := $(addprefix $(GUEST_OBJ)/lib/,start64.64.o rt.64.o trap.64.o)
$(GUESTS64:%=$(GUEST_DIR)/%.elf): $(GUEST_DIR)/%.elf: $(GUEST_OBJ)/%.64.o $(GUEST_LIB64) labs/guests/lib/guest.ld
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(GUEST_LD) -m elf_x86_64 -n --no-warn-rwx-segments -T labs/guests/lib/guest.ld -o $(GUEST_OBJ)/$*.elf64 $(filter %.o,$^) && \
		cp $(GUEST_OBJ)/$*.elf64 $(GUEST_DIR)/$*.debug && \
		$(GUEST_OBJCOPY) -g -O elf32-i386 $(GUEST_OBJ)/$*.elf64 $@
$(GUESTS16:%=$(GUEST_DIR)/%.bin): $(GUEST_DIR)/%.bin: $(GUEST_OBJ)/%.32.o labs/guests/lib/flat16.ld
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(GUEST_LD) -m elf_i386 -T labs/guests/lib/flat16.ld -o $(GUEST_DIR)/$*.debug $(filter %.o,$^) && \
		$(GUEST_OBJCOPY) -O binary $(GUEST_DIR)/$*.debug $@

$(GUEST_DIR)/sensitive.elf: $(GUEST_OBJ)/sensitive_run.64.o

# Models, and the console that each guest must produce.
GUEST_MODELS := $(patsubst labs/guests/%,$(GUEST_DIR)/%,$(wildcard labs/guests/*.lua labs/guests/*.expected))
$(GUEST_MODELS): $(GUEST_DIR)/%: labs/guests/%
	@mkdir -p $(@D); cp $< $@

GUEST_FILES := $(GUESTS64:%=$(GUEST_DIR)/%.elf) $(GUESTS32:%=$(GUEST_DIR)/%.elf) $(GUESTS16:%=$(GUEST_DIR)/%.bin) $(GUEST_MODELS)
guests: $(GUEST_FILES) ## build the bundled guests
ALL_EXTRA += guests
.PHONY: guests
