-- timer: ticks of the PIT, awaited in HLT and in a busy loop.
local rt = include "rt"

local PIT_COUNT = 1193182 // 100

return function(g)
	local ticks = 0
	rt.boot(g)
	local halted, busy = g:arg("halted", 5), g:arg("busy", 3)
	rt.put(g, "timer: PIT channel 0, 100 Hz\n")
	rt.idt_init(g)
	g:on_irq(0x20, function()
		g:compute(40)
		ticks = ticks + 1
		rt.pic_eoi(g)
		g:compute(20)
	end)
	rt.pic_init(g, 1)
	for _ = 1, halted do
		rt.pit_start(g, 0, PIT_COUNT)
		g:wait_irq()
		rt.put(g, ("tick %d woke HLT\n"):format(ticks))
	end
	for _ = 1, busy do
		local before = ticks
		rt.pit_start(g, 0, PIT_COUNT)
		g:sti()
		while ticks == before do
			g:compute(3)
		end
		g:cli()
		rt.put(g, ("tick %d interrupted a loop\n"):format(ticks))
	end
	rt.put(g, ("timer: %d ticks\n"):format(ticks))
	rt.exit(g, 0)
end
