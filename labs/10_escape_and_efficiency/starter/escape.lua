-- Hostile guests, one a way out. Each function gets a table with what to attack (x.port, x.msr, x.address, x.byte) and
-- returns { text = 16-bit assembly, held_by = "mapping", "controls" or "interval" }. README.md says what each must try.

-- Real mode as you find it, with two exceptions (#DB: 1, #GP: 13) that go to "caught".
local CATCH = [[
        cli
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $0x7c00, %sp
        movw $caught, 4 * 1
        movw %ax, 4 * 1 + 2
        movw $caught, 4 * 13
        movw %ax, 4 * 13 + 2
]]

-- The end: all is well.
local CAUGHT = [[
caught: movb $0, %al
        outb %al, $0xf4
]]

local ways = {}

function ways.port(x)
  return { held_by = nil, text = CATCH .. ([[
        movw $%d, %%dx
        nop
  ]]):format(x.port) .. CAUGHT }
end

function ways.msr(x)
  return { held_by = nil, text = CATCH .. CAUGHT }
end

function ways.memory(x)
  return { held_by = nil, text = CATCH .. CAUGHT }
end

function ways.triple(x)
  return { held_by = nil, text = CATCH .. CAUGHT }
end

function ways.loop(x)
  return { held_by = nil, text = CATCH .. CAUGHT }
end

function ways.selfmod(x)
  return { held_by = nil, text = CATCH .. CAUGHT }
end

function ways.debug(x)
  return { held_by = nil, text = CATCH .. CAUGHT }
end

return ways
