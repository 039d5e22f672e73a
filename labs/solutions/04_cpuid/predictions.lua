return {
  exits = 11, -- ten, and one in which the guest looks for XSAVE
  kvm_user = 0, -- the kernel answers CPUID itself: the process sees nothing of it
  unknown = 3, -- as of the highest basic leaf, 0xd
  length = 3,
}
