# Read first: core/vm.h (the loop), core/exit.h (the vocabulary), core/x86/cpu.h (the executor).
