return { insns = 8, cr = 4, len = 3, qual = 0x800040, levels = 3 }
