-- hello: a line on the UART, then the end.
local rt = include "rt"

return function(g)
	rt.boot(g)
	rt.put(g, "Hello from a guest: long mode, CPL 0, one UART.\n")
	rt.exit(g, 0)
end
