-- vmscope lab run try.lua: the guest of README.md on the bare machine, and in your virtual machine. Change it as you
-- like; it is not handed in.
local machine, vmm = include("machine"), include("vmm")

local census = machine.assemble[[
        .word 0, 0, 0, 0, 0, 0
        .word 0, handler, 0, 256        # new state at a trap: supervisor, P = handler, R = (0, 256)
        .at 16
        LDI r0, 10
        LDI r7, 40
        LPSW r7                         # into the user program
        .at 40
        .word 1, 0, 128, 64             # user, P = 0, R = (128, 64)
        .at 50
handler:LDI r7, 0
        LD r6, r7, 5                    # information of SVC
        JZ r6, end
        OUT r0
        LPSW r7                         # back, by the old state in word 0
end:    HALT
        .at 128                         # the user program; it sees this as address 0
        LDI r1, 1
        SVC 1
        SUB r0, r1
        JZ r0, 5
        JMP 1
        SVC 0
]]

local function show(what, m, census_end, used, stat)
  print(what, census_end, used, "output", m:outputs())
  print("", "real machine: instructions", stat.direct, "traps", stat.traps, "started", stat.runs)
end

local bare, stat = machine.new(256)
local how, used = machine.boot(bare, census, 10000)
show("bare machine", bare, how, used, stat)

local real, real_stat = machine.new(1024)
local vm = vmm(real, 512, 256)
how, used = machine.boot(vm, census, 10000)
show("in the VMM", real, how, used, real_stat)
