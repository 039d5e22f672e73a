# The programs that tests of the labs start.
$(O)/tests/unit/test_labs_jail: | $(O)/tests/programs/jail_hostile
