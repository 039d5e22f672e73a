# Images for bare metal that only tests run: the objects of the bare-metal image, with a main of their own.
PRIVFUZZ_SRC := $(wildcard tests/metal/privfuzz*.c) tracer/exit_fields.c
PRIVFUZZ_OBJ := $(PRIVFUZZ_SRC:%.c=$(O)/image/%.o) $(filter-out $(O)/image/metal/%,$(METAL_OBJ))

$(METAL_DIR)/privfuzz.elf: $(PRIVFUZZ_OBJ) core/metal/link.ld
	@mkdir -p $(@D)
	$(call say,LD-METAL,$@)$(METAL_LD) -m elf_x86_64 -nostdlib -z max-page-size=4096 --orphan-handling=place -T core/metal/link.ld -o $@ $(PRIVFUZZ_OBJ)
$(METAL_DIR)/privfuzz.bin: $(METAL_DIR)/privfuzz.elf
	$(call say,BIN,$@)$(METAL_OBJCOPY) -O binary $< $@

privfuzz: $(METAL_DIR)/privfuzz.bin $(METAL_DIR)/bootsect.bin ## build the image that fuzzes privileged state
tests: privfuzz
.PHONY: privfuzz
HEADERS += $(wildcard tests/metal/*.h)
