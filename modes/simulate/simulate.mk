# Read first: simulate.h, then simulate.c. Cost profiles are data: they stand beside the program, as the guests do.
COST_FILES := $(patsubst modes/simulate/costs/%,$(O)/costs/%,$(wildcard modes/simulate/costs/*.lua))
$(COST_FILES): $(O)/costs/%: modes/simulate/costs/%
	@mkdir -p $(@D); cp $< $@
ALL_EXTRA += $(COST_FILES)
