-- What all bundled 64-bit guests have in common, as behaviour: lib/start64.S (from the loader to long mode), lib/rt.c
-- (console, end, interrupt controller, timer) and lib/trap.c. A model says: local rt = include "rt".
local rt = {}

local UART, DEBUG_EXIT = 0x3f8, 0xf4
local EFER, LME = 0xc0000080, 1 << 8
local CR0_PG, CR4_PAE = 1 << 31, 1 << 5
local PML4 = 0x180000 -- as lib/guest.ld places it; no address is ever translated here

-- start64.S: protected mode without paging, then long mode; rt.c: the UART.
function rt.boot(g)
	g:start("multiboot")
	g:compute(5)
	g:mov_cr(3, PML4)
	local cr4 = g:read_cr(4)
	g:compute(1)
	g:mov_cr(4, cr4 | CR4_PAE)
	g:compute(1)
	local efer = g:rdmsr(EFER)
	g:compute(1)
	g:wrmsr(EFER, efer | LME)
	local cr0 = g:read_cr(0)
	g:compute(1)
	g:mov_cr(0, cr0 | CR0_PG)
	g:lgdt(0x101000, 23)
	g:code(64)
	g:compute(9)
	rt.uart_init(g)
end

function rt.uart_init(g)
	g:compute(12)
	g:out(UART + 1, 0x00)
	g:out(UART + 3, 0x80)
	g:out(UART + 0, 0x01)
	g:out(UART + 1, 0x00)
	g:out(UART + 3, 0x03)
	g:out(UART + 2, 0x07)
	g:out(UART + 4, 0x03)
end

-- Wait until the UART takes a byte, then write it.
function rt.put(g, text)
	for i = 1, #text do
		g:compute(6)
		repeat
			g:compute(2)
		until g:inp(UART + 5) & 0x20 ~= 0
		g:out(UART, text:byte(i))
	end
end

function rt.exit(g, code)
	g:compute(2)
	g:out(DEBUG_EXIT, code)
	while true do
		g:cli()
		g:hlt()
	end
end

function rt.idt_init(g)
	g:compute(48 * 12)
	g:lidt(0x110000, 48 * 16 - 1)
end

-- Both 8259s: vectors from 0x20; only the lines of open are let through.
function rt.pic_init(g, open)
	for _, word in ipairs { { 0x20, 0x11, 0x11 }, { 0x21, 0x20, 0x28 }, { 0x21, 0x04, 0x02 }, { 0x21, 0x01, 0x01 } } do
		g:compute(4)
		g:out(word[1], word[2])
		g:out(word[1] + 0x80, word[3])
	end
	g:out(0x21, ~open & 0xff)
	g:out(0xa1, ~open >> 8 & 0xff)
end

function rt.pic_eoi(g)
	g:out(0x20, 0x20)
end

-- The 8254's channel 0.
function rt.pit_start(g, mode, count)
	g:compute(3)
	g:out(0x43, 0x30 | mode << 1)
	g:out(0x40, count & 0xff)
	g:out(0x40, count >> 8)
end

return rt
