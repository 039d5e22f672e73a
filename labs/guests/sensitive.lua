-- sensitive: every row of core/sensitive.def at CPL 0 and at CPL 3, as the guest sees it on a CPU with VT-x: there no
-- row needs a trap to be right. Where an instruction may exit, it is played; the rest is known.
local rt = include "rt"

local GP, UD = 13, 6
local SCRATCH = 0x3ff
local EFER, STAR, LSTAR, FMASK, KERNEL_GS_BASE = 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000102

return function(g)
	local absent = {}

	-- What a try gives: a number is the value that it saw, nil that it just ran, a table the exception.
	local function exception(vector)
		return { vector = vector }
	end
	local function fault(vector)
		if vector == GP then
			g:fault(GP, 0)
		else
			g:fault(vector)
		end
		return exception(vector)
	end
	local function constant(v)
		return function()
			g:compute(6)
			return v
		end
	end
	local function faults(vector)
		return function()
			return fault(vector)
		end
	end
	local function runs(name, ...)
		local args = { ... }
		return function()
			g[name](g, table.unpack(args))
		end
	end
	local function rewrite_cr(n)
		return function()
			g:mov_cr(n, (g:read_cr(n)))
		end
	end
	local function read_cr(n, mask)
		return function()
			return g:read_cr(n) & mask
		end
	end
	local user_gp, user_ud, ran = faults(GP), faults(UD), constant(nil)

	local rows = {
		-- name, at CPL 0, at CPL 3
		{ "SGDT", function() g:sgdt() return 1 end, function() g:sgdt() return 1 end },
		{ "SIDT", function() g:sidt() return 1 end, function() g:sidt() return 1 end },
		{ "SLDT", function() return g:sldt() & 0xffff end, function() return g:sldt() & 0xffff end },
		{ "SMSW", function() return g:smsw() & 1 end, function() return g:smsw() & 1 end },
		{ "PUSHF", constant(0), constant(0x200) },
		{ "POPF", constant(1), constant(0) },
		{ "LAR", constant(0xc09300), constant(0) },
		{ "LSL", constant(0xffffffff), constant(0) },
		{ "VERR", constant(1), constant(0) },
		{ "VERW", constant(1), constant(0) },
		{ "POP_SREG", ran, user_gp },
		{ "PUSH_SREG", constant(0x23), constant(0x23) },
		{ "CALL_FAR", constant(0x08), constant(0x08) },
		{ "JMP_FAR", constant(0x08), constant(0x2b) },
		{ "INT_N", constant(0x08), constant(0x08) },
		{ "RET_FAR", constant(0x08), constant(0x2b) },
		{ "STR", function() g:str() return 0x30 end, function() g:str() return 0x30 end },
		{ "MOV_SREG", constant(0x08), constant(0x2b) },
		{ "IRET", constant(0), constant(1) },
		{ "LOAD_POINTER", ran, user_gp },
		{ "SYSCALL", constant(0x08), constant(0x08) },
		{ "SYSENTER" },
		{ "CPUID", runs("cpuid", 0), runs("cpuid", 0) },
		{ "RDTSC", runs("rdtsc"), runs("rdtsc") },
		{ "RDTSCP", runs("rdtscp"), runs("rdtscp") },
		{ "XGETBV", function() return g:xgetbv(0) & 1 end, function() return g:xgetbv(0) & 1 end },
		{ "LGDT", runs("lgdt", 0x120000, 95), user_gp },
		{ "LIDT", runs("lidt", 0x110000, 767), user_gp },
		{ "LLDT", runs("lldt", 0), user_gp },
		{ "LTR", runs("ltr", 0x30), user_gp },
		{ "LMSW", runs("lmsw", 1), user_gp },
		{ "CLTS", runs("clts"), user_gp },
		{ "MOV_TO_CR0", rewrite_cr(0), user_gp },
		{ "MOV_TO_CR3", rewrite_cr(3), user_gp },
		{ "MOV_TO_CR4", rewrite_cr(4), user_gp },
		{ "MOV_TO_CR8", rewrite_cr(8), user_gp },
		{ "MOV_TO_CR2", rewrite_cr(2), user_gp },
		{ "MOV_FROM_CR3", read_cr(3, 0xfff), user_gp },
		{ "MOV_FROM_CR8", read_cr(8, 0xf), user_gp },
		{ "MOV_FROM_CR0", read_cr(0, 0x80000001), user_gp },
		{ "MOV_DR", function() return g:read_dr(7) & 0x400 end, user_gp },
		{ "HLT", function()
			rt.pit_start(g, 0, 1193)
			g:wait_irq()
		end, user_gp },
		{ "INVD", runs("invd"), user_gp },
		{ "WBINVD", runs("wbinvd"), user_gp },
		{ "INVLPG", runs("invlpg", 0x130000), user_gp },
		{ "INVPCID", ran, user_gp },
		{ "RDMSR", function() return g:rdmsr(EFER) & 0x500 end, user_gp },
		{ "WRMSR", runs("wrmsr", KERNEL_GS_BASE, 0), user_gp },
		{ "RDPMC", function()
			local v, vector = g:rdpmc(0x3fff)
			return v and nil or exception(vector)
		end, user_gp },
		{ "XSETBV", runs("xsetbv", 0, 1), user_gp },
		{ "MONITOR", ran, user_ud },
		{ "MWAIT", ran, user_ud },
		{ "CLI", function() g:cli() return 0 end, user_gp },
		{ "STI", function()
			g:sti()
			g:compute(4)
			g:cli()
			return 1
		end, user_gp },
		{ "IN", function() return g:inp(SCRATCH) end, user_gp },
		{ "OUT", runs("out", SCRATCH, 0x5a), user_gp },
		{ "INS", function() return g:ins(SCRATCH, 1, 1, false):byte() end, user_gp },
		{ "OUTS", runs("outs", SCRATCH, "\x5a", 1, false), user_gp },
		{ "SWAPGS", ran, user_gp },
		{ "SYSRET", constant(0x2b), user_gp },
		{ "SYSEXIT" },
		{ "CLAC", ran, user_ud },
		{ "STAC", ran, user_ud },
	}

	local function text(outcome)
		if outcome == nil then
			return "ran"
		elseif type(outcome) == "table" then
			return "#" .. outcome.vector
		end
		return ("%08x"):format(outcome)
	end

	local function features()
		local _, _, c = g:cpuid(1)
		local xsave, monitor = c & 1 << 26 ~= 0, c & 1 << 3 ~= 0
		local _, b = g:cpuid(7, 0)
		local _, _, _, d = g:cpuid(0x80000001)
		absent.XSETBV, absent.XGETBV = not xsave, not xsave
		absent.MONITOR, absent.MWAIT = not monitor, not monitor
		absent.INVPCID = b & 1 << 10 == 0
		absent.CLAC, absent.STAC = b & 1 << 20 == 0, b & 1 << 20 == 0
		absent.RDTSCP = d & 1 << 27 == 0
		if xsave then
			g:mov_cr(4, g:read_cr(4) | 1 << 18)
		end
	end

	rt.boot(g)
	rt.idt_init(g)
	g:sidt()
	g:on_irq(0x20, function()
		g:compute(40)
		rt.pic_eoi(g)
		g:compute(20)
	end)
	g:lgdt(0x120000, 95)
	g:ltr(0x30)
	g:lldt(0)
	features()
	g:wrmsr(EFER, g:rdmsr(EFER) | 1)
	g:wrmsr(STAR, 0x18 << 48 | 0x08 << 32)
	g:wrmsr(LSTAR, 0x100800)
	g:wrmsr(FMASK, 0x200)
	rt.pic_init(g, 1)
	for _, row in ipairs(rows) do
		local name, kernel, user = row[1], row[2], row[3]
		rt.put(g, name)
		if not kernel then
			rt.put(g, ": not tried: vendors differ\n")
		elseif absent[name] then
			rt.put(g, ": not on this CPU\n")
		else
			local at0 = kernel()
			rt.put(g, ": kernel " .. text(at0))
			g:compute(20)
			local at3 = user()
			g:compute(30)
			rt.put(g, ", user " .. text(at3) .. "\n")
		end
	end
	rt.exit(g, 0)
end
