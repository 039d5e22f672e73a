# Read first: kvm.c (what /dev/kvm is), then kvm_run.c, kvm_exit.c, kvm_state.c. type1.c is the bare-metal side.
