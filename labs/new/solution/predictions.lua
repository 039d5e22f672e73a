return { exits = 108 }
