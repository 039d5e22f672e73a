-- sensitive: every row of core/sensitive.def at CPL 0 and at CPL 3, as the guest sees it on a CPU with VT-x: there no
-- row needs a trap to be right. Where an instruction may exit, it is played; the rest is known.
local rt = include "rt"

local GP, UD = 13, 6
local SCRATCH = 0x3ff
local EFER, STAR, LSTAR, FMASK, KERNEL_GS_BASE = 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000102

return function(g)
	local absent = {}

	-- What a try gives: a number is the value that it saw, nil that it just ran, a table the exception.
	local function constant(v)
		return function()
			g:compute(6)
			return v
		end
	end
	local function fault(vector, code)
		return function()
			g:fault(vector, code)
			return { vector = vector }
		end
	end
	-- One instruction: "ran", the value that it gives under mask, or its exception.
	local function insn(mask, name, ...)
		local args = { ... }
		return function()
			local v, vector = g[name](g, table.unpack(args))
			if v == nil then
				return { vector = vector }
			end
			return mask and v & mask
		end
	end
	local function rewrite_cr(n)
		return function()
			local v, vector = g:read_cr(n)
			if v == nil then
				return { vector = vector }
			end
			g:mov_cr(n, v)
		end
	end
	local gp, gp_selector, ud, ran = fault(GP, 0), fault(GP, 0x10), fault(UD), constant(nil)

	local rows = {
		-- name, at CPL 0, at CPL 3 (none: the same instruction, and what the CPU makes of it there)
		{ "SGDT", function() g:sgdt() return 1 end },
		{ "SIDT", function() g:sidt() return 1 end },
		{ "SLDT", insn(0xffff, "sldt") },
		{ "SMSW", insn(1, "smsw") },
		{ "PUSHF", constant(0), constant(0x200) },
		{ "POPF", constant(1), constant(0) },
		{ "LAR", constant(0xc09300), constant(0) },
		{ "LSL", constant(0xffffffff), constant(0) },
		{ "VERR", constant(1), constant(0) },
		{ "VERW", constant(1), constant(0) },
		{ "POP_SREG", ran, gp_selector },
		{ "PUSH_SREG", constant(0x23) },
		{ "CALL_FAR", constant(0x08) },
		{ "JMP_FAR", constant(0x08), constant(0x2b) },
		{ "INT_N", constant(0x08) },
		{ "RET_FAR", constant(0x08), constant(0x2b) },
		{ "STR", insn(0xffff, "str") },
		{ "MOV_SREG", constant(0x08), constant(0x2b) },
		{ "IRET", constant(0), constant(1) },
		{ "LOAD_POINTER", ran, gp_selector },
		{ "SYSCALL", constant(0x08) },
		{ "SYSENTER" },
		{ "CPUID", insn(nil, "cpuid", 0) },
		{ "RDTSC", insn(nil, "rdtsc") },
		{ "RDTSCP", insn(nil, "rdtscp") },
		{ "XGETBV", insn(1, "xgetbv", 0) },
		{ "LGDT", insn(nil, "lgdt", 0x120000, 95), gp },
		{ "LIDT", insn(nil, "lidt", 0x110000, 767), gp },
		{ "LLDT", insn(nil, "lldt", 0), gp },
		{ "LTR", insn(nil, "ltr", 0x30), gp },
		{ "LMSW", insn(nil, "lmsw", 1) },
		{ "CLTS", insn(nil, "clts") },
		{ "MOV_TO_CR0", rewrite_cr(0) },
		{ "MOV_TO_CR3", rewrite_cr(3) },
		{ "MOV_TO_CR4", rewrite_cr(4) },
		{ "MOV_TO_CR8", rewrite_cr(8) },
		{ "MOV_TO_CR2", rewrite_cr(2) },
		{ "MOV_FROM_CR3", insn(0xfff, "read_cr", 3) },
		{ "MOV_FROM_CR8", insn(0xf, "read_cr", 8) },
		{ "MOV_FROM_CR0", insn(0x80000001, "read_cr", 0) },
		{ "MOV_DR", insn(0x400, "read_dr", 7) },
		{ "HLT", function()
			rt.pit_start(g, 0, 1193)
			g:wait_irq()
		end, insn(nil, "hlt") },
		{ "INVD", insn(nil, "invd") },
		{ "WBINVD", insn(nil, "wbinvd") },
		{ "INVLPG", insn(nil, "invlpg", 0x130000) },
		{ "INVPCID", insn(nil, "invpcid", 2) },
		{ "RDMSR", insn(0x500, "rdmsr", EFER) },
		{ "WRMSR", insn(nil, "wrmsr", KERNEL_GS_BASE, 0) },
		{ "RDPMC", insn(nil, "rdpmc", 0x3fff) },
		{ "XSETBV", insn(nil, "xsetbv", 0, 1) },
		{ "MONITOR", ran, ud },
		{ "MWAIT", ran, ud },
		{ "CLI", function() g:cli() return 0 end, insn(nil, "cli") },
		{ "STI", function()
			g:sti()
			g:compute(4)
			g:cli()
			return 1
		end, insn(nil, "sti") },
		{ "IN", insn(0xff, "inp", SCRATCH), gp },
		{ "OUT", insn(nil, "out", SCRATCH, 0x5a), gp },
		{ "INS", function() return g:ins(SCRATCH, 1, 1, false):byte() end, gp },
		{ "OUTS", insn(nil, "outs", SCRATCH, "\x5a", 1, false), gp },
		{ "SWAPGS", ran, gp },
		{ "SYSRET", constant(0x2b), gp },
		{ "SYSEXIT" },
		{ "CLAC", ran, ud },
		{ "STAC", ran, ud },
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
	g:wrmsr(LSTAR, 0x186000)
	g:wrmsr(FMASK, 0x200)
	rt.pic_init(g, 1)
	for _, row in ipairs(rows) do
		local name, kernel, user = row[1], row[2], row[3] or row[2]
		rt.put(g, name)
		if not kernel then
			rt.put(g, ": not tried: vendors differ\n")
		elseif absent[name] then
			rt.put(g, ": not on this CPU\n")
		else
			local at0 = kernel()
			rt.put(g, ": kernel " .. text(at0))
			g:compute(20)
			g:cpl(3)
			local at3 = user()
			g:compute(30)
			g:cpl(0)
			rt.put(g, ", user " .. text(at3) .. "\n")
		end
	end
	rt.exit(g, 0)
end
