# Guests that only tests run: built like the bundled ones, with their runtime, into a folder of their own, which is
# neither searched for bundled guests nor installed.
TEST_GUESTS := hostile signals witness
TEST_GUEST_DIR := $(GUEST_DIR)/tests
TEST_GUEST_OBJ := $(O)/tests/guests

$(TEST_GUEST_OBJ)/%.64.o: tests/guests/%.c labs/guests/guests.mk tests/guests.mk
	@mkdir -p $(@D)
	$(call say,GCC64,$<)$(GUEST_CC) -m64 $(GUEST_CFLAGS) -MMD -MP -c $< -o $@
$(TEST_GUESTS:%=$(TEST_GUEST_DIR)/%.elf): $(TEST_GUEST_DIR)/%.elf: $(TEST_GUEST_OBJ)/%.64.o $(GUEST_LIB64) labs/guests/lib/guest.ld
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(GUEST_LD) -m elf_x86_64 -n --no-warn-rwx-segments -T labs/guests/lib/guest.ld -o $(TEST_GUEST_OBJ)/$*.elf64 $(filter %.o,$^) && \
		$(GUEST_OBJCOPY) -g -O elf32-i386 $(TEST_GUEST_OBJ)/$*.elf64 $@

$(TEST_GUEST_DIR)/align.bin: tests/guests/align.S tests/guests.mk
	@mkdir -p $(@D) $(TEST_GUEST_OBJ)
	$(call say,GUEST,$@)$(GUEST_CC) -m32 -c $< -o $(TEST_GUEST_OBJ)/align.o && \
		$(GUEST_LD) -m elf_i386 -Ttext 0x7c00 -o $(TEST_GUEST_OBJ)/align.elf $(TEST_GUEST_OBJ)/align.o && \
		$(GUEST_OBJCOPY) -O binary -j .text $(TEST_GUEST_OBJ)/align.elf $@ && truncate -s 510 $@ && printf '\125\252' >>$@

test-guests: $(TEST_GUEST_DIR)/align.bin $(TEST_GUESTS:%=$(TEST_GUEST_DIR)/%.elf)
guests: test-guests
.PHONY: test-guests
