return { reason = 0, cs = 11, cli = 1, leaks = 13, newly = 5 }
