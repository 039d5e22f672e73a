-- The guests that "lab check" names ("supervisor 123456", "wide 345"), for step.lua. Not handed in.
local machine = include("machine")
local assemble, OPS = machine.assemble, {}
for op, name in pairs(machine.names) do OPS[name] = op end

local HANDLER = [[
        .word 0, 0, 0, 0, 0, 0, 0, handler, 0, 256
        .at 100
handler:LDI r7, 0
        LD r6, r7, 90           # how many traps: after 60 it is enough
        LDI r5, 1
        ADD r6, r5
        ST r6, r7, 90
        LDI r5, 60
        SUB r5, r6
        JZ r5, end
        LD r6, r7, 4            # cause and information go out
        OUT r6
        LD r5, r7, 5
        OUT r5
        LDI r5, 4
        SUB r5, r6
        JZ r5, called
        LD r5, r7, 1            # behind the instruction that trapped
        LDI r6, 1
        ADD r5, r6
        ST r5, r7, 1
        LPSW r7
called: LD r5, r7, 5            # SVC 99 ends
        LDI r6, 99
        SUB r5, r6
        JZ r5, end
        LPSW r7
end:    HALT
]]

local INNOCUOUS = { "LDI", "MOV", "ADD", "SUB", "LD", "ST", "JZ", "SVC" }
local SENSITIVE = { "GETR", "GETM", "OUT", "IN", "SETR", "LPSW", "ILLEGAL" }

-- n random instructions from address at on. share: how many in a hundred are sensitive, or no instruction at all.
local function random_code(random, words, at, n, share)
  for i = at, at + n - 1 do
    local list = random(1, 100) <= share and SENSITIVE or INNOCUOUS
    local name = list[random(1, #list)]
    local a, b, imm = random(0, 7), random(0, 7), random(0, 255)
    if name == "JZ" then imm = random(i + 1, at + n) end
    if name == "LDI" and random(1, 6) == 1 then imm = random(0, 0xffff) end
    if name == "SETR" and random(1, 3) > 1 then name = "GETR" end
    local op = OPS[name] or random(16, 255)
    words[i] = op << 24 | a << 20 | b << 16 | imm
  end
end

-- Programs by kind; 256 words each.
local programs = {}

-- Straight in supervisor mode.
function programs.supervisor(random)
  local words = assemble(HANDLER)
  random_code(random, words, 16, 60, 30)
  words[76] = OPS.SVC << 24 | 99
  return words
end

-- A system that starts a program in user mode, with a relocation-bounds register of its own.
function programs.user(random)
  local l, b = random(130, 160), random(60, 90)
  local words = assemble(HANDLER .. ([[
        .at 16
        LDI r1, %d
        LDI r2, %d
        LDI r7, 40
        LPSW r7
        .at 40
        .word 1, 0, %d, %d
  ]]):format(random(0, 0xffff), random(0, 0xffff), l, b))
  random_code(random, words, l, 40, 25)
  for i = l, l + 40 do -- jumps go by addresses of the program
    if words[i] and words[i] >> 24 == OPS.JZ then words[i] = words[i] - l end
  end
  words[l + 40] = OPS.SVC << 24 | 99
  return words
end

-- SETR and GETR with each pair of registers.
function programs.pairs(random)
  local text = {}
  for a = 0, 7 do
    local b, c = (a + 1) % 8, (a + 2) % 8
    text[#text + 1] = ("LDI r%d, 0\nLDI r%d, %d\nSETR r%d\nGETR r%d\nOUT r%d\nOUT r%d\nOUT r%d"):format(a, b,
      random(200, 256), a, b, a, b, c)
  end
  return assemble(HANDLER:gsub("%.at 100", ".at 120") .. ".at 16\n" .. table.concat(text, "\n") .. "\nHALT")
end

-- Much work, two words out.
function programs.compute(random)
  return assemble(([[
        .at 16
        LDI r0, %d
        LDI r1, 1
        LDI r2, %d
loop:   ADD r2, r0
        ST r2, r0, 40
        LD r3, r0, 40
        SUB r0, r1
        JZ r0, done
        JMP loop
done:   OUT r2
        OUT r3
        HALT
  ]]):format(random(150, 200), random(0, 0xffff)))
end

-- Ways out of its memory. Each makes a trap or an ordinary access, on a machine of 256 words.
local ESCAPES = {
  wide = [[
        .at 16
        LDI r1, 0
        LDI r2, 65535
        SETR r1                 # R = (0, 65535)
        ST r2, r2, %d           # far outside, whatever is there
        HALT
  ]],
  next_word = [[
        .at 16
        LDI r1, 0
        LDI r2, 300
        SETR r1
        LDI r3, 7
        ST r3, r1, 255          # the last word that it has
        ST r3, r1, 256          # the first that it has not
        HALT
  ]],
  shifted = [[
        .at 16
        LDI r1, 200
        LDI r2, 100
        SETR r1                 # R = (200, 100): half of it is not there
        HALT
        .at 216
        HALT
        .at 218
        LDI r4, %d
        ST r4, r3, 50
        ST r4, r3, 56
        HALT
  ]],
  beyond = [[
        .at 16
        LDI r7, 40
        LPSW r7                 # R = (256, 1), P = 0: the first word behind its memory
        .at 40
        .word 0, 0, 256, 1
  ]],
  far_beyond = [[
        .at 16
        LDI r7, 40
        LPSW r7
        .at 40
        .word 0, 0, 5000, 8
  ]],
  nothing = ".at 16\nHALT",
  user_handler = [[
        .at 6
        .word 3, 121, 1, 199     # new state at a trap: user mode (the lowest bit), P = 121
        .at 16
        SVC 1
        HALT
        .at 122
        LDI r3, %d
        SVC 2
        LPSW r4
        HALT
  ]],
  odd_mode = [[
        .at 6
        .word 2, 121, 0, 199     # supervisor: the lowest bit is 0
        .at 16
        SVC 1
        .at 121
        OUT r7
        HALT
  ]],
  last_psw = [[
        .at 16
        LDI r1, 0
        LDI r2, 60
        SETR r1
        LDI r7, 56              # the last four words inside its bounds
        LPSW r7
        .at 50
        OUT r7
        LDI r7, 57
        LPSW r7                 # one of them is outside
        HALT
        .at 56
        .word 0, 50, 0, 60
  ]],
}

-- The words of a program. n: what its kind draws from, or the number in a way out.
local function program(kind, n)
  if programs[kind] then return programs[kind](vmscope.random(n)) end
  local text = ESCAPES[kind] or error("there is no guest " .. tostring(kind))
  return assemble(HANDLER .. (text:find("%%d") and text:format(n) or text))
end

return { program = program, kinds = programs }
