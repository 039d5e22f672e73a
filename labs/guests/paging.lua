-- paging: page faults, address spaces, INVLPG. The frames' contents are a Lua table: what a page table says is the
-- model's own knowledge, and only the instructions that a VMM might see are played.
local rt = include "rt"

local AREA, PAGE = 0x8000000000, 4096
local SPACE = { [0] = 0x186000, 0x18a000 }
local CR0_WP = 1 << 16
local WRITE, PRESENT = 2, 1 -- bits of a page fault's error code

return function(g)
	rt.boot(g)
	local pages, switches = g:arg("pages", 16), g:arg("switches", 10)
	if pages < 2 or pages > 128 then
		rt.put(g, "paging: pages must be 2 to 128\n")
		rt.exit(g, 1)
	end
	local function show(what, n)
		rt.put(g, what .. n .. "\n")
	end
	local function load(value)
		g:compute(1)
		return value
	end
	rt.idt_init(g)
	g:compute(8)
	g:mov_cr(3, SPACE[0])

	-- Demand: the first write to each page faults, the handler maps a frame, the write is done again.
	local frame, sum = {}, 0
	for i = 0, pages - 1 do
		g:fault(14, WRITE, AREA + i * PAGE)
		g:compute(50)
		frame[i] = i * 3
		g:compute(4)
	end
	for i = 0, pages - 1 do
		sum = sum + load(frame[i])
	end
	show("demand faults: ", pages)
	show("sum read back: ", sum)
	show("accessed and dirty: ", pages)

	-- Protection: every second page is made read-only; a write to it faults once.
	g:mov_cr(0, g:read_cr(0) | CR0_WP)
	for i = 0, pages - 1, 2 do
		g:compute(3)
		g:invlpg(AREA + i * PAGE)
	end
	local write_faults = 0
	for i = 0, pages - 1 do
		if i % 2 == 0 then
			g:fault(14, WRITE | PRESENT, AREA + i * PAGE)
			g:compute(40)
			g:invlpg(AREA + i * PAGE)
			g:compute(20)
			write_faults = write_faults + 1
		end
		frame[i] = i
		g:compute(4)
	end
	show("write faults: ", write_faults)

	-- Two address spaces: the same address is frame 0 in one and frame 1 in the other.
	local seen = 0
	g:compute(4)
	for i = 0, switches - 1 do
		g:mov_cr(3, SPACE[i & 1])
		seen = (seen * 2 + load(frame[i & 1])) & 0xffffffff
		g:compute(4)
	end
	g:mov_cr(3, SPACE[0])
	show("switches: ", switches)
	show("seen through them: ", seen)

	-- One address, one frame after the other; INVLPG makes the CPU look again.
	local total = 0
	for i = 0, pages - 1 do
		g:compute(4)
		g:invlpg(AREA)
		total = total + load(frame[i])
	end
	show("after INVLPG: ", total)
	rt.exit(g, 0)
end
