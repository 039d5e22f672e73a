-- modes: real mode, protected mode with 16- and 32-bit code, long mode, and all the way back. Exact in time, too.
local EFER, LME = 0xc0000080, 1 << 8
local CR0_PE, CR0_PG, CR4_PAE = 1 << 0, 1 << 31, 1 << 5
local TABLES = 0x10000

return function(g)
	local function put(text)
		for i = 1, #text do
			g:compute(4)
			while g:inp(0x3fd) & 0x20 == 0 do
				g:compute(2)
			end
			g:compute(4)
			g:out(0x3f8, text:byte(i))
			g:compute(2)
		end
		g:compute(4)
	end
	local function change_cr(n, set, clear)
		local v = g:read_cr(n)
		g:compute(1)
		g:mov_cr(n, (v | set) & ~clear)
	end
	local function change_efer(set, clear)
		g:compute(1)
		local v = g:rdmsr(EFER)
		g:compute(1)
		g:wrmsr(EFER, (v | set) & ~clear)
	end

	g:start("boot")
	g:cli()
	g:compute(1)
	g:code(16)
	g:compute(5)
	put("real mode\n")
	g:lgdt(0x7e00, 47)
	change_cr(0, CR0_PE, 0)
	g:code(16)
	g:compute(4)
	put("protected mode, 16-bit code\n")
	g:code(32)
	put("protected mode, 32-bit code\n")
	g:compute(3 + 3 * 1024 + 4) -- the page tables
	g:mov_cr(3, TABLES)
	change_cr(4, CR4_PAE, 0)
	change_efer(LME, 0)
	change_cr(0, CR0_PG, 0)
	put("long mode, compatibility: 32-bit code\n")
	g:code(64)
	put("long mode, 64-bit code\n")
	g:compute(1)
	g:code(32)
	put("compatibility again\n")
	change_cr(0, 0, CR0_PG)
	change_efer(0, LME)
	change_cr(4, 0, CR4_PAE)
	put("protected mode again, long mode off\n")
	g:code(16)
	g:compute(4)
	change_cr(0, 0, CR0_PE)
	g:code(16)
	g:compute(4)
	put("real mode again\n")
	g:compute(2)
	g:out(0xf4, 0)
	while true do
		g:cli()
		g:hlt()
	end
end
