# The bare-metal image. Read first: core/metal/boot.S (entry), metal/main.c (what happens in which order), link.ld.
#
#   $(O)/metal/vmscope-metal.elf   with symbols, for gdb and nm
#   $(O)/metal/vmscope-metal.bin   the flat image: what GRUB, qemu -kernel and the boot sector load
#   $(O)/metal/bootsect.bin        sector 0 of a raw boot disk
#
# The same sources as in the hosted program, compiled once more for a world without a C library.
METAL_DIR := $(O)/metal
METAL_SRC := $(filter-out core/metal/%,$(core_SRC)) $(emulate_SRC) tracer/ring.c tracer/safety.c \
	$(wildcard metal/*.c core/metal/*.c) $(wildcard modes/virtualize/vmx*.c modes/virtualize/svm*.c modes/virtualize/ept*.c)
METAL_ASM := $(filter-out core/metal/bootsect.S,$(wildcard core/metal/*.S)) \
	$(wildcard modes/virtualize/vmx*.S modes/virtualize/svm*.S)
METAL_SRC := $(filter-out modes/emulate/type%.c,$(METAL_SRC))
METAL_OBJ := $(METAL_SRC:%.c=$(O)/image/%.o) $(METAL_ASM:%.S=$(O)/image/%.S.o)
METAL_OBJCOPY ?= objcopy
METAL_LD ?= ld
# No red zone: interrupts come on the same stack. General registers only: the FPU belongs to the guest. String functions
# are made of string instructions (core/metal/lib.c), and the compiler must not make calls to them of their own bodies.
METAL_FLAGS := -std=gnu11 -m64 $(INCLUDES) $(WARN) -O2 -g -ffreestanding -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fno-pic -fno-pie -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns -DVMSCOPE_VERSION='"$(VERSION)"'

$(O)/image/%.o: %.c $(O)/.flags core/metal/metal.mk
	@mkdir -p $(@D)
	$(call say,CC-METAL,$<)$(CC) $(METAL_FLAGS) -MMD -MP -c $< -o $@
$(O)/image/%.S.o: %.S $(O)/.flags core/metal/metal.mk
	@mkdir -p $(@D)
	$(call say,AS-METAL,$<)$(CC) $(METAL_FLAGS) -Wa,--noexecstack -MMD -MP -c $< -o $@

# Linking is the proof that nothing of a C library is left: there is none to take it from.
$(METAL_DIR)/vmscope-metal.elf: $(METAL_OBJ) core/metal/link.ld
	@mkdir -p $(@D)
	$(call say,LD-METAL,$@)$(METAL_LD) -m elf_x86_64 -nostdlib -z max-page-size=4096 --orphan-handling=place -T core/metal/link.ld -o $@ $(METAL_OBJ)
$(METAL_DIR)/vmscope-metal.bin: $(METAL_DIR)/vmscope-metal.elf
	$(call say,BIN,$@)$(METAL_OBJCOPY) -O binary $< $@
$(METAL_DIR)/bootsect.bin: $(O)/image/core/metal/bootsect.S.o
	@mkdir -p $(@D)
	$(call say,BIN,$@)$(METAL_LD) -m elf_x86_64 -Ttext 0x7c00 -e _start -o $(O)/image/bootsect.elf $< && \
		$(METAL_OBJCOPY) -O binary -j .text $(O)/image/bootsect.elf $@ && test "$$(wc -c <$@)" = 512

METAL_FILES := $(addprefix $(METAL_DIR)/,vmscope-metal.elf vmscope-metal.bin bootsect.bin)
ALL_EXTRA += $(METAL_FILES)

metal: $(METAL_FILES) ## build the bare-metal image and its boot sector
metal-check: $(METAL_DIR)/vmscope-metal.elf ## the bare-metal image needs no C library
	@test -z "$$(nm -u $<)" || { echo "metal-check: undefined: $$(nm -u $<)"; exit 1; }
.PHONY: metal metal-check
