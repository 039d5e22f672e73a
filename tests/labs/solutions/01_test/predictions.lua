return { exits = 108, reason = "IO_INSTRUCTION" }
