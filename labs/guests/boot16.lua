-- boot16: the boot sector, instruction by instruction. Small enough to be exact: not only the exits but the time at
-- which each of them comes is that of the real code.
local MESSAGE = "boot16: 512 bytes in real mode\n"

return function(g)
	g:start("boot")
	g:cli()
	g:compute(1) -- cld
	g:code(16) -- ljmp
	g:compute(5) -- segments, stack, message
	for i = 1, #MESSAGE do
		g:compute(4) -- lodsb, test, jz, call
		g:compute(2) -- movb, movw
		while g:inp(0x3fd) & 0x20 == 0 do
			g:compute(2)
		end
		g:compute(4) -- test, jz, movw, movb
		g:out(0x3f8, MESSAGE:byte(i))
		g:compute(2) -- ret, jmp
	end
	g:compute(5) -- lodsb, test, jz, movw, xor
	g:out(0xf4, 0)
	while true do
		g:cli()
		g:hlt()
	end
end
