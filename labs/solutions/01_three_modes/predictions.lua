return { exits = 108, simulated = 108, process = 104, efficiency = "violated" }
