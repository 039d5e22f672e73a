-- exits: each kind of exit a known number of times. The order, the counts and the values are those of exits.c.
local rt = include "rt"

local SCRATCH, PCI_ADDRESS = 0x3ff, 0xcf8
local HOLE = 0xd0000000
local MTRR_PHYSBASE0, MSR_UNKNOWN = 0x200, 0x4b564d
local CR0_TS, CR0_CD, CR4_OSXSAVE = 1 << 3, 1 << 30, 1 << 18

return function(g)
	local sum = 0
	local function saw(v)
		sum = (sum * 31 + (v & 0xffffffff) + (v >> 32)) & 0xffffffff
	end

	-- A bit of CR0, n times there and back; the last write restores it.
	local function toggle(bit, n)
		local v = g:read_cr(0)
		for _ = 1, n do
			g:compute(2)
			v = v ~ bit
			g:mov_cr(0, v)
		end
		saw(g:read_cr(0) & bit)
		if n % 2 == 1 then
			g:mov_cr(0, v ~ bit)
		end
	end
	local function times(n, what)
		for i = 0, n - 1 do
			g:compute(3)
			what(i)
		end
	end

	local kinds = {
		{ "cpuid", 10, function(n)
			times(n, function()
				local _, b, c, d = g:cpuid(0)
				saw(b)
				saw(c)
				saw(d)
			end)
		end },
		{ "out", 5, function(n) times(n, function(i) g:out(SCRATCH, i + 1 & 0xff) end) end },
		{ "in", 5, function(n) times(n, function() saw(g:inp(SCRATCH)) end) end },
		{ "out32", 3, function(n) times(n, function(i) g:out(PCI_ADDRESS, (0x80000000 | i << 2) & 0xffffffff, 4) end) end },
		{ "in32", 3, function(n) times(n, function() saw(g:inp(PCI_ADDRESS, 4)) end) end },
		{ "outs", 8, function(n)
			local bytes = {}
			for i = 0, math.min(n, 256) - 1 do
				bytes[#bytes + 1] = string.char(0x40 + i & 0xff)
			end
			g:outs(SCRATCH, table.concat(bytes))
		end },
		{ "ins", 4, function(n)
			local bytes = g:ins(SCRATCH, math.min(n, 256))
			for i = 1, #bytes do
				saw(bytes:byte(i))
			end
		end },
		{ "store", 6, function(n) times(n, function(i) g:store(HOLE + 4 * (i & 255), i) end) end },
		{ "load", 6, function(n) times(n, function(i) saw(g:load(HOLE + 4 * (i & 255))) end) end },
		{ "wrmsr", 4, function(n) times(n, function(i) g:wrmsr(MTRR_PHYSBASE0, i << 12 | 6) end) end },
		{ "rdmsr", 4, function(n) times(n, function() saw(g:rdmsr(MTRR_PHYSBASE0)) end) end },
		{ "cr", 4, function(n) toggle(CR0_CD, n) end },
		{ "crfree", 5, function(n) toggle(CR0_TS, n) end },
		{ "clts", 3, function(n)
			times(n, function() g:clts() end)
			saw(g:read_cr(0) & CR0_TS)
		end },
		{ "drwrite", 3, function(n) times(n, function(i) g:mov_dr(0, 0x1000 + i) end) end },
		{ "drread", 3, function(n) times(n, function() saw(g:read_dr(0)) end) end },
		{ "invlpg", 5, function(n) times(n, function(i) g:invlpg(0x200000 + (i << 12)) end) end },
		{ "cr3", 4, function(n) times(n, function() g:mov_cr(3, g:read_cr(3)) end) end },
		{ "xsetbv", 2, function(n)
			local _, _, c = g:cpuid(1)
			if c & 1 << 26 == 0 then
				return
			end
			local cr4 = g:read_cr(4)
			g:mov_cr(4, cr4 | CR4_OSXSAVE)
			times(n, function(i) g:xsetbv(0, i % 2 == 1 and 3 or 1) end)
			saw(n)
			g:mov_cr(4, cr4)
		end },
		{ "pause", 3, function(n) times(n, function() g:pause() end) end },
		{ "sgdt", 2, function(n) times(n, function() saw(g:sgdt()) end) end },
		{ "wbinvd", 2, function(n) times(n, function() g:wbinvd() end) end },
		{ "invd", 2, function(n) times(n, function() g:invd() end) end },
		{ "rdtsc", 0, function(n) times(n, function() g:rdtsc() end) end },
		{ "xgetbv", 0, function(n)
			local cr4 = g:read_cr(4)
			g:mov_cr(4, cr4 | CR4_OSXSAVE)
			times(n, function() saw(g:xgetbv(0) & 1) end)
			g:mov_cr(4, cr4)
		end },
		{ "vmcall", 0, function(n)
			times(n, function()
				local answer, vector = g:vmcall(0x7fff)
				if not answer then
					rt.put(g, ("unexpected vector %d\n"):format(vector))
					rt.exit(g, 0x7f)
				end
				saw(answer)
			end)
		end },
		{ "gp", 0, function(n)
			rt.idt_init(g)
			times(n, function()
				local _, vector = g:rdmsr(MSR_UNKNOWN)
				g:compute(50)
				saw(vector)
			end)
		end },
		{ "ud", 0, function(n)
			rt.idt_init(g)
			times(n, function()
				local _, vector = g:fault(6)
				g:compute(50)
				saw(vector)
			end)
		end },
		{ "hlt", 0, function(n)
			rt.idt_init(g)
			g:on_irq(0x20, function()
				g:compute(40)
				saw(0x20)
				rt.pic_eoi(g)
				g:compute(20)
			end)
			rt.pic_init(g, 1)
			times(n, function()
				rt.pit_start(g, 0, 1193)
				g:wait_irq()
			end)
		end },
	}

	rt.boot(g)
	local only = g:arg("only", 0) ~= 0
	for _, kind in ipairs(kinds) do
		local name, default, run = kind[1], kind[2], kind[3]
		local n = g:arg(name, only and 0 or default)
		if n > 0 then
			sum = 0
			run(n)
			rt.put(g, ("%s %d %08x\n"):format(name, n, sum))
		end
	end
	local last = (" " .. g.args .. " "):match(" end=(%a+) ")
	if last == "triple" then
		g:lidt(0, 0)
		g:triple_fault()
	elseif last == "hlt" then
		while true do
			g:cli()
			g:hlt()
		end
	end
	rt.exit(g, 0)
end
